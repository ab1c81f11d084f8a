"""P-01: a signal that comes before the harvest has begun is told like any other."""

import asyncio
import os
import signal

import pytest
from end_to_end.rehearsal import DATE, TIMEOUT_S, Rehearse

from harvester.simulator.options import Options

LINES = b"\n" * 200_000
"""Empty lines of a key list, more than a pipe holds: they are written once the program has begun to read."""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_P_01_a_signal_during_the_start_ends_it_with_a_word(
    rehearse: Rehearse, number: signal.Signals, code: int
) -> None:
    """Stopped while it waits for its campaigns: the code of the signal, the command that goes on, and no call."""
    rehearsal = await rehearse(Options())
    reading, writing = os.pipe()
    program = await rehearsal.start_run("--campaigns-file", "-", before=lambda: _read_from(reading))
    os.close(reading)

    async with asyncio.timeout(TIMEOUT_S):
        await asyncio.to_thread(os.write, writing, LINES)
    program.signal(number)
    ended = await program.ended()
    os.close(writing)

    assert ended.code == code, ended.stderr
    assert ended.last_line.startswith(f"stopped, resumable ({number.name})")
    assert f"go on with: harvester run --as-of {DATE} --campaigns-file -" in ended.last_line
    assert "Traceback" not in ended.stderr
    assert rehearsal.total("calls") == 0


def _read_from(file: int) -> None:
    os.dup2(file, 0)
