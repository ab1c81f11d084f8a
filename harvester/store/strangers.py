"""Files below the output folder that are not ours, searched for somebody: nobody's to change, and only told."""

import os
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harvester.store.date_folder import files_below
from harvester.store.disk import disk_errors, is_regular
from harvester.store.reading import DamagedError, pieces_of
from harvester.store.stale_exports import linked_homes

PIECE_BYTES = 1 << 20
OVERLAP_BYTES = 4096
"""Files are searched in pieces; no address, however escaped, is longer than their overlap."""

OPAQUE_ENDINGS = frozenset({".parquet", ".orc", ".avro", ".duckdb", ".zip", ".bz2", ".xz", ".7z"})
"""What holds texts compressed in a way that is not searched, though all of its bytes may look like a text."""


@dataclass(slots=True)
class Strangers:
    """By path below the output folder: files that name somebody, and files of which nobody can tell."""

    naming: list[str] = field(default_factory=list)
    unsearched: list[str] = field(default_factory=list)


def search_strangers(output: Path, is_ours: Callable[[str], bool], is_in: Callable[[bytes], bool]) -> Strangers:
    """Look through all files that are not ours, and through their paths.

    Args:
        output: the output folder.
        is_ours: whether a path below it is that of a file that we keep.
        is_in: whether a text names somebody.
    """
    found = Strangers()
    for path in files_below(output, linked_homes(output)):
        name = str(path.relative_to(output))
        if is_ours(name):
            continue
        is_named = any(map(is_in, _names(path.relative_to(output)))) or _is_named_in(path, is_in)
        if is_named:
            found.naming.append(name)
        elif is_named is None:
            found.unsearched.append(name)
    return found


def _names(path: Path) -> Iterator[bytes]:
    """Yield a path, and what is left of it without its endings: in a text these would make an address another's."""
    for endings in range(len(path.suffixes) + 1):
        yield os.fsencode(path.parent / path.name.rsplit(".", endings)[0])


def _is_named_in(path: Path, is_in: Callable[[bytes], bool]) -> bool | None:
    """Tell whether what lies there names somebody; None where nobody can tell."""
    if path.is_symlink():
        return None
    if not is_regular(path):
        return False
    try:
        with disk_errors(path):
            if any(map(is_in, _overlapping(path))):
                return True
            return False if _is_text(path) else None
    except DamagedError:
        return None


def _overlapping(path: Path) -> Iterator[bytes]:
    """Yield what a file holds piece by piece, each with the end of the one before."""
    end = b""
    for piece in pieces_of(path, PIECE_BYTES):
        yield end + piece
        end = piece[-OVERLAP_BYTES:]


def _is_text(path: Path) -> bool:
    """Tell whether a file is a text in UTF-8: then what was searched is all that it says."""
    if path.suffix in OPAQUE_ENDINGS:
        return False
    decoder = getincrementaldecoder("utf-8")()
    try:
        has_zeros = any("\0" in decoder.decode(piece) for piece in pieces_of(path, PIECE_BYTES))
        return not (has_zeros or decoder.decode(b"", final=True))
    except UnicodeDecodeError:
        return False
