"""The files that a reader of one date needs, as its manifest names them, and their bytes.

Parts, quarantine and state are never among them.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from harvester.errors import VerificationError
from harvester.model import Harvest
from harvester.publication import Deliverable, is_finished_file
from harvester.store.disk import disk_errors
from harvester.store.manifest_reading import SUCCESS, ManifestError, manifest_path, read_manifest
from harvester.store.partitions import RECIPIENTS
from harvester.store.publications import FOLDERS, Publications

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

FIND_OUT = "harvester verify tells what is wrong, and harvester verify --repair has it harvested again."


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """A manifest as it lies there.

    Attributes:
        deliverable: the file.
        modified_ns: when it was put into its place, by the file system.
        state: of its date: "complete", "partial", "running".
    """

    deliverable: Deliverable
    modified_ns: int
    state: str


class DateFiles:
    """The files of one account and date.

    Args:
        output: the output folder.
        harvest: the account and date.
    """

    def __init__(self, output: Path, harvest: Harvest) -> None:
        self.output = output
        self.harvest = harvest
        self._date = f"account={harvest.account}/dt={harvest.date.isoformat()}"

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders that hold files of this date alone, below the output folder."""
        return tuple(f"{folder}/{self._date}" for folder in FOLDERS)

    @property
    def manifest_path(self) -> str:
        """Where the manifest lies below the output folder."""
        return manifest_path(self.harvest.account, self.harvest.date.isoformat())

    @property
    def success(self) -> Deliverable:
        """The empty file that says that every job of the date is done."""
        return Deliverable(f"{RECIPIENTS}/{self._date}/{SUCCESS}", 0, EMPTY_SHA256)

    def modified_ns(self) -> int | None:
        """Return when the manifest was put into its place; None if there is none."""
        try:
            return (self.output / self.manifest_path).lstat().st_mtime_ns
        except OSError:
            return None

    def manifest(self) -> ManifestFile | None:
        """Read the manifest once; None if there is none.

        Raises:
            VerificationError: it cannot be read.
        """
        path = self.output / self.manifest_path
        modified_ns = self.modified_ns()
        if modified_ns is None:
            return None
        with self._readable():
            head = next(read_manifest(path))
        with disk_errors(path), path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size_bytes = os.fstat(file.fileno()).st_size
        return ManifestFile(Deliverable(self.manifest_path, size_bytes, sha256), modified_ns, str(head.get("state")))

    def deliverables(self) -> Iterator[Deliverable]:
        """Yield what the manifest names: the listing, partitions (also those of earlier dates), change files.

        Raises:
            VerificationError: the manifest cannot be read, or names a file elsewhere.
        """
        with self._readable():
            told = read_manifest(self.output / self.manifest_path)
            yield from self._named(next(told).get("listing"))
            for job in told:
                yield from self._named(job)
                yield from self._named(job.get("changes"))

    @staticmethod
    def _named(entry: object) -> Iterator[Deliverable]:
        match entry:
            case {"path": str(path), "bytes": int(size_bytes), "sha256": str(sha256)} if is_finished_file(path):
                yield Deliverable(path, size_bytes, sha256)
            case None | {"path": None}:
                return
            case _:
                raise ManifestError(f"it names a file that is none of its own: {_path_of(entry):.80}")

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except ManifestError as error:
            raise VerificationError(f"{self.output / self.manifest_path}: {error}.", FIND_OUT) from None


def _path_of(entry: object) -> str:
    return str(entry["path"]) if isinstance(entry, dict) and "path" in entry else "no path"


def is_published(files: DateFiles, book: Publications) -> bool:
    """Tell, without reading the manifest, whether a date is in the object store as it lies in its folder."""
    manifest, success = (book.word(path) for path in (files.manifest_path, files.success.path))
    is_manifest = manifest is not None and manifest.sha256 is not None and manifest.modified_ns == files.modified_ns()
    has_success = success is not None and success.sha256 is not None
    return is_manifest and has_success == (files.output / files.success.path).exists()


def content_of(output: Path, deliverable: Deliverable, whole_bytes_max: int) -> bytes | BufferedReader:
    """Return the bytes of a file; of a large one the file itself, open at its start, which keeps its bytes.

    A finished file is replaced as a whole, never written to: so the bytes that were hashed are those that are read.

    Args:
        output: the output folder.
        deliverable: which file.
        whole_bytes_max: up to this size it is read into memory.

    Raises:
        VerificationError: it is not the file that the manifest names.
    """
    path = output / deliverable.path
    try:
        file = open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")  # noqa: PTH123, SIM115  a path cannot be opened with flags, and a large one stays open
    except OSError as error:
        raise _changed(path, (error.strerror or "input/output error").lower()) from None
    with ExitStack() as stack:
        stack.enter_context(file)
        with disk_errors(path):
            content, sha256 = _read(file, whole_bytes_max)
        if sha256 != deliverable.sha256:
            raise _changed(path, "it is not the file that the manifest names: its SHA-256 differs")
        if content is not None:
            return content
        stack.pop_all()
        file.seek(0)
        return file


def _read(file: BufferedReader, whole_bytes_max: int) -> tuple[bytes | None, str]:
    """Return the bytes, unless they are too many, and their SHA-256; no hash of what is no regular file."""
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        return b"", ""
    if status.st_size > whole_bytes_max:
        return None, hashlib.file_digest(file, "sha256").hexdigest()
    content = file.read()
    return content, hashlib.sha256(content).hexdigest()


def _changed(path: Path, what: str) -> VerificationError:
    return VerificationError(f"{path}: {what}.", FIND_OUT)
