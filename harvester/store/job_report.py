"""One job as the manifest and `status` show it."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from harvester.model import JobState


@dataclass(frozen=True, slots=True)
class JobReport:
    """One job as the manifest and `status` show it."""

    campaign_key: str
    parent_campaign_key: str | None
    action: str
    state: JobState
    calls: int
    codes: Mapping[str, int]
    rows: int | None
    bytes: int | None
    sha256: str | None
    path: str | None
    ending: str | None
    code: str | None
    reason: str | None
    remedy: str | None
    attempts: int
    not_before_s: float


REPORTED_AS_STORED = (
    *("action", "calls", "rows", "bytes", "sha256", "path", "ending"),
    *("code", "reason", "remedy", "attempts", "not_before_s"),
)


def report_of(row: sqlite3.Row) -> JobReport:
    """Return a row of jobs, joined with its campaign's keys, as a report."""
    return JobReport(
        campaign_key=row["key"],
        parent_campaign_key=row["parent_key"],
        state=JobState(row["state"]),
        codes=orjson.loads(row["codes"]),
        **{name: row[name] for name in REPORTED_AS_STORED},
    )
