"""Partitions as Parquet: written by DuckDB, then read back and held against the lines, row for row.

Account and action stand in the names of the folders alone, as everywhere in this layout: readers that take columns from
folders, such as BigQuery, refuse files that have them as well.

`raw` is the row's JSON as it stands in the line, byte for byte: typed values would not hold all that may be in it.
In the other columns U+FFFD takes the place of a lone surrogate, which UTF-8 cannot hold.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harvester.errors import DiskError
from harvester.warehouse.columns import Columns, ColumnType
from harvester.warehouse.engine import ROWS_AT_ONCE, close, connected, file_refusals, interruptible
from harvester.warehouse.relations import FileSet, lines, mended, name, quoted

ENDING = ".parquet"
RAW = "raw"
FOLDERS = frozenset({"account", "action"})

ROW_GROUP_ROWS = 122_880
"""DuckDB's own size, some 10 to 100 MB of records: what a reader skips or takes as a whole."""

_RAW_BEGINS = b',"raw":'
_RAW_TEXT = "substr(line, strpos(line, ',\"raw\":') + 7, length(line) - strpos(line, ',\"raw\":') - 7)"
"""The last value of a line; no text before it can hold these signs, as a quote within a text has a backslash."""

_LONE = re.compile("[\ud800-\udfff]")
_EPOCH = dt.datetime.fromtimestamp(0, dt.UTC)
_MOMENTS_KEPT = 4_096
"""Size of a cache: the rows of a page share their moments."""

MORE_ROOM = "Free space there and in the state folder, or memory; then give the same command."


class MismatchError(Exception):
    """A file is not what its sources say; the message says from which row on, never what stands there."""


class ParquetFiles:
    """Writes and reads Parquet files of partitions, one at a time; used as a context.

    Args:
        record: the columns of a record; a file has all of them that the folders do not say.
        scratch: an empty folder for what does not fit into memory.
    """

    def __init__(self, record: Columns, scratch: Path) -> None:
        self.columns = {column: kind for column, kind in record.items() if column not in FOLDERS}
        self._plain = [each for each, kind in self.columns.items() if kind is not ColumnType.MOMENT and each != RAW]
        self._moments = [column for column, kind in self.columns.items() if kind is ColumnType.MOMENT]
        self._connection = connected(scratch)

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Give memory and scratch files back."""
        close(self._connection)

    def write(self, paths: Sequence[str], target: Path) -> None:
        """Write the records of partitions into one file, in their order.

        Args:
            paths: of the partitions, counted from the folder that the process is in; see `relations`.
            target: the file; it must not exist.

        Raises:
            VerificationError: a partition cannot be read.
            DiskError: the file cannot be written, or there is no room for what it takes to make it.
        """
        typed = ", ".join(_typed(column, kind) for column, kind in self.columns.items())
        source = lines(FileSet(paths, self.columns), mended("line"))
        copy = (
            f"COPY (SELECT {typed} FROM ({source})) TO {quoted(str(target))}"
            f" (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
        )
        try:
            with file_refusals():
                interruptible(self._connection, lambda: self._connection.execute(copy))
        except DiskError as error:
            raise DiskError(f"{target}: {error.message}", MORE_ROOM) from None

    def verify(self, target: Path, records: Iterable[tuple[Mapping[str, Any], bytes]]) -> None:
        """Read a file back and hold it against the lines that it was made of.

        Args:
            target: the file.
            records: what a reader that loses nothing makes of each line, and the line, in order.

        Raises:
            MismatchError: they are not the same.
            VerificationError, DiskError: it cannot be read.
        """
        with file_refusals():
            for number, (row, source) in enumerate(zip_longest(self._rows(target), records), start=1):
                if row is None or source is None or not self._is_same(row, *source):
                    raise MismatchError(f"differs from its partitions at row {number}")

    def _rows(self, target: Path) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a file: the plain columns, then moments in microseconds, then the row verbatim."""
        moments = (f"epoch_us({name(column)})" for column in self._moments)
        cells = (*map(name, self._plain), *moments, name(RAW))
        cursor = self._connection.execute(
            f"SELECT {', '.join(cells)} FROM read_parquet({quoted(str(target))}, hive_partitioning = false)"
        )
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            yield from rows

    def _is_same(self, row: tuple[Any, ...], record: Mapping[str, Any], line: bytes) -> bool:
        plain, moments, raw = row[: len(self._plain)], row[len(self._plain) : -1], row[-1]
        expected = tuple(map(record.get, self._plain))
        return (
            (plain == expected or plain == tuple(map(_mended, expected)))
            and moments == tuple(_moment(record.get(column)) for column in self._moments)
            and line.endswith(_RAW_BEGINS + (b"null" if raw is None else raw.encode()) + b"}\n")
        )


def _typed(column: str, kind: ColumnType) -> str:
    if column == RAW:
        return f"nullif({_RAW_TEXT}, 'null') AS {name(RAW)}"
    return f"record.{name(column)}::{kind} AS {name(column)}"


def _mended(value: Any) -> Any:
    """Return a value as a file can hold it."""
    if isinstance(value, list):
        return [_mended(each) for each in value]
    return _LONE.sub("\ufffd", value) if isinstance(value, str) else value


@lru_cache(maxsize=_MOMENTS_KEPT)
def _moment(text: str | None) -> int | None:
    return None if text is None else (dt.datetime.fromisoformat(text) - _EPOCH) // dt.timedelta(microseconds=1)
