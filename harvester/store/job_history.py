"""All that the ledger knows of single jobs: how their pages came, what was counted, and how they ended."""

import datetime as dt
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

import orjson

from harvester.model import Action, Campaign, Command, Job
from harvester.snapshot import Snapshot
from harvester.store.database import Database
from harvester.store.job_report import PAGE_SUMS, JobReport, report_of
from harvester.store.snapshots import SNAPSHOT, snapshot_of

NEIGHBOURS_EACH_SIDE = 2

COUNTER_THEN = "(SELECT counter_at_start FROM jobs AS origin WHERE origin.id = jobs.origin_id)"
"""What the counter of a carried job's set said before the set was read."""


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A committed page; the attributes are those of `StoredPage`."""

    number: int
    from_index: int
    received_rows: int
    rows: int
    duplicates: int
    unreadable_rows: int
    is_shifted: bool


@dataclass(frozen=True, slots=True)
class JobHistory:
    """One job.

    Attributes:
        job: whose set it is, and for which date.
        report: as the manifest has it.
        run_id: of the run that last took it into its plan.
        finished_s: when its partition was published, seconds since the epoch; None if there is none.
        counter_rows: how many rows the campaign's counters say there should be; None where they do not say.
        broken_laws: of the campaign: by law, how many contacts break it.
        pages: in their order.
        command: of the run that last took it into its plan; None where no run did.
        counter_rows_then: what the counter said before the set of a carried job was read; None if it did not say.
        snapshot: how the set stood when it was last read whole, for whichever date; None if it never was.
    """

    job: Job
    report: JobReport
    run_id: str | None
    finished_s: float | None
    counter_rows: int | None
    broken_laws: Mapping[str, int]
    pages: tuple[HistoryPage, ...]
    command: Command | None
    counter_rows_then: int | None
    snapshot: Snapshot | None


@dataclass(frozen=True, slots=True)
class KnownCampaign:
    """A campaign of the ledger, and the newest date that it was harvested for, ISO."""

    account: str
    key: str
    newest_date: str


class Histories:
    """Looks jobs up in a ledger; to be used by one thread.

    Args:
        database: the open file.
    """

    def __init__(self, database: Database) -> None:
        self._connection = database.durable

    def campaigns(self, beginning: str, account: str | None, date: str | None) -> list[KnownCampaign]:
        """Return the campaigns whose key begins so; a key that is exactly this stands alone.

        Args:
            beginning: of the key.
            account: only of this account.
            date: only those that were harvested for this ISO date.
        """
        rows = self._connection.execute(
            "SELECT campaigns.account, key, max(date) FROM campaigns"
            " JOIN jobs ON jobs.campaign_id = campaigns.id JOIN harvests ON harvests.id = jobs.harvest_id"
            " WHERE substr(key, 1, length(?1)) = ?1 AND (?2 IS NULL OR campaigns.account = ?2)"
            " AND (?3 IS NULL OR date = ?3) GROUP BY campaigns.id ORDER BY campaigns.account, key",
            (beginning, account, date),
        )
        found = [KnownCampaign(*row) for row in rows]
        return [campaign for campaign in found if campaign.key == beginning] or found

    def neighbours(self, key: str) -> list[str]:
        """Return the known keys that stand nearest to this one in order: they share the longest beginning with it."""
        after = "SELECT DISTINCT key FROM campaigns WHERE key >= ? ORDER BY key LIMIT ?"
        before = "SELECT DISTINCT key FROM campaigns WHERE key < ? ORDER BY key DESC LIMIT ?"
        rows = (row for side in (before, after) for row in self._connection.execute(side, (key, NEIGHBOURS_EACH_SIDE)))
        return sorted(row["key"] for row in rows)

    def jobs(self, campaign: KnownCampaign, date: str, action: str | None) -> Iterator[JobHistory]:
        """Yield the jobs of a campaign and ISO date, all of them or that of one action."""
        rows = self._connection.execute(
            "SELECT jobs.*, key, parent_key, sent_at_ms, campaigns.account, date, command, broken_laws,"
            f" counters.rows AS counter_rows, {COUNTER_THEN} AS counter_rows_then, {PAGE_SUMS}"
            " FROM jobs JOIN campaigns ON campaigns.id = jobs.campaign_id"
            " JOIN harvests ON harvests.id = jobs.harvest_id LEFT JOIN runs ON runs.id = jobs.run_id"
            " LEFT JOIN counters USING (harvest_id, campaign_id, action)"
            " LEFT JOIN campaign_notes USING (harvest_id, campaign_id)"
            " WHERE campaigns.account = ? AND key = ? AND date = ? AND (?4 IS NULL OR jobs.action = ?4)"
            " ORDER BY jobs.id",
            (campaign.account, campaign.key, date, action),
        ).fetchall()
        return map(self._history_of, rows)

    def _history_of(self, row: sqlite3.Row) -> JobHistory:
        names = [field.name for field in fields(HistoryPage)]
        pages = self._connection.execute(
            f"SELECT {', '.join(names)} FROM pages WHERE job_id = ? ORDER BY number", (row["id"],)
        )
        campaign = Campaign(row["key"], row["parent_key"], row["sent_at_ms"])
        date = dt.date.fromisoformat(row["date"])
        return JobHistory(
            job=Job(row["id"], row["account"], campaign, Action(row["action"]), date),
            report=report_of(row),
            run_id=row["run_id"],
            finished_s=row["finished_s"],
            counter_rows=row["counter_rows"],
            broken_laws=orjson.loads(row["broken_laws"] or "{}").get("broken", {}),
            pages=tuple(HistoryPage(**{**page, "is_shifted": bool(page["is_shifted"])}) for page in pages),
            command=Command(row["command"]) if row["command"] else None,
            counter_rows_then=row["counter_rows_then"],
            snapshot=self._snapshot(row["campaign_id"], row["action"]),
        )

    def _snapshot(self, campaign_id: int, action: str) -> Snapshot | None:
        row = self._connection.execute(
            f"SELECT {SNAPSHOT} FROM snapshots JOIN jobs AS origin ON origin.id = snapshots.origin_id"
            " JOIN harvests AS origin_harvests ON origin_harvests.id = origin.harvest_id"
            " WHERE snapshots.campaign_id = ? AND snapshots.action = ?",
            (campaign_id, action),
        ).fetchone()
        return snapshot_of(row) if row else None
