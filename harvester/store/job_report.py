"""One job as the manifest and `status` show it."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from harvester.model import JobState

PAGE_SUM = "(SELECT coalesce(sum({0}), 0) FROM pages WHERE job_id = jobs.id)"
PAGE_SUMS = (
    f"{PAGE_SUM.format(1)} AS pages, {PAGE_SUM.format('duplicates')} AS duplicates,"
    f" {PAGE_SUM.format('unreadable_rows')} AS unreadable_rows, {PAGE_SUM.format('is_shifted')} AS is_shifted,"
    f" {PAGE_SUM.format('rows = 0')} AS idle_pages,"
    " (SELECT json_group_array(from_index) FROM pages WHERE job_id = jobs.id AND unreadable_rows) AS unreadable_from,"
    " (SELECT rows FROM counters WHERE counters.harvest_id = jobs.harvest_id"
    " AND counters.campaign_id = jobs.campaign_id AND counters.action = jobs.action) AS counter_rows"
)
"""What the pages of a job come to together, and what its counter says, in a query on jobs."""


@dataclass(frozen=True, slots=True)
class JobReport:
    """One job as the manifest and `status` show it.

    `unreadable_from` names the pages of which rows could not be read, by their first row's place in the set;
    `counter_rows` is how many rows there should be, if that is known.
    """

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
    pages: int
    duplicates: int
    unreadable_rows: int
    unreadable_from: Sequence[int]
    is_shifted: bool
    retries: int
    waited_s: float
    confirmations: int
    verdict: str | None
    counter_rows: int | None
    is_doubted: bool


REPORTED_AS_STORED = (
    *("action", "calls", "rows", "bytes", "sha256", "path", "ending"),
    *("code", "reason", "remedy", "attempts", "not_before_s"),
    *("pages", "duplicates", "unreadable_rows", "retries", "waited_s", "verdict", "counter_rows"),
)


def report_of(row: sqlite3.Row) -> JobReport:
    """Return a row of jobs, joined with its campaign's keys, as a report."""
    return JobReport(
        campaign_key=row["key"],
        parent_campaign_key=row["parent_key"],
        state=JobState(row["state"]),
        codes=orjson.loads(row["codes"]),
        confirmations=row["idle_pages"] + (row["pages"] > 0 and row["ending"] not in {None, "short page"}),
        unreadable_from=orjson.loads(row["unreadable_from"]),
        is_shifted=bool(row["is_shifted"]),
        is_doubted=bool(row["is_doubted"]),
        **{name: row[name] for name in REPORTED_AS_STORED},
    )
