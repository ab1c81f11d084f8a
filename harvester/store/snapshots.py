"""How each set stood when it was last read whole: what a night that finds nothing new carries over.

There is one snapshot for each campaign and action, and it is that of the last complete harvest in order of time. A
counter stands in it only if it was told before the set was read, and the set did not move meanwhile: only then does an
equal counter mean that nothing came since.
"""

import datetime as dt
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from harvester.model import Action, Campaign, Harvest, Job, JobState, Published
from harvester.snapshot import Candidate, Snapshot
from harvester.store.carrier import Carrier
from harvester.store.database import Database
from harvester.store.requeuing import Cause, Chosen, start_anew

COPIES_MAX = 7
"""Files of later dates that are looked for where the first one is gone: a week of nights."""

BATCH_JOBS = 1_000
"""Jobs read, and carried, in one transaction."""

SNAPSHOT = (
    "snapshots.origin_id, snapshots.checked_on, snapshots.counter_rows, origin.state AS origin_state,"
    " iif(origin.quarantine = '[]' AND NOT (origin.is_doubted AND origin.state != 'done'), origin.path, NULL)"
    " AS origin_path, origin.rows AS origin_rows,"
    " origin.bytes AS origin_bytes, origin.sha256 AS origin_sha256, origin_harvests.date AS origin_date"
)
"""In a query that joins these tables; no snapshot is a partition that lacks rows in quarantine, or that is in doubt."""

WITH_SNAPSHOT = (
    " LEFT JOIN snapshots ON snapshots.campaign_id = jobs.campaign_id AND snapshots.action = jobs.action"
    " LEFT JOIN jobs AS origin ON origin.id = snapshots.origin_id AND origin.id != jobs.id"
    " LEFT JOIN harvests AS origin_harvests ON origin_harvests.id = origin.harvest_id"
)
"""A job that is to be read again is not its own snapshot: whoever sent it back wants new rows."""

REFERRING = (
    "origin_id = ? AND instr(path, '/dt=' || (SELECT date FROM harvests WHERE harvests.id = harvest_id) || '/') = 0"
)
"""Whether a job that was carried from an origin has no file of its own, but that of the origin."""

UNTOUCHED = (
    "jobs.state = 'pending' AND jobs.due IS NULL AND NOT jobs.is_doubted"
    " AND NOT EXISTS (SELECT 1 FROM pages WHERE pages.job_id = jobs.id)"
)
"""Jobs of which it is not settled whether they are to be harvested at all."""


