"""One campaign as the manifest shows it, beside its jobs."""

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from harvester.model import Harvest
from harvester.store.database import Database

COUNTERS = """(
    SELECT json_group_object(action, rows) FROM counters
    WHERE counters.harvest_id = notes.harvest_id AND counters.campaign_id = notes.campaign_id
)"""


@dataclass(frozen=True, slots=True)
class CampaignReport:
    """One campaign as the manifest shows it.

    Attributes:
        campaign_key: its key.
        counters: rows that each action should have.
        counters_code: of the answer that told them, or that refused to; None if nobody asked.
        broken_laws: by law, how many contacts break it.
        laws_unchecked: why the laws were not checked; empty if they were, or nothing was there to check.
        details: what replies in XML said of the campaign.
    """

    campaign_key: str
    counters: Mapping[str, int]
    counters_code: str | None
    broken_laws: Mapping[str, int]
    laws_unchecked: str
    details: Mapping[str, Any]


def campaign_reports(database: Database, harvest: Harvest) -> Iterator[CampaignReport]:
    """Yield the campaigns of a harvest of which something is known, one at a time; memory stays flat."""
    rows = database.durable.execute(
        f"SELECT key, {COUNTERS} AS counters, counters_code, broken_laws, details FROM campaign_notes AS notes"
        " JOIN campaigns ON campaigns.id = notes.campaign_id WHERE harvest_id = ? ORDER BY campaign_id",
        (harvest.id,),
    )
    return map(_report_of, rows)


def _report_of(row: sqlite3.Row) -> CampaignReport:
    laws = orjson.loads(row["broken_laws"] or "{}")
    return CampaignReport(
        campaign_key=row["key"],
        counters=orjson.loads(row["counters"]),
        counters_code=row["counters_code"],
        broken_laws=laws.get("broken", {}),
        laws_unchecked=laws.get("unchecked", ""),
        details=orjson.loads(row["details"] or "{}"),
    )
