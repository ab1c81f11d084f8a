"""Parts and partitions: the rows of a job while they come, and the finished file.

A part grows by whole frames, one for each page, and lies beside its target, so that publishing is a rename. A gzip
file of many members, and a zstd file of many frames, is an ordinary one to every reader; so a part can be cut at any
committed offset and a finished file needs no second pass.
"""

import datetime as dt
import gzip
import hashlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from harvester.errors import VerificationError
from harvester.model import Action, Contents, Job, Published, StoredPage
from harvester.store.disk import (
    COPY_BYTES,
    disk_errors,
    is_file_of,
    make_folder,
    open_file,
    replace_file,
    sync_folder,
    write_whole,
)
from harvester.store.reading import DamagedError, lines_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

try:
    from isal import igzip as accelerated_gzip
except ImportError:  # the extra "fast" is not installed, or there is none for this processor
    accelerated_gzip = None  # type: ignore[assignment]  # the only other value it has

PLAIN_KEY = re.compile(r"[a-z0-9]{1,100}")
"""Keys that are their own file name: the live form is 3z and 64 lower-case hex digits."""

KEY_DIGEST_CHARS = 32

RECIPIENTS = "recipients"
QUARANTINE = "_quarantine"
PARTS = "_parts"
"""Below the output folder: partitions, and replies with rows that could not be read."""

GZIP_LEVEL = 1
"""On pages of real shape level 6 takes twice the time for a seventh less; measured by `make bench`."""

ACCELERATED_LEVEL = 2
"""Of isal's own levels: an eighth of gzip's time, for files that are 3 % larger; level 3 is larger and slower."""

ZSTD_LEVEL = 3
"""The last level that costs less than a millisecond a page; level 8, six times as slow, makes files a tenth smaller."""

SYNC_DATA = getattr(os, "fdatasync", os.fsync)
"""The cheaper sync where there is one; macOS has only the other."""


class Compression(StrEnum):
    """How partitions are compressed."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"

    @property
    def suffix(self) -> str:
        """The ending that the compression adds to a file's name."""
        return {Compression.NONE: "", Compression.GZIP: ".gz", Compression.ZSTD: ".zst"}[self]

    def frame(self, data: bytes) -> bytes:
        """Return `data` as one frame that stands for itself."""
        match self:
            case Compression.NONE:
                return data
            case Compression.GZIP:
                if accelerated_gzip is not None:
                    return bytes(accelerated_gzip.compress(data, ACCELERATED_LEVEL, mtime=0))
                return gzip.compress(data, GZIP_LEVEL, mtime=0)
            case Compression.ZSTD:
                return zstd.compress(data, ZSTD_LEVEL)


def file_stem(campaign_key: str) -> str:
    """Return a file name for a campaign key: the key itself where it is harmless, else one that none can share.

    A key is data: it may hold slashes or dots, and two that differ in case only would be one file on some systems.
    No name begins with an underscore: warehouse readers pass over such files.
    """
    if PLAIN_KEY.fullmatch(campaign_key):
        return campaign_key
    readable = re.sub(r"[^a-z0-9]+", "_", campaign_key.lower())[:40].strip("_")
    digest = hashlib.sha256(campaign_key.encode("utf-8", "surrogatepass")).hexdigest()[:KEY_DIGEST_CHARS]
    return f"{readable}~{digest}"


def without_place(reply: str) -> str:
    """Return the path of a reply in quarantine without the place of its page; all replies of a job share that."""
    return re.sub(r"\.from-\d+\.reply$", ".reply", reply)


@dataclass(slots=True)
class _Part:
    """A part that is open for writing; `sha256` is of its bytes up to `size_bytes`."""

    file: int
    size_bytes: int
    sha256: "hashlib._Hash"


