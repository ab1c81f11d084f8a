"""What is known of campaigns beside their rows: the size of a set, and what replies said."""

import datetime as dt
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from factories import DATE

from harvester.model import Action, Campaign, Harvest, Job, JobState, Published
from harvester.store.campaign_notes import CampaignNotes
from harvester.store.database import Database
from harvester.store.ledger import Ledger

DAY = dt.timedelta(days=1)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path / "ledger.sqlite")) as opened:
        yield opened


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database, "run-1")


@pytest.fixture
def notes(database: Database) -> CampaignNotes:
    return CampaignNotes(database)


def running(ledger: Ledger, harvest: Harvest, key: str = "k", action: Action = Action.SENT) -> Job:
    ledger.plan(harvest, [Campaign(key)], [action])
    return next(
        each.job
        for each in ledger.claim(harvest, 100, now_s=0.0)
        if (each.job.campaign.key, each.job.action) == (key, action)
    )


def done(ledger: Ledger, date: dt.date, rows: int, account: str = "acme", *, unreadable_rows: int = 0) -> None:
    """Leave a harvest of an earlier date whose one job had so many rows."""
    job = running(ledger, ledger.open_harvest(account, date))
    partition = Published(f"{date}", rows, bytes=1, sha256="ab" * 32, unreadable_rows=unreadable_rows)
    ledger.commit([], [], [(job, partition)], wall_s=float(date.toordinal()))


def count(database: Database, job: Job, rows: int) -> None:
    """Write down what the campaign's counters say."""
    with database.writing(database.durable) as connection:
        connection.execute(
            "INSERT INTO counters (harvest_id, campaign_id, action, rows)"
            " SELECT harvest_id, campaign_id, action, ? FROM jobs WHERE id = ?",
            (rows, job.id),
        )


def test_size_of_a_set_is_not_known_by_itself(ledger: Ledger, notes: CampaignNotes) -> None:
    """Without counters and without an earlier harvest nothing is expected."""
    assert notes.expected_rows(running(ledger, ledger.open_harvest("acme", DATE))) is None


def test_counters_of_the_date_come_before_an_earlier_harvest(
    database: Database, ledger: Ledger, notes: CampaignNotes
) -> None:
    """Where the campaign's own report is known, last night's size is not asked, also where the report says none."""
    done(ledger, DATE - DAY, 700)
    job = running(ledger, ledger.open_harvest("acme", DATE))
    assert notes.expected_rows(job) == 700

    count(database, job, 0)

    assert notes.expected_rows(job) == 0


def test_counters_are_those_of_the_action_and_the_date(
    database: Database, ledger: Ledger, notes: CampaignNotes
) -> None:
    """What the report says of another action, campaign or date is not taken for this set."""
    today, yesterday = ledger.open_harvest("acme", DATE), ledger.open_harvest("acme", DATE - DAY)
    count(database, running(ledger, today, action=Action.OPENED), 5)
    count(database, running(ledger, today, "k2"), 5)
    count(database, running(ledger, yesterday), 5)

    assert notes.expected_rows(running(ledger, today)) is None


def test_latest_earlier_harvest_counts(ledger: Ledger, notes: CampaignNotes) -> None:
    """Of several nights the last one that was read whole says how many rows to expect, however long ago that was."""
    for days, rows in ((33, 100), (2, 200), (1, 300)):
        done(ledger, DATE - days * DAY, rows)

    assert notes.expected_rows(running(ledger, ledger.open_harvest("acme", DATE))) == 300


def test_other_account_and_unfinished_or_partial_job_say_nothing(ledger: Ledger, notes: CampaignNotes) -> None:
    """A set is compared with its own past alone, and only where that was whole."""
    done(ledger, DATE - DAY, 100, account="other")
    done(ledger, DATE - 2 * DAY, 100, unreadable_rows=1)
    running(ledger, ledger.open_harvest("acme", DATE - 3 * DAY))

    assert notes.expected_rows(running(ledger, ledger.open_harvest("acme", DATE))) is None


def test_waits_of_a_running_job_add_up(ledger: Ledger, notes: CampaignNotes) -> None:
    """A job that waits where it stands is still running, and the ledger knows how often and how long it waited."""
    today = ledger.open_harvest("acme", DATE)
    job = running(ledger, today)

    notes.note_wait(job, 1.5)
    notes.note_wait(job, 2.0)

    (report,) = ledger.jobs(today)
    assert (report.state, report.retries, report.waited_s) == (JobState.RUNNING, 2, 3.5)


def test_newest_word_on_a_campaign_counts(database: Database, ledger: Ledger, notes: CampaignNotes) -> None:
    """What a later reply says of a campaign replaces the earlier word, for all of the campaign's jobs of that date."""
    today = ledger.open_harvest("acme", DATE)
    sent, opened = running(ledger, today), running(ledger, today, action=Action.OPENED)

    notes.note_details(sent, {"subject": "first"})
    notes.note_details(opened, {"subject": "second \U0001f600"})

    rows = database.durable.execute("SELECT details FROM campaign_notes").fetchall()
    assert [row["details"] for row in rows] == ['{"subject":"second \U0001f600"}']
