"""Change files: what became of the contacts of each set since it was read whole before.

A file is written beside its place, synced, and renamed; only then the ledger names it (`store.change_book`).
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harvester.flaws import Flaw, FlawKind
from harvester.model import Harvest, Job
from harvester.store.change_book import ChangeBook
from harvester.store.date_folder import files_below
from harvester.store.disk import disk_errors, is_file_of, make_folder, open_file, sync_folder
from harvester.store.partitions import PARTS, Compression, file_stem

CHANGES = "changes"
"""The folder below the output folder."""

FRAME_BYTES = 1024 * 1024
"""Lines in one compressed frame: enough to compress well, and what memory holds of a file that is written."""


@dataclass(frozen=True, slots=True)
class Drafted:
    """A change file that waits beside its place: its size in bytes, and its SHA-256 in hex."""

    bytes: int
    sha256: str


class ChangeFiles:
    """The change files of one account; to be used by one thread at a time, and one process.

    Args:
        output: the output folder.
        account: whose.
        compression: of new files, and so the ending of their names.
    """

    def __init__(self, output: Path, account: str, compression: Compression) -> None:
        self.parts = output / PARTS  #: where drafts and what is too large for memory lie
        self._output = output
        self._compression = compression
        # An account's name has no dot, so no other account's draft has this name.
        self._draft = self.parts / f"changes.{account}.draft"

    def clear(self) -> None:
        """Remove what a killed process left; what it wrote is written again."""
        with disk_errors(self._draft):
            self._draft.unlink(missing_ok=True)

    def draft(self, lines: Iterable[bytes]) -> Drafted | None:
        """Write lines beside their place, durable on return; None if there are none.

        Whatever `lines` raises comes through; then no draft is left.
        """
        with disk_errors(self._draft):
            make_folder(self.parts)
            file = open_file(self._draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            return self._filled(file, lines)
        except BaseException:
            self._draft.unlink(missing_ok=True)
            raise

    def _filled(self, file: int, lines: Iterable[bytes]) -> Drafted | None:
        size_bytes, digest = 0, hashlib.sha256()
        with open(file, "wb") as stream:
            for data in _batches(lines):
                frame = self._compression.frame(data)
                with disk_errors(self._draft):
                    stream.write(frame)
                    stream.flush()
                digest.update(frame)
                size_bytes += len(frame)
            with disk_errors(self._draft):
                os.fsync(stream.fileno())
        return Drafted(size_bytes, digest.hexdigest()) if size_bytes else None

    def publish(self, job: Job, drafted: Drafted | None) -> str | None:
        """Move the draft to its place, durable on return, and remove what an earlier comparison left there.

        Returns:
            Where it lies below the output folder; None where nothing was drafted, and no file is there any more.
        """
        new = change_path(job, self._compression) if drafted else None
        old = [path for compression in Compression if (path := change_path(job, compression)) != new]
        folder = (self._output / old[0]).parent
        with disk_errors(folder):
            if new is not None:
                make_folder(folder)
                self._draft.rename(self._output / new)
            else:
                self._draft.unlink(missing_ok=True)
            outdated = [place for path in old if os.path.lexists(place := self._output / path)]
            for place in outdated:
                place.unlink()
            if new is not None or outdated:
                sync_folder(folder)
        return None if new is None else str(new)

    def is_there(self, path: str, size_bytes: int) -> bool:
        """Tell whether a change file of this path and size lies in its place; its bytes are not read."""
        return is_file_of(self._output / path, size_bytes)


def change_path(job: Job, compression: Compression) -> PurePosixPath:
    """Return where the change file of a job lies below the output folder."""
    name = f"{file_stem(job.campaign.key)}.jsonl{compression.suffix}"
    return PurePosixPath(CHANGES, f"account={job.account}", f"dt={job.date.isoformat()}", f"action={job.action}", name)


def trouble_with(path: Path, size_bytes: int, sha256: str) -> str:
    """Return in what way a file is not the one that was written, without a value of any row; empty if it is."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            return "it is no regular file"
        if status.st_size != size_bytes:
            return f"it has {status.st_size} bytes instead of {size_bytes}"
        with path.open("rb") as file:
            is_it = hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except (FileNotFoundError, NotADirectoryError):
        return "it is not there"
    except OSError as error:
        return f"it cannot be read: {(error.strerror or 'input/output error').lower()}"
    return "" if is_it else "it has other bytes than were written: its SHA-256 differs"


def change_flaws(output: Path, book: ChangeBook, harvest: Harvest) -> Iterator[Flaw]:
    """Yield what is wrong with the change files of a harvest: those that are listed, and those that nobody lists."""
    known: set[int] = set()  # hashes: the paths of 900,000 jobs themselves would weigh 150 MB
    for job, changes in book.jobs(harvest):
        if changes is None:  # a file may be of an earlier comparison, or its process died before the ledger heard of it
            known.update(hash(str(change_path(job, compression))) for compression in Compression)
        elif changes.path is not None:
            known.add(hash(changes.path))
            trouble = trouble_with(output / changes.path, changes.bytes, changes.sha256 or "")
            if trouble and book.changes_of(job) == changes:
                yield Flaw(FlawKind.CHANGES, changes.path, trouble)
    for path in files_below(output / CHANGES / f"account={harvest.account}" / f"dt={harvest.date.isoformat()}"):
        relative = str(path.relative_to(output))
        if hash(relative) not in known:
            yield Flaw(FlawKind.STRANGER, relative, "no job of the ledger accounts for it")


def _batches(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines in pieces of some `FRAME_BYTES`; none is cut."""
    batch: list[bytes] = []
    size_bytes = 0
    for line in lines:
        batch.append(line)
        size_bytes += len(line)
        if size_bytes >= FRAME_BYTES:
            yield b"".join(batch)
            batch.clear()
            size_bytes = 0
    if batch:
        yield b"".join(batch)
