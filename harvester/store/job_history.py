"""All that the ledger knows of single jobs: how their pages came, what was counted, and how they ended."""

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

import orjson

from harvester.store.database import Database
from harvester.store.job_report import PAGE_SUMS, JobReport, report_of

NEIGHBOURS_EACH_SIDE = 2


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
        account: whose.
        date: the harvest date, ISO.
        report: as the manifest has it.
        run_id: of the run that last took it into its plan.
        finished_s: when its partition was published, seconds since the epoch; None if there is none.
        counter_rows: how many rows the campaign's counters say there should be; None where they do not say.
        broken_laws: of the campaign: by law, how many contacts break it.
        pages: in their order.
    """

    account: str
    date: str
    report: JobReport
    run_id: str | None
    finished_s: float | None
    counter_rows: int | None
    broken_laws: Mapping[str, int]
    pages: tuple[HistoryPage, ...]


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
            "SELECT jobs.*, key, parent_key, campaigns.account, date, counters.rows AS counter_rows, broken_laws,"
            f" {PAGE_SUMS} FROM jobs JOIN campaigns ON campaigns.id = jobs.campaign_id"
            " JOIN harvests ON harvests.id = jobs.harvest_id"
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
        return JobHistory(
            account=row["account"],
            date=row["date"],
            report=report_of(row),
            run_id=row["run_id"],
            finished_s=row["finished_s"],
            counter_rows=row["counter_rows"],
            broken_laws=orjson.loads(row["broken_laws"] or "{}").get("broken", {}),
            pages=tuple(HistoryPage(**{**page, "is_shifted": bool(page["is_shifted"])}) for page in pages),
        )
