"""Jobs and pages: every method one transaction, every move one of `model.TRANSITIONS`."""

import datetime as dt
import itertools
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from factories import DATE, HandClock, delay, stored_page

from harvester.leases import Lease, Slot
from harvester.model import (
    BROKEN_PAGING,
    FEWER_AGAIN,
    TRANSITIONS,
    Action,
    Campaign,
    ClaimedJob,
    Command,
    Discovery,
    GivenUp,
    Harvest,
    Job,
    JobState,
    Published,
)
from harvester.snapshot import Carry, Snapshot
from harvester.store.boot import adopt_boot
from harvester.store.calls import CallBook, Window
from harvester.store.carrier import Carrier
from harvester.store.database import Database
from harvester.store.job_report import JobReport
from harvester.store.ledger import Ledger, new_run_id
from harvester.store.partitions import Compression, Partitions
from harvester.store.snapshots import Snapshots

PARTITION = Published("recipients/a.jsonl", rows=3, bytes=30, sha256="ab" * 32)
FAILED = GivenUp(JobState.FAILED, "2000", "no such list", "Check the key.")
SKIPPED = GivenUp(JobState.SKIPPED, "6601", "no A/B test")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path / "ledger.sqlite")) as opened:
        yield opened


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database, "run-1")


@pytest.fixture
def harvest(ledger: Ledger) -> Harvest:
    return ledger.open_harvest("acme", DATE)


def plan(ledger: Ledger, harvest: Harvest, *keys: str, actions: tuple[Action, ...] = (Action.SENT,)) -> None:
    ledger.plan(harvest, [Campaign(key) for key in keys], actions)


def claim_one(ledger: Ledger, harvest: Harvest) -> Job:
    (claimed,) = ledger.claim(harvest, 1, now_s=0.0)
    return claimed.job


def only_job(ledger: Ledger, harvest: Harvest) -> JobReport:
    (job,) = ledger.jobs(harvest)
    return job


def states(ledger: Ledger, harvest: Harvest) -> list[JobState]:
    return [job.state for job in ledger.jobs(harvest)]


class LenientCarrier(Carrier):
    """Takes every partition for one that is there."""

    def place(self, job: Job, partition: Published) -> Published:
        del job
        return partition


def bring_to(state: JobState, ledger: Ledger, harvest: Harvest) -> Job:
    """Bring the one planned job to a state, by the way a run takes."""
    job = claim_one(ledger, harvest)
    match state:
        case JobState.PENDING:
            ledger.release(harvest)
        case JobState.DONE:
            ledger.commit([], [], [(job, PARTITION)], wall_s=0.0)
        case JobState.PARTIAL:
            ledger.commit([], [], [(job, replace(PARTITION, unreadable_rows=1))], wall_s=0.0)
        case JobState.CARRIED:
            before = ledger.open_harvest(harvest.account, DATE - dt.timedelta(days=1))
            plan(ledger, before, job.campaign.key)
            origin = claim_one(ledger, before)
            ledger.commit([], [], [(origin, PARTITION)], wall_s=0.0)
            snapshot = Snapshot(origin.id, DATE, DATE, None, PARTITION)
            parts = Partitions(ledger.database.path.parent, Compression.NONE)
            carrier = LenientCarrier(ledger.database.path.parent, parts, Carry.REFERENCE)
            Snapshots(ledger.database, ledger.run_id, carrier).carry([(job, snapshot, DATE)])
        case JobState.SKIPPED | JobState.FAILED:
            ledger.give_up(job, GivenUp(state, "1", "because"))
        case JobState.RUNNING:
            pass
    return job


