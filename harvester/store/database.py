"""The one SQLite file of a state folder: opened, recognised, and written in whole transactions.

Two connections of one thread: `durable` syncs every commit, for pages and jobs; `brief` leaves the sync to the next
durable commit or checkpoint, for the calls. A call's lease needs to survive the death of the process only, which any
commit does; after a power failure the boot id differs and every lease that was synced is taken anew (`store.boot`):
only calls since the last stored page can be forgotten.
"""

import ctypes
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from harvester.errors import BusyError, ConfigError, DiskError, VerificationError
from harvester.store.disk import FILE_MODE, disk_errors, make_folder, sync_folder

APPLICATION_ID = 0x68727673
"""Marks the file as ours, so that a foreign or emptied file is not taken for a new ledger."""

SCHEMA_VERSION = 5

HEADER_MAGIC = b"SQLite format 3\0"
HEADER_BYTES = 72
APPLICATION_ID_OFFSET = 68
"""Source: the SQLite documentation, "Database File Format", section 1.3."""

REFUSED = "See that the folder can be written, has space, and that no limit on file sizes stands in the way."
HELD = "Look for a harvester or an SQLite tool that stands still on this file, let it go on or end it, then try again."

TOO_OLD = "Choose another state folder: what it knows cannot be taken over."

BUSY_WAIT_S = 10.0
"""How long a transaction waits for another process; ours last milliseconds."""

PRIMARY_CODE = 0xFF
"""Masks the kind of an error out of SQLite's extended codes: busy is busy, whatever for."""

NO_FAULT_OF_THE_DISK = frozenset({0, sqlite3.SQLITE_ERROR})
"""A missing table, or text that is none, which the Python module finds without a code: the file is damaged."""

