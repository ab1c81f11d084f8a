"""What DuckDB is held to: room, and an end when somebody asks for it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from harvester.warehouse.engine import close, connected, interruptible

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