class Snapshots:
    """The snapshots of all accounts of one state folder, as one run uses them.

    What is settled here is found again after a power failure, so nothing waits for the disk.

    Args:
        database: the open file.
        run_id: of the run whose plan is meant.
        carrier: finds a carried partition its place under the new date.
    """

    def __init__(self, database: Database, run_id: str, carrier: Carrier) -> None:
        self._database = database
        self._carrier = carrier
        self._connection = database.durable
        self._run_id = run_id

    def candidates(self, harvest: Harvest, after_id: int) -> list[Candidate]:
        """Return planned jobs of which nothing is settled, in order of their numbers, from beyond `after_id` on.

        At most `BATCH_JOBS`; none after the last.
        """
        rows = self._connection.execute(
            f"SELECT jobs.id, jobs.action, key, parent_key, sent_at_ms, {SNAPSHOT} FROM jobs"
            f" JOIN campaigns ON campaigns.id = jobs.campaign_id {WITH_SNAPSHOT}"
            f" WHERE jobs.harvest_id = ? AND jobs.run_id = ? AND jobs.id > ? AND {UNTOUCHED}"
            " ORDER BY jobs.id LIMIT ?",
            (harvest.id, self._run_id, after_id, BATCH_JOBS),
        )
        return [Candidate(_job_of(harvest, row), snapshot_of(row)) for row in rows.fetchall()]

    def of(self, job: Job) -> Snapshot | None:
        """Return how the set of a job stood when it was last read whole; None if it never was."""
        row = self._connection.execute(
            f"SELECT {SNAPSHOT} FROM jobs {WITH_SNAPSHOT} WHERE jobs.id = ?", (job.id,)
        ).fetchone()
        return snapshot_of(row) if row else None

    def carry(self, jobs: Sequence[tuple[Job, Snapshot, dt.date]]) -> int:
        """Let jobs stand as their snapshots do; files first, then the ledger's word for them, all in one transaction.

        First of all the jobs are taken in hand: another run may claim them until then, and read their sets. And last a
        snapshot must still stand: another run may have read its set anew while files were linked or copied.

        Args:
            jobs: of this run, pending or running; each with its snapshot, and the date on which the set was last known
                to stand so.

        Returns:
            How many that were: a job whose partition is not in its place, or not what the snapshot says, stays as it
            was, and so does one that another run has by now.
        """
        with self._database.writing(self._database.brief) as connection:
            ours = _in_hand(connection, self._run_id, [job.id for job, _, _ in jobs])
        placed = [
            (job, place, checked_on)
            for job, each, checked_on in jobs
            if job.id in ours and (place := self._place(job, each))
        ]
        self._carrier.sync()
        with self._database.writing(self._database.brief) as connection:
            carried = sum(self._settle(connection, *each) for each in placed)
            waited = [job_id for job_id, state in ours.items() if state is JobState.PENDING]
            connection.executemany(
                "UPDATE jobs SET state = 'pending' WHERE id = ? AND state = 'running'", ((each,) for each in waited)
            )
        return carried

    def _place(self, job: Job, snapshot: Snapshot) -> Snapshot | None:
        """Return the snapshot with the place of its partition under the job's date; None if there is no such file.

        A file that is gone from its own date may have been linked or copied to later ones.
        """
        if snapshot.partition is None:
            return snapshot
        for partition in (snapshot.partition, *self._copies(snapshot)):
            if (placed := self._carrier.place(job, partition)) is not None:
                return replace(snapshot, partition=placed)
        return None

    def _copies(self, snapshot: Snapshot) -> Iterator[Published]:
        """Yield the partition as later dates have it, the newest first."""
        rows = self._connection.execute(
            "SELECT path, rows, bytes, sha256 FROM jobs"
            f" WHERE state = 'carried' AND origin_id = ? AND NOT ({REFERRING}) ORDER BY id DESC LIMIT ?",
            (snapshot.origin_id, snapshot.origin_id, COPIES_MAX),
        )
        yield from (Published(*row) for row in rows)

    def _settle(self, connection: sqlite3.Connection, job: Job, snapshot: Snapshot, checked_on: dt.date) -> bool:
        """Carry a placed job and return True; if its snapshot stands no more, leave the job and nothing of its file."""
        if not _stands(connection, snapshot):
            self._carrier.take_back(job)
            return False
        _carry(connection, job, snapshot, checked_on)
        return True

    def is_known(self, job: Job) -> bool:
        """Tell whether the set of a job, which need not be planned, was ever read whole."""
        row = self._connection.execute(
            "SELECT 1 FROM campaigns JOIN snapshots ON snapshots.campaign_id = campaigns.id"
            " WHERE account = ? AND key = ? AND action = ?",
            (job.account, job.campaign.key, job.action),
        ).fetchone()
        return row is not None

    def note_due(self, job: Job, reason: str) -> None:
        """Write down why a job is harvested; what its counter says at this moment counts for its snapshot."""
        with self._database.writing(self._database.brief) as connection:
            connection.execute("UPDATE jobs SET due = ? WHERE id = ?", (reason, job.id))
            note_counters(connection, [job.id])

    def note_all_due(self, harvest: Harvest, reason: str) -> None:
        """Write down that all planned jobs of which nothing is settled are harvested, and why."""
        with self._database.writing(self._database.brief) as connection:
            connection.execute(
                f"UPDATE jobs SET due = ? WHERE harvest_id = ? AND run_id = ? AND {UNTOUCHED}",
                (reason, harvest.id, self._run_id),
            )

    def counter_rows(self, job: Job) -> int | None:
        """Return what the counter of a job's set says on its date; None where nobody asked or it does not say."""
        row = self._connection.execute(
            "SELECT counters.rows FROM jobs JOIN counters USING (harvest_id, campaign_id, action) WHERE jobs.id = ?",
            (job.id,),
        ).fetchone()
        return int(row["rows"]) if row else None


def note_counters(connection: sqlite3.Connection, job_ids: Iterable[int]) -> None:
    """Keep what the counters of jobs that begin now, with no page stored, say at this moment; in a transaction."""
    connection.executemany(
        "UPDATE jobs SET counter_at_start = (SELECT counters.rows FROM counters WHERE"
        " counters.harvest_id = jobs.harvest_id AND counters.campaign_id = jobs.campaign_id"
        " AND counters.action = jobs.action)"
        " WHERE id = ? AND ending IS NULL AND NOT EXISTS (SELECT 1 FROM pages WHERE pages.job_id = jobs.id)",
        ((job_id,) for job_id in job_ids),
    )


def remember(connection: sqlite3.Connection, job_id: int) -> None:
    """Make a job the snapshot of its set if it was read whole, or if there is nothing to ask for; in a transaction.

    That there is nothing to ask for replaces no partition: what was there once is not forgotten for it.
    """
    connection.execute(
        "INSERT INTO snapshots (campaign_id, action, origin_id, checked_on, counter_rows)"
        " SELECT campaign_id, action, jobs.id, date, iif("
        "  EXISTS (SELECT 1 FROM pages WHERE job_id = jobs.id AND is_shifted), NULL, counter_at_start)"
        " FROM jobs JOIN harvests ON harvests.id = harvest_id WHERE jobs.id = ? AND state IN ('done', 'skipped')"
        " ON CONFLICT DO UPDATE SET origin_id = excluded.origin_id, checked_on = excluded.checked_on,"
        " counter_rows = excluded.counter_rows"
        " WHERE (SELECT state FROM jobs WHERE id = excluded.origin_id) = 'done'"
        " OR (SELECT path FROM jobs WHERE id = snapshots.origin_id) IS NULL",
        (job_id,),
    )


