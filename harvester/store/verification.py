"""Harvests held against what lies on disk: ledger, manifests and files. Reads only, beside a run as well.

What a run changes meanwhile is no flaw: a job is looked up again before anything is said of its partition, and of a
date that a run is at work on nothing is said but of its partitions.

A file that several dates have as their partition is read once where all of them are verified: for the job that read its
set, or for the first that carries it where that one does not vouch for it any more.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from harvester.flaws import Flaw, FlawKind
from harvester.model import Harvest, Job, JobState, Published
from harvester.store.database import Database
from harvester.store.date_folder import OPEN, DateFolder
from harvester.store.entries import Entries, Entry, PageSpan
from harvester.store.inspection import Expected, RecordRules, flaw_of
from harvester.store.partitions import Compression, Partitions, without_place
from harvester.store.requeuing import Cause, Chosen, start_anew

PUBLISHED = (JobState.DONE, JobState.PARTIAL)
"""States of jobs whose partition is what their own pages made."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A job whose partition is not sound.

    Attributes:
        job: to be sent back.
        sha256: of its partition as it was published, by which the job is known to stand as it did.
        is_carried: whether the partition is that of an earlier harvest.
    """

    job: Job
    sha256: str
    is_carried: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of the verification came to.

    Attributes:
        partitions: read in this step, 0 or 1.
        rows: that the partition should have.
        bytes: that it should have.
        read_elsewhere: 1 if its file is read for another date.
        passed_over: 1 if a run is not done with it yet.
        flaw: what is wrong.
        suspects: the jobs to send back for that, of all dates that have the file as their partition.
    """

    partitions: int = 0
    rows: int = 0
    bytes: int = 0
    read_elsewhere: int = 0
    passed_over: int = 0
    flaw: Flaw | None = None
    suspects: tuple[Suspect, ...] = ()


