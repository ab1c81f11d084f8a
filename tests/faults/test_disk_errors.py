"""The disk refuses, once or for good, at any call: exit 7 with the place, or a mended run; never a wrong `done`."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.stage import (
    Injection,
    Place,
    Run,
    Stage,
    assert_all_there,
    assert_nothing_is_wrong,
    each_place,
    small_run,
)

from harvester.errors import ConfigError, DiskError

OURS = re.compile(r"/(state|data)\b")
"""A path in one of the two folders, in a call or in a message."""

FILE_BYTES_MAX = [600, 5_000, 40_000, *range(50_000, 320_000, 30_001)]
"""From less than the first page of a ledger to less than the log of a run; what comes first must be told somewhere."""

SYNC = re.compile(r"\bf(?:data)?sync\((?P<file>\d+<[^>]*>)")
OPENED = re.compile(r"= (?P<file>\d+<[^>]*>)$")


def assert_told(run: Run) -> None:
    """Check that a run which the disk ended says so: its exit code, the place, and no traceback."""
    told = run.injected[0], run.ended.stderr
    if not OURS.search(run.injected[0]):  # the configuration, or the system's own files
        return
    assert "Traceback" not in run.ended.stderr, told
    is_told_by_the_cache = "/token-" in run.injected[0] and run.ended.code == ConfigError.exit_code
    assert run.ended.code == DiskError.exit_code or is_told_by_the_cache, told
    is_heard = not any(".said/stderr" in call for call in run.injected)
    assert OURS.search(run.ended.stderr) or not is_heard, told


async def assert_survived(stage: Stage, folder: Path, injection: Injection) -> Run:
    """Make a run with the fault, see that it is told or mended, and that the same command then completes."""
    async with small_run(folder) as rehearsal:
        hurt = await stage.run(rehearsal, injection)
        assert_nothing_is_wrong(rehearsal)
        if hurt.ended.code == 0:
            assert_all_there(rehearsal, hurt.ended, wasted_calls=0)
            return hurt
        assert_told(hurt)

        again = await stage.run(rehearsal)

        assert_all_there(rehearsal, again.ended)
    return hurt


async def assert_all_survived(stage: Stage, folder: Path, place: Place, fault: str, *, lasts: str = "") -> None:
    """Lay the fault at each call of the place in turn, until a run does not come to it."""
    for when in place.times:
        injection = Injection(place.thread, place.change, f"{when}{lasts}", fault)
        hurt = await assert_survived(stage, folder / str(when), injection)
        if not hurt.injected:
            return


@each_place("pwrite64", "write", "openat", "mkdir", "rename")
async def test_D_01_a_disk_full_from_any_moment_on_is_told(stage: Stage, tmp_path: Path, place: Place) -> None:
    """No space at any write, and none after it: what was committed is safe, and with space again all is there."""
    await assert_all_survived(stage, tmp_path, place, "error=ENOSPC", lasts="+")


@pytest.mark.parametrize("file_bytes_max", FILE_BYTES_MAX)
async def test_D_02_a_write_that_is_cut_short_is_told(stage: Stage, tmp_path: Path, file_bytes_max: int) -> None:
    """A limit on the size of files cuts the write that reaches it in the middle, and refuses the next one."""
    async with small_run(tmp_path / "run") as rehearsal:
        hurt = await stage.run(rehearsal, file_bytes_max=file_bytes_max)
        assert_nothing_is_wrong(rehearsal)
        assert hurt.ended.code == DiskError.exit_code, hurt.ended.stderr
        assert OURS.search(hurt.ended.stderr), hurt.ended.stderr

        again = await stage.run(rehearsal)

        assert_all_there(rehearsal, again.ended)


@each_place("pwrite64", "write", "ftruncate", "rename", "unlink")
async def test_D_04_D_06_an_input_output_error_at_any_change_is_told(
    stage: Stage, tmp_path: Path, place: Place
) -> None:
    """A single failed write, cut or rename ends the run before anything is called done that is not."""
    await assert_all_survived(stage, tmp_path, place, "error=EIO")


@each_place("openat", "mkdir", "rename")
@pytest.mark.parametrize("error", ["EROFS", "EACCES"])
async def test_D_07_D_08_a_folder_turned_read_only_is_told(
    stage: Stage, tmp_path: Path, place: Place, error: str
) -> None:
    """From any moment on nothing can be made or moved: the run ends with the place, and goes on once it can be."""
    await assert_all_survived(stage, tmp_path, place, f"error={error}", lasts="+")


@each_place("fsync", "fdatasync")
async def test_D_05_a_failed_sync_is_never_tried_again_on_the_same_file(
    stage: Stage, tmp_path: Path, place: Place
) -> None:
    """The system forgets what it could not write: a second sync that succeeds would say what is not so."""
    for when in place.times:
        injection = Injection(place.thread, place.change, str(when), "error=EIO", is_all_seen=True)
        hurt = await assert_survived(stage, tmp_path / str(when), injection)
        if not hurt.injected:
            return
        assert list(synced_again(hurt.calls)) == []


def synced_again(calls: tuple[str, ...]) -> Iterator[str]:
    """Yield syncs of an open file whose sync had failed before."""
    failed: set[str] = set()
    for call in calls:
        if opened := OPENED.search(call):
            failed.discard(opened["file"])
        elif sync := SYNC.search(call):
            if sync["file"] in failed:
                yield call
            if call.endswith("(INJECTED)"):
                failed.add(sync["file"])
