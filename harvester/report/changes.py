"""What changed between harvests: a table for a terminal, plain lines for a pipe, JSON for a machine; never a row."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TextIO

import orjson
from rich import box
from rich.console import Console
from rich.table import Table

from harvester.report.figures import counted, duration
from harvester.report.printable import printable, printable_tree
from harvester.report.quiet import quiet

NUMBERS = ("jobs", "added", "removed", "changed", "left_out")
COLUMNS = ("account", "date", "action", *NUMBERS)


@dataclass(frozen=True, slots=True)
class ActionLine:
    """The contacts of one account, date and action that differ from the harvest before, over all compared `jobs`.

    `left_out` of the jobs could not be compared.
    """

    account: str
    date: str
    action: str
    jobs: int
    added: int
    removed: int
    changed: int
    left_out: int


@dataclass(frozen=True, slots=True)
class ChangesReport:
    """What `harvester changes` came to.

    Attributes:
        exit_code: of the process.
        written: jobs that were compared now; the others were before.
        left_out: why jobs could not be compared now, one sentence each.
        actions: all that is known of the chosen dates.
        seconds: how long it took.
    """

    exit_code: int
    written: int
    left_out: Sequence[str]
    actions: Sequence[ActionLine]
    seconds: float


def write(stream: TextIO, report: ChangesReport) -> None:
    """Write the table to `stream`: drawn on a terminal, else tab-separated lines; a stream that breaks is left."""
    out = quiet(stream)
    if stream.isatty():
        Console(file=out).print(_table(report))
    else:
        out.writelines(f"{line}\n" for line in lines(report))


def lines(report: ChangesReport) -> list[str]:
    """Return the names of the columns, then a line of tab-separated cells for each account, date and action."""
    return ["\t".join(COLUMNS), *("\t".join(_cells(action)) for action in report.actions)]


def sentences(report: ChangesReport) -> list[str]:
    """Return the lines for stderr: one for each job that was left out, and what came of it all."""
    left_out = f", {counted(len(report.left_out), 'job')} left out" if report.left_out else ""
    last = f"compared: {counted(report.written, 'job')} in {duration(report.seconds)}{left_out}"
    return [printable(line) for line in (*report.left_out, last)]


def to_json(report: ChangesReport) -> bytes:
    """Return the report as one line of UTF-8 JSON with its newline; keys are the names of the attributes."""
    return orjson.dumps(printable_tree(asdict(report)), option=orjson.OPT_APPEND_NEWLINE)


def _cells(action: ActionLine) -> list[str]:
    numbers = (f"{getattr(action, name):,}" for name in NUMBERS)
    return [printable(action.account), action.date, printable(action.action), *numbers]


def _table(report: ChangesReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in COLUMNS:
        table.add_column(name.replace("_", " "), justify="right" if name in NUMBERS else "left", no_wrap=True)
    for action in report.actions:
        table.add_row(*_cells(action))
    return table
