"""What a verification came to: a line for each flaw, a last line for all of it, JSON for machines (pure)."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import orjson

from harvester.flaws import Flaw
from harvester.report.figures import counted, duration, size
from harvester.report.printable import printable, printable_tree

DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Verified:
    """A whole verification.

    Attributes:
        exit_code: of the process.
        harvests: accounts and dates that were looked at.
        partitions: that were read, with the rows and bytes that they should have.
        rows: likewise.
        bytes: likewise.
        read_elsewhere: partitions of further dates that are files among these: each file is read once.
        passed_over: jobs and dates left alone, because a run is not done with them.
        flaws: what is wrong.
        requeued: jobs that were sent back to be harvested again.
        manifests: that were written anew.
        commands: what to type to harvest the jobs.
        seconds: how long it took.
    """

    exit_code: int
    harvests: int
    partitions: int
    rows: int
    bytes: int
    read_elsewhere: int
    passed_over: int
    flaws: Sequence[Flaw]
    requeued: int
    manifests: int
    commands: Sequence[str]
    seconds: float


def flaw_lines(flaws: Sequence[Flaw]) -> list[str]:
    """Return a line for each flaw: where, what is wrong, which other dates have the file, what to do."""
    return [printable(f"{flaw.path}: {flaw.what}{_shared(flaw.dates)}. {flaw.remedy}") for flaw in flaws]


def spans(dates: Sequence[str]) -> list[str]:
    """Return ISO dates, ascending, with those that follow each other day by day told as one span."""
    days = list(map(dt.date.fromisoformat, dates))
    known = set(days)
    firsts = [day for day in days if day - DAY not in known]
    lasts = [day for day in days if day + DAY not in known]
    return [f"{first}" if first == last else f"{first} to {last}" for first, last in zip(firsts, lasts, strict=True)]


def _shared(dates: Sequence[str]) -> str:
    return f"; also the partition of {', '.join(spans(dates))}" if dates else ""


def sentences(verified: Verified) -> list[str]:
    """Return the lines for stderr; the last one says what came of it, and what to type next."""
    counts = Counter(flaw.kind for flaw in verified.flaws)
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in counts.most_common())
    shared = f", {verified.read_elsewhere:,} more carried in these files" if verified.read_elsewhere else ""
    passed = f", {verified.passed_over:,} passed over (not harvested yet)" if verified.passed_over else ""
    what = (
        f"{counted(verified.partitions, 'partition')} of {counted(verified.harvests, 'harvest')},"
        f" {counted(verified.rows, 'row')} ({size(verified.bytes)}), read in {duration(verified.seconds)}"
        f"{shared}{passed}"
    )
    if not verified.flaws:
        return [f"verified: {what}; nothing is wrong"]
    found = f"verification failed: {what}; {counted(len(verified.flaws), 'flaw')} ({kinds})"
    if not verified.manifests:
        return [found]
    mended = (
        f"repaired: {counted(verified.manifests, 'manifest')} written, {counted(verified.requeued, 'job')} sent back"
    )
    again = f"; harvest them again with: {' && '.join(verified.commands)}" if verified.commands else ""
    return [found, printable(mended + again)]


def to_json(verified: Verified) -> bytes:
    """Return it all as one line of UTF-8 JSON with its newline; each flaw has its remedy beside it."""
    document = asdict(verified) | {"flaws": [asdict(flaw) | {"remedy": flaw.remedy} for flaw in verified.flaws]}
    return orjson.dumps(printable_tree(document), option=orjson.OPT_APPEND_NEWLINE)
