"""One SELECT over the views, in an engine that can do nothing else.

The engine is a database in memory. Before the statement of somebody else runs, it can read the files behind the views
and no other, write in its scratch folder and nowhere else, load no extension, and change none of this.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from harvester.errors import ConfigError
from harvester.warehouse.engine import (
    ROWS_AT_ONCE,
    close,
    connected,
    file_refusals,
    interruptible,
    is_of_surrogate,
    line_refusals,
    refusals,
)
from harvester.warehouse.relations import listed, name
from harvester.warehouse.views import RUN_COLUMNS, Shelves, views

_NUMBERS = re.compile(
    r"U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?|BIGNUM|DOUBLE|FLOAT|DECIMAL\(.*\)|BOOLEAN|DATE|TIME.*|INTERVAL|JSON"
)
"""Types whose text is no formula: in JSON nothing but a number begins with a sign."""

_ONE_SELECT = "Give one statement that begins with SELECT, FROM, WITH, DESCRIBE or SUMMARIZE."


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement found.

    Attributes:
        columns: their names.
        is_number: of each column, whether it holds numbers, moments or the like: what is no formula.
        rows: how many.
    """

    columns: tuple[str, ...]
    is_number: tuple[bool, ...]
    rows: int


class Warehouse:
    """The views, ready for one statement; the process must be in the output folder all the while (see `relations`).

    Args:
        shelves: the files behind the views.
        runs: what is known of runs, each with the keys of `RUN_COLUMNS`; moments ISO 8601.
        scratch: an empty folder for what does not fit into memory.

    Raises:
        VerificationError: a file behind a view is not there.
    """

    def __init__(self, shelves: Shelves, runs: Sequence[Mapping[str, str | None]], scratch: Path) -> None:
        self._shelves = shelves
        self._connection = connected(scratch)
        with file_refusals():
            self._fill_runs(runs)
            self._define(has_care=False)
            self._connection.execute(f"SET allowed_paths = {listed(shelves.paths)}; SET enable_external_access = false")
            self._connection.execute("SET lock_configuration = true")

    def close(self) -> None:
        """Give memory and scratch files back."""
        close(self._connection)

    def ask(self, statement: str) -> Answer:
        """Run a statement to its end; its rows are read with `texts` or `json_texts`.

        Raises:
            ConfigError: it is not one SELECT, or makes no sense.
            VerificationError: a file behind a view cannot be read.
        """
        with refusals():
            select = self._only_select(statement)
            try:
                self._keep(select)
            except duckdb.InvalidInputException as error:
                if not is_of_surrogate(error):
                    raise
                self._define(has_care=True)
                with line_refusals():
                    self._keep(select)
            described = self._connection.execute("DESCRIBE answer").fetchall()
            (rows,) = self._connection.execute("SELECT count(*) FROM answer").fetchall()[0]
        names, types = [each[0] for each in described], [each[1] for each in described]
        return Answer(tuple(names), tuple(_NUMBERS.fullmatch(kind) is not None for kind in types), rows)

    def texts(self) -> Iterator[tuple[str | None, ...]]:
        """Yield the rows of the answer in their order; each cell as DuckDB writes it, or None.

        Raises:
            ConfigError: nothing was asked before.
            DiskError: there is no room.
        """
        return self._rows("SELECT COLUMNS(*)::VARCHAR FROM answer")

    def json_texts(self) -> Iterator[tuple[str | None, ...]]:
        """Yield the rows of the answer in their order; each cell as JSON text, None for null. It raises likewise."""
        return self._rows("SELECT to_json(COLUMNS(*))::VARCHAR FROM answer")

    def _rows(self, select: str) -> Iterator[tuple[Any, ...]]:
        with refusals():
            cursor = self._connection.execute(select)
            while rows := cursor.fetchmany(ROWS_AT_ONCE):
                yield from rows

    def _only_select(self, statement: str) -> str:
        parsed = self._connection.extract_statements(statement)
        if len(parsed) != 1 or parsed[0].type != duckdb.StatementType.SELECT:
            raise ConfigError("Only a SELECT can be asked for, and one at a time.", _ONE_SELECT)
        return _without_end(parsed[0].query)

    def _keep(self, select: str) -> None:
        """Let the answer stand whole before its first row is shown: it may fail at its last."""
        keep = f"CREATE OR REPLACE TEMP TABLE answer AS FROM (\n{select}\n)"
        interruptible(self._connection, lambda: self._connection.execute(keep))

    def _define(self, *, has_care: bool) -> None:
        for view, select in views(self._shelves, has_care=has_care):
            self._connection.execute(f"CREATE OR REPLACE VIEW {name(view)} AS {select}")

    def _fill_runs(self, runs: Sequence[Mapping[str, str | None]]) -> None:
        columns = ", ".join(f"{name(column)} {kind}" for column, kind in RUN_COLUMNS.items())
        self._connection.execute(f"CREATE TABLE runs ({columns})")
        values = [[run[column] for run in runs] for column in RUN_COLUMNS]
        cells = ", ".join(f"unnest(?::VARCHAR[])::{kind}" for kind in RUN_COLUMNS.values())
        self._connection.execute(f"INSERT INTO runs SELECT {cells}", values)


def _without_end(statement: str) -> str:
    """Return a statement without the semicolon and the comments behind it."""
    text, kinds = statement.encode(), duckdb.tokenize(statement)
    while kinds and (kinds[-1][1] == duckdb.token_type.comment or text[kinds[-1][0] :].startswith(b";")):
        text = text[: kinds.pop()[0]]
    return text.decode().rstrip()