# --- moves --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), list(itertools.product(JobState, JobState)))
def test_job_moves_along_the_table_and_no_other_way(
    ledger: Ledger, harvest: Harvest, before: JobState, after: JobState
) -> None:
    """Of all 49 pairs of states exactly those of TRANSITIONS are moves; any other is refused and changes nothing."""
    plan(ledger, harvest, "k")
    job = bring_to(before, ledger, harvest)

    if after in TRANSITIONS[before]:
        with ledger._writing() as connection:
            ledger._move(connection, job, after)
        assert states(ledger, harvest) == [after]
    else:
        with pytest.raises(ValueError, match=f"from {before} to {after}"), ledger._writing() as connection:
            ledger._move(connection, job, after)
        assert states(ledger, harvest) == [before]


# --- plans --------------------------------------------------------------------------------------------------------


def test_harvest_is_opened_once(ledger: Ledger) -> None:
    """An account and date is one harvest however often it is opened."""
    assert ledger.open_harvest("acme", DATE) == ledger.open_harvest("acme", DATE)
    assert [harvest.account for harvest in ledger.harvests()] == ["acme"]


def test_planning_again_adds_only_what_is_new(ledger: Ledger, harvest: Harvest) -> None:
    """A known job keeps its state and its place; a new one comes after it."""
    plan(ledger, harvest, "k1")
    bring_to(JobState.DONE, ledger, harvest)

    plan(ledger, harvest, "k2", "k1")

    assert [(job.campaign_key, job.state) for job in ledger.jobs(harvest)] == [
        ("k1", JobState.DONE),
        ("k2", JobState.PENDING),
    ]


def test_P_03_plan_that_is_cut_off_is_made_whole_by_planning_again(ledger: Ledger, harvest: Harvest) -> None:
    """What a kill leaves of a plan stays, and the same list again adds what is missing, each job once."""
    names = [Campaign(f"k{number}") for number in range(1_500)]

    def cut_off() -> Iterator[Campaign]:
        yield from names[:1_200]
        raise KeyError

    with pytest.raises(KeyError):
        ledger.plan(harvest, cut_off(), [Action.SENT])
    ledger.plan(harvest, names, [Action.SENT])

    assert [report.campaign_key for report in ledger.jobs(harvest)] == [campaign.key for campaign in names]


def test_claim_keeps_to_the_plan_of_its_run(database: Database, ledger: Ledger, harvest: Harvest) -> None:
    """A run that asks for one campaign does not take up what an earlier run left open."""
    plan(ledger, harvest, "k1", "k2")
    second = Ledger(database, "run-2")
    plan(second, harvest, "k2")

    claimed = second.claim(harvest, 10, now_s=0.0)

    assert [each.job.campaign.key for each in claimed] == ["k2"]
    assert second.counts(harvest, is_plan_only=True)[JobState.PENDING] == 0
    assert second.counts(harvest)[JobState.PENDING] == 1


def test_waiting_job_is_never_requeued(ledger: Ledger, harvest: Harvest) -> None:
    """A job that waits keeps its pages: sending it back to its first row is refused."""
    with pytest.raises(ValueError, match="from pending to pending"):
        ledger.requeue(harvest, [JobState.PENDING])


@pytest.mark.parametrize(("code", "pages"), [("500", 1), (BROKEN_PAGING, 0), (FEWER_AGAIN, 0)])
def test_requeued_job_goes_on_after_its_last_page(ledger: Ledger, harvest: Harvest, code: str, pages: int) -> None:
    """A failed job keeps its pages for the next run, unless they made no sense; why it failed is forgotten."""
    plan(ledger, harvest, "k")
    job = claim_one(ledger, harvest)
    ledger.commit([(job, stored_page())], [], [], wall_s=0.0)
    ledger.give_up(job, replace(FAILED, code=code))

    ledger.requeue(harvest, [JobState.FAILED])

    (claimed,) = ledger.claim(harvest, 1, now_s=0.0)
    report = only_job(ledger, harvest)
    assert (claimed.rows, claimed.attempts) == (pages, 0)
    assert (report.code, report.reason, report.remedy) == (None, None, None)