def republish(connection: sqlite3.Connection, job_id: int, partition: Published) -> None:
    """Let the jobs that refer to a job's partition refer to the one that takes its place; in a transaction.

    Until their manifests are written anew, the dates of these jobs are known to be mistold.
    Where rows of the new one could not be read, their sets are not whole any more: they are open again.
    """
    connection.execute(
        f"UPDATE harvests SET is_mistold = 1 WHERE id IN (SELECT harvest_id FROM jobs WHERE {REFERRING})", (job_id,)
    )
    if partition.unreadable_rows:
        start_anew(connection, Chosen((JobState.CARRIED,), REFERRING, (job_id,)), Cause.FILE_GONE)
    now = (None,) * 4 if partition.unreadable_rows else _file_of(partition)
    connection.execute(f"UPDATE jobs SET path = ?, rows = ?, bytes = ?, sha256 = ? WHERE {REFERRING}", (*now, job_id))


def dates_at_stake(database: Database, harvest: Harvest) -> list[dt.date]:
    """Return the dates of the account that refer to partitions of this harvest which are about to be replaced."""
    rows = database.durable.execute(
        "SELECT DISTINCT harvests.date FROM jobs AS origin JOIN jobs AS carried ON carried.origin_id = origin.id"
        " JOIN harvests ON harvests.id = carried.harvest_id WHERE origin.harvest_id = ? AND origin.state = 'pending'"
        " AND origin.path IS NOT NULL AND carried.state = 'carried' AND carried.path = origin.path",
        (harvest.id,),
    )
    return [dt.date.fromisoformat(row["date"]) for row in rows]


def _file_of(partition: Published) -> tuple[str, int, int, str]:
    return partition.path, partition.rows, partition.bytes, partition.sha256


def _in_hand(connection: sqlite3.Connection, run_id: str, job_ids: Sequence[int]) -> dict[int, JobState]:
    """Take jobs of a run in hand, those that are still its own, and return the state that each was in."""
    ours: dict[int, JobState] = {}
    for job_id in job_ids:
        row = connection.execute(
            "SELECT state FROM jobs WHERE id = ? AND run_id = ? AND state IN ('pending', 'running')", (job_id, run_id)
        ).fetchone()
        if row is not None:
            ours[job_id] = JobState(row["state"])
            connection.execute("UPDATE jobs SET state = 'running' WHERE id = ?", (job_id,))
    return ours


def _stands(connection: sqlite3.Connection, snapshot: Snapshot) -> bool:
    """Tell whether the partition of a snapshot is what the ledger knows of its set, and no other takes its place now.

    Where the end of a set is proven anew its file may have been replaced already, also by a run that was killed then.
    """
    if snapshot.partition is None:
        return True
    row = connection.execute(
        "SELECT 1 FROM jobs WHERE id = ? AND sha256 = ?"
        " AND NOT (state IN ('pending', 'running') AND ending IS NOT NULL)",
        (snapshot.origin_id, snapshot.partition.sha256),
    ).fetchone()
    return row is not None


def _carry(connection: sqlite3.Connection, job: Job, snapshot: Snapshot, checked_on: dt.date) -> None:
    partition = snapshot.partition
    if partition is None:
        connection.execute(
            "UPDATE jobs SET state = ?, (code, reason, remedy) ="
            " (SELECT code, reason, remedy FROM jobs AS origin WHERE origin.id = ?), origin_id = ? WHERE id = ?",
            (JobState.SKIPPED, snapshot.origin_id, snapshot.origin_id, job.id),
        )
    else:
        connection.execute(
            "UPDATE jobs SET state = ?, path = ?, rows = ?, bytes = ?, sha256 = ?, origin_id = ?,"
            " (verdict, counter_at_start) = (SELECT verdict, counter_at_start FROM jobs AS origin WHERE origin.id = ?)"
            " WHERE id = ?",
            (JobState.CARRIED, *_file_of(partition), snapshot.origin_id, snapshot.origin_id, job.id),
        )
    connection.execute(
        "UPDATE snapshots SET checked_on = ? WHERE origin_id = ?"
        " AND (campaign_id, action) = (SELECT campaign_id, action FROM jobs WHERE id = ?)",
        (checked_on.isoformat(), snapshot.origin_id, job.id),
    )


def _job_of(harvest: Harvest, row: sqlite3.Row) -> Job:
    campaign = Campaign(row["key"], row["parent_key"], row["sent_at_ms"])
    return Job(row["id"], harvest.account, campaign, Action(row["action"]), harvest.date)


def snapshot_of(row: sqlite3.Row) -> Snapshot | None:
    """Return the snapshot that a row with the columns of `SNAPSHOT` tells of; None if it tells of none."""
    partition = None
    if row["origin_path"] is not None:
        partition = Published(row["origin_path"], row["origin_rows"], row["origin_bytes"], row["origin_sha256"])
    elif row["origin_state"] != JobState.SKIPPED:
        return None  # never read whole, or its partition is gone
    return Snapshot(
        origin_id=row["origin_id"],
        date=dt.date.fromisoformat(row["origin_date"]),
        checked_on=dt.date.fromisoformat(row["checked_on"]),
        counter_rows=row["counter_rows"],
        partition=partition,
    )
