"""What survives a crash: harvests, jobs and pages.

Every method is one transaction; a job moves only along `model.TRANSITIONS`. Moments (`not_before_s`) are on the clock
of `Clock.now_s`; `started_s` and `finished_s` are wall time, for people.
"""

import datetime as dt
import sqlite3
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import astuple, fields
from itertools import islice

import orjson

from harvester.model import (
    ANEW_CODES,
    TRANSITIONS,
    Action,
    Campaign,
    ClaimedJob,
    Command,
    Delay,
    Discovery,
    GivenUp,
    Harvest,
    Job,
    JobState,
    Published,
    StoredPage,
)
from harvester.store.database import Database
from harvester.store.job_report import PAGE_SUM, PAGE_SUMS, UNREADABLE_PAGES, JobReport, report_of
from harvester.store.plans import NOT_IN_THE_WAY, NOT_LIVE, PlanOf, Wanted, rank_newest_first, take_into_plan
from harvester.store.requeuing import Cause, Chosen, go_on, start_anew
from harvester.store.snapshots import note_counters, remember, republish

PLAN_BATCH_CAMPAIGNS = 1_000
"""Campaigns taken from the list at a time: keeps memory flat while 900,000 jobs are planned."""

KNOWN = """EXISTS (
    SELECT 1 FROM jobs sibling LEFT JOIN pages ON pages.job_id = sibling.id
    WHERE sibling.harvest_id = jobs.harvest_id AND sibling.campaign_id = jobs.campaign_id
    AND (sibling.state IN ('done', 'carried') OR pages.number IS NOT NULL)
)"""
"""Whether any job of the same campaign and date has had a good answer."""

ENDED = (JobState.DONE, JobState.PARTIAL, JobState.CARRIED, JobState.SKIPPED)
"""States of jobs that need their part no more."""


