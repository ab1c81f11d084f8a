"""A compressed file of lines written anew with some of them gone, page by page, so that its frames stay its pages."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path

from harvester.store.disk import disk_errors, make_folder, open_file, sync_folder
from harvester.store.partitions import Compression
from harvester.store.reading import DamagedError, lines_of

FRAME_LINES = 500
"""Lines of a frame where nobody knows which pages there were: as many as a usual page has."""

Without = Callable[[bytes], bytes | None]
"""What is left of a line; None where nothing is. A ValueError says that it is none of ours."""


@dataclass(frozen=True, slots=True)
class PageSpot:
    """A page of a partition: its number, its rows, and size and SHA-256, in hex, of the file up to its end."""

    number: int
    rows: int
    end_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A file as it was written anew: its rows, bytes and SHA-256, and its pages where they are known."""

    rows: int
    bytes: int
    sha256: str
    pages: tuple[PageSpot, ...] = ()


def compression_of(path: str) -> Compression:
    """Return how a file is compressed, by the ending of its name."""
    endings = {each.suffix: each for each in Compression if each.suffix}
    return next((each for suffix, each in endings.items() if path.endswith(suffix)), Compression.NONE)


def says_something(path: Path, without: Without) -> bool:
    """Tell whether any line of a file would not stay as it is.

    Raises:
        DamagedError: the file cannot be read to its end.
    """
    try:
        return any(without(line) != line for line in lines_of(path))
    except (ValueError, RecursionError):
        raise DamagedError("a line of it is no record") from None


def rewrite(source: Path, target: Path, pages: Sequence[tuple[int, int]], without: Without) -> Rewritten:
    """Write what is left of a file, durable on return.

    Args:
        source: the file; its name says how it is compressed, and the new one is compressed alike.
        target: a new file in its place is made.
        pages: number and rows of each page of the file; none where that is not known.
        without: says of each line what is left.

    Raises:
        DamagedError: the file has other rows than the pages.
    """
    compression, lines = compression_of(source.name), lines_of(source)
    digest, size_bytes, rows, spots = hashlib.sha256(), 0, 0, []
    with disk_errors(target):
        make_folder(target.parent)
        target.unlink(missing_ok=True)
        file = open_file(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with open(file, "wb") as stream, disk_errors(target):  # noqa: PTH123  a path cannot be opened with a mode
        for number, kept in _chunks(lines, pages, without):
            frame = compression.frame(b"".join(kept)) if kept else b""
            stream.write(frame)
            digest.update(frame)
            size_bytes, rows = size_bytes + len(frame), rows + len(kept)
            spots.append(PageSpot(number, len(kept), size_bytes, digest.hexdigest()))
        if not size_bytes:  # a partition without rows is a frame without lines, as it is published
            empty = compression.frame(b"")
            stream.write(empty)
            digest.update(empty)
            size_bytes = len(empty)
        stream.flush()
        os.fsync(stream.fileno())
        sync_folder(target.parent)
    return Rewritten(rows, size_bytes, digest.hexdigest(), tuple(spots) if pages else ())


def _chunks(
    lines: Iterator[bytes], pages: Sequence[tuple[int, int]], without: Without
) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the number of each page with the lines that are left of it."""
    for number, rows in pages or ((0, each) for each in repeat(FRAME_LINES)):
        chunk = list(islice(lines, rows))
        if len(chunk) < rows and pages:
            raise DamagedError("it has fewer rows than its pages")
        if not (chunk or pages):
            return
        yield number, [left for line in chunk if (left := without(line)) is not None]
    if pages and next(lines, None) is not None:
        raise DamagedError("it has more rows than its pages")