def test_job_asked_for_again_starts_from_its_first_row(ledger: Ledger, harvest: Harvest) -> None:
    """A refresh forgets the pages, calls and the ending of a job that was done."""
    plan(ledger, harvest, "k")
    job = claim_one(ledger, harvest)
    ledger.commit([(job, stored_page())], [(job, "short page")], [], wall_s=0.0)
    ledger.commit([], [], [(job, Published("p", 1, 2, "ab"))], wall_s=0.0)

    ledger.requeue(harvest, [JobState.DONE])

    (claimed,) = ledger.claim(harvest, 1, now_s=0.0)
    assert (claimed.last_page, claimed.ending, claimed.rows) == (None, None, 0)
    assert only_job(ledger, harvest).codes == {}


def test_discovery_is_remembered(ledger: Ledger, harvest: Harvest) -> None:
    """How far a listing came survives the run."""
    ledger.note_discovery(harvest, Discovery.PARTIAL)

    assert ledger.open_harvest("acme", DATE).discovery is Discovery.PARTIAL


# --- the life of a job --------------------------------------------------------------------------------------------


def claim_again(ledger: Ledger, harvest: Harvest) -> ClaimedJob:
    ledger.release(harvest)
    (claimed,) = ledger.claim(harvest, 1, now_s=0.0)
    return claimed


def test_P_03_claim_after_a_crash_hands_back_the_last_page(ledger: Ledger, harvest: Harvest) -> None:
    """A job whose run died comes back with its last committed page and the number of its rows."""
    plan(ledger, harvest, "k")
    job = claim_one(ledger, harvest)
    first, second = stored_page(1, 1, 20), stored_page(2, 21, 7, b"longer")
    ledger.commit([(job, first)], [], [], wall_s=0.0)
    ledger.commit([(job, second)], [(job, "short page")], [], wall_s=0.0)

    claimed = claim_again(ledger, harvest)

    assert (claimed.last_page, claimed.rows, claimed.ending) == (second, 27, "short page")


def test_commit_is_all_or_nothing(ledger: Ledger, harvest: Harvest) -> None:
    """Where one part of a batch is refused, no page, ending or partition of it counts."""
    plan(ledger, harvest, "k1", "k2")
    running, done = (each.job for each in ledger.claim(harvest, 2, now_s=0.0))
    ledger.commit([], [], [(done, PARTITION)], wall_s=0.0)

    with pytest.raises(ValueError, match="from done to done"):
        ledger.commit([(running, stored_page())], [(running, "short page")], [(done, PARTITION)], wall_s=0.0)

    claimed = claim_again(ledger, harvest)
    assert (claimed.job, claimed.last_page, claimed.ending) == (running, None, None)


def test_committed_page_forgives_the_attempts_before(ledger: Ledger, harvest: Harvest) -> None:
    """Attempts are counted for one page: the next one starts anew."""
    plan(ledger, harvest, "k")
    ledger.postpone(claim_one(ledger, harvest), delay(attempts=3))
    (claimed,) = ledger.claim(harvest, 1, now_s=0.0)

    ledger.commit([(claimed.job, stored_page())], [], [], wall_s=0.0)

    assert claimed.attempts == 3
    assert claim_again(ledger, harvest).attempts == 0


def test_done_job_shows_its_partition(ledger: Ledger, harvest: Harvest) -> None:
    """What was published stands in the report and in the totals, and nothing of an earlier failure."""
    plan(ledger, harvest, "k")
    ledger.postpone(claim_one(ledger, harvest), delay())
    job = claim_one(ledger, harvest)

    ledger.commit([], [(job, "short page")], [(job, PARTITION)], wall_s=5.0)

    report = only_job(ledger, harvest)
    assert (report.path, report.rows, report.bytes, report.sha256) == ("recipients/a.jsonl", 3, 30, "ab" * 32)
    assert (report.state, report.ending, report.reason) == (JobState.DONE, "short page", None)
    assert ledger.totals(harvest) == (3, 30, 0)


