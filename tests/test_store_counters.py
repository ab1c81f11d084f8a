"""Counters, verdicts and broken laws in the ledger, on a real file."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from factories import DATE, stored_page

from harvester.model import Action, Campaign, Counters, GivenUp, Harvest, Job, JobState, Published
from harvester.store.campaign_report import campaign_reports
from harvester.store.counters import CounterBook
from harvester.store.database import Database
from harvester.store.laws import LawBook
from harvester.store.ledger import Ledger
from harvester.store.verdicts import VerdictBook

ACTIONS = (Action.SENT, Action.OPENED)


@dataclass
class Books:
    """A harvest of two campaigns and two actions, and all that is written of its proof."""

    ledger: Ledger
    harvest: Harvest
    counters: CounterBook
    verdicts: VerdictBook
    laws: LawBook

    def finish(self, rows: int = 3, *, at_s: float = 1.0) -> list[Job]:
        """Publish all open jobs, each with so many rows."""
        jobs = [claimed.job for claimed in self.ledger.claim(self.harvest, 100, now_s=0.0)]
        published = [(job, Published(f"{job.campaign.key}/{job.action}", rows, 10, "00")) for job in jobs]
        if rows:
            self.ledger.commit([(job, stored_page(count=rows)) for job in jobs], [], [], at_s)
        self.ledger.commit([], [(job, "short page") for job in jobs], published, at_s)
        return jobs

    def count(self, **rows: int) -> None:
        """Give both campaigns the same counters, by the names of the actions."""
        counters = Counters({Action[name]: number for name, number in rows.items()})
        for campaign_id, _ in self.counters.uncounted(self.harvest, 0, 100):
            self.counters.note(self.harvest, campaign_id, counters)

    def known(self) -> dict[tuple[str, str], int | None]:
        return {(job.campaign_key, job.action): job.counter_rows for job in self.ledger.jobs(self.harvest)}


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    with closing(Database(tmp_path / "ledger.sqlite")) as database:
        ledger = Ledger(database, "run-1")
        harvest = ledger.open_harvest("acme", DATE)
        ledger.plan(harvest, [Campaign("k1"), Campaign("k2")], ACTIONS)
        books = (CounterBook(database, "run-1"), VerdictBook(database, "run-1"), LawBook(database, "run-1"))
        yield Books(ledger, harvest, *books)


# --- counters ---------------------------------------------------------------------------------------------------------


def test_each_campaign_is_asked_about_once(books: Books) -> None:
    """A restart asks only for what is not known yet, and an answer without a number is an answer."""
    (first, _), (second, key) = books.counters.uncounted(books.harvest, 0, 10)
    books.counters.note(books.harvest, first, Counters({}))

    assert books.counters.uncounted(books.harvest, 0, 10) == [(second, key)]
    assert books.counters.uncounted(books.harvest, second, 10) == []
    assert books.counters.missing(books.harvest) == 1


def test_the_next_run_asks_again_where_it_was_refused(books: Books) -> None:
    """A refusal holds for the run that met it; a refreshed date asks about everything."""
    (first, _), (second, _) = books.counters.uncounted(books.harvest, 0, 10)
    books.counters.note(books.harvest, first, Counters({Action.SENT: 3}))
    books.counters.note_refusal(books.harvest, second, "6001")
    assert books.counters.uncounted(books.harvest, 0, 10) == []
    assert books.counters.missing(books.harvest) == 1

    books.counters.renew(books.harvest, is_all=False)
    assert [campaign for campaign, _ in books.counters.uncounted(books.harvest, 0, 10)] == [second]

    books.counters.renew(books.harvest, is_all=True)
    assert [campaign for campaign, _ in books.counters.uncounted(books.harvest, 0, 10)] == [first, second]


def test_campaigns_with_nothing_to_ask_for_are_not_counted(books: Books) -> None:
    """Whose jobs were all skipped has no rows that a counter could prove."""
    jobs = [claimed.job for claimed in books.ledger.claim(books.harvest, 100, now_s=0.0)]
    for job in jobs[:2]:
        books.ledger.give_up(job, GivenUp(JobState.SKIPPED, "6601", "too few for A/B"))

    assert [key for _, key in books.counters.uncounted(books.harvest, 0, 10)] == ["k2"]


def test_campaigns_of_another_plan_are_not_counted(books: Books) -> None:
    """A run that names one campaign asks about no other."""
    other = CounterBook(books.ledger.database, "run-2")

    assert other.uncounted(books.harvest, 0, 10) == []
    assert other.missing(books.harvest) == 0


def test_P2_a_counter_stays_beside_the_verdict_it_made(books: Books) -> None:
    """A later answer replaces what no verdict was made by, and nothing else."""
    sent, *_ = books.finish()
    books.count(SENT=3, OPENED=5)
    books.verdicts.write([(sent.id, "proven")])
    books.counters.renew(books.harvest, is_all=True)

    books.count(SENT=9, OPENED=9)

    assert books.known() == {
        ("k1", "sentcontacts"): 3,
        ("k1", "openedcontacts"): 9,
        ("k2", "sentcontacts"): 9,
        ("k2", "openedcontacts"): 9,
    }


# --- verdicts ---------------------------------------------------------------------------------------------------------


def test_only_finished_jobs_without_a_verdict_are_judged(books: Books) -> None:
    """What is proven stays proven; what is unknown is looked at again."""
    assert list(books.verdicts.unjudged(books.harvest)) == []
    jobs = books.finish()
    books.count(SENT=3)
    books.verdicts.write([(jobs[0].id, "proven"), (jobs[1].id, "unknown")])

    unjudged = list(books.verdicts.unjudged(books.harvest))

    assert [job.id for job in unjudged] == [job.id for job in jobs[1:]]
    assert [job.counter_rows for job in unjudged] == [None, 3, None]
    assert {(job.rows, job.duplicates, job.unreadable_rows, job.pages) for job in unjudged} == {(3, 0, 0, 1)}


def test_verdicts_are_counted_by_their_first_word(books: Books) -> None:
    """By finding for the summary, by action for the doubt in a counter; sets that are empty both ways say nothing."""
    jobs = books.finish()
    books.count(SENT=3, OPENED=5)
    books.verdicts.write(
        zip([job.id for job in jobs], ["proven", "short by 2", "over by 1", "short by 2"], strict=True)
    )

    assert books.verdicts.findings(books.harvest) == {"proven": 1, "short": 2, "over": 1}
    assert books.verdicts.findings_by_action(books.harvest) == {
        Action.SENT: {"proven": 1, "over": 1},
        Action.OPENED: {"short": 2},
    }
    assert [(job.campaign_key, job.missing_rows) for job in books.verdicts.short(books.harvest)] == [
        ("k1", 2),
        ("k2", 2),
    ]


def test_empty_sets_prove_no_counter(books: Books) -> None:
    """A counter of 0 beside a set of 0 would be right whatever it counts."""
    jobs = books.finish(rows=0)
    books.count(SENT=0, OPENED=0)
    books.verdicts.write((job.id, "proven") for job in jobs)

    assert books.verdicts.findings(books.harvest) == {"proven": 4}
    assert books.verdicts.findings_by_action(books.harvest) == {}


def test_doubted_jobs_start_again_and_their_partitions_stay(books: Books) -> None:
    """The job is pending from its first row and known to be doubted; the old file keeps its place in the manifest."""
    jobs = books.finish()
    books.count(SENT=9, OPENED=3)
    books.verdicts.write([(jobs[0].id, "short by 6")])

    books.verdicts.doubt([jobs[0].id])

    (claimed,) = books.ledger.claim(books.harvest, 10, now_s=0.0)
    report = next(books.ledger.jobs(books.harvest))
    assert (claimed.job.id, claimed.is_doubted, claimed.last_page, claimed.ending) == (jobs[0].id, True, None, None)
    assert (report.path, report.rows, report.verdict) == ("k1/sentcontacts", 3, None)
    assert [key for _, key in books.counters.uncounted(books.harvest, 0, 10)] == ["k1"]
    books.count(SENT=8)
    assert books.known()["k1", "sentcontacts"] == 8


# --- laws -------------------------------------------------------------------------------------------------------------


def test_a_campaign_is_checked_again_when_a_set_of_it_is_new(books: Books) -> None:
    """Checked once, it is left alone until one of its partitions is published again."""
    books.finish(at_s=1.0)
    first = books.laws.next_due(books.harvest, ACTIONS, 0)
    assert first is not None
    assert first.paths == {Action.SENT: "k1/sentcontacts", Action.OPENED: "k1/openedcontacts"}
    assert first.rows == 6
    books.laws.note(books.harvest, first, {"a within b": 2})
    second = books.laws.next_due(books.harvest, ACTIONS, 0)
    assert second is not None
    assert second.campaign_id != first.campaign_id
    books.laws.note(books.harvest, second, {}, "too large")
    assert books.laws.next_due(books.harvest, ACTIONS, 0) is None

    books.verdicts.doubt([next(books.verdicts.unjudged(books.harvest)).id])
    books.finish(at_s=2.0)

    again = books.laws.next_due(books.harvest, ACTIONS, 0)
    assert again is not None
    assert again.campaign_id == first.campaign_id
    assert (books.laws.broken(books.harvest), books.laws.unchecked(books.harvest)) == ({"a within b": (1, 2)}, 1)


def test_one_set_alone_breaks_no_law(books: Books) -> None:
    """A law speaks of two sets."""
    books.finish()

    assert books.laws.next_due(books.harvest, [Action.SENT], 0) is None


# --- the manifest's view ----------------------------------------------------------------------------------------------


def test_campaigns_are_reported_with_what_is_known_of_them(books: Books) -> None:
    """Counters and broken laws stand together, and a campaign of which nothing is known is left out."""
    books.finish()
    (first, _), _ = books.counters.uncounted(books.harvest, 0, 10)
    books.counters.note(books.harvest, first, Counters({Action.SENT: 3}))
    sets = books.laws.next_due(books.harvest, ACTIONS, 0)
    assert sets is not None
    books.laws.note(books.harvest, sets, {"a within b": 2})

    (report,) = campaign_reports(books.ledger.database, books.harvest)

    assert (report.campaign_key, report.counters, report.counters_code) == ("k1", {"sentcontacts": 3}, "0")
    assert (report.broken_laws, report.laws_unchecked, report.details) == ({"a within b": 2}, "", {})


@pytest.mark.parametrize("method", ["next_due", "uncounted"])
def test_IN_11_campaigns_are_found_without_walking_all_jobs(books: Books, method: str) -> None:
    """Each step through 100,000 campaigns is a search in an index, or all of them together would take hours."""
    seen: list[str] = []
    connection = books.ledger.database.brief
    connection.set_trace_callback(seen.append)
    if method == "next_due":
        books.laws.next_due(books.harvest, ACTIONS, 0)
    else:
        books.counters.uncounted(books.harvest, 0, 10)
    connection.set_trace_callback(None)

    plan = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {seen[0]}")]

    assert any("sqlite_autoindex_jobs_1 (harvest_id=? AND campaign_id" in step for step in plan), plan
    assert not any(step.startswith("SCAN jobs") for step in plan), plan
