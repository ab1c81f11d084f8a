"""What the ledger knows of an account's earlier harvests, read for a plan: nothing is written here."""

import datetime as dt
import sqlite3
from collections.abc import Iterator, Mapping, Sequence

import orjson

from harvester.history import Habits, KnownCampaign, KnownSet, OpenSet, Typical
from harvester.model import Action, Harvest, JobState
from harvester.store.counters import ANSWERED
from harvester.store.database import Database
from harvester.store.snapshots import SNAPSHOT, snapshot_of

ANSWERS_REMEMBERED = 500
"""So many of the last answers say how long one takes: a window's worth."""

SETS = f"""
SELECT asked.value AS action, {SNAPSHOT},
    job.state, job.due, counters.rows AS counted_rows, notes.counters_code,
    (SELECT count(*) FROM pages WHERE job_id = job.id) AS pages
FROM json_each(?) AS asked
JOIN campaigns ON campaigns.account = ? AND campaigns.key = ?
LEFT JOIN harvests ON harvests.account = campaigns.account AND harvests.date = ?
LEFT JOIN jobs AS job
    ON job.harvest_id = harvests.id AND job.campaign_id = campaigns.id AND job.action = asked.value
LEFT JOIN snapshots ON snapshots.campaign_id = campaigns.id AND snapshots.action = asked.value
LEFT JOIN jobs AS origin ON origin.id = snapshots.origin_id AND origin.id IS NOT job.id
LEFT JOIN harvests AS origin_harvests ON origin_harvests.id = origin.harvest_id
LEFT JOIN campaign_notes AS notes ON notes.harvest_id = harvests.id AND notes.campaign_id = campaigns.id
LEFT JOIN counters ON counters.harvest_id = harvests.id AND counters.campaign_id = campaigns.id
    AND counters.action = asked.value
"""
"""A job that is to be read again is not its own snapshot: whoever sent it back wants new rows."""

REFUSED = """
SELECT count(*) > 1 AND min(state = 'failed') AND count(DISTINCT code) = 1 AND max(retries) = 0 FROM jobs
JOIN campaigns ON campaigns.id = campaign_id
WHERE campaigns.account = ? AND key = ? AND harvest_id = (
    SELECT harvest_id FROM jobs AS last JOIN harvests ON harvests.id = last.harvest_id
    WHERE last.campaign_id = campaigns.id AND last.state != 'pending' ORDER BY date DESC LIMIT 1
)
"""
"""Whether all jobs of a campaign failed alike at the first try when it was last harvested."""

OPEN_SETS = """
SELECT jobs.action, counters.rows AS counted_rows, origin.rows AS earlier_rows,
    (SELECT count(*) FROM pages WHERE job_id = jobs.id) AS pages
FROM jobs LEFT JOIN counters USING (harvest_id, campaign_id, action)
LEFT JOIN snapshots ON snapshots.campaign_id = jobs.campaign_id AND snapshots.action = jobs.action
LEFT JOIN jobs AS origin ON origin.id = snapshots.origin_id AND origin.state = 'done'
WHERE jobs.harvest_id = ? AND jobs.run_id = ? AND jobs.state = 'pending'
"""

LAST_HARVESTS = """
FROM snapshots JOIN jobs AS origin ON origin.id = snapshots.origin_id
JOIN campaigns ON campaigns.id = snapshots.campaign_id
WHERE campaigns.account = ? AND origin.state = 'done'
"""

PAGES = f"""
SELECT (SELECT longest_page_rows FROM servers WHERE account = ?) AS longest, max(origin.rows) AS largest {LAST_HARVESTS}
"""


class AccountHistory:
    """One account of one state folder.

    Args:
        database: the open file.
        account: its name.
        date: the harvest date that is planned.
        actions: those that are meant.
    """

    def __init__(self, database: Database, account: str, date: dt.date, actions: Sequence[Action]) -> None:
        self._connection = database.durable
        self._account = account
        self._date = date
        self._actions = orjson.dumps(actions).decode()

    def campaign(self, campaign_key: str) -> KnownCampaign:
        """Return what is known of a campaign."""
        rows = self._connection.execute(
            SETS, (self._actions, self._account, campaign_key, self._date.isoformat())
        ).fetchall()
        sets = {Action(row["action"]): _known_set(row) for row in rows}
        refused = self._connection.execute(REFUSED, (self._account, campaign_key)).fetchone()[0]
        return KnownCampaign(
            sets,
            is_counted=any(row["counters_code"] == ANSWERED for row in rows),
            is_refused=bool(refused) or _has_nothing_to_ask_for(sets),
        )

    def open_sets(self, harvest: Harvest, run_id: str) -> Iterator[OpenSet]:
        """Yield what a run has still to read of a harvest; memory stays flat."""
        for row in self._connection.execute(OPEN_SETS, (harvest.id, run_id)):
            yield OpenSet(Action(row["action"]), row["counted_rows"], row["earlier_rows"], row["pages"])

    def habits(self) -> Habits:
        """Return how the account's server has behaved."""
        tries = self._connection.execute(
            "SELECT total(retries) / max(total(calls), 1) FROM jobs JOIN harvests ON harvests.id = harvest_id"
            " WHERE account = ?",
            (self._account,),
        ).fetchone()
        longest = self._connection.execute(
            "SELECT longest_page_rows FROM servers WHERE account = ? AND longest_page_date = ?",
            (self._account, self._date.isoformat()),
        ).fetchone()
        return Habits(
            longest_page_rows=(longest[0] or 0) if longest else 0,
            page_rows_max=self._page_rows_max(),
            retry_share=tries[0],
            typical=self._typical(),
        )

    def latency_s(self) -> float | None:
        """Return how long the account's last answers took in the mean, in seconds; None if no call is remembered."""
        row = self._connection.execute(
            "SELECT avg(stamp_s - started_s) FROM (SELECT stamp_s, started_s FROM calls"
            " WHERE account = ? AND NOT is_out AND stamp_s > started_s ORDER BY id DESC LIMIT ?)",
            (self._account, ANSWERS_REMEMBERED),
        ).fetchone()
        latency_s: float | None = row[0]
        return latency_s

    def _page_rows_max(self) -> int | None:
        row = self._connection.execute(PAGES, (self._account, self._account)).fetchone()
        longest, largest = row["longest"] or 0, row["largest"] or 0
        return longest if 0 < longest < largest else None

    def _typical(self) -> dict[Action, Typical]:
        rows = self._connection.execute(
            "SELECT snapshots.action, avg(origin.rows) AS rows, avg(origin.calls - origin.retries) AS calls,"
            f" max(origin.calls) AS calls_max {LAST_HARVESTS} GROUP BY snapshots.action",
            (self._account,),
        )
        return {Action(row["action"]): Typical(row["rows"], row["calls"], row["calls_max"]) for row in rows}


def _known_set(row: sqlite3.Row) -> KnownSet:
    state = None if row["state"] is None else JobState(row["state"])
    return KnownSet(snapshot_of(row), state, row["due"] is not None, row["pages"], row["counted_rows"])


def _has_nothing_to_ask_for(sets: Mapping[Action, KnownSet]) -> bool:
    """Tell whether the server said of each set that was asked for that there is nothing."""
    snapshots = [known.snapshot for known in sets.values() if known.snapshot is not None]
    return bool(snapshots) and not any(snapshot.partition for snapshot in snapshots)