def test_A_25_job_with_unreadable_rows_is_partial_and_starts_anew(ledger: Ledger, harvest: Harvest) -> None:
    """What lies in quarantine is told with the job; asked for again, it begins at its first row to get it back."""
    plan(ledger, harvest, "k")
    job = claim_one(ledger, harvest)
    ledger.commit([(job, replace(stored_page(), unreadable_rows=2))], [(job, "short page")], [], wall_s=0.0)
    ledger.commit([], [], [(job, replace(PARTITION, unreadable_rows=2))], wall_s=0.0)
    assert (only_job(ledger, harvest).state, only_job(ledger, harvest).unreadable_rows) == (JobState.PARTIAL, 2)

    ledger.requeue(harvest, [JobState.PARTIAL])

    (claimed,) = ledger.claim(harvest, 1, now_s=0.0)
    assert (claimed.last_page, claimed.rows, claimed.unreadable_rows, claimed.unreadable_from) == (None, 0, 0, ())


def test_A_25_quarantine_of_the_partition_that_stands_stays_known(ledger: Ledger, harvest: Harvest) -> None:
    """While a new harvest runs, and after it failed, the old file is told with the rows that it lacks."""
    plan(ledger, harvest, "k")
    job = claim_one(ledger, harvest)
    ledger.commit([(job, replace(stored_page(), unreadable_rows=2))], [(job, "short page")], [], wall_s=0.0)
    ledger.commit([], [], [(job, replace(PARTITION, unreadable_rows=2))], wall_s=0.0)

    ledger.requeue(harvest, [JobState.PARTIAL])
    ledger.give_up(claim_one(ledger, harvest), FAILED)

    report = only_job(ledger, harvest)
    assert (report.state, report.path, report.unreadable_rows) == (JobState.FAILED, PARTITION.path, 2)
    assert report.unreadable_from == [1]
    ledger.requeue(harvest, [JobState.FAILED])
    job = claim_one(ledger, harvest)
    ledger.commit([(job, stored_page())], [(job, "short page")], [(job, PARTITION)], wall_s=0.0)
    assert (only_job(ledger, harvest).unreadable_rows, only_job(ledger, harvest).unreadable_from) == (0, [])


def test_A_16_confirmations_are_pages_of_nothing_but_rows_asked_for_again(ledger: Ledger, harvest: Harvest) -> None:
    """A page whose rows are repeated or unreadable brought something of its own: it proved no end."""
    plan(ledger, harvest, "k")
    job = claim_one(ledger, harvest)
    repeating, repeated, unreadable = (replace(stored_page(number), rows=0) for number in (1, 2, 3))
    pages = [repeating, replace(repeated, duplicates=1), replace(unreadable, unreadable_rows=1)]
    ledger.commit([(job, page) for page in pages], [], [], wall_s=0.0)

    assert only_job(ledger, harvest).confirmations == 1


def test_A_16_A_17_flaws_of_pages_add_up_in_the_report(ledger: Ledger, harvest: Harvest) -> None:
    """Duplicates and rows in quarantine are those of all pages, and one shifted page makes the job shifted."""
    plan(ledger, harvest, "k")
    job = claim_one(ledger, harvest)
    flawed = replace(stored_page(1), duplicates=2, unreadable_rows=1)
    shifted = replace(stored_page(2, content=b"longer"), duplicates=3, unreadable_rows=4, is_shifted=True)
    ledger.commit([(job, flawed)], [], [], wall_s=0.0)
    assert not only_job(ledger, harvest).is_shifted

    ledger.commit([(job, shifted)], [], [], wall_s=0.0)

    report, claimed = only_job(ledger, harvest), claim_again(ledger, harvest)
    assert (report.pages, report.duplicates, report.unreadable_rows, report.is_shifted) == (2, 5, 5, True)
    assert (claimed.rows, claimed.unreadable_rows, claimed.last_page) == (2, 5, shifted)


