"""Tables for people: drawn on a terminal, lines of tab-separated cells in a pipe."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from harvester.report.figures import counted
from harvester.report.printable import printable

TABLE_ROWS_MAX = 50
"""Rows of one table on a terminal, such as failed and waiting jobs; the plain lines and the JSON hold all."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table before it is drawn: cells are text, columns named in `right` hold numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[str] = frozenset()


def cells(*texts: str) -> tuple[str, ...]:
    """Return the cells of a row, made printable."""
    return tuple(map(printable, texts))


def sheet_lines(sheets: Sequence[Sheet]) -> list[str]:
    """Return sheets as lines of tab-separated cells: a heading for each, its columns, its rows."""
    return [
        line for sheet in sheets for line in (f"# {sheet.title}", "\t".join(sheet.columns), *map("\t".join, sheet.rows))
    ]


def drawn(sheet: Sheet, rows_max: int | None = TABLE_ROWS_MAX) -> Table:
    """Return a sheet as a rich table, a long one cut at so many rows; None for no bound."""
    hidden = 0 if rows_max is None else len(sheet.rows) - rows_max
    caption = f"{counted(hidden, 'more row')}: pipe the output to see all" if hidden > 0 else None
    title = Text(sheet.title) if sheet.title else None
    table = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, title_justify="left")
    table.padding, table.pad_edge = (0, 1, 0, 0), False
    for column in sheet.columns:
        is_number = column in sheet.right
        # A number or date broken over two lines reads as two.
        is_whole = is_number or column == "date"
        table.add_column(Text(column), justify="right" if is_number else "left", no_wrap=is_whole, overflow="fold")
    for row in sheet.rows[:rows_max]:
        table.add_row(*map(Text, row))
    return table
