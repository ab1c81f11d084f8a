"""Lines in order with bounded memory: what does not fit is sorted in pieces on disk and merged from there.

The pieces lie in one file that has no name, so nothing of it is left however the process dies. They hold rows, and so
lie in a folder of ours and never in that of the system.
"""

import io
import os
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from heapq import merge
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from harvester.store.disk import disk_errors, make_folder

CHUNK_BYTES = 16 * 1024 * 1024
"""Lines held in memory before they are sorted: some 13,000 records. A comparison holds two such chunks, which beside
the 70 MB of a run stays far below 150 MB; smaller ones would only add to the pieces that are merged."""


def sorted_lines(lines: Iterable[bytes], folder: Path, chunk_bytes: int = CHUNK_BYTES) -> Generator[bytes, None, None]:
    r"""Yield lines in the order of their bytes; a temporary file is made only for more than a chunk of them.

    Args:
        lines: each ends with its only "\n".
        folder: where the temporary file lies; made if it is not there.
        chunk_bytes: how much of them is held in memory, with what Python needs for each.

    Raises:
        DiskError: the temporary file cannot be written or read.
    """
    chunk: list[bytes] = []
    size_bytes = 0
    with closing(_Pieces(folder)) as pieces:
        for line in lines:
            chunk.append(line)
            size_bytes += sys.getsizeof(line)
            if size_bytes >= chunk_bytes:
                chunk.sort()
                pieces.add(chunk)
                chunk.clear()
                size_bytes = 0
        chunk.sort()
        yield from merge(*pieces.read(), chunk)


class _Pieces:
    """Sorted pieces, one after another in one file without a name: so many pieces need only one open file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._ends: list[int] = []

    def add(self, lines: list[bytes]) -> None:
        with disk_errors(self._folder):
            if self._file is None:
                make_folder(self._folder)
                # 0600, whatever the umask; `close` closes it.
                self._file = TemporaryFile(dir=self._folder, prefix=".sorting-")  # noqa: SIM115
            self._file.writelines(lines)
            self._file.flush()
            self._ends.append(self._file.tell())

    def read(self) -> list[Iterator[bytes]]:
        if self._file is None:
            return []
        return [self._lines(_Piece(self._file.fileno(), *span)) for span in pairwise([0, *self._ends])]

    def _lines(self, piece: "_Piece") -> Iterator[bytes]:
        with disk_errors(self._folder):
            yield from io.BufferedReader(piece)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class _Piece(io.RawIOBase):
    """A part of an open file, as a file of its own with its own place."""

    def __init__(self, file: int, start: int, end: int) -> None:
        self._file = file
        self._place = start
        self._end = end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # BufferedReader gives no other
        chunk = os.pread(self._file, min(len(buffer), self._end - self._place), self._place)
        self._place += len(chunk)
        buffer[: len(chunk)] = chunk
        return len(chunk)
