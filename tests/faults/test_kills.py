"""P3: killed before any system call that changes the disk, the same command goes on and nothing is lost or repeated."""

from pathlib import Path

import pytest
from faults.stage import (
    CAMPAIGNS,
    CONCURRENCY,
    Injection,
    Place,
    Stage,
    assert_all_there,
    assert_no_row_is_lost,
    assert_nothing_is_wrong,
    each_place,
    small_run,
    spoiled_run,
)


@each_place()
async def test_P_03_a_kill_before_any_change_of_the_disk_loses_nothing(
    stage: Stage, tmp_path: Path, place: Place
) -> None:
    """Whichever call it was, the same command completes, and only calls under way are made again."""
    for when in place.times:
        async with small_run(tmp_path / str(when)) as rehearsal:
            killed = await stage.run(rehearsal, Injection(place.thread, place.change, str(when)))
            if not killed.was_killed:
                assert_all_there(rehearsal, killed.ended, wasted_calls=0)
                return
            assert_nothing_is_wrong(rehearsal)

            again = await stage.run(rehearsal)

            assert_all_there(rehearsal, again.ended)


FIRST_KILLS = (
    Injection("Main", "fsync", "2"),
    Injection("Main", "pwrite64", "20"),
    Injection("disk", "pwrite64", "60"),
    Injection("disk", "fdatasync", "9"),
    Injection("disk", "rename", "1"),
    Injection("disk", "rename", "2"),
    Injection("disk", "rename", "3"),
)
SECOND_KILLS = (
    Injection("Main", "pwrite64", "2"),
    Injection("Main", "ftruncate", "2"),
    Injection("disk", "ftruncate", "1"),
    Injection("disk", "pwrite64", "7"),
    Injection("disk", "fdatasync", "4"),
    Injection("disk", "fsync", "1"),
    Injection("disk", "rename", "1"),
)


@pytest.mark.parametrize("first", FIRST_KILLS, ids=str)
async def test_P_04_a_kill_during_recovery_changes_nothing(stage: Stage, tmp_path: Path, first: Injection) -> None:
    """Recovery that is killed as well is recovered from in the same way."""
    for number, second in enumerate(SECOND_KILLS):
        async with small_run(tmp_path / str(number)) as rehearsal:
            killed = await stage.run(rehearsal, first)
            recovering = await stage.run(rehearsal, second)
            assert_nothing_is_wrong(rehearsal)

            again = await stage.run(rehearsal)

            assert killed.was_killed
            assert_all_there(rehearsal, again.ended, wasted_calls=(1 + recovering.was_killed) * CONCURRENCY)


EXIT_PARTIAL = 3


@each_place("rename", "unlink")
async def test_A_25_a_kill_never_costs_the_answer_that_holds_unreadable_rows(
    stage: Stage, tmp_path: Path, place: Place
) -> None:
    """While a partial job is harvested again, its old answer stays until the new partition and answer stand."""
    for when in place.times:
        async with spoiled_run(tmp_path / str(when)) as rehearsal:
            assert (await stage.run(rehearsal)).ended.code == EXIT_PARTIAL

            killed = await stage.run(rehearsal, Injection(place.thread, place.change, str(when)))

            assert_no_row_is_lost(rehearsal)
            again = await stage.run(rehearsal)
            assert_no_row_is_lost(rehearsal)
            assert again.ended.code == EXIT_PARTIAL
            verified = await stage.run(rehearsal, arguments=("verify",))
            assert verified.ended.code == 0, verified.ended.stdout
            if not killed.was_killed:
                return


PAGES_AHEAD = 2


@each_place("fdatasync", "rename")
async def test_P_03_a_kill_while_pages_came_before_their_turn_loses_nothing(
    stage: Stage, tmp_path: Path, place: Place
) -> None:
    """Pages of one job under way beside each other are committed in their order; those that waited are asked again."""
    for when in place.times:
        async with small_run(tmp_path / str(when), PAGES_AHEAD) as rehearsal:
            killed = await stage.run(rehearsal, Injection(place.thread, place.change, str(when)))
            if not killed.was_killed:
                return
            assert_nothing_is_wrong(rehearsal)

            again = await stage.run(rehearsal)

            assert_all_there(rehearsal, again.ended, wasted_calls=CONCURRENCY + CAMPAIGNS * PAGES_AHEAD)
