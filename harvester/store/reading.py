"""Parts and partitions read back, line by line, whatever their compression."""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LINE_BYTES_MAX = 2 * 3 * 64 * 1024 * 1024
"""A line holds a row twice, as columns and verbatim; escapes make two bytes six; a whole answer is 64 MiB at most."""

DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error, zstd.ZstdError)
"""What the decompressors raise for bytes that are not theirs; any other OSError is the disk's own."""


class DamagedError(Exception):
    """The bytes of a file cannot be taken apart into lines; the message says after how many."""


class _Head(io.RawIOBase):
    """The first bytes of a file, as a file of its own."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file = file
        self._left_bytes = size_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # BufferedReader gives no other
        chunk = self._file.read(min(len(buffer), self._left_bytes))
        self._left_bytes -= len(chunk)
        buffer[: len(chunk)] = chunk
        return len(chunk)


def lines_of(path: Path, size_bytes: int | None = None) -> Iterator[bytes]:
    r"""Yield the lines of a part or partition, each with its "\n"; memory holds one of them.

    Args:
        path: the file; its name says how it is compressed.
        size_bytes: how much of it to read, a boundary of frames; None for all.

    Raises:
        DamagedError: the bytes are not what the name promises, or end in the middle of a line.
        OSError: the file cannot be opened or read.
    """
    count = 0
    with path.open("rb") as file:
        head = io.BufferedReader(_Head(file, path.stat().st_size if size_bytes is None else size_bytes))
        try:
            with _opened(head, path.suffix) as text:
                while line := text.readline(LINE_BYTES_MAX):
                    if not line.endswith(b"\n"):
                        raise DamagedError(f"line {count + 1} has no end")
                    count += 1
                    yield line
        except DAMAGED:
            raise DamagedError(f"damaged after line {count}") from None


def pieces_of(path: Path, piece_bytes: int) -> Iterator[bytes]:
    """Yield what a file of any kind holds, in pieces of at most so many bytes; errors as above, but of lines.

    A name that says how it is compressed is believed, as above.
    """
    with path.open("rb") as file:
        head = io.BufferedReader(_Head(file, path.stat().st_size))
        try:
            with _opened(head, path.suffix) as content:
                while piece := content.read(piece_bytes):
                    yield piece
        except DAMAGED:
            raise DamagedError("damaged") from None


def _opened(head: "io.BufferedReader[_Head]", suffix: str) -> io.BufferedIOBase:
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=head)
    if suffix == ".zst":
        return zstd.ZstdFile(head)
    return head
