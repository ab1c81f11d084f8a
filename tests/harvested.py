"""A folder with finished harvests, as a run leaves it: real ledger, real files, real records."""

import datetime as dt
import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from factories import DATE, rows

from harvester.model import Action, Campaign, Contents, Harvest, Job, Row, StoredPage
from harvester.snapshot import Carry
from harvester.store.carrier import Carrier
from harvester.store.database import Database
from harvester.store.inspection import RecordRules
from harvester.store.ledger import Ledger
from harvester.store.manifest import write_manifest
from harvester.store.partitions import Compression, Partitions
from harvester.store.snapshots import Snapshots
from harvester.zoho.contacts import RecordContext, identity_of_record, lines
from harvester.zoho.record_schema import valid_record

RULES = RecordRules(valid_record, identity_of_record)
WRITTEN_AT = "2026-03-15T02:00:00+00:00"
KEYS = ("k1", "k2", "k3")
PAGE_ROWS = 2


@dataclass(frozen=True)
class Harvested:
    """One account and date, every job of it done or carried.

    Attributes:
        folder: holds `state` and `data`.
        database: the open ledger.
        ledger: of the run "run-1".
        harvest: the account and date.
        jobs: by campaign key.
    """

    folder: Path
    database: Database
    ledger: Ledger
    harvest: Harvest
    jobs: dict[str, Job]

    @property
    def output(self) -> Path:
        return self.folder / "data"

    @property
    def date_folder(self) -> Path:
        return self.output / "recipients" / "account=acme" / f"dt={self.harvest.date}"

    def partition(self, key: str = "k1") -> Path:
        return next(self.date_folder.glob(f"action=*/{key}.jsonl*"))

    def manifest(self) -> Path:
        """Write what the ledger knows now."""
        harvest = self.ledger.open_harvest(self.harvest.account, self.harvest.date)
        return write_manifest(self.output, self.ledger, harvest, WRITTEN_AT)

    def sql(self, statement: str, *values: object) -> None:
        """Change the ledger behind everybody's back."""
        with closing(sqlite3.connect(self.database.path)) as connection, connection:
            connection.execute(statement, values)

    def replace(self, key: str, content: bytes) -> None:
        """Put other bytes in the place of a partition, and let the ledger vouch for them."""
        self.partition(key).write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        self.sql("UPDATE jobs SET bytes = ?, sha256 = ? WHERE id = ?", len(content), sha256, self.jobs[key].id)
        self.manifest()


def harvested(folder: Path, database: Database, compression: Compression = Compression.GZIP) -> Harvested:
    """Harvest each of `KEYS`: three rows in two pages, the second of which begins with the last row of the first."""
    ledger = Ledger(database, "run-1")
    harvest = ledger.open_harvest("acme", DATE)
    ledger.plan(harvest, [Campaign(key) for key in KEYS], [Action.SENT])
    parts = Partitions(folder / "data", compression)
    jobs = {}
    for claimed in ledger.claim(harvest, len(KEYS), now_s=0.0):
        jobs[claimed.job.campaign.key] = claimed.job
        _publish(ledger, parts, claimed.job)
    done = Harvested(folder, database, ledger, harvest, jobs)
    done.manifest()
    return done


def carried(done: Harvested, days: int = 1, carry: Carry = Carry.REFERENCE) -> Harvested:
    """Carry all that stands of a harvest over to a date so many days later, as a quiet night does."""
    harvest = done.ledger.open_harvest("acme", done.harvest.date + dt.timedelta(days=days))
    done.ledger.plan(harvest, [Campaign(key) for key in KEYS], [Action.SENT])
    parts = Partitions(done.output, Compression.GZIP)
    snapshots = Snapshots(done.database, done.ledger.run_id, Carrier(done.output, parts, carry))
    candidates = snapshots.candidates(harvest, 0)
    snapshots.carry([(each.job, each.snapshot, harvest.date) for each in candidates if each.snapshot])
    night = replace(done, harvest=harvest, jobs={each.job.campaign.key: each.job for each in candidates})
    night.manifest()
    return night


def record_lines(job: Job, contacts: Sequence[Row], positions: Sequence[int]) -> bytes:
    """Return the records of contacts at these places of the job's set."""
    context = RecordContext(job.account, job.campaign.key, None, job.action, "2026-03-14T02:00:00.000Z", "run-1")
    return lines(contacts, positions, context)


def _publish(ledger: Ledger, parts: Partitions, job: Job) -> None:
    parts.cut(job, 0, b"")
    pages = []
    for number, (from_index, received_rows, first, count) in enumerate([(1, 2, 1, 2), (2, 2, 3, 1)], start=1):
        frame = parts.frame(record_lines(job, rows(first, count), range(first, first + count)))
        size_bytes, sha256 = parts.append(job, frame)
        pages.append(
            StoredPage(number, from_index, received_rows, count, 0, 0, False, size_bytes, sha256, b"digest")  # noqa: FBT003
        )
    ledger.commit([(job, page) for page in pages], [(job, "short page")], [], wall_s=0.0)
    ledger.commit([], [], [(job, parts.publish([Contents(job, 3)])[0])], wall_s=1_700_000_000.0)
    parts.close_all()
