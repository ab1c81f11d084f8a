"""What a query found, written out: a table for people, CSV for spreadsheets, JSON for programs.

Rows are written as they come, so memory holds few of them however many there are.
"""

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import TextIO

from rich.console import Console

from harvester.errors import DiskError
from harvester.report.figures import counted
from harvester.report.sheets import Sheet, cells, drawn
from harvester.report.spreadsheet import defused

NOT_JSON = re.compile(r'"(?:[^"\\]|\\.)*"|-?(?:NaN|Infinity)')
"""Text in JSON, to be passed over, and what DuckDB writes for numbers that JSON has not."""

ROWS_DRAWN = 50
"""Rows of a table on a terminal, unless more are asked for; in a pipe there is no bound."""

Cells = Sequence[str | None]


class Form(StrEnum):
    """As what rows are written."""

    TABLE = auto()
    CSV = auto()
    JSON = auto()


@dataclass(frozen=True, slots=True)
class Heading:
    """The columns of what was found; `is_number` tells of each whether nobody can have typed a formula into it."""

    columns: tuple[str, ...]
    is_number: tuple[bool, ...]


@contextmanager
def result_stream(stream: TextIO) -> Iterator[TextIO]:
    """Give a stream for what a command was asked for, in UTF-8: nothing of it is lost unnoticed.

    A reader that left has what it wanted.

    Raises:
        DiskError: the stream cannot be written.
    """
    if getattr(stream, "name", None) == os.devnull:  # stands for one that was closed when the program was started
        raise DiskError("Standard output cannot be written: it is closed.", "Leave it open, or send it to a file.")
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8")
    try:
        yield stream
        stream.flush()
    except BrokenPipeError:
        _empty(stream)
    except OSError as error:
        _empty(stream)
        what = (error.strerror or "input/output error").lower()
        raise DiskError(f"Standard output cannot be written: {what}.", "What was written is not whole.") from None


def _empty(stream: TextIO) -> None:
    """Let what a stream still holds go nowhere: the interpreter writes it at its end, and would fail once more."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def write_table(stream: TextIO, heading: Heading, rows: Iterable[Cells]) -> None:
    """Write a table: drawn on a terminal, lines of tab-separated cells elsewhere; null is an empty cell."""
    if not stream.isatty():
        stream.write("\t".join(cells(*heading.columns)) + "\n")
        stream.writelines("\t".join(_shown(row)) + "\n" for row in rows)
        return
    names = cells(*heading.columns)
    right = frozenset(name for name, is_right in zip(names, heading.is_number, strict=True) if is_right)
    Console(file=stream).print(drawn(Sheet("", names, tuple(map(_shown, rows)), right), rows_max=None))


def hidden_rows(hidden: int) -> str:
    """Return the remark that a table was cut."""
    return f"{counted(hidden, 'more row')}: --max-rows shows more, --format csv all"


def write_csv(stream: TextIO, heading: Heading, rows: Iterable[Cells]) -> None:
    """Write CSV: RFC 4180, lines ended by a bare newline, null an empty cell; text that begins a formula is defused."""
    writer = csv.writer(_BareLines(stream))
    writer.writerow(map(defused, heading.columns))
    writer.writerows(
        [
            "" if cell is None else cell if number else defused(cell)
            for cell, number in zip(row, heading.is_number, strict=True)
        ]
        for row in rows
    )


class _BareLines:
    r"""Takes the rows of a CSV writer and ends them with "\n".

    The writer itself must believe in "\r\n": it puts quotes round just those line ends that it writes (Python 3.11).
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, row: str) -> None:
        self._stream.write(row.removesuffix("\r\n") + "\n")


def write_json(stream: TextIO, heading: Heading, rows: Iterable[Cells]) -> None:
    """Write one JSON array of objects, one a line; the cells of `rows` are JSON text, None for null."""
    names = [json.dumps(name) for name in heading.columns]
    stream.write("[")
    stream.writelines(_separated(_object(names, row) for row in rows))
    stream.write("\n]\n")


def _object(names: Sequence[str], row: Cells) -> str:
    return "{" + ",".join(f"{name}:{_json(cell)}" for name, cell in zip(names, row, strict=True)) + "}"


def _json(cell: str | None) -> str:
    if cell is None:
        return "null"
    if "NaN" in cell or "Infinity" in cell:
        return NOT_JSON.sub(lambda found: found[0] if found[0].startswith('"') else "null", cell)
    return cell


def _separated(lines: Iterable[str]) -> Iterator[str]:
    separator = "\n"
    for line in lines:
        yield separator + line
        separator = ",\n"


def _shown(row: Cells) -> tuple[str, ...]:
    return cells(*("" if cell is None else cell for cell in row))