SCHEMA = """
CREATE TABLE boots (boot_id TEXT NOT NULL);
CREATE TABLE runs (
    id TEXT PRIMARY KEY, command TEXT NOT NULL, started_s REAL NOT NULL, finished_s REAL, outcome TEXT,
    config_sha256 TEXT
) WITHOUT ROWID;
CREATE TABLE harvests (
    id INTEGER PRIMARY KEY, account TEXT NOT NULL, date TEXT NOT NULL, discovery TEXT NOT NULL DEFAULT 'none',
    listing TEXT, privacy TEXT NOT NULL DEFAULT '[]', purge TEXT,
    is_mistold INTEGER NOT NULL DEFAULT 0,
    UNIQUE (account, date)
);
CREATE TABLE erasures (
    id TEXT PRIMARY KEY, subject TEXT NOT NULL UNIQUE, began_at TEXT NOT NULL,
    files INTEGER NOT NULL DEFAULT 0, rows INTEGER NOT NULL DEFAULT 0, step TEXT
) WITHOUT ROWID;
CREATE TABLE campaigns (
    id INTEGER PRIMARY KEY, account TEXT NOT NULL, key TEXT NOT NULL, parent_key TEXT, sent_at_ms INTEGER,
    split TEXT,
    UNIQUE (account, key)
);
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    harvest_id INTEGER NOT NULL REFERENCES harvests, campaign_id INTEGER NOT NULL REFERENCES campaigns,
    action TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'pending',
    rank REAL NOT NULL DEFAULT 0, due TEXT, counter_at_start INTEGER, origin_id INTEGER REFERENCES jobs,
    attempts INTEGER NOT NULL DEFAULT 0, not_before_s REAL NOT NULL DEFAULT 0,
    calls INTEGER NOT NULL DEFAULT 0, codes TEXT NOT NULL DEFAULT '{}',
    retries INTEGER NOT NULL DEFAULT 0, waited_s REAL NOT NULL DEFAULT 0,
    ending TEXT, code TEXT, reason TEXT, remedy TEXT, verdict TEXT, is_doubted INTEGER NOT NULL DEFAULT 0,
    path TEXT, rows INTEGER, bytes INTEGER, sha256 TEXT, quarantine TEXT NOT NULL DEFAULT '[]',
    started_s REAL, finished_s REAL, changes TEXT, run_id TEXT,
    UNIQUE (harvest_id, campaign_id, action)
);
CREATE INDEX jobs_by_run ON jobs (harvest_id, run_id, state, rank, id);
CREATE INDEX jobs_by_campaign ON jobs (campaign_id, action);
CREATE INDEX jobs_by_origin ON jobs (origin_id) WHERE origin_id IS NOT NULL;
CREATE TABLE snapshots (
    campaign_id INTEGER NOT NULL REFERENCES campaigns, action TEXT NOT NULL,
    origin_id INTEGER NOT NULL REFERENCES jobs, checked_on TEXT NOT NULL, counter_rows INTEGER,
    PRIMARY KEY (campaign_id, action)
) WITHOUT ROWID;
CREATE TABLE pages (
    job_id INTEGER NOT NULL REFERENCES jobs, number INTEGER NOT NULL,
    from_index INTEGER NOT NULL, received_rows INTEGER NOT NULL, rows INTEGER NOT NULL,
    duplicates INTEGER NOT NULL, unreadable_rows INTEGER NOT NULL, is_shifted INTEGER NOT NULL,
    end_bytes INTEGER NOT NULL, sha256 BLOB NOT NULL, digest BLOB NOT NULL,
    PRIMARY KEY (job_id, number)
) WITHOUT ROWID;
CREATE TABLE counters (
    harvest_id INTEGER NOT NULL REFERENCES harvests, campaign_id INTEGER NOT NULL REFERENCES campaigns,
    action TEXT NOT NULL, rows INTEGER NOT NULL,
    PRIMARY KEY (harvest_id, campaign_id, action)
) WITHOUT ROWID;
CREATE TABLE campaign_notes (
    harvest_id INTEGER NOT NULL REFERENCES harvests, campaign_id INTEGER NOT NULL REFERENCES campaigns,
    details TEXT, broken_laws TEXT, counters_code TEXT,
    PRIMARY KEY (harvest_id, campaign_id)
) WITHOUT ROWID;
CREATE TABLE publications (
    target TEXT NOT NULL, path TEXT NOT NULL,
    sha256 TEXT, modified_ns INTEGER,
    PRIMARY KEY (target, path)
) WITHOUT ROWID;
CREATE TABLE servers (
    account TEXT PRIMARY KEY, longest_page_rows INTEGER NOT NULL DEFAULT 0, longest_page_date TEXT,
    sent_time_offset_ms INTEGER
) WITHOUT ROWID;
CREATE TABLE calls (
    id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, endpoint TEXT NOT NULL,
    started_s REAL NOT NULL, stamp_s REAL NOT NULL, asleep_s REAL NOT NULL, is_out INTEGER NOT NULL DEFAULT 1,
    command TEXT NOT NULL DEFAULT 'run'
);
CREATE TABLE demands (
    account TEXT NOT NULL, endpoint TEXT NOT NULL, command TEXT NOT NULL, until_s REAL NOT NULL,
    PRIMARY KEY (account, endpoint, command)
) WITHOUT ROWID;
CREATE INDEX calls_by_stamp ON calls (account, endpoint, stamp_s);
CREATE TABLE lockouts (
    account TEXT NOT NULL, endpoint TEXT NOT NULL,
    phase TEXT NOT NULL, until_s REAL NOT NULL, until_wall_s REAL NOT NULL, level INTEGER NOT NULL,
    probe_until_s REAL NOT NULL,
    PRIMARY KEY (account, endpoint)
) WITHOUT ROWID;
CREATE TABLE lockout_records (
    id INTEGER PRIMARY KEY, account TEXT NOT NULL, endpoint TEXT NOT NULL,
    seen_wall_s REAL NOT NULL, until_wall_s REAL NOT NULL, level INTEGER NOT NULL,
    code TEXT NOT NULL, message TEXT NOT NULL, calls_in_window INTEGER NOT NULL
);
"""


MARKS = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"