class Partitions:
    """All parts and partitions below one output folder; to be used by one thread.

    Args:
        output: the folder.
        compression: of new frames, and so the ending of the names.
    """

    def __init__(self, output: Path, compression: Compression) -> None:
        self._output = output
        self._compression = compression
        self._open: dict[int, _Part] = {}

    def relative_path(self, job: Job) -> PurePosixPath:
        """Return where the partition of a job lies below the output folder."""
        name = f"{file_stem(job.campaign.key)}.jsonl{self._compression.suffix}"
        return PurePosixPath(
            RECIPIENTS, f"account={job.account}", f"dt={job.date.isoformat()}", f"action={job.action}", name
        )

    def frame(self, lines: bytes) -> bytes:
        """Return lines as the bytes that `append` takes; pure, may run in any thread."""
        return self._compression.frame(lines)

    def prepare(self) -> None:
        """See that the output folder can be written, before the first call is spent."""
        probe = self._output / PARTS / ".probe"
        with disk_errors(self._output):
            make_folder(probe.parent)
            probe.unlink(missing_ok=True)
            os.close(open_file(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            probe.unlink()

    def cut(self, job: Job, size_bytes: int, sha256: bytes) -> bool:
        """Open the part of a job and cut it back to what the ledger knows of it.

        Args:
            job: whose part.
            size_bytes: its committed size; 0 before the first page.
            sha256: of these bytes; empty before the first page, where the job starts anew.

        Returns:
            Whether the committed bytes are there; if not, the part is empty now and its rows must be fetched again.
        """
        path = self.part_path(job)
        with disk_errors(path):
            make_folder(path.parent)
            file = open_file(path, os.O_RDWR | os.O_CREAT)
            digest = _sha256_of(file, size_bytes)
            is_whole = not size_bytes or digest.digest() == sha256
            os.ftruncate(file, size_bytes if is_whole else 0)
        self._open[job.id] = _Part(file, size_bytes, digest) if is_whole else _Part(file, 0, hashlib.sha256())
        return is_whole

    def append(self, job: Job, frame: bytes) -> tuple[int, bytes]:
        """Write a frame at the end of the job's part, not yet durable.

        Returns:
            The part's new size in bytes, and the SHA-256 of all of it.
        """
        part = self._open[job.id]
        with disk_errors(self.part_path(job)):
            write_whole(part.file, frame, part.size_bytes)
        part.sha256.update(frame)
        part.size_bytes += len(frame)
        return part.size_bytes, part.sha256.digest()

    def lines(self, job: Job) -> Iterator[bytes]:
        """Yield the lines of the job's part, as far as it is open.

        Raises:
            VerificationError: it cannot be read back; its bytes are those that were committed.
        """
        path = self.part_path(job)
        with disk_errors(path):
            try:
                yield from lines_of(path, self._open[job.id].size_bytes)
            except DamagedError as error:
                remedy = "Remove the file: the same command then fetches its rows again."
                raise VerificationError(f"{path}: {error}.", remedy) from None

    def quarantine(self, job: Job, from_index: int, reply: bytes) -> None:
        """Keep a reply whose rows could not all be read, durable on return; a known one is replaced."""
        path = self._output / self.quarantine_path(job, from_index)
        with disk_errors(path):
            replace_file(path, reply)

    def quarantine_path(self, job: Job, from_index: int) -> PurePosixPath:
        """Return where the reply that begins at row `from_index` lies in quarantine, below the output folder."""
        folder = self.relative_path(job).parent.relative_to(RECIPIENTS)
        return PurePosixPath(QUARANTINE, folder, f"{file_stem(job.campaign.key)}.from-{from_index}.reply")

    def sync(self, jobs: Sequence[Job]) -> None:
        """Make the parts of these jobs durable."""
        for job in jobs:
            with disk_errors(self.part_path(job)):
                SYNC_DATA(self._open[job.id].file)

    def publish(self, finished: Sequence[Contents]) -> list[Published]:
        """Move parts to their place, durable on return.

        Args:
            finished: what is in the parts of jobs whose pages are all committed.
        """
        published, folders = [], set()
        for contents in finished:
            job = contents.job
            relative, part = self.relative_path(job), self._open[job.id]
            source, target = self.part_path(job), self._output / relative
            with disk_errors(target):
                if not part.size_bytes:
                    self.append(job, self._compression.frame(b""))
                    os.fsync(part.file)
                make_folder(target.parent)
                source.rename(target)
                self._clear_away(contents, target)
            published.append(self._published(contents, part.size_bytes, part.sha256))
            folders |= {source.parent, target.parent}
            self.close(job)
        for folder in folders:
            with disk_errors(folder):
                sync_folder(folder)
        return published

    def _published(self, contents: Contents, size_bytes: int, sha256: "hashlib._Hash") -> Published:
        path = str(self.relative_path(contents.job))
        return Published(path, contents.rows, size_bytes, sha256.hexdigest(), contents.unreadable_rows)

    def adopt(self, contents: Contents, page: StoredPage) -> Published | None:
        """Return the partition of a job whose publishing was cut off after the rename, or None if it is not there.

        Args:
            contents: of the job, whose pages are all committed.
            page: the last of them; it knows the size and the hash of the whole.
        """
        job = contents.job
        target = self._output / self.relative_path(job)
        if self.part_path(job).exists() or not target.is_file():
            return None
        with disk_errors(target):
            file = os.open(target, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                is_it = os.fstat(file).st_size == page.end_bytes
                digest = _sha256_of(file, page.end_bytes)
            finally:
                os.close(file)
            sync_folder(target.parent)
        if not is_it or digest.digest() != page.sha256:
            return None
        with disk_errors(target):
            self._clear_away(contents, target)
        return self._published(contents, page.end_bytes, digest)

    def _clear_away(self, contents: Contents, target: Path) -> None:
        """Remove what an earlier harvest left of the job whose new partition has just taken its place, and no sooner.

        These are its replies in quarantine, until now the only copy of their rows, and its partition under another
        compression.
        """
        kept = {self.quarantine_path(contents.job, from_index).name for from_index in contents.unreadable_from}
        folder = (self._output / self.quarantine_path(contents.job, 1)).parent
        for reply in folder.glob(f"{file_stem(contents.job.campaign.key)}.from-*.reply"):
            if reply.name not in kept:
                reply.unlink(missing_ok=True)
        stem = target.name.removesuffix(self._compression.suffix)
        for other in Compression:
            if other is not self._compression:
                target.with_name(stem + other.suffix).unlink(missing_ok=True)

    def clear_partition(self, job: Job) -> None:
        """Remove what an earlier harvest left in the place of a job's partition, under any compression."""
        target = self._output / self.relative_path(job)
        stem = target.name.removesuffix(self._compression.suffix)
        for compression in Compression:
            with disk_errors(target):
                target.with_name(stem + compression.suffix).unlink(missing_ok=True)

    def is_there(self, path: str, size_bytes: int) -> bool:
        """Tell whether a partition of this relative path and size lies in its place; its bytes are not read."""
        return is_file_of(self._output / path, size_bytes)

    def sweep(self, account: str, date: dt.date) -> None:
        """Remove what killed runs left of parts, once every job of an account and date has ended."""
        for leftover in self.parts_of(account, date):
            with disk_errors(leftover):
                leftover.unlink(missing_ok=True)

    def parts_of(self, account: str, date: dt.date) -> list[Path]:
        """Return the parts of an account and date that lie there, whoever left them.

        A folder that cannot be read is told: a pattern would find nothing in it and say nothing.
        """
        parts = self._output / PARTS
        prefixes = tuple(_part_prefix(account, date, action) for action in Action)
        with disk_errors(parts):
            return [path for path in parts.iterdir() if path.name.startswith(prefixes)] if parts.is_dir() else []

    def close(self, job: Job) -> None:
        """Let go of a job's part, if it is open; the file stays if it holds anything."""
        part = self._open.pop(job.id, None)
        if part is not None:
            os.close(part.file)
            if not part.size_bytes:
                with disk_errors(self.part_path(job)):
                    self.part_path(job).unlink(missing_ok=True)

    def close_all(self) -> None:
        """Let go of all parts."""
        for part in self._open.values():
            os.close(part.file)
        self._open.clear()

    def draft_path(self, job: Job, name: str) -> Path:
        """Return where a file of this name, which is to be moved to the job's folder, may grow until then."""
        prefix = _part_prefix(job.account, job.date, job.action)
        return self._output / PARTS / f"{prefix}{PurePosixPath(name).name}"

    def part_path(self, job: Job) -> Path:
        """Return where the part of a job grows."""
        return self.draft_path(job, self.relative_path(job).name)


def _part_prefix(account: str, date: dt.date, action: Action) -> str:
    """Return how the names of the parts of one folder begin; no account's prefix is the beginning of another's."""
    return f"{date.isoformat()}-{account}-{action}-"


def _sha256_of(file: int, size_bytes: int) -> "hashlib._Hash":
    """Return the running hash of the first `size_bytes` bytes, or of all there are if the file is shorter."""
    digest, offset = hashlib.sha256(), 0
    while offset < size_bytes and (chunk := os.pread(file, min(COPY_BYTES, size_bytes - offset), offset)):
        digest.update(chunk)
        offset += len(chunk)
    return digest
