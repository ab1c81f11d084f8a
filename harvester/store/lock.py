"""One run at a time on a state folder, for as long as its process lives.

The kernel lets go of the lock when the process dies, however it dies; the file's presence means nothing.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harvester.errors import BusyError
from harvester.store.disk import FILE_MODE, disk_errors, make_folder

HOLDER_BYTES_MAX = 200


@contextmanager
def exclusive(state: Path) -> Iterator[None]:
    """Hold the state folder.

    Raises:
        BusyError: another process holds it; it is named.
        DiskError: the folder cannot be written.
    """
    path = state / "lock"
    with disk_errors(path):
        make_folder(state)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, FILE_MODE)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, HOLDER_BYTES_MAX, 0).decode("ascii", "replace").strip()
            raise BusyError(
                f"Another run holds {state} ({holder or 'just starting'}); no call was made.",
                "Wait for it to end, or give this run a state folder and accounts of its own.",
            ) from None
        with disk_errors(path):
            os.ftruncate(file, 0)
            os.pwrite(file, f"process {os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(file)
