"""The jobs of the ledger, read to be held against the files; nothing is believed that contradicts itself.

SQLite's own check misses most single bits that flip, so whatever a row holds is taken for data of a stranger.
"""

import datetime as dt
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from harvester.errors import VerificationError
from harvester.model import Action, Campaign, Harvest, Job, JobState, Published
from harvester.store.database import Database
from harvester.store.date_totals import DateTotals, date_totals
from harvester.store.ledger import Ledger

BATCH_JOBS = 500
"""Jobs read in one transaction: a long one would keep SQLite from tidying up behind a run."""

ENTRY = """
    SELECT jobs.id, harvests.account, harvests.date, key, parent_key, jobs.action, jobs.state,
        jobs.path, jobs.rows, jobs.bytes, jobs.sha256,
        origin.id AS origin_id, origins.date AS origin_date, origin.state AS origin_state,
        origin.path AS origin_path, origin.rows AS origin_rows, origin.bytes AS origin_bytes,
        origin.sha256 AS origin_sha256
    FROM jobs JOIN harvests ON harvests.id = jobs.harvest_id JOIN campaigns ON campaigns.id = jobs.campaign_id
    LEFT JOIN jobs AS origin ON origin.id = jobs.origin_id
    LEFT JOIN harvests AS origins ON origins.id = origin.harvest_id
"""

RESTORE = "Restore the ledger from a backup; what lies in the output folder was left as it is."


@dataclass(frozen=True, slots=True)
class Entry:
    """One job as the ledger has it.

    Attributes:
        job: whose.
        state: where it stands.
        published: its partition; None where it has none.
        origin: the job of an earlier harvest that read its set, where it is carried; no origin has one itself.
    """

    job: Job
    state: JobState
    published: Published | None
    origin: "Entry | None" = None


@dataclass(frozen=True, slots=True)
class PageSpan:
    """A committed page, as far as the places of its rows go; the attributes are those of `StoredPage`."""

    from_index: int
    received_rows: int
    rows: int
    unreadable_rows: int


class Entries:
    """Reads the ledger; every method may raise VerificationError where it makes no sense.

    Args:
        database: the open file.
    """

    def __init__(self, database: Database) -> None:
        self._path = database.path
        self._database = database
        self._connection = database.durable
        self._ledger = Ledger(database, run_id="")

    def check(self) -> None:
        """Let SQLite look through the whole file."""
        for pragma in ("integrity_check(1)", "foreign_key_check"):
            with self._sound():
                found = self._connection.execute(f"PRAGMA {pragma}").fetchone()
            if found is not None and found[0] != "ok":
                raise VerificationError(f"{self._path}: the ledger is damaged: {found[0]}.", RESTORE)

    def harvests(self) -> list[Harvest]:
        """Return all harvests, newest date first."""
        with self._sound():
            return self._ledger.harvests(is_purged_too=True)

    def is_purged(self, harvest: Harvest) -> bool:
        """Tell whether a harvest was purged: what is left of it, later dates have as theirs."""
        row = self._connection.execute("SELECT purge FROM harvests WHERE id = ?", (harvest.id,)).fetchone()
        return bool(row and row["purge"])

    def counts(self, harvest: Harvest) -> dict[JobState, int]:
        """Return how many jobs stand in each state."""
        with self._sound():
            return self._ledger.counts(harvest)

    def totals(self, harvest: Harvest) -> DateTotals:
        """Return what all jobs of a harvest come to."""
        with self._sound():
            return date_totals(self._database, harvest)

    def entries(self, harvest: Harvest) -> Iterator[Entry]:
        """Yield the jobs in the order of the plan; between two of them no transaction is open."""
        first, last = self._connection.execute(
            "SELECT min(id), max(id) FROM jobs WHERE harvest_id = ?", (harvest.id,)
        ).fetchone()
        if first is None:
            return
        for begin in range(first, last + 1, BATCH_JOBS):
            # The + keeps SQLite from walking an index of all jobs of the harvest for each batch.
            batch = "jobs.id BETWEEN ? AND ? AND +jobs.harvest_id = ?"
            yield from self._read(batch, begin, begin + BATCH_JOBS - 1, harvest.id)

    def entry(self, job_id: int) -> Entry | None:
        """Return one job, as it is now."""
        return next(iter(self._read("jobs.id = ?", job_id)), None)

    def carriers(self, origin_id: int, published: Published) -> list[Entry]:
        """Return the carried jobs of an origin that have this very file as their partition, in order of their dates."""
        these = "jobs.origin_id = ? AND jobs.path = ? AND jobs.sha256 = ? AND jobs.state = 'carried'"
        found = self._read(these, origin_id, published.path, published.sha256)
        return sorted(found, key=lambda entry: entry.job.date)

    def pages(self, job: Job) -> list[PageSpan]:
        """Return the committed pages of a job, in their order."""
        with self._sound():
            rows = self._connection.execute(
                "SELECT from_index, received_rows, rows, unreadable_rows FROM pages WHERE job_id = ? ORDER BY number",
                (job.id,),
            )
            return [PageSpan(*map(int, row)) for row in rows]

    def _read(self, condition: str, *values: int | str) -> list[Entry]:
        with self._sound():
            rows = self._connection.execute(f"{ENTRY} WHERE {condition} ORDER BY jobs.id", values)
            return [_entry_of(row) for row in rows]

    @contextmanager
    def _sound(self) -> Iterator[None]:
        """Say clearly that the ledger is damaged, where a value in it cannot be."""
        try:
            yield
        except (ValueError, TypeError, AttributeError):
            raise VerificationError(f"{self._path}: the ledger is damaged: a value in it cannot be.", RESTORE) from None
        except sqlite3.OperationalError as error:
            if "decode" not in str(error):  # what sqlite3 says of text that is no UTF-8
                raise
            raise VerificationError(f"{self._path}: the ledger is damaged: text that is no UTF-8.", RESTORE) from None


def _entry_of(row: sqlite3.Row) -> Entry:
    date = dt.date.fromisoformat(row["date"])
    job = Job(row["id"], row["account"], Campaign(row["key"], row["parent_key"]), Action(row["action"]), date)
    origin = None
    if row["origin_id"] is not None:
        there = replace(job, id=row["origin_id"], date=dt.date.fromisoformat(row["origin_date"]))
        origin = Entry(there, JobState(row["origin_state"]), _published(row, "origin_"))
    return Entry(job, JobState(row["state"]), _published(row), origin)


def _published(row: sqlite3.Row, of: str = "") -> Published | None:
    if row[f"{of}path"] is None:
        return None
    return Published(str(row[f"{of}path"]), int(row[f"{of}rows"]), int(row[f"{of}bytes"]), str(row[f"{of}sha256"]))
