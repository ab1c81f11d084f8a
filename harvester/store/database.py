"""The one SQLite file of a state folder: opened, recognised, and written in whole transactions.

Two connections of one thread: `durable` syncs every commit, for pages and jobs; `brief` leaves the sync to the next
durable commit or checkpoint, for the calls. A call's lease needs to survive the death of the process only, which any
commit does; after a power failure the boot id differs and every lease that was synced is taken anew (`store.boot`):
only calls since the last stored page can be forgotten.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harvester.errors import ConfigError, DiskError, VerificationError
from harvester.store.disk import FILE_MODE, disk_errors, make_folder, sync_folder

APPLICATION_ID = 0x68727673
"""Marks the file as ours, so that a foreign or emptied file is not taken for a new ledger."""

SCHEMA_VERSION = 1

HEADER_MAGIC = b"SQLite format 3\0"
HEADER_BYTES = 72
APPLICATION_ID_OFFSET = 68
"""Source: the SQLite documentation, "Database File Format", section 1.3."""

REFUSED = "See that the folder can be written, has space, and that no limit on file sizes stands in the way."

BUSY_WAIT_S = 10.0
"""How long a transaction waits for another process; ours last milliseconds."""

SCHEMA = """
CREATE TABLE boots (boot_id TEXT NOT NULL);
CREATE TABLE runs (
    id TEXT PRIMARY KEY, started_s REAL NOT NULL, finished_s REAL, outcome TEXT
) WITHOUT ROWID;
CREATE TABLE harvests (
    id INTEGER PRIMARY KEY, account TEXT NOT NULL, date TEXT NOT NULL, discovery TEXT NOT NULL DEFAULT 'none',
    UNIQUE (account, date)
);
CREATE TABLE campaigns (
    id INTEGER PRIMARY KEY, account TEXT NOT NULL, key TEXT NOT NULL, parent_key TEXT,
    UNIQUE (account, key)
);
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    harvest_id INTEGER NOT NULL REFERENCES harvests, campaign_id INTEGER NOT NULL REFERENCES campaigns,
    action TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'pending',
    attempts INTEGER NOT NULL DEFAULT 0, not_before_s REAL NOT NULL DEFAULT 0,
    calls INTEGER NOT NULL DEFAULT 0, codes TEXT NOT NULL DEFAULT '{}',
    ending TEXT, code TEXT, reason TEXT, remedy TEXT,
    path TEXT, rows INTEGER, bytes INTEGER, sha256 TEXT, finished_s REAL, run_id TEXT,
    UNIQUE (harvest_id, campaign_id, action)
);
CREATE INDEX jobs_by_run ON jobs (harvest_id, run_id, state, id);
CREATE TABLE pages (
    job_id INTEGER NOT NULL REFERENCES jobs, number INTEGER NOT NULL,
    from_index INTEGER NOT NULL, rows INTEGER NOT NULL, end_bytes INTEGER NOT NULL,
    sha256 BLOB NOT NULL, digest BLOB NOT NULL,
    PRIMARY KEY (job_id, number)
) WITHOUT ROWID;
CREATE TABLE servers (
    account TEXT PRIMARY KEY, longest_page_rows INTEGER NOT NULL DEFAULT 0, sent_time_offset_ms INTEGER
) WITHOUT ROWID;
CREATE TABLE calls (
    id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, endpoint TEXT NOT NULL,
    started_s REAL NOT NULL, stamp_s REAL NOT NULL, asleep_s REAL NOT NULL, is_out INTEGER NOT NULL DEFAULT 1
);
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


class Database:
    """The file, open; to be used by one thread.

    Raises:
        VerificationError: the file is no ledger of ours, or damaged; it is left untouched.
        ConfigError: it was made by a newer version.
        DiskError: the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
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
        """Close the file; every transaction was whole before."""
        self.brief.close()
        self.durable.close()

    @contextmanager
    def writing(self, connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it, or nothing."""
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
        return connection

    def _create(self) -> None:
        """Build the empty ledger beside its place and move it there whole: a kill never leaves half of one."""
        draft = self.path.with_name(f".{self.path.name}.draft")
        for leftover in self.path.parent.glob(f"{draft.name}*"):
            leftover.unlink()
        draft.touch(mode=FILE_MODE)
        with self.refusals():
            connection = self._connect(draft, "FULL")
            connection.executescript(SCHEMA)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.close()
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
        if version > SCHEMA_VERSION:
            self.close()
            raise ConfigError(
                f"{self.path}: written by a newer harvester (schema {version}, this one knows {SCHEMA_VERSION}).",
                "Use the newer version.",
            )

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Translate what SQLite refuses; its messages name no values of ours.

        Raises:
            DiskError: full, locked, or not to be read.
            VerificationError: damaged.
        """
        try:
            yield
        except sqlite3.OperationalError as error:
            raise DiskError(f"{self.path}: {error}.", REFUSED) from None
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.IntegrityError):
                raise
            raise VerificationError(f"{self.path}: {error}.", "Restore the ledger from a backup.") from None