def test_waits_of_a_job_add_up(ledger: Ledger, harvest: Harvest) -> None:
    """How often and for how long a job was put off stays in its report, until it is asked for anew."""
    plan(ledger, harvest, "k")
    for _ in range(3):
        ledger.postpone(claim_one(ledger, harvest), delay())

    report = only_job(ledger, harvest)
    assert (report.retries, report.waited_s) == (3, 3.0)


def test_restart_forgets_the_pages_of_one_job(ledger: Ledger, harvest: Harvest) -> None:
    """D-09: A job whose part is gone starts over; its neighbours keep theirs."""
    plan(ledger, harvest, "k1", "k2")
    lost, kept = (each.job for each in ledger.claim(harvest, 2, now_s=0.0))
    ledger.commit([(lost, stored_page()), (kept, stored_page())], [(lost, "short page")], [], wall_s=0.0)

    ledger.restart(lost)

    ledger.release(harvest)
    first, second = ledger.claim(harvest, 2, now_s=0.0)
    assert (first.last_page, first.ending) == (None, None)
    assert second.last_page == stored_page()


def test_postponed_job_is_not_due_before_its_time(ledger: Ledger, harvest: Harvest) -> None:
    """A postponed job is claimed from its moment on, and the next moment is known."""
    plan(ledger, harvest, "k")
    ledger.postpone(claim_one(ledger, harvest), delay(50.0))

    assert ledger.claim(harvest, 1, now_s=49.9) == []
    assert ledger.next_due_s(harvest) == 50.0
    assert len(ledger.claim(harvest, 1, now_s=50.0)) == 1
    assert ledger.next_due_s(harvest) is None


def test_given_up_job_says_why(ledger: Ledger, harvest: Harvest) -> None:
    """Code, reason and remedy of a failed job stand in its report."""
    plan(ledger, harvest, "k")

    ledger.give_up(claim_one(ledger, harvest), FAILED)

    report = only_job(ledger, harvest)
    assert (report.state, report.code, report.reason, report.remedy) == (
        JobState.FAILED,
        "2000",
        "no such list",
        "Check the key.",
    )


def test_giving_up_a_campaign_leaves_other_campaigns_and_dates(ledger: Ledger, harvest: Harvest) -> None:
    """Only the running jobs named and the pending ones of the same campaign and date end."""
    other_date = ledger.open_harvest("acme", DATE.replace(year=2025))
    plan(ledger, other_date, "k1")
    plan(ledger, harvest, "k1", "k2", actions=(Action.SENT, Action.OPENED, Action.CLICKED))
    scout = claim_one(ledger, harvest)

    moved = ledger.give_up_campaign(harvest, [scout], SKIPPED)

    assert moved == 3
    assert states(ledger, harvest) == [JobState.SKIPPED] * 3 + [JobState.PENDING] * 3
    assert states(ledger, other_date) == [JobState.PENDING]


def test_campaign_is_known_once_a_sibling_has_a_page(ledger: Ledger, harvest: Harvest) -> None:
    """A job is claimed as of a known campaign when any job of its campaign and date has a page or is done."""
    plan(ledger, harvest, "k1", "k2", actions=(Action.SENT, Action.OPENED))
    scout = claim_one(ledger, harvest)
    ledger.commit([(scout, stored_page())], [], [], wall_s=0.0)

    claimed = ledger.claim(harvest, 10, now_s=0.0)

    assert [(each.job.campaign.key, each.is_campaign_known) for each in claimed] == [
        ("k1", True),
        ("k2", False),
        ("k2", False),
    ]


def test_parent_of_a_test_half_comes_back(ledger: Ledger, harvest: Harvest) -> None:
    """The parent of an A/B half is stored with it."""
    ledger.plan(harvest, [Campaign("half", "whole")], [Action.SENT])

    assert claim_one(ledger, harvest).campaign == Campaign("half", "whole")
    assert only_job(ledger, harvest).parent_campaign_key == "whole"


