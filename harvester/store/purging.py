"""Old dates taken away, from files and ledger, in an order in which a kill does no harm.

First the ledger says that the dates are purged: from then on nobody misses their files or manifests. Then the files go,
the manifests ahead of what they name; and at last what the ledger knows of them. Partitions that later dates still have
as theirs stay, each with the job that read it, until no later date has them.
"""

import datetime as dt
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harvester.errors import VerificationError
from harvester.model import Action, Campaign, Harvest, Job
from harvester.store.change_files import CHANGES
from harvester.store.database import Database
from harvester.store.date_folder import files_below
from harvester.store.disk import disk_errors, sync_folder
from harvester.store.ledger import Ledger
from harvester.store.listing_files import FOLDER as LISTINGS
from harvester.store.manifest_reading import MANIFEST, SUCCESS
from harvester.store.partitions import QUARANTINE, RECIPIENTS, Compression, Partitions, without_place
from harvester.store.stale_exports import discard_stale

BATCH_JOBS = 1_000
"""Jobs removed from the ledger in one transaction."""

BEGUN, DONE = "begun", "done"
"""What the ledger says of a date that is purged."""

FREE_SHARE_MAX = 0.25
"""A ledger with more free pages than this is written anew without them."""

KEPT = """EXISTS (
    SELECT 1 FROM jobs AS later JOIN harvests AS later_harvests ON later_harvests.id = later.harvest_id
    WHERE later.origin_id = jobs.id AND later_harvests.purge IS NULL AND later_harvests.date >= :before
)"""
"""Whether a job of an old date read a set that a later date carries."""

OLD_DATE = f"""
    SELECT count(*) AS jobs, total(is_kept) AS kept, total(goes) AS partitions,
        total(iif(goes, rows, 0)) AS rows, total(iif(goes, bytes, 0)) AS bytes,
        total(state IN ('pending', 'running')) AS open_jobs
    FROM (
        SELECT *, {KEPT} AS is_kept, NOT {KEPT} AND ifnull(instr(path, :own), 0) AS goes
        FROM jobs WHERE harvest_id = :harvest
    )
"""
"""What there is of a date; `:own` stands in the path of what lies in its own folder."""

GO_ON = "Run harvester purge again: it goes on where it was cut off."


@dataclass(frozen=True, slots=True)
class OldDate:
    """What a purge takes of one account and date.

    Attributes:
        harvest: the account and date.
        partitions: files of its own that go, with their `rows` and `bytes`; not those of earlier dates that it carries.
        rows: likewise.
        bytes: likewise.
        open_jobs: jobs of it that no run has ended, such as those of a backfill that was stopped.
        kept: partitions that stay, as later dates have them.
    """

    harvest: Harvest
    partitions: int
    rows: int
    bytes: int
    open_jobs: int
    kept: int


