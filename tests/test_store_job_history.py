"""Single jobs looked up in the ledger, by a whole key or the beginning of one."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from factories import DATE
from harvested import KEYS, Harvested, harvested

from harvester.model import Action, Campaign, JobState
from harvester.store.database import Database
from harvester.store.job_history import Histories, KnownCampaign


@pytest.fixture
def done(tmp_path: Path) -> Iterator[Harvested]:
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        yield harvested(tmp_path, database)


def keys(found: list[KnownCampaign]) -> list[tuple[str, str]]:
    return [(campaign.account, campaign.key) for campaign in found]


def test_a_beginning_finds_all_that_share_it(done: Harvested) -> None:
    """Keys are compared letter by letter; signs that SQL gives a meaning have none here."""
    histories = Histories(done.database)

    assert keys(histories.campaigns("k", None, None)) == [("acme", key) for key in KEYS]
    assert keys(histories.campaigns("k%", None, None)) == []
    assert keys(histories.campaigns("K1", None, None)) == []


def test_a_whole_key_stands_alone(done: Harvested) -> None:
    """A key that is the beginning of another one can be named."""
    done.ledger.plan(done.harvest, [Campaign("k11")], [Action.SENT])

    assert keys(Histories(done.database).campaigns("k1", None, None)) == [("acme", "k1")]


def test_account_and_date_narrow_the_search(done: Harvested) -> None:
    """The same key in two accounts is two campaigns; the newest date of each is told."""
    later = DATE.replace(day=15)
    for account in ("acme", "beta"):
        done.ledger.plan(done.ledger.open_harvest(account, later), [Campaign("k1")], [Action.SENT])
    histories = Histories(done.database)

    assert histories.campaigns("k1", None, None) == [
        KnownCampaign("acme", "k1", "2026-03-15"),
        KnownCampaign("beta", "k1", "2026-03-15"),
    ]
    assert keys(histories.campaigns("k1", "beta", None)) == [("beta", "k1")]
    assert keys(histories.campaigns("k1", None, DATE.isoformat())) == [("acme", "k1")]


def test_the_nearest_keys_share_the_longest_beginning(done: Harvested) -> None:
    """A key with a wrong end is told those that stand around it in order."""
    assert Histories(done.database).neighbours("k25") == ["k1", "k2", "k3"]
    assert Histories(done.database).neighbours("a") == ["k1", "k2"]


def test_a_job_is_told_with_its_pages_and_counters(done: Harvested) -> None:
    """What the ledger holds of a job comes whole: report, pages, counter and broken laws."""
    done.sql("INSERT INTO counters SELECT harvest_id, campaign_id, action, 7 FROM jobs WHERE id = 1")
    done.sql(
        "INSERT INTO campaign_notes (harvest_id, campaign_id, broken_laws) SELECT harvest_id, campaign_id, ?"
        " FROM jobs WHERE id = 1",
        '{"broken": {"clicked within opened": 2}}',
    )
    done.sql("UPDATE pages SET is_shifted = 1 WHERE job_id = 1 AND number = 2")
    histories = Histories(done.database)

    [job] = histories.jobs(KnownCampaign("acme", "k1", ""), DATE.isoformat(), "sentcontacts")

    assert (job.report.state, job.report.rows, job.counter_rows) == (JobState.DONE, 3, 7)
    assert job.broken_laws == {"clicked within opened": 2}
    assert [(page.number, page.from_index, page.received_rows, page.rows) for page in job.pages] == [
        (1, 1, 2, 2),
        (2, 2, 2, 1),
    ]
    assert [page.is_shifted for page in job.pages] == [False, True]
    assert list(histories.jobs(KnownCampaign("acme", "k1", ""), DATE.isoformat(), "openedcontacts")) == []
