"""A stage for each test that asks for one, and strace, without which nothing here can be shown."""

import shutil
from collections.abc import AsyncIterator

import pytest
from faults.stage import Stage, staged


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Give what makes runs with faults."""
    if shutil.which("strace") is None:
        pytest.fail("strace is not installed; on Debian and Ubuntu: apt-get install strace", pytrace=False)
    async with staged() as ready:
        yield ready
