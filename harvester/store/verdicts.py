"""What the counters said of finished jobs, and which of them are to be harvested again for it."""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import orjson

from harvester.model import Action, Harvest, JobState
from harvester.store.database import Database
from harvester.store.job_report import PAGE_SUM
from harvester.store.requeuing import Cause, Chosen, start_anew

COUNTED = """
LEFT JOIN counters ON counters.harvest_id = jobs.harvest_id AND counters.campaign_id = jobs.campaign_id
    AND counters.action = jobs.action
"""
READ = "jobs.state IN ('done', 'partial')"
FINISHED = "jobs.state IN ('done', 'partial', 'carried')"
"""Jobs that a verdict can be made of, and those that have one: a carried job has that of the one that read its set."""

COUNTED_ROWS = "coalesce(counters.rows, iif(jobs.state = 'carried', counter_at_start, NULL))"
"""What the counter says of a set; of a carried one that nobody asked about on this date, what it said then."""

FINDING = "substr(verdict, 1, instr(verdict || ' ', ' ') - 1)"
"""The first word of a verdict: "short" of "short by 3"."""


@dataclass(frozen=True, slots=True)
class FinishedJob:
    """A job as it is judged.

    Attributes:
        id: the ledger's number of it.
        campaign_key: of its campaign.
        action: its action.
        verdict: the one that it has, if any.
        rows, duplicates, unreadable_rows, is_shifted: what its pages came to.
        counter_rows: how many rows there should be; None where that is not known.
        pages: how many there are.
        is_doubted: whether it was harvested again before.
    """

    id: int
    campaign_key: str
    action: Action
    verdict: str | None
    rows: int
    duplicates: int
    unreadable_rows: int
    is_shifted: bool
    counter_rows: int | None
    pages: int
    is_doubted: bool

    @property
    def missing_rows(self) -> int:
        """How many rows of those counted are not there, not even in quarantine; 0 where nothing was counted."""
        return max(0, (self.counter_rows or 0) - self.rows - self.unreadable_rows)

    @property
    def is_empty(self) -> bool:
        """Whether set and counter are empty, so that they say nothing of each other."""
        return not (self.rows or self.counter_rows)


