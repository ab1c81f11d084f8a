"""A rehearsal for each test that asks for one."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from end_to_end.rehearsal import Rehearsal, Rehearse, WatchedReferee

from harvester.simulator.options import Options
from harvester.simulator.server import Server


@pytest.fixture
async def rehearse(tmp_path: Path) -> AsyncIterator[Rehearse]:
    """Give the function that starts a practised Zoho; server and processes end with the test."""
    async with AsyncExitStack() as stack:

        async def start(options: Options, /, **changes: Mapping[str, object]) -> Rehearsal:
            server, referee = Server(options), WatchedReferee(options.quota)
            server.zoho.referee = referee
            url = await stack.enter_async_context(server.running())
            rehearsal = Rehearsal(server, options, tmp_path, url, referee)
            rehearsal.configure(**changes)
            stack.push_async_callback(_end_programs, rehearsal)
            return rehearsal

        yield start


async def _end_programs(rehearsal: Rehearsal) -> None:
    for program in rehearsal.programs:
        await program.kill()
