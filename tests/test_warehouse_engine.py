"""What DuckDB is held to: room, and an end when somebody asks for it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from harvester.errors import ConfigError, VerificationError
from harvester.store.partitions import Compression
from harvester.warehouse import engine as engine_module
from harvester.warehouse.engine import close, connected, interruptible, refusals

ENDLESS = "SELECT sum(hash(a.range + b.range)) FROM range(10000000) AS a, range(10000000) AS b"


@contextmanager
def engine(scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = connected(scratch)
    try:
        yield connection
    finally:
        close(connection)


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt, as in a program that was started by hand."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_an_interrupt_ends_a_statement(tmp_path: Path) -> None:
    """Whenever it comes, also before the engine has begun."""
    person = threading.main_thread().ident
    assert person is not None
    with engine(tmp_path) as connection:

        def work() -> None:
            signal.pthread_kill(person, signal.SIGINT)
            connection.execute(ENDLESS)

        with pytest.raises(KeyboardInterrupt):
            interruptible(connection, work)

    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_engine_leaves_room_on_the_disk(tmp_path: Path) -> None:
    """What does not fit into memory takes a share of what is free, never nine tenths as it would by itself."""
    with engine(tmp_path) as connection:
        (told,) = connection.execute("SELECT current_setting('max_temp_directory_size')").fetchall()[0]

    assert "%" not in told


class Lingering:
    """A connection whose statement goes on for some time after it was interrupted."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.is_closed = False

    def close(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise duckdb.ResourceInUseException
        self.is_closed = True


@pytest.mark.parametrize(("times", "is_closed"), [(0, True), (2, True), (1_000_000, False)])
def test_an_engine_is_closed_once_it_lets_go(times: int, is_closed: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """And one that never does is left to the end of the process, after a bounded time."""
    monkeypatch.setattr(engine_module, "LOOK_S", 0.001)
    monkeypatch.setattr(engine_module, "CLOSE_WAIT_S", 5.0 if is_closed else 0.01)
    connection: Any = Lingering(times)

    close(connection)

    assert connection.is_closed is is_closed


def damaged(member: bytes, at: int, put: bytes) -> bytes:
    """A sound member or frame, and behind it one with other bytes at a place."""
    return member + member[:at] + put + member[at + len(put) :]


GZIP, ZSTD = (each.frame(b'{"a":1}\n' * 1_000) for each in (Compression.GZIP, Compression.ZSTD))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("extra.gz", damaged(GZIP, 3, b"\x04")[: len(GZIP) + 10] + b"\xff\xff" + GZIP[12:]),
        ("method.gz", damaged(GZIP, 2, b"\x00")),
        ("body.gz", damaged(GZIP, 12, b"\xff" * 8)),
        ("descriptor.zst", damaged(ZSTD, 0, b"\x00")),
        ("parameter.zst", damaged(ZSTD, 4, b"\xff")),
        ("body.zst", damaged(ZSTD, 8, b"\xff" * 8)),
    ],
)
def test_a_file_that_cannot_be_unpacked_is_at_fault(name: str, content: bytes, tmp_path: Path) -> None:
    """Neither the disk nor the statement, though the engine often does not say which file it is."""
    path = tmp_path / f"x.jsonl.{name}"
    path.write_bytes(content)

    with engine(tmp_path) as connection, pytest.raises(VerificationError), refusals():
        connection.execute(f"FROM read_json('{path}', format = 'newline_delimited', columns = {{a: 'INT'}})").fetchall()


def test_what_a_statement_says_of_compression_is_its_own(tmp_path: Path) -> None:
    """Words that only look like those for a damaged file leave the fault with the statement."""
    with engine(tmp_path) as connection, pytest.raises(ConfigError), refusals():
        connection.execute("SELECT 'gzip, zstd, corrupt'::INTEGER").fetchall()
