"""What the ledger tells of an account's earlier harvests."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from factories import CAMPAIGN_KEY, DATE, stored_page

from harvester.history import OpenSet
from harvester.model import Action, Campaign, Counters, GivenUp, Harvest, JobState, Published
from harvester.store.account_history import AccountHistory
from harvester.store.counters import CounterBook
from harvester.store.database import Database
from harvester.store.ledger import Ledger

ACTIONS = (Action.SENT, Action.OPENED)
NEXT = DATE + dt.timedelta(days=1)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


def begun(database: Database, date: dt.date = DATE, key: str = CAMPAIGN_KEY) -> tuple[Ledger, Harvest]:
    ledger = Ledger(database, f"run-{date}")
    harvest = ledger.open_harvest("acme", date)
    ledger.plan(harvest, [Campaign(key)], ACTIONS)
    return ledger, harvest


def read_whole(database: Database, rows: int, date: dt.date = DATE) -> None:
    ledger, harvest = begun(database, date)
    for claimed in ledger.claim(harvest, 10, 0.0):
        partition = Published(f"{claimed.job.action}.jsonl", rows, 10, "00")
        ledger.commit(
            [(claimed.job, stored_page(count=rows))], [(claimed.job, "short page")], [(claimed.job, partition)], 0.0
        )


def history(database: Database, date: dt.date = NEXT) -> AccountHistory:
    return AccountHistory(database, "acme", date, ACTIONS)


def test_nothing_is_known_of_a_new_account(database: Database) -> None:
    """No set, no habit, no bound."""
    known, habits = history(database).campaign("3zff"), history(database).habits()

    assert (dict(known.sets), known.is_counted, known.is_refused) == ({}, False, False)
    assert (habits.longest_page_rows, habits.page_rows_max, habits.retry_share, dict(habits.typical)) == (
        0,
        None,
        0,
        {},
    )
    assert history(database).latency_s() is None


def test_the_next_date_meets_the_last_harvest(database: Database) -> None:
    """The snapshot is that of the date before, and the new date has no job yet."""
    read_whole(database, rows=120)

    known = history(database).campaign(CAMPAIGN_KEY)

    assert set(known.sets) == set(ACTIONS)
    for each in known.sets.values():
        assert each.snapshot is not None
        assert each.snapshot.partition is not None
        assert (each.state, each.snapshot.date, each.snapshot.partition.rows) == (None, DATE, 120)


def test_the_same_date_meets_its_own_jobs(database: Database) -> None:
    """They are done, and no snapshot of themselves."""
    read_whole(database, rows=120)

    known = history(database, DATE).campaign(CAMPAIGN_KEY)

    assert {each.state for each in known.sets.values()} == {JobState.DONE}
    assert {each.snapshot for each in known.sets.values()} == {None}


def test_pages_that_are_stored_are_told(database: Database) -> None:
    """A job that was cut off goes on behind them."""
    ledger, harvest = begun(database)
    (first, _) = ledger.claim(harvest, 10, 0.0)
    ledger.commit([(first.job, stored_page(count=60))], [], [], 0.0)

    assert history(database, DATE).campaign(CAMPAIGN_KEY).sets[Action.SENT].pages == 1


def test_open_sets_are_told_with_what_is_known_of_them(database: Database) -> None:
    """Those of this run that are pending: as the date before left them, and none that is done."""
    read_whole(database, rows=1_200)
    ledger, harvest = begun(database, NEXT)
    counters = CounterBook(database, ledger.run_id)
    (campaign_id, _) = counters.uncounted(harvest, 0, 1)[0]
    counters.note(harvest, campaign_id, Counters({Action.SENT: 1_500}))

    open_sets = list(history(database).open_sets(harvest, ledger.run_id))

    assert open_sets == [OpenSet(Action.SENT, 1_500, 1_200, 0), OpenSet(Action.OPENED, None, 1_200, 0)]
    assert list(history(database).open_sets(harvest, "another run")) == []


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.SKIPPED])
def test_a_campaign_that_refused_is_known_to_refuse(database: Database, state: JobState) -> None:
    """Whether that was an error or simply nothing to ask for."""
    ledger, harvest = begun(database)
    jobs = [claimed.job for claimed in ledger.claim(harvest, 1, 0.0)]
    ledger.give_up_campaign(harvest, jobs, GivenUp(state, "6607", "no privilege", ""))

    assert history(database).campaign(CAMPAIGN_KEY).is_refused


def test_a_campaign_whose_sets_failed_each_in_its_way_refuses_nothing(database: Database) -> None:
    """Each of its sets is priced."""
    ledger, harvest = begun(database)
    for claimed, code in zip(ledger.claim(harvest, 2, 0.0), ("6001", "http-500"), strict=True):
        ledger.give_up(claimed.job, GivenUp(JobState.FAILED, code, "given up", ""))

    assert not history(database).campaign(CAMPAIGN_KEY).is_refused


@pytest.mark.parametrize(("longest_rows", "page_rows_max"), [(100, 100), (120, None)])
def test_a_clamp_shows_where_a_larger_set_had_no_longer_page(
    database: Database, longest_rows: int, page_rows_max: int | None
) -> None:
    """Where no set was larger than the longest page, nobody can tell."""
    read_whole(database, rows=120)
    with database.writing(database.durable) as connection:
        connection.execute("INSERT INTO servers (account, longest_page_rows) VALUES ('acme', ?)", (longest_rows,))

    assert history(database).habits().page_rows_max == page_rows_max


def test_typical_sets_and_tries_are_those_of_the_last_harvests(database: Database) -> None:
    """Means by action, and the share of the calls that were tried again."""
    read_whole(database, rows=120)
    with database.writing(database.durable) as connection:
        connection.execute("UPDATE jobs SET calls = 4, retries = 1")

    habits = history(database).habits()

    assert habits.retry_share == 0.25
    assert {(each.rows, each.calls, each.calls_max) for each in habits.typical.values()} == {(120, 3, 4)}


def test_answers_take_as_long_as_they_took_of_late(database: Database) -> None:
    """By the calls whose outcome was seen; those taken anew after a boot say nothing."""
    with database.writing(database.durable) as connection:
        connection.executemany(
            "INSERT INTO calls (account, endpoint, started_s, stamp_s, asleep_s, is_out) VALUES (?, 'e', ?, ?, 0, ?)",
            [("acme", 10.0, 10.4, 0), ("acme", 20.0, 20.6, 0), ("acme", 30.0, 30.0, 0), ("acme", 40.0, 160.0, 1)],
        )

    assert history(database).latency_s() == pytest.approx(0.5)
