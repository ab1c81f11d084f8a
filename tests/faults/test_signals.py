"""P-01, P-02: asked to end at any moment, a run says so in its last line, and the same command goes on."""

from pathlib import Path

import pytest
from end_to_end.rehearsal import DATE
from faults.stage import (
    Injection,
    Place,
    Stage,
    assert_all_there,
    assert_nothing_is_wrong,
    each_place,
    small_run,
)

CODES = {"TERM": 143, "INT": 130}


@each_place("openat", "fsync", "rename")
@pytest.mark.parametrize("name", CODES)
async def test_P_01_a_signal_at_any_moment_ends_the_run_with_a_word(
    stage: Stage, tmp_path: Path, place: Place, name: str
) -> None:
    """While the run starts, harvests or ends: the code of the signal, and the command that goes on; or it completes."""
    for when in place.times:
        async with small_run(tmp_path / str(when)) as rehearsal:
            asked = await stage.run(rehearsal, Injection(place.thread, place.change, str(when), f"signal={name}"))
            assert_nothing_is_wrong(rehearsal)
            if asked.ended.code == 0:  # all was done, or the signal never came
                assert_all_there(rehearsal, asked.ended, wasted_calls=0)
                if not any(f"--- SIG{name}" in call for call in asked.calls):
                    return
                continue
            assert asked.ended.code == CODES[name], asked.ended.stderr
            assert asked.ended.last_line.startswith("stopped, resumable"), asked.ended.stderr
            assert f"go on with: harvester run --as-of {DATE}" in asked.ended.last_line

            again = await stage.run(rehearsal)

            assert_all_there(rehearsal, again.ended)