class Verification:
    """Reads a ledger and an output folder.

    Args:
        entries: the ledger.
        output: the output folder.
        rules: what a record is.
        is_worked_on: tells whether a run is at work on a harvest now.
        has_all_dates: whether the harvests of all dates are verified, so that each file needs to be read only once.
    """

    def __init__(
        self,
        entries: Entries,
        output: Path,
        rules: RecordRules,
        is_worked_on: Callable[[Harvest], bool],
        *,
        has_all_dates: bool,
    ) -> None:
        self._entries = entries
        self._output = output
        self._rules = rules
        self._is_worked_on = is_worked_on
        self._has_all_dates = has_all_dates
        self._places = [Partitions(output, compression) for compression in Compression]

    def steps(self, harvest: Harvest) -> Iterator[Step]:
        """Verify a harvest, job by job and then as a whole."""
        known: set[int] = set()  # hashes: the paths of 900,000 jobs themselves would weigh 150 MB
        for entry in self._entries.entries(harvest):
            pages = self._entries.pages(entry.job)
            known.update(map(hash, self._own_files(entry, pages)))
            yield self._step(entry, pages)

        def is_known(path: str) -> bool:
            return hash(path) in known or hash(without_place(path)) in known

        flaws = list(DateFolder(self._output, self._entries, harvest).flaws(is_known))
        if flaws and self._is_worked_on(harvest):
            yield Step(passed_over=1)
        else:
            yield from (Step(flaw=flaw) for flaw in flaws)

    def _step(self, entry: Entry, pages: list[PageSpan]) -> Step:
        if self._is_open(entry):
            return Step(passed_over=1)
        if self._is_read_elsewhere(entry):
            return Step(read_elsewhere=1)
        flaw = self._flaw_of(entry, pages)
        if flaw is not None and self._entries.entry(entry.job.id) != entry:
            return Step(passed_over=1)  # a run took the job up while its file was read
        published = entry.published
        if published is None:
            return Step(flaw=flaw)
        if flaw is None or flaw.kind is FlawKind.LEDGER:
            return Step(1, published.rows, published.bytes, flaw=flaw)
        suspects = tuple(
            Suspect(holder.job, published.sha256, is_carried=holder.origin is not None)
            for holder in self._holders(entry, published)
        )
        dates = tuple(suspect.job.date.isoformat() for suspect in suspects if suspect.is_carried)
        return Step(1, published.rows, published.bytes, flaw=replace(flaw, dates=dates), suspects=suspects)

    def _is_open(self, entry: Entry) -> bool:
        """Whether a run is not done with what a job's partition is to be."""
        origin = entry.origin
        if entry.state in OPEN or origin is None or origin.state not in OPEN or not self._is_shared(entry):
            return entry.state in OPEN
        there = (origin.job.account, origin.job.date)
        return any(self._is_worked_on(each) for each in self._entries.harvests() if (each.account, each.date) == there)

    def _is_shared(self, entry: Entry) -> bool:
        """Whether the partition of a carried job is the very file of its origin."""
        published = entry.published
        return (
            entry.state is JobState.CARRIED and published is not None and published.path not in self._paths(entry.job)
        )

    def _is_read_elsewhere(self, entry: Entry) -> bool:
        """Whether another job stands for the same file, among the harvests that are verified."""
        published, origin = entry.published, entry.origin
        if not (self._has_all_dates and published and origin and self._is_shared(entry)):
            return False
        if origin.state in PUBLISHED and origin.published == published:
            return True
        first = next(iter(self._entries.carriers(origin.job.id, published)), entry)
        return first.job.id != entry.job.id

    def _holders(self, entry: Entry, published: Published) -> list[Entry]:
        """Return the entries of all jobs that have this file as their partition; the one that read it comes first."""
        reader = entry.origin or entry
        carriers = self._entries.carriers(reader.job.id, published)
        return [reader, *carriers] if reader.state in PUBLISHED and reader.published == published else carriers

    def _flaw_of(self, entry: Entry, pages: list[PageSpan]) -> Flaw | None:
        if entry.state is JobState.CARRIED:
            return self._flaw_of_carried(entry)
        if entry.state not in PUBLISHED:
            return None  # a partition that it has is of an earlier harvest, and stays until a new one takes its place
        job, published = entry.job, entry.published
        if published is None:
            return Flaw(FlawKind.LEDGER, self._paths(job)[0], f"its job is {entry.state} without a partition")
        if published.path not in self._paths(job):
            return Flaw(FlawKind.LEDGER, self._paths(job)[0], "its job names another file as its partition")
        if published.rows != sum(page.rows for page in pages):
            return Flaw(FlawKind.LEDGER, published.path, "its pages have other rows than the whole")
        return flaw_of(self._output, Expected(job, published, pages), self._rules) or self._missing_reply(job, pages)

    def _flaw_of_carried(self, entry: Entry) -> Flaw | None:
        """Return what is wrong with a partition that was read for an earlier date; its pages are told there."""
        job, published, origin = entry.job, entry.published, entry.origin
        if published is None or origin is None:
            return Flaw(FlawKind.LEDGER, self._paths(job)[0], "its job is carried from nowhere")
        if published.path not in (*self._paths(job), *self._paths(origin.job)):
            return Flaw(FlawKind.LEDGER, self._paths(job)[0], "its job names another file as its partition")
        is_same = origin.published is not None and origin.published.sha256 == published.sha256
        pages = self._entries.pages(origin.job) if is_same and origin.state in PUBLISHED else None
        return flaw_of(self._output, Expected(job, published, pages), self._rules)

    def _missing_reply(self, job: Job, pages: list[PageSpan]) -> Flaw | None:
        for reply in self._replies(job, pages):
            path = self._output / reply
            if path.is_symlink() or not path.is_file():
                return Flaw(FlawKind.QUARANTINE, reply, "the answer with rows that could not be read is not there")
        return None

    def _own_files(self, entry: Entry, pages: list[PageSpan]) -> list[str]:
        """Return the files that may lie there for a job: while it is open all that it might publish.

        Until a new partition stands, its replies may be of the old one, of stored pages, and of one that a killed run
        did not come to store: then their name without the place stands for them all.
        """
        if entry.state in PUBLISHED and entry.published:
            return [entry.published.path, *self._replies(entry.job, pages)]
        if entry.state is JobState.CARRIED:
            return [entry.published.path] if entry.published else []
        replies = without_place(str(self._places[0].quarantine_path(entry.job, 1)))
        if entry.state in OPEN:
            return [*self._paths(entry.job), replies]
        return [entry.published.path, replies] if entry.published else [replies]

    def _paths(self, job: Job) -> list[str]:
        return [str(place.relative_path(job)) for place in self._places]

    def _replies(self, job: Job, pages: list[PageSpan]) -> list[str]:
        return [str(self._places[0].quarantine_path(job, page.from_index)) for page in pages if page.unreadable_rows]


def requeue(database: Database, suspects: Iterable[Suspect]) -> int:
    """Send jobs back to pending, from their first row; one that has another partition by now is left alone.

    Returns:
        How many jobs that were.
    """
    with database.writing(database.durable) as connection:
        return sum(
            start_anew(
                connection,
                Chosen((*PUBLISHED, JobState.CARRIED), "id = ? AND sha256 = ?", (suspect.job.id, suspect.sha256)),
                Cause.FILE_GONE,
            )
            for suspect in suspects
        )
