"""Who is at work on a state folder: a lock for what only one may do, and a mark for each run.

Both are held by the kernel for as long as the process lives, however it dies; the presence of a file means nothing.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

from harvester.errors import BusyError
from harvester.store.disk import FILE_MODE, disk_errors, make_folder

HOLDER_BYTES_MAX = 200

LOOK_AGAIN_S = 0.05
"""How often a lock that another process holds is tried again."""

JUST_STARTING = "just starting"

MARKS = "runs"
MARK_SUFFIX = ".run"
"""Where each run leaves its mark, below the state folder."""

REMEDY = "Wait for it to end, or give this run a state folder and accounts of its own."


@contextmanager
def exclusive(state: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the state folder, for steps that two processes must not do at once: planning, and writing a manifest.

    Args:
        state: the folder.
        wait_s: how long to wait for another process, in seconds; blocks the thread.

    Raises:
        BusyError: another process still holds it; it is named.
        DiskError: the folder cannot be written.
    """
    path = state / "lock"
    file = _open(path)
    try:
        tries = 1 + int(wait_s / LOOK_AGAIN_S)
        while not _take(file):
            tries -= 1
            if not tries:
                raise BusyError(f"Another process holds {state} ({_holder(file)}).", REMEDY)
            Event().wait(LOOK_AGAIN_S)
        _sign(path, file)
        yield
    finally:
        os.close(file)


@contextmanager
def at_work(state: Path, run_id: str) -> Iterator[None]:
    """Mark a run as at work, so that other runs leave its jobs to it."""
    path = _mark(state, run_id)
    file = _open(path)
    try:
        while not _take(file) or not _is_at(file, path):
            # A look at the marks may hold it for a moment, and clear it: then it is made anew.
            if _is_at(file, path) and (holder := _holder(file)) != JUST_STARTING:
                raise BusyError(f"Run {run_id} is at work already ({holder}).", REMEDY)
            os.close(file)
            file = _open(path)
        _sign(path, file)
        try:
            yield
        finally:
            with suppress(OSError):  # a mark that stays is nobody's: the next look clears it
                path.unlink()
    finally:
        os.close(file)


def runs_at_work(state: Path, run_id: str | None = None) -> dict[str, str]:
    """Return the runs that are at work now, but for our own, each with the process that it is.

    Clears the marks of dead ones.
    """
    folder = state / MARKS
    if not folder.exists():
        return {}
    with disk_errors(folder):
        others = [mark for mark in folder.glob(f"*{MARK_SUFFIX}") if mark.stem != run_id]
        holders = {mark.stem: _holder_at_work(mark) for mark in others}
    return {run: holder for run, holder in holders.items() if holder is not None}


def _holder_at_work(mark: Path) -> str | None:
    """Return the process that holds a mark; the mark of a dead one is cleared."""
    try:
        file = os.open(mark, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:  # it ended just now
        return None
    try:
        if not _take(file):
            return _holder(file)
        mark.unlink(missing_ok=True)
    finally:
        os.close(file)
    return None


def _is_at(file: int, path: Path) -> bool:
    """Whether the path still leads to this file."""
    try:
        return os.path.samestat(os.fstat(file), path.lstat())
    except FileNotFoundError:
        return False


def _mark(state: Path, run_id: str) -> Path:
    return state / MARKS / f"{run_id}{MARK_SUFFIX}"


def _open(path: Path) -> int:
    with disk_errors(path):
        make_folder(path.parent)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, FILE_MODE)


def _take(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(path: Path, file: int) -> None:
    with disk_errors(path):
        os.ftruncate(file, 0)
        os.pwrite(file, f"process {os.getpid()}\n".encode(), 0)


def _holder(file: int) -> str:
    return os.pread(file, HOLDER_BYTES_MAX, 0).decode("ascii", "replace").strip() or JUST_STARTING