class Purge:
    """The dates before one; nobody else may write meanwhile.

    Args:
        database: the open ledger.
        output: the output folder.
        before: the first date that stays.
    """

    def __init__(self, database: Database, output: Path, before: dt.date) -> None:
        self._database = database
        self._connection = database.durable
        self._output = output
        self._before = before.isoformat()

    def dates(self) -> list[OldDate]:
        """Return what would go, the oldest date first; dates of which nothing goes are left out."""
        known = reversed(Ledger(self._database, "").harvests(is_purged_too=True))
        old = (each for each in known if each.date.isoformat() < self._before or self._purge_of(each) == BEGUN)
        found = [self._old_date(harvest) for harvest in old]
        return [each for each in found if each is not None]

    def carry_out(self, dates: list[OldDate]) -> None:
        """Remove them; killed at any moment, the same purge goes on."""
        self._connection.execute("PRAGMA secure_delete = ON")
        self._announce(dates)
        for each in dates:
            self._remove_files(each.harvest)
        for each in dates:
            self._remove_jobs(each.harvest)
        discard_stale(self._database, self._output)  # what was made of partitions that are gone
        self._conclude()
        self._shrink()

    def _old_date(self, harvest: Harvest) -> OldDate | None:
        row = self._connection.execute(
            OLD_DATE,
            {"harvest": harvest.id, "before": self._before, "own": f"/dt={harvest.date.isoformat()}/"},
        ).fetchone()
        if row["jobs"] == row["kept"] and self._purge_of(harvest) == DONE:
            return None
        return OldDate(harvest, *(int(row[name]) for name in ("partitions", "rows", "bytes", "open_jobs", "kept")))

    def _purge_of(self, harvest: Harvest) -> str | None:
        row = self._connection.execute("SELECT purge FROM harvests WHERE id = ?", (harvest.id,)).fetchone()
        purge: str | None = row["purge"]
        return purge

    def _announce(self, dates: list[OldDate]) -> None:
        with self._database.writing(self._connection) as connection:
            for each in dates:
                connection.execute(
                    "UPDATE harvests SET purge = ?, is_mistold = 0, listing = NULL, discovery = 'none' WHERE id = ?",
                    (BEGUN, each.harvest.id),
                )
                connection.execute("UPDATE jobs SET changes = NULL WHERE harvest_id = ?", (each.harvest.id,))

    # --- files ------------------------------------------------------------------------------------------------------

    def _remove_files(self, harvest: Harvest) -> None:
        account, date = harvest.account, harvest.date.isoformat()
        folder = f"account={account}/dt={date}"
        for name in (SUCCESS, MANIFEST):  # so no reader is told of what is not there
            self._unlink(self._output / RECIPIENTS / folder / name)
        kept = self._kept_files(harvest)
        for place in (RECIPIENTS, CHANGES, LISTINGS, QUARANTINE):
            for path in list(files_below(self._output / place / folder)):
                relative = str(path.relative_to(self._output))
                if relative not in kept and without_place(relative) not in kept:
                    self._unlink(path)
            self._remove_empty(self._output / place / folder)
        Partitions(self._output, Compression.NONE).sweep(account, harvest.date)

    def _kept_files(self, harvest: Harvest) -> set[str]:
        """Return the partitions that stay, and the names of their replies without the place."""
        place = Partitions(self._output, Compression.NONE)
        kept = set[str]()
        for row in self._jobs(harvest, KEPT):
            job = Job(row["id"], harvest.account, Campaign(row["key"]), Action(row["action"]), harvest.date)
            kept.add(without_place(str(place.quarantine_path(job, 1))))
            if row["path"] is not None:
                kept.add(row["path"])
        return kept

    def _jobs(self, harvest: Harvest, condition: str) -> Iterator[sqlite3.Row]:
        yield from self._connection.execute(
            "SELECT jobs.id, jobs.action, path, key FROM jobs JOIN campaigns ON campaigns.id = campaign_id"
            f" WHERE harvest_id = :harvest AND {condition}",
            {"harvest": harvest.id, "before": self._before},
        ).fetchall()

    @staticmethod
    def _unlink(path: Path) -> None:
        with disk_errors(path):
            path.unlink(missing_ok=True)

    @staticmethod
    def _remove_empty(folder: Path) -> None:
        """Remove a folder and those below it as far as they are empty; the names are durable on return."""
        with disk_errors(folder):
            if not folder.is_dir():
                return
            for inner in sorted((each for each in folder.rglob("*") if each.is_dir()), reverse=True):
                if not any(inner.iterdir()):
                    inner.rmdir()
            if any(folder.iterdir()):
                sync_folder(folder)
                return
            folder.rmdir()
            sync_folder(folder.parent)

    # --- ledger -----------------------------------------------------------------------------------------------------

    def _remove_jobs(self, harvest: Harvest) -> None:
        doomed = [row["id"] for row in self._jobs(harvest, f"NOT {KEPT}")]
        for begin in range(0, len(doomed), BATCH_JOBS):
            with self._database.writing(self._connection) as connection:
                for job_id in doomed[begin : begin + BATCH_JOBS]:
                    _remove_job(connection, job_id)
        with self._database.writing(self._connection) as connection:
            for table in ("counters", "campaign_notes"):
                connection.execute(f"DELETE FROM {table} WHERE harvest_id = ?", (harvest.id,))
            connection.execute(
                "DELETE FROM harvests WHERE id = ? AND NOT EXISTS (SELECT 1 FROM jobs WHERE harvest_id = harvests.id)",
                (harvest.id,),
            )

    def _conclude(self) -> None:
        """Take the word for it that the purge is done; runs and lockouts of before go with it."""
        moment_s = dt.datetime.fromisoformat(self._before).replace(tzinfo=dt.UTC).timestamp()
        with self._database.writing(self._connection) as connection:
            connection.execute(
                "DELETE FROM runs WHERE started_s < ? AND id NOT IN (SELECT run_id FROM jobs WHERE run_id IS NOT NULL)",
                (moment_s,),
            )
            connection.execute("DELETE FROM lockout_records WHERE until_wall_s < ?", (moment_s,))
            connection.execute("UPDATE harvests SET purge = ? WHERE purge = ?", (DONE, BEGUN))

    def _shrink(self) -> None:
        """Empty the log, and give free pages back where they are many and there is room for a second ledger."""
        with self._database.refusals():
            free, pages = (
                self._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_count")
            )
            path = self._database.path
            if free > FREE_SHARE_MAX * pages and shutil.disk_usage(path.parent).free > 2 * path.stat().st_size:
                self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def revive(database: Database, account: str, date: dt.date) -> None:
    """Make a date that was purged one like others again, since a run is for it.

    Raises:
        VerificationError: its purge was cut off, so that nobody knows which of its files are gone.
    """
    which = "WHERE account = ? AND date = ? AND purge"
    values = account, date.isoformat()
    if database.durable.execute(f"SELECT 1 FROM harvests {which} = '{BEGUN}'", values).fetchone():
        raise VerificationError(f"{account} {date}: harvester purge was cut off.", GO_ON)
    with database.writing(database.durable) as connection:
        connection.execute(f"UPDATE harvests SET purge = NULL {which} = '{DONE}'", values)


def refuse_half_purged(database: Database) -> None:
    """Raise VerificationError if a purge was cut off, so that files may be gone that the ledger lists."""
    row = database.durable.execute("SELECT 1 FROM harvests WHERE purge = ?", (BEGUN,)).fetchone()
    if row is not None:
        raise VerificationError(f"{database.path}: harvester purge is at work, or was cut off.", GO_ON)


def _remove_job(connection: sqlite3.Connection, job_id: int) -> None:
    """Remove what the ledger knows of a job; jobs of other old dates that it was carried to forget where from."""
    connection.execute("DELETE FROM pages WHERE job_id = ?", (job_id,))
    connection.execute("DELETE FROM snapshots WHERE origin_id = ?", (job_id,))
    connection.execute("UPDATE jobs SET origin_id = NULL WHERE origin_id = ?", (job_id,))
    connection.execute("DELETE FROM jobs WHERE id = ?", (job_id,))
