"""What forgetting somebody came to: lines for people, JSON for machines (pure)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import orjson

from harvester.report.figures import counted
from harvester.report.printable import printable, printable_tree


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """One erasure, over all the runs that it took.

    Attributes:
        exit_code: of the process.
        files: that were written anew, removed, or replaced by a note.
        rows: that are gone.
        manifests: that were written anew.
        exports: that were removed, to be made again.
        jobs_again: unfinished jobs that begin again from their first row, as their part held the person.
        unreadable: files of ours that are damaged, so that nobody can tell.
        strange: files of others that name the person.
    """

    exit_code: int
    files: int
    rows: int
    manifests: int
    exports: int
    jobs_again: int
    unreadable: Sequence[str]
    strange: Sequence[str]


def sentences(report: ErasureReport) -> list[str]:
    """Return the lines for stderr; the last one says what came of it."""
    lines = [
        *(f"{path}: cannot be read. harvester verify --repair has it harvested again." for path in report.unreadable),
        *(f"{path}: names the person, and is none of our files. Remove it yourself." for path in report.strange),
    ]
    exports = f", {counted(report.exports, 'export')} removed" if report.exports else ""
    again = f", {counted(report.jobs_again, 'unfinished job')} to begin again" if report.jobs_again else ""
    what = (
        f"{counted(report.rows, 'row')} in {counted(report.files, 'file')} erased,"
        f" {counted(report.manifests, 'manifest')} written{exports}{again}"
    )
    left = len(lines)
    end = f"not forgotten everywhere: {what}; {counted(left, 'file')} left" if left else f"forgotten: {what}"
    return [printable(line) for line in (*lines, end)]


def to_json(report: ErasureReport) -> bytes:
    """Return it all as one line of UTF-8 JSON with its newline."""
    return orjson.dumps(printable_tree(asdict(report)), option=orjson.OPT_APPEND_NEWLINE)
