"""The file of the ledger: opened, recognised or refused, and written in whole transactions."""

import re
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from factories import no_umask

from harvester.errors import BusyError, ConfigError, DiskError, VerificationError
from harvester.store import database as module
from harvester.store.database import APPLICATION_ID, SCHEMA_VERSION, Database

SYNCHRONOUS_NORMAL, SYNCHRONOUS_FULL = 1, 2


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path / "ledger.sqlite")) as opened:
        yield opened


def pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def boots(connection: sqlite3.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT boot_id FROM boots")]


def foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (value)")


def test_new_file_is_marked_as_ours(database: Database) -> None:
    """A new ledger carries our application id and schema version."""
    assert pragma(database.durable, "application_id") == APPLICATION_ID
    assert pragma(database.durable, "user_version") == SCHEMA_VERSION


def test_L_07_durable_connection_syncs_every_commit(database: Database) -> None:
    """Pages and jobs are committed with synchronous FULL on a write-ahead log; only calls are content with NORMAL."""
    assert pragma(database.durable, "synchronous") == SYNCHRONOUS_FULL
    assert pragma(database.brief, "synchronous") == SYNCHRONOUS_NORMAL
    assert pragma(database.durable, "journal_mode") == "wal"


def test_reopened_file_keeps_what_was_committed(tmp_path: Path) -> None:
    """Opening a ledger again changes nothing in it."""
    path = tmp_path / "ledger.sqlite"
    with closing(Database(path)) as first, first.writing(first.durable) as connection:
        connection.execute("INSERT INTO boots VALUES ('boot-1')")

    with closing(Database(path)) as second:
        assert boots(second.durable) == ["boot-1"]
        assert pragma(second.durable, "synchronous") == SYNCHRONOUS_FULL


def test_draft_left_by_a_kill_is_replaced(tmp_path: Path) -> None:
    """A start that died while it built the ledger leaves only a draft, which the next start throws away."""
    for name in (".ledger.sqlite.draft", ".ledger.sqlite.draft-wal"):
        (tmp_path / name).write_bytes(b"half a ledger")

    with closing(Database(tmp_path / "ledger.sqlite")) as database:
        assert boots(database.durable) == []

    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("content", [b"", b"garbage" * 1_000, b"SQLite format 3\0", b"\0" * 4_096])
def test_L_01_file_that_is_no_ledger_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    """A zero-length, torn or garbage file is neither taken for a new ledger nor changed by a byte."""
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(content)

    with pytest.raises(VerificationError, match="left as it is"):
        Database(path)

    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_L_01_foreign_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    """The SQLite file of another program is refused, its bytes and its journal mode unchanged."""
    path = tmp_path / "ledger.sqlite"
    foreign_database(path)
    before = path.read_bytes()

    with pytest.raises(VerificationError, match="not a ledger of harvester"):
        Database(path)

    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_L_01_truncated_ledger_is_refused(tmp_path: Path) -> None:
    """A ledger cut in half is told at the start, not when a table is first read."""
    path = tmp_path / "ledger.sqlite"
    Database(path).close()
    half = path.read_bytes()[: path.stat().st_size // 2]
    path.write_bytes(half)

    with pytest.raises(VerificationError, match="malformed"):
        Database(path)

    assert path.read_bytes() == half


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, SCHEMA_VERSION - 1])
def test_L_03_ledger_of_another_version_is_refused_with_both_versions(tmp_path: Path, version: int) -> None:
    """A ledger of another version is no error of the disk: the message names both versions and the file stays."""
    path = tmp_path / "ledger.sqlite"
    Database(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    before = path.read_bytes()

    with pytest.raises(ConfigError, match=f"schema {version}, this one knows {SCHEMA_VERSION}"):
        Database(path)

    assert path.read_bytes() == before


@pytest.mark.parametrize("word", [b"CREATE TABLE jobs", b"tablejobsjobs"], ids=["its definition", "its name"])
def test_L_02_damaged_schema_is_damage_and_no_bug(tmp_path: Path, word: bytes) -> None:
    """Bytes that are no text where a table is described are told as damage of the file."""
    path = tmp_path / "ledger.sqlite"
    Database(path).close()
    content = path.read_bytes()
    assert content.count(word) == 1
    path.write_bytes(content.replace(word, bytes(byte | 0x80 for byte in word)))

    with pytest.raises(VerificationError, match=re.escape(str(path))):
        Database(path)


def test_transaction_that_fails_leaves_nothing(database: Database) -> None:
    """An exception inside a transaction takes all of it back, and the connection can be used again."""

    def names() -> Iterator[tuple[str]]:
        yield ("lost",)
        raise KeyError

    with pytest.raises(KeyError), database.writing(database.durable) as connection:
        connection.executemany("INSERT INTO boots VALUES (?)", names())

    with database.writing(database.durable) as connection:
        connection.execute("INSERT INTO boots VALUES ('kept')")
    assert boots(database.durable) == ["kept"]


def test_broken_constraint_is_a_bug_of_ours(database: Database) -> None:
    """A violated constraint is not excused as a fault of the disk or of the file."""
    with pytest.raises(sqlite3.IntegrityError), database.writing(database.durable) as connection:
        connection.execute("INSERT INTO boots VALUES (NULL)")


def test_L_04_file_held_by_another_process_is_no_trouble_of_the_disk(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who cannot get at the file in time is told that another process holds it, with exit 5, and can write after it."""
    monkeypatch.setattr(module, "BUSY_WAIT_S", 0.0)

    with closing(Database(tmp_path / "ledger.sqlite")) as impatient:
        with (
            database.writing(database.durable),
            pytest.raises(BusyError, match=r"ledger\.sqlite: another process has held the ledger") as caught,
            impatient.writing(impatient.durable),
        ):
            pass
        with impatient.writing(impatient.durable) as connection:
            connection.execute("INSERT INTO boots VALUES ('boot-1')")

    assert caught.value.exit_code == 5
    assert "let it go on or end it" in caught.value.remedy
    assert boots(database.durable) == ["boot-1"]


def test_D_04_file_that_cannot_be_written_is_trouble_of_the_disk(database: Database) -> None:
    """Every other refusal of SQLite stays one of the disk, with what to look at."""
    database.durable.execute("PRAGMA query_only = ON")

    with pytest.raises(DiskError, match="readonly") as caught, database.writing(database.durable) as connection:
        connection.execute("INSERT INTO boots VALUES ('lost')")

    assert caught.value.exit_code == 7


def test_both_connections_see_one_file(database: Database) -> None:
    """What the brief connection commits, the durable one reads at once."""
    with database.writing(database.brief) as connection:
        connection.execute("INSERT INTO boots VALUES ('boot-1')")

    assert boots(database.durable) == ["boot-1"]


def test_S_06_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Ledger, log and shared memory have mode 0600 and their folder 0700, even where the umask forbids nothing."""
    state = tmp_path / "deep" / "state"

    with no_umask(), closing(Database(state / "ledger.sqlite")) as database:
        with database.writing(database.brief) as connection:
            connection.execute("INSERT INTO boots VALUES ('boot-1')")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()}

    assert modes == dict.fromkeys(("ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"), 0o600)
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (state, state.parent)] == [0o700, 0o700]