# --- runs, boots, lessons -----------------------------------------------------------------------------------------


def test_L_12_run_ids_never_collide() -> None:
    """Ten thousand runs that start at one moment have ten thousand names."""
    assert len({new_run_id() for _ in range(10_000)}) == 10_000


def test_run_is_written_down(ledger: Ledger, database: Database) -> None:
    """A run leaves what it is for, its begin, its end, its outcome, and the fingerprint of its settings."""
    ledger.begin_run(10.0, Command.NIGHTLY, "ab" * 32)
    ledger.end_run(20.0, "complete")

    row = database.durable.execute("SELECT * FROM runs").fetchone()
    assert tuple(row) == ("run-1", "nightly", 10.0, 20.0, "complete", "ab" * 32)


def test_R_12_another_boot_makes_postponed_jobs_due(database: Database, ledger: Ledger, harvest: Harvest) -> None:
    """Moments of another boot mean nothing: a job that was postponed on its clock is due at once."""
    clock = HandClock()
    adopt_boot(database, clock)
    plan(ledger, harvest, "k")
    ledger.postpone(claim_one(ledger, harvest), delay(1e9, 2))
    assert ledger.boot_id() == "boot-1"

    clock.boot_id = "boot-2"
    adopt_boot(database, clock)

    assert (ledger.next_due_s(harvest), ledger.boot_id()) == (0, "boot-2")


# --- several runs at once -----------------------------------------------------------------------------------------


@pytest.fixture
def newcomer(database: Database, ledger: Ledger) -> Ledger:
    """A second run, which knows that the first is at work."""
    return Ledger(database, "run-2", lambda: [ledger.run_id])


def test_P_07_jobs_of_a_run_at_work_are_left_to_it(ledger: Ledger, newcomer: Ledger, harvest: Harvest) -> None:
    """A second run takes neither a running nor a pending job out of the first one's plan."""
    plan(ledger, harvest, "k1", "k2")
    claim_one(ledger, harvest)

    newcomer.release(harvest)
    plan(newcomer, harvest, "k1", "k2", "k3")

    assert [each.job.campaign.key for each in newcomer.claim(harvest, 10, now_s=0.0)] == ["k3"]
    assert newcomer.jobs_of_others(harvest) == 2
    assert states(ledger, harvest) == [JobState.RUNNING, JobState.PENDING, JobState.RUNNING]


def test_P_03_jobs_of_a_dead_run_are_taken_over(database: Database, ledger: Ledger, harvest: Harvest) -> None:
    """What a run left that is no longer at work goes to the next one that plans it."""
    plan(ledger, harvest, "k1", "k2")
    claim_one(ledger, harvest)
    heir = Ledger(database, "run-2", list)

    heir.release(harvest)
    plan(heir, harvest, "k1", "k2")

    assert len(heir.claim(harvest, 10, now_s=0.0)) == 2
    assert heir.jobs_of_others(harvest) == 0


def test_calls_of_a_job_stand_in_its_report(database: Database, ledger: Ledger, harvest: Harvest) -> None:
    """Calls and their codes are counted for the job that paid for them."""
    plan(ledger, harvest, "k")
    job = claim_one(ledger, harvest)
    book = CallBook(database, Window("acme", "recipients", 600.0), HandClock())

    for code in ("0", "0", "http-503"):
        lease = book.lease(job.id, 120.0, lambda standing: Slot(standing.now_s, standing.lockout))
        assert isinstance(lease, Lease)
        book.settle(lease, code, lambda standing: standing.lockout)

    report = only_job(ledger, harvest)
    assert (report.calls, report.codes) == (3, {"0": 2, "http-503": 1})
    assert ledger.totals(harvest) == (0, 0, 3)
