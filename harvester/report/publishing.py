"""What `harvester publish` came to: a table for a terminal, plain lines for a pipe, JSON for a machine."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TextIO

import orjson
from rich.console import Console

from harvester.report.figures import counted, duration, size
from harvester.report.printable import printable, printable_tree
from harvester.report.quiet import quiet
from harvester.report.sheets import Sheet, cells, drawn, sheet_lines

NUMBERS = frozenset({"files", "size", "removed"})


@dataclass(frozen=True, slots=True)
class DateLine:
    """What was done for one account and date.

    Attributes:
        account: its name.
        date: the harvest date, ISO.
        state: of the date, as its manifest says: "complete", "partial", "running"; "purged", or "unpublished" where
            only other dates named objects of it.
        files: that were uploaded now, beside the manifest and `_SUCCESS`.
        bytes: of these.
        removed: objects of the date that no published manifest names any more.
        left_out: why the date is not published; None where it is.
    """

    account: str
    date: str
    state: str
    files: int = 0
    bytes: int = 0
    removed: int = 0
    left_out: str | None = None


@dataclass(frozen=True, slots=True)
class PublishReport:
    """What `harvester publish` came to.

    Attributes:
        exit_code: of the process.
        url: of the prefix.
        dates: those that there was something to do for, the oldest first.
        trouble: what ended it early, one sentence; None if nothing did.
        remedy: what a person can do about that; None where nothing is known.
        seconds: how long it took.
    """

    exit_code: int
    url: str
    dates: Sequence[DateLine]
    trouble: str | None
    remedy: str | None
    seconds: float


def write(stream: TextIO, report: PublishReport) -> None:
    """Write the table to `stream`: drawn on a terminal, else tab-separated lines; a stream that breaks is left."""
    out = quiet(stream)
    if not report.dates:
        return
    if stream.isatty():
        Console(file=out).print(drawn(_sheet(report)))
    else:
        out.writelines(f"{line}\n" for line in sheet_lines([_sheet(report)]))


def sentences(report: PublishReport) -> list[str]:
    """Return the lines for stderr; the last says what happened, and whether the same command goes on."""
    published = [line for line in report.dates if line.left_out is None]
    left_out = [f"{line.account} {line.date}: {line.left_out}" for line in report.dates if line.left_out is not None]
    files, size_bytes = (sum(getattr(line, name) for line in published) for name in ("files", "bytes"))
    done = f"{counted(len(published), 'date')} ({counted(files, 'file')}, {size(size_bytes)})"
    last = f"published: {done} to {report.url} in {duration(report.seconds)}"
    if not published:
        last = f"nothing was to be published to {report.url}"
    if report.trouble is not None:
        last = f"stopped: {report.trouble} {report.remedy or ''}".rstrip()
    return [printable(line) for line in (*left_out, last)]


def to_json(report: PublishReport) -> bytes:
    """Return the report as one line of UTF-8 JSON with its newline; keys are the names of the attributes."""
    return orjson.dumps(printable_tree(asdict(report)), option=orjson.OPT_APPEND_NEWLINE)


def _sheet(report: PublishReport) -> Sheet:
    rows = tuple(
        cells(
            line.account,
            line.date,
            line.state,
            f"{line.files:,}",
            size(line.bytes),
            f"{line.removed:,}",
            line.left_out or "",
        )
        for line in report.dates
    )
    return Sheet("published", ("account", "date", "state", "files", "size", "removed", "left out"), rows, NUMBERS)
