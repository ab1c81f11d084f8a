"""Jobs sent back to pending: what is forgotten, by cause, on a real file."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from factories import DATE, stored_page

from harvester.model import Action, Campaign, Harvest, JobState, Published
from harvester.store.database import Database
from harvester.store.ledger import Ledger
from harvester.store.requeuing import Cause, Chosen, go_on, start_anew

FILE = ("path", "rows", "bytes", "sha256", "finished_s")
SPENT = {"calls": 0, "codes": "{}", "retries": 0, "waited_s": 0.0}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Two jobs with a partition each, of which everything is known that can be forgotten."""
    with closing(Database(tmp_path / "ledger.sqlite")) as database:
        ledger = Ledger(database, "run-1")
        harvest = ledger.open_harvest("acme", DATE)
        ledger.plan(harvest, [Campaign("k1"), Campaign("k2")], [Action.SENT])
        for claimed in ledger.claim(harvest, 2, now_s=0.0):
            ledger.commit([(claimed.job, stored_page())], [(claimed.job, "short page")], [], 1.0)
            ledger.commit([], [], [(claimed.job, Published("p", 1, 2, "ab"))], 1.0)
        database.durable.execute(
            "UPDATE jobs SET verdict = 'proven', is_doubted = 1, attempts = 2, not_before_s = 9, calls = 5,"
            " codes = '{\"0\": 5}', retries = 3, waited_s = 4, code = '500', reason = 'why', remedy = 'what',"
            " quarantine = '[[1, 2]]'"
        )
        yield database


def jobs(database: Database) -> list[dict[str, Any]]:
    return [dict(row) for row in database.durable.execute("SELECT * FROM jobs ORDER BY id")]


def pages(database: Database) -> list[int]:
    return [row["job_id"] for row in database.durable.execute("SELECT job_id FROM pages ORDER BY job_id")]


def bring(connection: sqlite3.Connection, state: JobState) -> Chosen:
    connection.execute("UPDATE jobs SET state = ?", (state,))
    return Chosen((state,), "id = ?", (1,))


@pytest.mark.parametrize("cause", Cause)
def test_a_job_that_starts_anew_is_judged_anew(database: Database, cause: Cause) -> None:
    """Whatever the cause, no page, ending or verdict of the rows given up is left, and other jobs keep theirs."""
    untouched = jobs(database)[1]

    assert start_anew(database.durable, Chosen((JobState.DONE,), "id = ?", (1,)), cause) == 1

    job, other = jobs(database)
    assert (job["state"], job["attempts"], job["not_before_s"]) == ("pending", 0, 0)
    assert {job[name] for name in ("verdict", "ending", "code", "reason", "remedy")} == {None}
    assert (pages(database), other) == ([2], untouched)
    assert job["is_doubted"] == (cause is Cause.DOUBTED)


@pytest.mark.parametrize("cause", Cause)
def test_P4_a_file_is_forgotten_only_where_it_is_gone(database: Database, cause: Cause) -> None:
    """What stands on disk stays known, with its quarantine, until a new partition takes its place."""
    before = jobs(database)[0]

    start_anew(database.durable, Chosen((JobState.DONE,), "id = ?", (1,)), cause)

    job, is_gone = jobs(database)[0], cause is Cause.FILE_GONE
    assert {name: job[name] for name in FILE} == {name: None if is_gone else before[name] for name in FILE}
    assert job["quarantine"] == ("[]" if is_gone else "[[1, 2]]")


@pytest.mark.parametrize("cause", Cause)
def test_what_was_spent_stays_with_the_run_that_doubts(database: Database, cause: Cause) -> None:
    """A doubted job is harvested again in the same run, so both harvests are its cost; else the old is forgotten."""
    before = jobs(database)[0]

    start_anew(database.durable, Chosen((JobState.DONE,), "id = ?", (1,)), cause)

    expected = {name: before[name] for name in SPENT} if cause is Cause.DOUBTED else SPENT
    assert {name: jobs(database)[0][name] for name in SPENT} == expected


@pytest.mark.parametrize(("state", "is_doubted"), [("partial", 1), ("failed", 1), ("done", 0), ("skipped", 0)])
def test_P2_a_doubt_lasts_until_the_set_was_read_again(database: Database, state: str, is_doubted: int) -> None:
    """To a job that still lacks rows short pages prove nothing; one that was read to its end starts without a doubt."""
    start_anew(database.durable, bring(database.durable, JobState(state)), Cause.ASKED)

    assert jobs(database)[0]["is_doubted"] == is_doubted


def test_a_job_that_goes_on_keeps_its_pages(database: Database) -> None:
    """Only why it stopped is forgotten."""
    go_on(database.durable, bring(database.durable, JobState.FAILED))

    job = jobs(database)[0]
    assert (job["state"], job["code"], job["attempts"], job["calls"]) == ("pending", None, 0, 5)
    assert pages(database) == [1, 2]


def test_no_job_goes_from_pending_to_pending() -> None:
    """The table of states is asked, once for all who send jobs back."""
    with pytest.raises(ValueError, match="from pending to pending"):
        Chosen((JobState.DONE, JobState.PENDING), "id = ?", (1,))


def test_A_25_P2_rows_harvested_for_a_missing_file_have_no_old_verdict(database: Database) -> None:
    """The file was removed: what the counter said of its rows says nothing of the new ones."""
    ledger = Ledger(database, "run-1")
    harvest: Harvest = ledger.open_harvest("acme", DATE)

    assert ledger.requeue_missing(harvest, lambda _path, _size: False) == 2

    assert {(job["verdict"], job["is_doubted"], job["path"]) for job in jobs(database)} == {(None, 0, None)}
