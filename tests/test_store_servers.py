"""What a server has taught us: for its account, and the length of its pages for one date."""

import datetime as dt
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from factories import DATE

from harvester.store.database import Database
from harvester.store.servers import Servers

NEXT_DATE = DATE + dt.timedelta(days=1)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    with closing(Database(tmp_path / "ledger.sqlite")) as database:
        yield Servers(database)


def test_A_14_what_a_server_taught_us_outlives_the_run(tmp_path: Path, servers: Servers) -> None:
    """The longest page only grows, the offset is the last one seen, each for its own account and after a restart."""
    servers.learn_sent_time_offset("acme", 28_800_000)
    for rows in (20, 500, 200):
        servers.learn_page_rows("acme", DATE, rows)

    with closing(Database(tmp_path / "ledger.sqlite")) as database:
        heir = Servers(database)
        assert heir.longest_page_rows("acme", DATE) == 500
        assert heir.sent_time_offset_ms("acme") == 28_800_000
        assert (heir.longest_page_rows("other", DATE), heir.sent_time_offset_ms("other")) == (0, None)


def test_A_14_longest_page_is_not_believed_on_another_date(servers: Servers) -> None:
    """A server may clamp shorter pages from one night to the next: each date finds out for itself."""
    servers.learn_page_rows("acme", DATE, 500)

    assert servers.longest_page_rows("acme", NEXT_DATE) == 0


def test_A_14_other_date_begins_anew_and_leaves_the_offset(servers: Servers) -> None:
    """What the first page of a new date shows replaces the older word, even a greater one; the offset stays."""
    servers.learn_sent_time_offset("acme", 28_800_000)
    servers.learn_page_rows("acme", DATE, 500)

    servers.learn_page_rows("acme", NEXT_DATE, 200)

    assert servers.longest_page_rows("acme", NEXT_DATE) == 200
    assert servers.longest_page_rows("acme", DATE) == 0
    assert servers.sent_time_offset_ms("acme") == 28_800_000
