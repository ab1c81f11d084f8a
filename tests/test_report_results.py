"""Rows of a query as they are written out."""

import csv
import io
import re

from hypothesis import given
from hypothesis import strategies as st

from harvester.report.results import Heading, write_csv, write_table
from harvester.report.spreadsheet import BEGINS_FORMULA, defused

ANSI = re.compile(r"\x1b\[[0-9;]*m")
ROWS = st.lists(
    st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.none(), min_size=2, max_size=2), max_size=4
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_table_is_drawn_with_all_rows_given() -> None:
    """The bound is the caller's; escape sequences of a name are shown, not obeyed."""
    stream = Terminal()

    write_table(stream, Heading(("name", "n"), (False, True)), ((f"\x1b[31m{n}", str(n)) for n in range(60)))

    lines = [line.split() for line in ANSI.sub("", stream.getvalue()).splitlines() if line.strip()]
    assert lines[0] == ["name", "n"]
    assert lines[-1] == [r"\x1b[31m59", "59"]
    assert len(lines) == 62


@given(rows=ROWS)
def test_csv_reads_back_as_the_same_cells(rows: list[list[str | None]]) -> None:
    """But for the apostrophe before what a spreadsheet would execute; null reads back as empty."""
    stream = io.StringIO(newline="")

    write_csv(stream, Heading(("a", "b"), (False, False)), rows)

    read = list(csv.reader(io.StringIO(stream.getvalue(), newline="")))
    assert read == [["a", "b"], *([defused(cell or "") for cell in row] for row in rows)]


@given(cell=st.text())
def test_no_cell_begins_a_formula(cell: str) -> None:
    """And none that begins none is touched."""
    safe = defused(cell)

    assert safe[:1] not in BEGINS_FORMULA or not safe
    assert safe == cell or (safe == f"'{cell}" and cell[0] in BEGINS_FORMULA)
