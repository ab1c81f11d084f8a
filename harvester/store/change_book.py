"""What the ledger knows of changes: which sets are still to be compared with what, and what each comparison found.

What is lost here is found again by comparing again, so nothing waits for the disk.
"""

import datetime as dt
import sqlite3
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass

import orjson

from harvester.model import Action, Campaign, Discovery, Harvest, Job, Published
from harvester.store.database import Database

BATCH_JOBS = 500
"""Jobs read in one transaction: a long one would keep SQLite from tidying up behind a run."""

EARLIER = """(
    SELECT before.id FROM jobs AS before JOIN harvests ON harvests.id = before.harvest_id
    WHERE before.campaign_id = jobs.campaign_id AND before.action = jobs.action AND harvests.date < :date
    AND before.state IN ('done', 'carried') AND before.path IS NOT NULL ORDER BY harvests.date DESC LIMIT 1
)"""
"""The job of the newest earlier date that holds the set whole; campaigns are numbered for each account."""

JOB = "jobs.id, jobs.action, jobs.state, jobs.changes, key, parent_key, sent_at_ms"
WITH_CAMPAIGN = " JOIN campaigns ON campaigns.id = jobs.campaign_id"


@dataclass(frozen=True, slots=True)
class JobChanges:
    """What a comparison found; the manifest shows it as it stands.

    Attributes:
        path: of the change file, below the output folder; None where nothing changed, or nothing was compared.
        added: contacts.
        removed: likewise.
        changed: likewise.
        bytes: of the file; 0 without one.
        sha256: of the file; None without one.
        against: the harvest date compared with, ISO; None where there is no earlier one.
        against_sha256: of the partition compared with: another one in its place asks for another comparison.
        left_out: why nothing was compared; None where it was.
    """

    path: str | None = None
    added: int = 0
    removed: int = 0
    changed: int = 0
    bytes: int = 0
    sha256: str | None = None
    against: str | None = None
    against_sha256: str | None = None
    left_out: str | None = None


@dataclass(frozen=True, slots=True)
class Earlier:
    """A set as it was read whole on an earlier date: the partition that holds it."""

    date: dt.date
    partition: Published


@dataclass(frozen=True, slots=True)
class Comparable:
    """A job that is done, and what to compare its partition with; `earlier` is None where it was never read before."""

    job: Job
    partition: Published
    earlier: Earlier | None

    @property
    def bytes(self) -> int:
        """How much there is to read."""
        return self.partition.bytes + (self.earlier.partition.bytes if self.earlier else 0)


@dataclass(frozen=True, slots=True)
class ActionChanges:
    """The changes of one action on one date, of all jobs together; `left_out` jobs could not be compared."""

    action: str
    jobs: int
    added: int
    removed: int
    changed: int
    left_out: int


