"""Which jobs are whose: a run takes campaigns and actions into its plan, and leaves those of others at work to them."""

import datetime as dt
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import orjson

from harvester.model import Action, Campaign, Command, Harvest
from harvester.store.database import Database

NOT_LIVE = "(jobs.run_id IS NULL OR jobs.run_id NOT IN (SELECT value FROM json_each(?)))"
"""Whether a job belongs to no other run that is at work now."""

YIELDED = """(
    state = 'pending' AND (SELECT command FROM runs WHERE id = excluded.run_id) = 'nightly'
    AND (SELECT command FROM runs WHERE id = jobs.run_id) = 'backfill'
)"""
"""Whether a job goes to the run that plans it although the one that has it is at work: the nightly run comes first."""

NOT_IN_THE_WAY = """NOT EXISTS (
    SELECT 1 FROM jobs AS theirs JOIN runs ON runs.id = theirs.run_id
    JOIN runs AS ours ON ours.id = jobs.run_id
    WHERE theirs.campaign_id = jobs.campaign_id AND theirs.action = jobs.action AND theirs.id != jobs.id
    AND ours.command IN ('nightly', 'backfill') AND runs.command IN ('nightly', 'backfill')
    AND (theirs.state = 'running' OR (theirs.state = 'pending' AND runs.command = 'nightly'))
    AND NOT (ours.command = 'nightly' AND runs.command = 'nightly')
    AND theirs.run_id IN (SELECT value FROM json_each(?))
)"""
"""Whether a job may be taken up now: for whichever dates, a nightly run and a backfill read no set side by side.

Both wait for what the other has in hand, and the backfill also for what the nightly run is about to read.
"""

Wanted = Callable[[Campaign, Action], bool]
"""Tells whether a campaign's action is to be planned."""


@dataclass(frozen=True, slots=True)
class PlanOf:
    """Whose plan of which harvest; `live` are the other runs at work, as the JSON list that `NOT_LIVE` takes."""

    harvest: Harvest
    run_id: str
    live: str


def take_into_plan(
    connection: sqlite3.Connection,
    plan: PlanOf,
    campaigns: Sequence[Campaign],
    actions: Sequence[Action],
    is_wanted: Wanted,
) -> None:
    """Plan campaigns, new or known, for those of the actions that are wanted; in a transaction."""
    account = plan.harvest.account
    connection.executemany(
        "INSERT INTO campaigns (account, key, parent_key, sent_at_ms) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET parent_key = coalesce(excluded.parent_key, parent_key),"
        " sent_at_ms = coalesce(excluded.sent_at_ms, sent_at_ms)",
        ((account, campaign.key, campaign.parent_key, campaign.sent_at_ms) for campaign in campaigns),
    )
    wanted: Iterable[tuple[Campaign, Action]] = (
        (campaign, action) for campaign in campaigns for action in actions if is_wanted(campaign, action)
    )
    connection.executemany(
        "INSERT INTO jobs (harvest_id, campaign_id, action, run_id)"
        " SELECT ?, id, ?, ? FROM campaigns WHERE account = ? AND key = ?"
        f" ON CONFLICT DO UPDATE SET run_id = excluded.run_id WHERE {NOT_LIVE} OR {YIELDED}",
        ((plan.harvest.id, action, plan.run_id, account, campaign.key, plan.live) for campaign, action in wanted),
    )


def known_campaigns(database: Database, harvest: Harvest) -> Iterator[Campaign]:
    """Yield the campaigns of the account with a set that was read, and no job on the harvest's date."""
    rows = database.brief.execute(
        "SELECT key, parent_key, sent_at_ms FROM campaigns WHERE account = ?"
        " AND EXISTS (SELECT 1 FROM snapshots WHERE snapshots.campaign_id = campaigns.id)"
        " AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.campaign_id = campaigns.id AND jobs.harvest_id = ?)",
        (harvest.account, harvest.id),
    )
    yield from (Campaign(row["key"], row["parent_key"], row["sent_at_ms"]) for row in rows)


def rank_newest_first(connection: sqlite3.Connection, harvest: Harvest, run_id: str) -> None:
    """Let the jobs of campaigns that were sent last come first; those of unknown age come last; in a transaction."""
    connection.execute(
        "UPDATE jobs SET rank = coalesce(-(SELECT sent_at_ms FROM campaigns WHERE campaigns.id = campaign_id), 0)"
        " WHERE harvest_id = ? AND run_id = ? AND state = 'pending'",
        (harvest.id, run_id),
    )


def unfinished_dates(database: Database, command: Command, accounts: Sequence[str]) -> list[dt.date]:
    """Return the harvest dates on which runs of a command left open jobs of these accounts."""
    rows = database.durable.execute(
        "SELECT DISTINCT date FROM jobs JOIN runs ON runs.id = jobs.run_id JOIN harvests ON harvests.id = harvest_id"
        " WHERE command = ? AND account IN (SELECT value FROM json_each(?)) AND state IN ('pending', 'running')",
        (command, orjson.dumps(list(accounts)).decode()),
    )
    return [dt.date.fromisoformat(row["date"]) for row in rows]