class Database:
    """The file, open; to be used by one thread.

    Raises:
        VerificationError: the file is no ledger of ours, or damaged; it is left untouched.
        ConfigError: it was made by a newer version.
        DiskError: the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_lost = False
        with disk_errors(path):
            make_folder(path.parent)
            if not path.exists():
                self._create()
            self._recognise()
        with self.refusals():
            self.durable = self._connect(path, "FULL")
            self.brief = self._connect(path, "NORMAL")
            self._check_version()

    def close(self) -> None:
        """Close the file; every transaction was whole before.

        Not once the device has failed: to close is to sync the log again, and a system that has forgotten what it could
        not write calls that a success. The file is left to the next run, which reads the log anew; a reference that
        nobody gives back keeps the interpreter from closing it at its end.
        """
        if self._is_lost:
            for connection in (self.brief, self.durable):
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
            return
        self.brief.close()
        self.durable.close()

    @contextmanager
    def writing(self, connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it, or nothing."""
        if self._is_lost:
            raise DiskError(f"{self.path}: the device has failed.", REFUSED)
        with self.refusals():
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # SQLite has rolled back by itself where the disk was full
                    connection.execute("ROLLBACK")
                raise

    @staticmethod
    def _connect(path: Path, synchronous: str) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=BUSY_WAIT_S, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten: digests of rows are
        return connection

    def _create(self) -> None:
        """Build the empty ledger beside its place and move it there whole: a kill never leaves half of one."""
        draft = self.path.with_name(f".{self.path.name}.draft")
        for leftover in self.path.parent.glob(f"{draft.name}*"):
            leftover.unlink()
        draft.touch(mode=FILE_MODE)
        # Without a log or journal beside it: what the disk refuses to take out of a log, as its last connection closes,
        # is not told of, and the rename would leave it behind. A draft needs neither, and one sync.
        with self.refusals(), closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            connection.executescript(
                f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN; {SCHEMA} {MARKS} COMMIT;"
                "PRAGMA journal_mode = WAL"
            )
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.rename(self.path)
        sync_folder(self.path.parent)

    def _recognise(self) -> None:
        """Look for our mark before SQLite sees the file: it would write into an empty or a foreign one."""
        with self.path.open("rb") as file:
            header = file.read(HEADER_BYTES)
        is_ours = int.from_bytes(header[APPLICATION_ID_OFFSET:]) == APPLICATION_ID
        if not (header.startswith(HEADER_MAGIC) and is_ours):
            raise VerificationError(
                f"{self.path}: not a ledger of harvester; it was left as it is.",
                "Choose another state folder, or restore the ledger from a backup.",
            )

    def _check_version(self) -> None:
        version = self.durable.execute("PRAGMA user_version").fetchone()[0]
        if version == SCHEMA_VERSION:
            return
        self.close()
        writer, remedy = ("a newer", "Use the newer version.") if version > SCHEMA_VERSION else ("an older", TOO_OLD)
        raise ConfigError(
            f"{self.path}: written by {writer} harvester (schema {version}, this one knows {SCHEMA_VERSION}).", remedy
        )

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Translate what SQLite refuses; its messages name no values of ours.

        Raises:
            BusyError: another process has held the file for longer than `BUSY_WAIT_S`.
            DiskError: full, or not to be read.
            VerificationError: damaged.
        """
        try:
            yield
        except sqlite3.OperationalError as error:
            code = getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE
            if code == sqlite3.SQLITE_BUSY:
                message = f"{self.path}: another process has held the ledger for more than {BUSY_WAIT_S:g} s."
                raise BusyError(message, HELD) from None
            if code in NO_FAULT_OF_THE_DISK:
                raise self._damaged(error) from None
            self._is_lost |= code == sqlite3.SQLITE_IOERR
            raise DiskError(f"{self.path}: {error}.", REFUSED) from None
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.IntegrityError):
                raise
            raise self._damaged(error) from None
        except UnicodeDecodeError:
            raise self._damaged("text that is no text") from None

    def _damaged(self, what: object) -> VerificationError:
        return VerificationError(f"{self.path}: {what}.", "Restore the ledger from a backup.")
