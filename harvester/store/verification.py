"""Harvests held against what lies on disk: ledger, manifests and files. Reads only, beside a run as well.

What a run changes meanwhile is no flaw: a job is looked up again before anything is said of its partition, and of a
date that a run is at work on nothing is said but of its partitions.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from harvester.flaws import Flaw, FlawKind
from harvester.model import Harvest, Job, JobState
from harvester.store.database import Database
from harvester.store.date_folder import OPEN, DateFolder
from harvester.store.entries import Entries, Entry, PageSpan
from harvester.store.inspection import Expected, RecordRules, flaw_of
from harvester.store.partitions import Compression, Partitions, without_place
from harvester.store.requeuing import Cause, Chosen, start_anew

PUBLISHED = frozenset({JobState.DONE, JobState.PARTIAL})


@dataclass(frozen=True, slots=True)
class Suspect:
    """A job to be harvested again, and the hash of its partition, by which it is known to be the same still."""

    job: Job
    sha256: str


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of the verification came to.

    Attributes:
        partitions: looked at in this step, 0 or 1.
        rows: that the partition should have.
        bytes: that it should have.
        passed_over: 1 if a run is not done with it yet.
        flaw: what is wrong.
        suspect: the job to harvest again for that.
    """

    partitions: int = 0
    rows: int = 0
    bytes: int = 0
    passed_over: int = 0
    flaw: Flaw | None = None
    suspect: Suspect | None = None


class Verification:
    """Reads a ledger and an output folder.

    Args:
        entries: the ledger.
        output: the output folder.
        rules: what a record is.
        is_worked_on: tells whether a run is at work on a harvest now.
    """

    def __init__(
        self, entries: Entries, output: Path, rules: RecordRules, is_worked_on: Callable[[Harvest], bool]
    ) -> None:
        self._entries = entries
        self._output = output
        self._rules = rules
        self._is_worked_on = is_worked_on
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
        if entry.state in OPEN:
            return Step(passed_over=1)
        flaw = self._flaw_of(entry, pages)
        if flaw is not None and self._entries.entry(entry.job.id) != entry:
            return Step(passed_over=1)  # a run took the job up while its file was read
        published = entry.published
        if published is None:
            return Step(flaw=flaw)
        is_mendable = flaw is not None and flaw.kind is not FlawKind.LEDGER
        suspect = Suspect(entry.job, published.sha256) if is_mendable else None
        return Step(1, published.rows, published.bytes, flaw=flaw, suspect=suspect)

    def _flaw_of(self, entry: Entry, pages: list[PageSpan]) -> Flaw | None:
        job, published = entry.job, entry.published
        if entry.state not in PUBLISHED:
            return None  # a partition that it has is of an earlier harvest, and stays until a new one takes its place
        if published is None:
            return Flaw(FlawKind.LEDGER, self._paths(job)[0], f"its job is {entry.state} without a partition")
        if published.path not in self._paths(job):
            return Flaw(FlawKind.LEDGER, self._paths(job)[0], "its job names another file as its partition")
        if published.rows != sum(page.rows for page in pages):
            return Flaw(FlawKind.LEDGER, published.path, "its pages have other rows than the whole")
        return flaw_of(self._output, Expected(job, published, pages), self._rules) or self._missing_reply(job, pages)

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
        replies = without_place(str(self._places[0].quarantine_path(entry.job, 1)))
        if entry.state in OPEN:
            return [*self._paths(entry.job), replies]
        return [entry.published.path, replies] if entry.published else [replies]

    def _paths(self, job: Job) -> list[str]:
        return [str(place.relative_path(job)) for place in self._places]

    def _replies(self, job: Job, pages: list[PageSpan]) -> list[str]:
        return [str(self._places[0].quarantine_path(job, page.from_index)) for page in pages if page.unreadable_rows]


def is_worked_on(database: Database, harvest: Harvest, live_runs: Collection[str]) -> bool:
    """Tell whether one of the runs that are at work has jobs of this harvest in its plan."""
    found = database.durable.execute(
        "SELECT 1 FROM jobs WHERE harvest_id = ? AND run_id IN (SELECT value FROM json_each(?)) LIMIT 1",
        (harvest.id, orjson.dumps(sorted(live_runs)).decode()),
    )
    return found.fetchone() is not None


def requeue(database: Database, suspects: Iterable[Suspect]) -> int:
    """Send jobs back to pending, from their first row; one that has another partition by now is left alone.

    Returns:
        How many jobs that were.
    """
    with database.writing(database.durable) as connection:
        return sum(
            start_anew(
                connection,
                Chosen((JobState.DONE, JobState.PARTIAL), "id = ? AND sha256 = ?", (suspect.job.id, suspect.sha256)),
                Cause.FILE_GONE,
            )
            for suspect in suspects
        )