class Ledger:
    """The jobs of all accounts and dates of one state folder.

    Args:
        database: the open file.
        run_id: of the run that writes; a job belongs to the run that last took it into its plan.
        live_runs: tells which other runs are at work now: their jobs are left to them.
    """

    def __init__(self, database: Database, run_id: str, live_runs: Callable[[], Collection[str]] = tuple) -> None:
        self.database = database
        self._connection = database.durable
        self.run_id = run_id
        self.live_runs = live_runs

    # --- runs and harvests ------------------------------------------------------------------------------------------

    def begin_run(self, wall_s: float, command: Command = Command.RUN, config_sha256: str | None = None) -> None:
        """Write down that this run exists, what it is for, and by which settings (`operations.fingerprint`)."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO runs (id, command, started_s, config_sha256) VALUES (?, ?, ?, ?)",
                (self.run_id, command, wall_s, config_sha256),
            )

    def end_run(self, wall_s: float, outcome: str) -> None:
        """Write down how this run ended."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE runs SET finished_s = ?, outcome = ? WHERE id = ?", (wall_s, outcome, self.run_id)
            )

    def boot_id(self) -> str | None:
        """Return which boot the stored moments are counted from, or None before the first run."""
        row = self._connection.execute("SELECT boot_id FROM boots").fetchone()
        return row["boot_id"] if row else None

    def open_harvest(self, account: str, date: dt.date) -> Harvest:
        """Return the harvest of an account and date, made if there is none yet."""
        known = self._harvest(account, date)
        if known is not None:
            return known
        with self._writing() as connection:
            row = connection.execute(
                "INSERT INTO harvests (account, date) VALUES (?, ?)"
                " ON CONFLICT DO UPDATE SET date = excluded.date RETURNING *",
                (account, date.isoformat()),
            ).fetchone()
        return _harvest_of(row)

    def harvests(self, *, is_purged_too: bool = False) -> list[Harvest]:
        """Return all harvests, newest date first; purged ones, of which a few jobs may be left, on demand."""
        rows = self._connection.execute(
            "SELECT * FROM harvests WHERE ? OR purge IS NULL ORDER BY date DESC, account", (is_purged_too,)
        ).fetchall()
        return [_harvest_of(row) for row in rows]

    # --- planning ---------------------------------------------------------------------------------------------------

    def plan(
        self,
        harvest: Harvest,
        campaigns: Iterable[Campaign],
        actions: Sequence[Action],
        is_wanted: Wanted = lambda *_: True,
    ) -> None:
        """Take these jobs into this run's plan, new or known, but for those that are not wanted.

        Jobs of other runs that are at work are left to them; only a nightly run takes over what a backfill has not
        begun. One transaction for each `PLAN_BATCH_CAMPAIGNS`, so that other processes can go on meanwhile; a plan that
        is cut off is made whole by planning again.
        """
        waiting = iter(campaigns)
        while batch := list(islice(waiting, PLAN_BATCH_CAMPAIGNS)):
            with self._writing() as connection:
                take_into_plan(connection, PlanOf(harvest, self.run_id, self._live()), batch, actions, is_wanted)

    def rank_newest_first(self, harvest: Harvest) -> None:
        """Let this run claim the jobs of campaigns first that were sent last."""
        with self._writing() as connection:
            rank_newest_first(connection, harvest, self.run_id)

    def note_discovery(self, harvest: Harvest, discovery: Discovery) -> None:
        """Note how far the listing of this harvest's campaigns has come."""
        with self._writing() as connection:
            connection.execute("UPDATE harvests SET discovery = ? WHERE id = ?", (discovery, harvest.id))

    def requeue(self, harvest: Harvest, states: Iterable[JobState]) -> None:
        """Send the planned jobs in these end states back to pending.

        A failed job goes on after its last page, unless its pages made no sense; the others start from their first row:
        only so can a partial one get the rows that could not be read. Until a new partition takes its place, a job
        keeps the old one.
        """
        these = "harvest_id = ? AND run_id = ?", (harvest.id, self.run_id)
        broken = f"{these[0]} AND code IN (SELECT value FROM json_each(?))", (*these[1], _json(sorted(ANEW_CODES)))
        with self._writing() as connection:
            for state in states:
                anew = broken if state is JobState.FAILED else these
                start_anew(connection, Chosen((state,), *anew), Cause.ASKED)
                if state is JobState.FAILED:
                    go_on(connection, Chosen((state,), *these))

    def requeue_missing(self, harvest: Harvest, is_there: Callable[[str, int], bool]) -> int:
        """Send planned jobs that are done or carried, but whose partition is gone, back to their first row.

        Args:
            harvest: whose.
            is_there: tells whether a partition of this relative path and size in bytes lies in its place.

        Returns:
            How many jobs that were.
        """
        done = self._connection.execute(
            "SELECT id, path, bytes FROM jobs"
            " WHERE harvest_id = ? AND run_id = ? AND state IN ('done', 'carried') AND path IS NOT NULL",
            (harvest.id, self.run_id),
        )
        missing = [row["id"] for row in done if not is_there(row["path"], row["bytes"])]
        if missing:
            with self._writing() as connection:
                for job_id in missing:
                    gone = Chosen((JobState.DONE, JobState.CARRIED), "id = ?", (job_id,))
                    start_anew(connection, gone, Cause.FILE_GONE)
        return len(missing)

    def release(self, harvest: Harvest) -> None:
        """Send running jobs back to pending with their pages: those of runs that died, and our own when we stop."""
        with self._writing() as connection:
            connection.execute(
                f"UPDATE jobs SET state = 'pending' WHERE harvest_id = ? AND state = 'running' AND {NOT_LIVE}",
                (harvest.id, self._live()),
            )

    def open_jobs(self, harvest: Harvest) -> int:
        """Return how many jobs of the harvest may still need their parts, whoever's they are."""
        counts = self.counts(harvest)
        return sum(counts.values()) - sum(counts[state] for state in ENDED)

    def jobs_of_others(self, harvest: Harvest) -> int:
        """Return how many open jobs of the harvest belong to other runs that are at work now."""
        row = self._connection.execute(
            "SELECT count(*) AS jobs FROM jobs WHERE harvest_id = ? AND state IN ('pending', 'running')"
            f" AND NOT {NOT_LIVE}",
            (harvest.id, self._live()),
        ).fetchone()
        return int(row["jobs"])

    # --- the life of a job ------------------------------------------------------------------------------------------

    def claim(self, harvest: Harvest, limit: int, now_s: float, wall_s: float | None = None) -> list[ClaimedJob]:
        """Move up to `limit` due jobs to running, in the order of the plan, and return them.

        `wall_s`, the present, is kept as `started_s` of those that begin with their first row.
        """
        with self._writing() as connection:
            rows = connection.execute(
                "SELECT jobs.id, action, attempts, ending, key, parent_key, sent_at_ms, due, is_doubted,"
                " rows AS standing_rows,"
                f" {KNOWN} AS is_known,"
                f" {PAGE_SUM.format('rows')} AS rows_stored, {UNREADABLE_PAGES} AS unreadable_pages"
                " FROM jobs JOIN campaigns ON campaigns.id = campaign_id"
                " WHERE harvest_id = ? AND run_id = ? AND state = 'pending' AND not_before_s <= ?"
                f" AND {NOT_IN_THE_WAY} ORDER BY rank, jobs.id LIMIT ?",
                (harvest.id, self.run_id, now_s, self._live(), limit),
            ).fetchall()
            connection.executemany(
                "UPDATE jobs SET state = 'running', started_s = coalesce(started_s, ?) WHERE id = ?",
                ((wall_s, row["id"]) for row in rows),
            )
            note_counters(connection, (row["id"] for row in rows))
            return [self._claimed(harvest, row) for row in rows]

    def next_due_s(self, harvest: Harvest) -> float | None:
        """Return the moment at which the next pending job is due, or None if none is pending."""
        row = self._connection.execute(
            "SELECT min(not_before_s) AS due_s FROM jobs WHERE harvest_id = ? AND run_id = ? AND state = 'pending'",
            (harvest.id, self.run_id),
        ).fetchone()
        due_s: float | None = row["due_s"]
        return due_s

    def commit(self, pages: Sequence[tuple[Job, StoredPage]], endings: Sequence[tuple[Job, str]],
               published: Sequence[tuple[Job, Published]], wall_s: float) -> None:  # fmt: skip
        """Take the word for what is on disk, all in one transaction.

        Args:
            pages: pages whose bytes are synced.
            endings: jobs whose last page was proven last, and how.
            published: jobs whose partition stands in its place.
            wall_s: the present, for `finished_s`.
        """
        with self._writing() as connection:
            connection.executemany(
                "INSERT INTO pages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                ((job.id, *astuple(page)) for job, page in pages),
            )
            connection.executemany("UPDATE jobs SET attempts = 0 WHERE id = ?", ((job.id,) for job, _ in pages))
            connection.executemany(
                "UPDATE jobs SET ending = ? WHERE id = ?", ((ending, job.id) for job, ending in endings)
            )
            for job, partition in published:
                self._move(connection, job, partition.state)
                republish(connection, job.id, partition)
                connection.execute(
                    "UPDATE jobs SET path = ?, rows = ?, bytes = ?, sha256 = ?, finished_s = ?,"
                    f" quarantine = {UNREADABLE_PAGES}, origin_id = NULL, code = NULL, reason = NULL, remedy = NULL"
                    " WHERE id = ?",
                    (partition.path, partition.rows, partition.bytes, partition.sha256, wall_s, job.id),
                )
                connection.execute("UPDATE pages SET digest = x'' WHERE job_id = ?", (job.id,))  # of rows as they came
                remember(connection, job.id)

    def restart(self, job: Job) -> None:
        """Forget the pages of a running job: its part is gone or not to be trusted."""
        with self._writing() as connection:
            connection.execute("DELETE FROM pages WHERE job_id = ?", (job.id,))
            connection.execute("UPDATE jobs SET ending = NULL WHERE id = ?", (job.id,))

    def postpone(self, job: Job, delay: Delay) -> None:
        """Send a running job back to pending until its next attempt is due, with the reason for `status`."""
        with self._writing() as connection:
            self._move(connection, job, JobState.PENDING)
            connection.execute(
                "UPDATE jobs SET not_before_s = ?, attempts = ?, reason = ?,"
                " retries = retries + 1, waited_s = waited_s + ? WHERE id = ?",
                (delay.not_before_s, delay.attempts, delay.reason, delay.wait_s, job.id),
            )

    def give_up(self, job: Job, end: GivenUp) -> None:
        """Move a running job to failed or skipped."""
        with self._writing() as connection:
            self._end(connection, job, end)

    def give_up_campaign(self, harvest: Harvest, jobs: Sequence[Job], end: GivenUp) -> int:
        """Move running jobs of one campaign, and all of its pending ones of this date, to failed or skipped.

        Returns:
            How many jobs that were.
        """
        with self._writing() as connection:
            for job in jobs:
                self._end(connection, job, end)
            moved = connection.execute(
                "UPDATE jobs SET state = ?, code = ?, reason = ?, remedy = ? WHERE harvest_id = ? AND state = 'pending'"
                " AND campaign_id = (SELECT campaign_id FROM jobs WHERE id = ?) RETURNING id",
                (end.state, end.code, end.reason, end.remedy, harvest.id, jobs[0].id),
            ).fetchall()
            note_counters(connection, (row["id"] for row in moved))
            for row in moved:
                remember(connection, row["id"])
            return len(jobs) + len(moved)

    # --- what people ask for ----------------------------------------------------------------------------------------

    def counts(self, harvest: Harvest, *, is_plan_only: bool = False) -> dict[JobState, int]:
        """Return how many jobs stand in each state: all of the harvest, or those of this run's plan only."""
        rows = self._connection.execute(
            "SELECT state, count(*) AS jobs FROM jobs WHERE harvest_id = ? AND (NOT ? OR run_id = ?) GROUP BY state",
            (harvest.id, is_plan_only, self.run_id),
        ).fetchall()
        return dict.fromkeys(JobState, 0) | {JobState(row["state"]): row["jobs"] for row in rows}

    def totals(self, harvest: Harvest, *, is_plan_only: bool = False) -> tuple[int, int, int]:
        """Return rows and bytes of published partitions, and the calls of jobs since each last began; see `counts`."""
        row = self._connection.execute(
            "SELECT total(iif(path IS NULL, 0, rows)), total(iif(path IS NULL, 0, bytes)), total(calls)"
            " FROM jobs WHERE harvest_id = ? AND (NOT ? OR run_id = ?)",
            (harvest.id, is_plan_only, self.run_id),
        ).fetchone()
        return int(row[0]), int(row[1]), int(row[2])

    def jobs(self, harvest: Harvest, state: JobState | None = None) -> Iterator[JobReport]:
        """Yield the jobs of a harvest in the order of the plan, one at a time; memory stays flat."""
        rows = self._connection.execute(
            f"SELECT jobs.*, key, parent_key, {PAGE_SUMS} FROM jobs JOIN campaigns ON campaigns.id = campaign_id"
            " WHERE harvest_id = ? AND (? IS NULL OR state = ?) ORDER BY jobs.id",
            (harvest.id, state, state),
        )
        for row in rows:
            yield report_of(row)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _writing(self) -> AbstractContextManager[sqlite3.Connection]:
        return self.database.writing(self._connection)

    def _harvest(self, account: str, date: dt.date) -> Harvest | None:
        row = self._connection.execute(
            "SELECT * FROM harvests WHERE account = ? AND date = ?", (account, date.isoformat())
        ).fetchone()
        return _harvest_of(row) if row else None

    def _live(self) -> str:
        """Return the runs at work now as the JSON list that `NOT_LIVE` takes."""
        return _json(sorted(self.live_runs()))

    def _claimed(self, harvest: Harvest, row: sqlite3.Row) -> ClaimedJob:
        page = self._connection.execute(
            f"SELECT {', '.join(field.name for field in fields(StoredPage))} FROM pages"
            " WHERE job_id = ? ORDER BY number DESC LIMIT 1",
            (row["id"],),
        ).fetchone()
        campaign = Campaign(row["key"], row["parent_key"], row["sent_at_ms"])
        unreadable_pages = orjson.loads(row["unreadable_pages"])
        return ClaimedJob(
            job=Job(row["id"], harvest.account, campaign, Action(row["action"]), harvest.date),
            is_campaign_known=bool(row["is_known"]),
            attempts=row["attempts"],
            last_page=StoredPage(**page) if page else None,
            ending=row["ending"],
            rows=row["rows_stored"],
            unreadable_rows=sum(rows for _, rows in unreadable_pages),
            unreadable_from=tuple(from_index for from_index, _ in unreadable_pages),
            is_doubted=bool(row["is_doubted"]),
            standing_rows=row["standing_rows"],
            due=row["due"],
        )

    @staticmethod
    def _check(state: JobState, to: JobState) -> None:
        if to not in TRANSITIONS[state]:
            raise ValueError(f"a job cannot go from {state} to {to}")

    def _end(self, connection: sqlite3.Connection, job: Job, end: GivenUp) -> None:
        self._move(connection, job, end.state)
        connection.execute(
            "UPDATE jobs SET code = ?, reason = ?, remedy = ? WHERE id = ?", (end.code, end.reason, end.remedy, job.id)
        )
        remember(connection, job.id)

    def _move(self, connection: sqlite3.Connection, job: Job, to: JobState) -> None:
        row = connection.execute("SELECT state FROM jobs WHERE id = ?", (job.id,)).fetchone()
        self._check(JobState(row["state"]), to)
        connection.execute("UPDATE jobs SET state = ? WHERE id = ?", (to, job.id))


def _json(names: Sequence[str]) -> str:
    return orjson.dumps(names).decode()


def _harvest_of(row: sqlite3.Row) -> Harvest:
    return Harvest(row["id"], row["account"], dt.date.fromisoformat(row["date"]), Discovery(row["discovery"]))


def new_run_id() -> str:
    """Return a name for a run that no other run can have: 128 random bits, in hex."""
    return uuid.uuid4().hex
