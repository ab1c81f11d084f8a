"""A statement put to the harvested files, and its rows written out; behind `harvester query`, and needs DuckDB."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, chdir, closing, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO, TypeVar

from harvester.errors import VerificationError
from harvester.flaws import REMEDIES, FlawKind
from harvester.operations.holding import SHAPES, check_sizes, holdings_of, manifests_of
from harvester.operations.opening import opened
from harvester.operations.workshop import LEDGER_FILE
from harvester.report.quiet import quiet
from harvester.report.results import (
    ROWS_DRAWN,
    Form,
    Heading,
    hidden_rows,
    result_stream,
    write_csv,
    write_json,
    write_table,
)
from harvester.settings import Settings
from harvester.store.database import Database
from harvester.store.erasure import open_erasures
from harvester.store.ledger import new_run_id
from harvester.store.run_list import all_runs
from harvester.store.scratch import scratch_folder
from harvester.warehouse.holdings import Holdings, paths_of
from harvester.warehouse.query import Answer, Warehouse
from harvester.warehouse.views import Shelves, shelves_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Output:
    """How rows are written.

    Attributes:
        form: as what.
        rows_max: of a table; None for as many as fit where it is shown.
    """

    form: Form
    rows_max: int | None = None


def ask(settings: Settings, statement: str, output: Output) -> None:
    """Put a statement to the views, and write what it finds to standard output.

    Raises:
        ConfigError: the statement is none.
        VerificationError: a manifest, or a file that it names, cannot be read, or is not what it was.
        DiskError: there is no room, or standard output cannot be written.
    """
    holdings = _holdings(settings)
    runs = _told_by_ledger(settings, all_runs)
    with (
        scratch_folder(settings.state.absolute(), new_run_id()) as scratch,
        _folder(settings.output),
        closing(Warehouse(_shelves(holdings), runs, scratch)) as warehouse,
    ):
        answer = warehouse.ask(statement)
        with result_stream(sys.stdout) as out:
            _write(out, warehouse, answer, output)


def _shelves(holdings: Holdings) -> Shelves:
    paths = {
        "recipients": list(paths_of(holdings.readings)),
        "current": list(holdings.current),
        "changes": list(holdings.changes),
        "listings": list(holdings.listings),
    }
    return shelves_of(paths, SHAPES)


def _holdings(settings: Settings) -> Holdings:
    """Return what there is to be asked, held against the sizes that the manifests name."""
    try:
        holdings = holdings_of(manifests_of(settings.output))
        check_sizes(settings.output, holdings.sizes)
    except VerificationError as error:
        if not _told_by_ledger(settings, open_erasures):
            raise
        what = f"{error.message} harvester forget is at work, or was cut off."
        raise VerificationError(what, REMEDIES[FlawKind.ERASURE]) from None
    return holdings


def _told_by_ledger(settings: Settings, ask_it: Callable[[Database], list[T]]) -> list[T]:
    if not (settings.state / LEDGER_FILE).exists():  # the files may have come here without their ledger
        return []
    with opened(settings) as database:
        return ask_it(database)


def _folder(output: Path) -> AbstractContextManager[None]:
    return chdir(output) if output.is_dir() else nullcontext()


def _write(out: TextIO, warehouse: Warehouse, answer: Answer, output: Output) -> None:
    heading = Heading(answer.columns, answer.is_number)
    match output.form:
        case Form.CSV:
            write_csv(out, heading, warehouse.texts())
        case Form.JSON:
            write_json(out, heading, warehouse.json_texts())
        case Form.TABLE:
            bound = ROWS_DRAWN if out.isatty() else answer.rows
            most = bound if output.rows_max is None else output.rows_max
            write_table(out, heading, islice(warehouse.texts(), most))
            if answer.rows > most:
                quiet(sys.stderr).write(f"{hidden_rows(answer.rows - most)}\n")
