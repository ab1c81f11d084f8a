"""Small durable steps on the file system, and the one translation of what the disk refuses."""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harvester.errors import DiskError

FOLDER_MODE = 0o700
FILE_MODE = 0o600
SHARED_FOLDER_MODE = 0o2750
SHARED_FILE_MODE = 0o640
"""Where a group may read. What is made in such a folder inherits its group from the system, and the modes from us."""

COPY_BYTES = 1 << 20
"""What is in memory at once of a file that is copied or read back."""

REMEDIES = {
    errno.ENOSPC: "Free some space (or inodes), then run the same command again.",
    errno.EDQUOT: "Raise the quota or free some space, then run the same command again.",
    errno.EROFS: "The file system is mounted read-only: remount it or choose another folder.",
    errno.EACCES: "Give this user write access to the folder, or choose another one.",
    errno.EPERM: "Give this user write access to the folder, or choose another one.",
    errno.ELOOP: "A symbolic link stands where harvester writes; remove it.",
    errno.ENOTDIR: "A file stands where a folder is to be: choose another folder.",
    errno.EEXIST: "A file stands where a folder is to be: choose another folder.",
    errno.EFBIG: "Raise the limit on the size of files (ulimit -f), then run the same command again.",
    errno.EIO: "The device reports errors; check it before running again.",
}


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raise `DiskError` for whatever the operating system refuses on `path`."""
    try:
        yield
    except OSError as error:
        remedy = REMEDIES.get(error.errno or 0, "Everything committed before is safe; run the same command again.")
        what = (error.strerror or "input/output error").lower()
        raise DiskError(f"{path}: {what}{_space(path, error)}.", remedy) from None


def _space(path: Path, error: OSError) -> str:
    if error.errno != errno.ENOSPC:
        return ""
    folder = next(parent for parent in (path, *path.parents) if parent.exists())
    return f" ({shutil.disk_usage(folder).free} bytes free)"


def make_folder(path: Path) -> None:
    """Create a folder and its parents, each durable in its own parent before anything is put into it.

    It is for its owner alone; below a shared folder, for the group of that one as well.
    """
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(mode=FOLDER_MODE, exist_ok=True)
    if is_shared(path.parent):
        path.chmod(SHARED_FOLDER_MODE)
    sync_folder(path.parent)


def is_regular(path: Path) -> bool:
    """Tell whether a file lies there: a link is no copy of one, and from a pipe nothing may ever come."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def is_shared(folder: Path) -> bool:
    """Tell whether what is made in a folder is for its group to read; see `store.sharing`."""
    return stat.S_IMODE(folder.stat().st_mode) == SHARED_FOLDER_MODE


def open_file(path: Path, flags: int) -> int:
    """Open a file without following a link; one that is made is for whom its folder is for."""
    file = os.open(path, flags | os.O_NOFOLLOW, FILE_MODE)
    if flags & os.O_CREAT and is_shared(path.parent):
        os.fchmod(file, SHARED_FILE_MODE)
    return file


def is_file_of(path: Path, size_bytes: int) -> bool:
    """Tell whether a regular file of this size is there; its bytes are not read."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == size_bytes


def copy_file(source: Path, target: Path) -> None:
    """Write the bytes of a file into a new one, durable on return but for its name; no link is followed."""
    new_one = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with (
        open(open_file(source, os.O_RDONLY), "rb") as old,
        open(open_file(target, new_one), "wb") as new,
    ):
        shutil.copyfileobj(old, new, COPY_BYTES)
        new.flush()
        os.fsync(new.fileno())


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_whole(file: int, data: bytes, offset: int) -> None:
    """Write all of `data` at `offset`; the operating system may take it in pieces."""
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written


def replace_file(path: Path, data: bytes) -> None:
    """Put a whole new file in the place of `path`: a reader sees the old one or the new one."""
    make_folder(path.parent)
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    file = open_file(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        write_whole(file, data, 0)
        os.fsync(file)
    finally:
        os.close(file)
    draft.rename(path)
    sync_folder(path.parent)
