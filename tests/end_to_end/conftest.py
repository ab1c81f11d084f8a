"""A rehearsal for each test that asks for one."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from end_to_end.rehearsal import Rehearsal, Rehearse, rehearsing

from harvester.simulator.options import Options


@pytest.fixture
async def rehearse(tmp_path: Path) -> AsyncIterator[Rehearse]:
    """Give the function that starts a practised Zoho; server and processes end with the test."""
    async with AsyncExitStack() as stack:

        async def start(options: Options, /, **changes: Mapping[str, object]) -> Rehearsal:
            return await stack.enter_async_context(rehearsing(tmp_path, options, **changes))

        yield start
