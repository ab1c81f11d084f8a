"""What forgetting somebody came to: lines for people, JSON for machines (pure)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import orjson

from harvester.errors import VerificationError
from harvester.report.figures import counted
from harvester.report.printable import printable, printable_tree


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """One erasure, over all the runs that it took.

    Attributes:
        files: that were written anew, removed, or replaced by a note.
        rows: that are gone.
        manifests: that were written anew.
        exports: that were removed, to be made again.
        jobs_again: unfinished jobs that begin again from their first row, as their part held the person.
        is_published: whether files changed and an object store has some, which may hold the person until the next time.
        unreadable: files of ours that are damaged, so that nobody can tell.
        strange: files of others that name the person.
        unsearched: files of others that cannot be read, or are no texts that are searched.
    """

    files: int
    rows: int
    manifests: int
    exports: int
    jobs_again: int
    is_published: bool
    unreadable: Sequence[str]
    strange: Sequence[str]
    unsearched: Sequence[str]

    @property
    def files_left(self) -> int:
        """Files that name the person still, or may."""
        return len(self.unreadable) + len(self.strange) + len(self.unsearched)

    @property
    def exit_code(self) -> int:
        """Of the process."""
        return VerificationError.exit_code if self.files_left else 0


def sentences(report: ErasureReport) -> list[str]:
    """Return the lines for stderr; the last one says what came of it."""
    lines = [
        *(f"{path}: cannot be read. harvester verify --repair has it harvested again." for path in report.unreadable),
        *(f"{path}: names the person, and is none of our files. Remove it yourself." for path in report.strange),
        *(f"{path}: is none of our files, and cannot be searched. Look yourself." for path in report.unsearched),
        *(["The object store has the person until harvester publish has ended."] if report.is_published else []),
    ]
    exports = f", {counted(report.exports, 'export')} removed" if report.exports else ""
    again = f", {counted(report.jobs_again, 'unfinished job')} to begin again" if report.jobs_again else ""
    what = (
        f"{counted(report.rows, 'row')} in {counted(report.files, 'file')} erased,"
        f" {counted(report.manifests, 'manifest')} written{exports}{again}"
    )
    left = report.files_left
    end = f"not forgotten everywhere: {what}; {counted(left, 'file')} left" if left else f"forgotten: {what}"
    return [printable(line) for line in (*lines, end)]


def to_json(report: ErasureReport) -> bytes:
    """Return it all as one line of UTF-8 JSON with its newline."""
    told = {"exit_code": report.exit_code, **asdict(report)}
    return orjson.dumps(printable_tree(told), option=orjson.OPT_APPEND_NEWLINE)
