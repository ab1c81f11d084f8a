"""Which jobs are whose: a run takes campaigns and actions into its plan, and leaves those of others at work to them."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from harvester.model import Action, Campaign, Harvest

NOT_LIVE = "(jobs.run_id IS NULL OR jobs.run_id NOT IN (SELECT value FROM json_each(?)))"
"""Whether a job belongs to no other run that is at work now."""

YIELDED = """(
    state = 'pending' AND (SELECT command FROM runs WHERE id = excluded.run_id) = 'nightly'
    AND (SELECT command FROM runs WHERE id = jobs.run_id) = 'backfill'
)"""
"""Whether a job goes to the run that plans it although the one that has it is at work: the nightly run comes first."""

NOT_IN_THE_WAY = """(
    (SELECT command FROM runs WHERE id = jobs.run_id) IS NOT 'backfill' OR NOT EXISTS (
        SELECT 1 FROM jobs AS theirs JOIN runs ON runs.id = theirs.run_id
        WHERE theirs.campaign_id = jobs.campaign_id AND theirs.action = jobs.action AND theirs.id != jobs.id
        AND theirs.state IN ('pending', 'running') AND runs.command = 'nightly'
        AND theirs.run_id IN (SELECT value FROM json_each(?))
    )
)"""
"""Whether a job may be taken up now: a backfill waits for the sets that a nightly run at work is about to read."""

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