class VerdictBook:
    """The verdicts on the jobs of all harvests of one state folder.

    Args:
        database: the open file.
        run_id: of the run whose plan is meant.
    """

    def __init__(self, database: Database, run_id: str) -> None:
        self._database = database
        self._connection = database.durable
        self._run_id = run_id

    def unjudged(self, harvest: Harvest) -> Iterator[FinishedJob]:
        """Yield the finished jobs of the plan that have no verdict, or an unknown one, while verdicts are written.

        They are read on the other connection: it sees what was there at the beginning.
        """
        unjudged = f"{READ} AND jobs.harvest_id = ? AND jobs.run_id = ? AND (verdict IS NULL OR verdict = 'unknown')"
        return _finished(self._database.brief, unjudged, (harvest.id, self._run_id))

    def write(self, verdicts: Iterable[tuple[int, str]]) -> None:
        """Write down verdicts, each with the number of its job."""
        with self._database.writing(self._connection) as connection:
            connection.executemany(
                "UPDATE jobs SET verdict = ? WHERE id = ?", ((verdict, job_id) for job_id, verdict in verdicts)
            )

    def short(self, harvest: Harvest, *, is_plan_only: bool = True) -> Iterator[FinishedJob]:
        """Yield the jobs that have fewer rows than were counted, in the order of the plan."""
        return _finished(
            self._connection,
            "jobs.harvest_id = ? AND (NOT ? OR jobs.run_id = ?) AND verdict LIKE 'short%' ORDER BY jobs.id",
            (harvest.id, is_plan_only, self._run_id),
        )

    def findings(self, harvest: Harvest, *, is_plan_only: bool = True) -> dict[str, int]:
        """Return how many finished jobs there are of each finding; none where nothing was counted."""
        rows = self._connection.execute(
            f"SELECT {FINDING} AS finding, count(*) AS jobs FROM jobs WHERE {FINISHED} AND verdict IS NOT NULL"
            " AND harvest_id = ? AND (NOT ? OR run_id = ?) GROUP BY finding",
            (harvest.id, is_plan_only, self._run_id),
        )
        return {row["finding"]: row["jobs"] for row in rows}

    def findings_by_action(self, harvest: Harvest) -> dict[Action, dict[str, int]]:
        """Return the same of each action over the whole date, without the sets that are empty by rows and counter."""
        rows = self._connection.execute(
            f"SELECT jobs.action, {FINDING} AS finding, count(*) AS jobs FROM jobs {COUNTED}"
            f" WHERE {FINISHED} AND verdict IS NOT NULL AND jobs.harvest_id = ?"
            " AND (jobs.rows > 0 OR counters.rows > 0) GROUP BY jobs.action, finding",
            (harvest.id,),
        )
        found: dict[Action, dict[str, int]] = {}
        for row in rows:
            found.setdefault(Action(row["action"]), {})[row["finding"]] = row["jobs"]
        return found

    def distrust(self, harvest: Harvest, but: Iterable[Action], tolerance_share: float) -> None:
        """See that sets which stay short of their counters are read again when they are next due.

        Rows may appear later than they are counted: on an equal counter they would stay hidden. A counter that does not
        fit its action at all says nothing of the kind.

        Args:
            harvest: the date.
            but: actions whose counters do not fit.
            tolerance_share: of the counted rows, that may be missing.
        """
        with self._database.writing(self._connection) as connection:
            connection.execute(
                f"UPDATE snapshots SET counter_rows = NULL WHERE origin_id IN (SELECT jobs.id FROM jobs {COUNTED}"
                " WHERE jobs.harvest_id = ? AND jobs.run_id = ? AND verdict LIKE 'short%'"
                " AND counters.rows - jobs.rows > counters.rows * ?"
                " AND jobs.action NOT IN (SELECT value FROM json_each(?)))",
                (harvest.id, self._run_id, tolerance_share, orjson.dumps(sorted(but)).decode()),
            )

    def doubt(self, job_ids: Iterable[int]) -> None:
        """Send done jobs back to their first row, and have their campaigns counted again.

        The partition stays, and its place in the manifest, until a new one takes it.
        """
        with self._database.writing(self._connection) as connection:
            for job_id in job_ids:
                start_anew(connection, Chosen((JobState.DONE,), "id = ?", (job_id,)), Cause.DOUBTED)
                connection.execute(
                    "UPDATE campaign_notes SET counters_code = NULL WHERE (harvest_id, campaign_id) IN"
                    " (SELECT harvest_id, campaign_id FROM jobs WHERE id = ?)",
                    (job_id,),
                )


def _finished(connection: sqlite3.Connection, condition: str, values: tuple[object, ...]) -> Iterator[FinishedJob]:
    rows = connection.execute(
        "SELECT jobs.id, key, jobs.action, verdict, jobs.rows, is_doubted,"
        f" {COUNTED_ROWS} AS counter_rows,"
        f" {PAGE_SUM.format(1)} AS pages, {PAGE_SUM.format('duplicates')} AS duplicates,"
        f" {PAGE_SUM.format('unreadable_rows')} AS unreadable_rows, {PAGE_SUM.format('is_shifted')} AS is_shifted"
        f" FROM jobs JOIN campaigns ON campaigns.id = jobs.campaign_id {COUNTED} WHERE {FINISHED} AND {condition}",
        values,
    )
    return map(_finished_job, rows)


def _finished_job(row: sqlite3.Row) -> FinishedJob:
    return FinishedJob(
        id=row["id"],
        campaign_key=row["key"],
        action=Action(row["action"]),
        verdict=row["verdict"],
        rows=row["rows"],
        duplicates=row["duplicates"],
        unreadable_rows=row["unreadable_rows"],
        is_shifted=bool(row["is_shifted"]),
        counter_rows=row["counter_rows"],
        pages=row["pages"],
        is_doubted=bool(row["is_doubted"]),
    )
