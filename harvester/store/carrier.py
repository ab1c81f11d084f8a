"""Where the partition of a set that stands unchanged is found under a later harvest date."""

from pathlib import Path, PurePosixPath

from harvester.model import Job, Published
from harvester.snapshot import Carry
from harvester.store.disk import copy_file, disk_errors, make_folder, sync_folder
from harvester.store.partitions import Partitions


class Carrier:
    """Gives carried partitions their place; to be used by one thread.

    Args:
        output: the output folder.
        parts: its partitions.
        mode: how; where a file system knows no second names for a file, or no more of them, it is copied.
    """

    def __init__(self, output: Path, parts: Partitions, mode: Carry) -> None:
        self._output = output
        self._parts = parts
        self._mode = mode
        self._folders: set[Path] = set()

    def place(self, job: Job, partition: Published) -> Published | None:
        """Return the partition as the job is to have it; None if it does not lie where it was published.

        A file of the job's own is there, whole, but not yet durable: see `sync`.
        """
        if not self._parts.is_there(partition.path, partition.bytes):
            return None
        if self._mode is Carry.REFERENCE:
            self._parts.clear_partition(job)
            return partition
        source, draft = self._output / partition.path, self._parts.draft_path(job, partition.path)
        folder = self._parts.relative_path(job).parent
        path = folder / PurePosixPath(partition.path).name
        target = self._output / path
        with disk_errors(target):
            make_folder(target.parent)
            draft.unlink(missing_ok=True)
            self._fill(source, draft)
            draft.rename(target)
            draft.unlink(missing_ok=True)  # to rename a file to another name of itself does nothing
        self._folders |= {target.parent, draft.parent}
        return Published(str(path), partition.rows, partition.bytes, partition.sha256)

    def take_back(self, job: Job) -> None:
        """Remove what was placed for a job that is not carried after all; it is to be read."""
        self._parts.clear_partition(job)

    def sync(self) -> None:
        """Make the files durable that were placed since."""
        while self._folders:
            folder = self._folders.pop()
            with disk_errors(folder):
                sync_folder(folder)

    def _fill(self, source: Path, draft: Path) -> None:
        if self._mode is Carry.HARDLINK:
            try:
                draft.hardlink_to(source)
            except OSError:  # another device, a system without hard links, or too many of them
                draft.unlink(missing_ok=True)
            else:
                return
        copy_file(source, draft)
