"""Files below the output folder that are not ours, searched for somebody: nobody's to change, and only told."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harvester.store.date_folder import files_below
from harvester.store.disk import disk_errors, is_regular
from harvester.store.reading import DamagedError, pieces_of

PIECE_BYTES = 1 << 20
OVERLAP_BYTES = 4096
"""Files are searched in pieces; no address, however escaped, is longer than their overlap."""

OPAQUE_ENDINGS = frozenset({".parquet", ".orc", ".avro", ".duckdb", ".zip", ".bz2", ".xz", ".7z"})
"""What holds texts compressed in a way that is not searched."""


@dataclass(slots=True)
class Strangers:
    """By path below the output folder: files that name somebody, and files of which nobody can tell."""

    naming: list[str] = field(default_factory=list)
    unsearched: list[str] = field(default_factory=list)


def search_strangers(output: Path, is_ours: Callable[[str], bool], is_in: Callable[[bytes], bool]) -> Strangers:
    """Look through all files that are not ours.

    Args:
        output: the output folder.
        is_ours: whether a path below it is that of a file that we keep.
        is_in: whether a text names somebody.
    """
    found = Strangers()
    for path in files_below(output):
        name = str(path.relative_to(output))
        if is_ours(name) or not is_regular(path):
            continue
        with disk_errors(path):
            try:
                if any(map(is_in, _overlapping(path))):
                    found.naming.append(name)
                elif path.suffix in OPAQUE_ENDINGS:
                    found.unsearched.append(name)
            except DamagedError:
                found.unsearched.append(name)
    return found


def _overlapping(path: Path) -> Iterator[bytes]:
    """Yield what a file holds piece by piece, each with the end of the one before."""
    end = b""
    for piece in pieces_of(path, PIECE_BYTES):
        yield end + piece
        end = piece[-OVERLAP_BYTES:]
