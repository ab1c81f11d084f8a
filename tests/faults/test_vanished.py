"""D-09, D-10: what a killed run left is changed or taken away before the next one; no row of it is believed unseen."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from end_to_end.rehearsal import Rehearsal
from faults.stage import CONCURRENCY, Injection, Stage, assert_all_there, small_run

from harvester.errors import VerificationError

PAGES = 6
"""Of the whole run: at most so many calls to fetch all of it again."""

IN_THE_MIDDLE = Injection("disk", "fdatasync", "12")
"""Some pages are committed, no partition stands in its place."""

BEFORE_THE_LEDGER = Injection("disk", "unlink", "3")
"""The first partition stands in its place, and the ledger does not know it yet; a draft and `_SUCCESS` went first."""

BETWEEN_TWO = Injection("disk", "rename", "4")
"""The listing and a manifest stand, and one job is done; the other is about to be published."""

Damage = Callable[[Path], object]


def removed(path: Path) -> None:
    path.unlink()


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def grown(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def first_bit_flipped(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])


def last_bit_flipped(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


SEEN_BY_SIZE = (removed, emptied, cut, grown)
FLIPPED = (first_bit_flipped, last_bit_flipped)
each_damage = pytest.mark.parametrize("damage", [*SEEN_BY_SIZE, *FLIPPED])


async def killed(stage: Stage, rehearsal: Rehearsal, injection: Injection) -> None:
    run = await stage.run(rehearsal, injection)
    assert run.was_killed, run.ended.stderr


def parts(rehearsal: Rehearsal) -> list[Path]:
    return [path for path in (rehearsal.output / "_parts").iterdir() if path.stat().st_size]


def partitions(rehearsal: Rehearsal) -> list[Path]:
    return list(rehearsal.date_folder.glob("action=*/*"))


def spoil(files: Iterable[Path], damage: Damage) -> None:
    """Damage all the files, of which there must be some."""
    found = list(files)
    assert found
    for file in found:
        damage(file)


@each_damage
@pytest.mark.parametrize("moment", [IN_THE_MIDDLE, BETWEEN_TWO], ids=str)
async def test_D_09_D_10_a_part_that_was_changed_is_fetched_again(
    stage: Stage, tmp_path: Path, moment: Injection, damage: Damage
) -> None:
    """Only bytes that the ledger knows by their hash are gone on with."""
    async with small_run(tmp_path / "run") as rehearsal:
        await killed(stage, rehearsal, moment)
        spoil(parts(rehearsal), damage)

        again = await stage.run(rehearsal)

        assert_all_there(rehearsal, again.ended, wasted_calls=CONCURRENCY + PAGES)


@each_damage
async def test_D_09_D_10_a_partition_changed_before_the_ledger_knew_it_is_fetched_again(
    stage: Stage, tmp_path: Path, damage: Damage
) -> None:
    """What was renamed but not written down is taken over by its hash alone."""
    async with small_run(tmp_path / "run") as rehearsal:
        await killed(stage, rehearsal, BEFORE_THE_LEDGER)
        spoil(partitions(rehearsal), damage)

        again = await stage.run(rehearsal)

        assert_all_there(rehearsal, again.ended, wasted_calls=CONCURRENCY + PAGES)


@pytest.mark.parametrize("damage", SEEN_BY_SIZE)
async def test_D_09_a_finished_partition_of_another_size_is_fetched_again(
    stage: Stage, tmp_path: Path, damage: Damage
) -> None:
    """A run looks at the size of what is done, and at nothing else, so that it costs no time."""
    async with small_run(tmp_path / "run") as rehearsal:
        await killed(stage, rehearsal, BETWEEN_TWO)
        spoil(partitions(rehearsal), damage)

        again = await stage.run(rehearsal)

        assert_all_there(rehearsal, again.ended, wasted_calls=CONCURRENCY + PAGES)


@pytest.mark.parametrize("damage", FLIPPED)
async def test_D_10_a_flipped_bit_in_a_finished_partition_is_told_by_verify(
    stage: Stage, tmp_path: Path, damage: Damage
) -> None:
    """Exit 6 names it, `--repair` sends it back, and the next run mends it."""
    async with small_run(tmp_path / "run") as rehearsal:
        await killed(stage, rehearsal, BETWEEN_TWO)
        spoil(partitions(rehearsal), damage)
        await stage.run(rehearsal)

        verified = await stage.run(rehearsal, None, ("verify",))
        repaired = await stage.run(rehearsal, None, ("verify", "--repair"))
        again = await stage.run(rehearsal)

        assert verified.ended.code == VerificationError.exit_code, verified.ended.stderr
        assert repaired.ended.code == VerificationError.exit_code, repaired.ended.stderr
        assert_all_there(rehearsal, again.ended, wasted_calls=CONCURRENCY + PAGES)