class ChangeBook:
    """The comparisons of all harvests of one state folder.

    Args:
        database: the open file.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.brief

    def cut_off(self, harvest: Harvest) -> list[Harvest]:
        """Return the earlier dates of the account with sets that were read and never compared, the oldest first.

        Only those since changes were first written for the account: what lies before is for whoever asks for it.
        """
        rows = self._connection.execute(
            "SELECT harvests.* FROM harvests WHERE account = :account AND purge IS NULL AND date < :date AND date >= ("
            "  SELECT min(date) FROM jobs JOIN harvests AS first ON first.id = harvest_id"
            "  WHERE first.account = :account AND changes IS NOT NULL)"
            " AND EXISTS (SELECT 1 FROM jobs WHERE harvest_id = harvests.id AND state = 'done' AND changes IS NULL)"
            " ORDER BY date",
            {"account": harvest.account, "date": harvest.date.isoformat()},
        )
        return [
            Harvest(row["id"], row["account"], dt.date.fromisoformat(row["date"]), Discovery(row["discovery"]))
            for row in rows.fetchall()
        ]

    def due(
        self, harvest: Harvest, actions: Collection[Action], is_there: Callable[[str, int], bool]
    ) -> Iterator[Comparable]:
        """Yield the jobs that are to be compared, in the order of the plan; between two no query runs.

        These are jobs that were never compared, or could not be; whose change file is gone; and those whose earlier
        partition is not the one that they were compared with, since an earlier date was harvested later or again. A
        carried set is among them only where it is not the set of the date before: what was read for a later date, or
        once more for an earlier one, may have been carried over.

        Args:
            harvest: whose.
            actions: of which; empty for all.
            is_there: tells whether a change file of this path and size in bytes lies in its place.
        """
        for row in self._rows(
            f"{JOB}, jobs.path, jobs.rows, jobs.bytes, jobs.sha256, origin.date AS earlier_date, earlier.path AS"
            " earlier_path, earlier.rows AS earlier_rows, earlier.bytes AS earlier_bytes,"
            " earlier.sha256 AS earlier_sha256",
            f"{WITH_CAMPAIGN} LEFT JOIN jobs AS earlier ON earlier.id = {EARLIER}"
            " LEFT JOIN harvests AS origin ON origin.id = earlier.harvest_id",
            "jobs.path IS NOT NULL AND (jobs.state = 'done'"
            " OR (jobs.state = 'carried' AND (jobs.sha256 IS NOT earlier.sha256 OR jobs.changes IS NOT NULL)))",
            harvest,
        ):
            is_meant = not actions or row["action"] in actions
            if is_meant and _is_due(_changes_of(row), row["earlier_sha256"], is_there):
                yield _comparable_of(harvest, row)

    def jobs(self, harvest: Harvest) -> Iterator[tuple[Job, JobChanges | None]]:
        """Yield all jobs of a harvest, each with what its comparison found; None where it has none."""
        for row in self._rows(JOB, WITH_CAMPAIGN, "TRUE", harvest):
            yield _job_of(harvest, row), _changes_of(row)

    def changes_of(self, job: Job) -> JobChanges | None:
        """Return what the comparison of a job found, as the ledger has it now."""
        row = self._connection.execute("SELECT changes FROM jobs WHERE id = ?", (job.id,)).fetchone()
        return _changes_of(row) if row else None

    def note(self, compared: Comparable, changes: JobChanges) -> None:
        """Write down what a comparison found, unless the job has another partition by now."""
        with self._database.writing(self._connection) as connection:
            connection.execute(
                "UPDATE jobs SET changes = ? WHERE id = ? AND state IN ('done', 'carried') AND sha256 = ?",
                (orjson.dumps(asdict(changes)).decode(), compared.job.id, compared.partition.sha256),
            )

    def totals(self, harvest: Harvest, actions: Collection[Action]) -> list[ActionChanges]:
        """Return the changes of a date by action, as far as it was compared; an empty `actions` means all."""
        rows = self._connection.execute(
            "SELECT action, count(*), total(json_extract(changes, '$.added')),"
            " total(json_extract(changes, '$.removed')), total(json_extract(changes, '$.changed')),"
            " count(json_extract(changes, '$.left_out')) FROM jobs"
            " WHERE harvest_id = ? AND changes IS NOT NULL GROUP BY action ORDER BY action",
            (harvest.id,),
        )
        return [ActionChanges(row[0], *map(int, row[1:])) for row in rows if not actions or row["action"] in actions]

    def _rows(self, columns: str, joined: str, condition: str, harvest: Harvest) -> Iterator[sqlite3.Row]:
        """Yield the rows of the jobs of a harvest that meet a condition, batch by batch."""
        first, last = self._connection.execute(
            "SELECT min(id), max(id) FROM jobs WHERE harvest_id = ?", (harvest.id,)
        ).fetchone()
        if first is None:
            return
        for begin in range(first, last + 1, BATCH_JOBS):
            # The + keeps SQLite from walking an index of all jobs of the harvest for each batch.
            yield from self._connection.execute(
                f"SELECT {columns} FROM jobs{joined} WHERE jobs.id BETWEEN :begin AND :end"
                f" AND +jobs.harvest_id = :harvest AND {condition} ORDER BY jobs.id",
                {
                    "begin": begin,
                    "end": begin + BATCH_JOBS - 1,
                    "harvest": harvest.id,
                    "date": harvest.date.isoformat(),
                },
            ).fetchall()


def _is_due(changes: JobChanges | None, earlier_sha256: str | None, is_there: Callable[[str, int], bool]) -> bool:
    if changes is None or changes.left_out is not None or changes.against_sha256 != earlier_sha256:
        return True
    return changes.path is not None and not is_there(changes.path, changes.bytes)


def _changes_of(row: sqlite3.Row) -> JobChanges | None:
    """Return what is noted of a comparison; what makes no sense is as good as nothing, and is found out again."""
    try:
        return None if row["changes"] is None else JobChanges(**orjson.loads(row["changes"]))
    except (ValueError, TypeError):
        return None


def _job_of(harvest: Harvest, row: sqlite3.Row) -> Job:
    campaign = Campaign(row["key"], row["parent_key"], row["sent_at_ms"])
    return Job(row["id"], harvest.account, campaign, Action(row["action"]), harvest.date)


def _comparable_of(harvest: Harvest, row: sqlite3.Row) -> Comparable:
    earlier = None
    if row["earlier_path"] is not None:
        partition = Published(row["earlier_path"], row["earlier_rows"], row["earlier_bytes"], row["earlier_sha256"])
        earlier = Earlier(dt.date.fromisoformat(row["earlier_date"]), partition)
    partition = Published(row["path"], row["rows"], row["bytes"], row["sha256"])
    return Comparable(_job_of(harvest, row), partition, earlier)
