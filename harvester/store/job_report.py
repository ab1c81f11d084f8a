"""One job as the manifest and `status` show it."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from harvester.model import SHORT_PAGE, JobState

PAGE_SUM = "(SELECT coalesce(sum({0}), 0) FROM pages WHERE job_id = jobs.id)"
UNREADABLE_PAGES = """(
    SELECT json_group_array(json_array(from_index, unreadable_rows)) FROM pages
    WHERE job_id = jobs.id AND unreadable_rows
)"""
"""The stored pages with rows that could not be read: where each begins in the set, and how many such rows it has."""

UNJOINED_PAGES = """(
    SELECT count(*) FROM pages JOIN pages AS next ON next.job_id = pages.job_id AND next.number = pages.number + 1
    WHERE pages.job_id = jobs.id AND next.from_index = pages.from_index + pages.received_rows
)"""
"""How many pages have no row in common with the one before, so that nobody can tell whether the set moved between."""

CARRIED_FROM = """(
    SELECT date FROM jobs AS origin JOIN harvests ON harvests.id = origin.harvest_id WHERE origin.id = jobs.origin_id
    AND jobs.state IN ('carried', 'skipped')
)"""
"""The harvest date on which the set of a carried job was read."""

PAGE_SUMS = (
    f"{PAGE_SUM.format(1)} AS pages, {PAGE_SUM.format('duplicates')} AS duplicates,"
    f" {PAGE_SUM.format('is_shifted')} AS is_shifted, {UNJOINED_PAGES} AS unjoined_pages,"
    f" {PAGE_SUM.format('NOT (rows OR duplicates OR unreadable_rows)')} AS repeating_pages,"
    f" iif(path IS NULL, {UNREADABLE_PAGES}, quarantine) AS unreadable_pages,"
    " (SELECT rows FROM counters WHERE counters.harvest_id = jobs.harvest_id"
    " AND counters.campaign_id = jobs.campaign_id AND counters.action = jobs.action) AS counter_rows,"
    f" {CARRIED_FROM} AS carried_from"
)
"""What the pages of a job come to together, what its counter says, and where its set was read; in a query on jobs."""

ENDINGS_WITHOUT_CALL = frozenset({None, SHORT_PAGE})


@dataclass(frozen=True, slots=True)
class JobReport:
    """One job as the manifest and `status` show it.

    `unreadable_rows`, and `unreadable_from` that names the pages of such rows by their first row's place in the set,
    are of the partition that stands, else of the pages stored so far. `unjoined_pages` are those that share no row with
    the page before them, so that a move of the set would not show there. `counter_rows` is how many rows there should
    be, if that is known. `due` says why the set was read on this date, and `carried_from` is the ISO date of the
    harvest that read it instead: the pages and their calls are told there. `changes` is what the comparison with the
    harvest before it found, as `change_book.JobChanges` has it; None while it is not compared. `started_s` is when the
    reading from its first row began, and `finished_s` when the partition that stands was published, in wall time.
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
    unjoined_pages: int
    retries: int
    waited_s: float
    confirmations: int
    verdict: str | None
    counter_rows: int | None
    is_doubted: bool
    due: str | None
    carried_from: str | None
    started_s: float | None
    finished_s: float | None
    changes: Mapping[str, object] | None

    @property
    def consistency(self) -> str:
        """Whether the set was seen to move while it was read: "shifted", "steady", or "unchecked" in part at least."""
        if self.is_shifted:
            return "shifted"
        return "unchecked" if self.unjoined_pages else "steady"


REPORTED_AS_STORED = (
    *("action", "calls", "rows", "bytes", "sha256", "path", "ending"),
    *("code", "reason", "remedy", "attempts", "not_before_s"),
    *("pages", "duplicates", "unjoined_pages", "retries", "waited_s", "verdict", "counter_rows"),
    *("due", "carried_from", "started_s", "finished_s"),
)


def report_of(row: sqlite3.Row) -> JobReport:
    """Return a row of jobs, joined with its campaign's keys, as a report."""
    unreadable_pages = orjson.loads(row["unreadable_pages"])
    return JobReport(
        campaign_key=row["key"],
        parent_campaign_key=row["parent_key"],
        state=JobState(row["state"]),
        codes=orjson.loads(row["codes"]),
        confirmations=row["repeating_pages"] + (row["pages"] > 0 and row["ending"] not in ENDINGS_WITHOUT_CALL),
        unreadable_rows=sum(rows for _, rows in unreadable_pages),
        unreadable_from=[from_index for from_index, _ in unreadable_pages],
        is_shifted=bool(row["is_shifted"]),
        is_doubted=bool(row["is_doubted"]),
        changes=orjson.loads(row["changes"] or "null"),
        **{name: row[name] for name in REPORTED_AS_STORED},
    )
