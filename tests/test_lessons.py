"""What a server has shown of its pages, and what is asked for afterwards."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from factories import DATE, inline

from harvester.engine.lessons import Lessons
from harvester.store.database import Database
from harvester.store.servers import Servers


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    with closing(Database(tmp_path / "ledger.sqlite")) as database:
        yield Servers(database)


def lessons_of(servers: Servers, account: str = "acme") -> Lessons:
    return Lessons(account, DATE, 500, servers, inline)


async def test_A_14_longest_page_outlives_the_run(servers: Servers) -> None:
    """What one run of a date has seen, the next one of the same account builds on."""
    first = lessons_of(servers)
    for rows in (20, 300, 0, 200):
        await first.learn(rows)

    second, other = lessons_of(servers), lessons_of(servers, "other")
    await second.recall()
    await other.recall()

    assert (first.longest_rows, second.longest_rows, other.longest_rows) == (300, 300, 0)


async def test_shorter_page_costs_no_commit(servers: Servers) -> None:
    """Only a record is written down: pages that are no longer than known ones are the rule."""
    lessons = lessons_of(servers)
    await lessons.learn(500)
    before = servers._connection.total_changes

    await lessons.learn(500)
    await lessons.learn(1)

    assert servers._connection.total_changes == before


@pytest.mark.parametrize(("refused", "left"), [([500], 250), ([500, 250, 125], 62), ([3, 1], 1), ([1], 1)])
async def test_range_that_was_refused_is_halved_for_all(servers: Servers, refused: list[int], left: int) -> None:
    """A server that refuses a range twice has a limit, and is asked for half as many rows, down to one."""
    lessons = lessons_of(servers)
    for range_rows in refused:
        lessons.refused(range_rows)
        lessons.refused(range_rows)

    assert lessons.range_rows == left


async def test_many_calls_refused_at_once_halve_the_range_once(servers: Servers) -> None:
    """Sixteen jobs that asked for the same range are one lesson, whatever the order in which they are told."""
    lessons = lessons_of(servers)
    for range_rows in (500, 500, 250, 500, 250):
        lessons.refused(range_rows)

    assert lessons.range_rows == 125


async def test_range_that_was_refused_once_is_no_lesson(servers: Servers) -> None:
    """One refusal may be a whim: only the job that met it asks for less."""
    lessons = lessons_of(servers)

    lessons.refused(500)

    assert lessons.range_rows == 500
