"""What stands between a planned job and its first call: real ledger and files, scripted counters and recipients."""

import asyncio
import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from factories import DATE, failure
from workbench import Recipients, Workbench

from harvester.engine.counting import Counting, ReportDesk
from harvester.engine.gate import DOUBTED, FILE_GONE, Gate
from harvester.engine.refresh import NEVER_READ, NO_COUNTER, FillRules, Interval, RefreshRules, Rules
from harvester.engine.retry import Backoff
from harvester.errors import StoppedError
from harvester.events import CountersMissing, JobCarried, JobsCarried
from harvester.model import (
    FEWER_AGAIN,
    Action,
    Campaign,
    ClaimedJob,
    Command,
    Contents,
    Counters,
    Failure,
    FailureKind,
    GivenUp,
    JobState,
    Published,
)
from harvester.snapshot import Carry
from harvester.store.carrier import Carrier
from harvester.store.counters import CounterBook
from harvester.store.job_report import JobReport
from harvester.store.ledger import Ledger
from harvester.store.requeuing import Cause, Chosen, start_anew
from harvester.store.snapshots import Snapshots
from harvester.store.verdicts import VerdictBook

DAY = dt.timedelta(days=1)
DAILY = RefreshRules(dict.fromkeys(Action, (Interval(365, 1),)), full_refresh_days=30)
WEEKLY = RefreshRules(dict.fromkeys(Action, (Interval(365, 7),)), full_refresh_days=30)
ACTIONS = (Action.SENT, Action.OPENED)


@dataclass
class Reports:
    """An endpoint of reports: counters by action, the same for each campaign, or a failure, or trouble."""

    answer: Mapping[Action, int] | Failure | Exception
    asked: list[str] = field(default_factory=list)

    async def counters(self, campaign_key: str) -> Counters | Failure:
        self.asked.append(campaign_key)
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer if isinstance(self.answer, Failure) else Counters(self.answer)


class Night:
    """The jobs of one date before a gate."""

    def __init__(self, folder: Path, date: dt.date, reports: Reports, rules: Rules = DAILY, keys: int = 1) -> None:
        self.bench = Workbench(folder, Recipients(lambda _: failure(FailureKind.JOB)), run_id=f"run-{date}")
        self.ledger, self.reports = self.bench.ledger, reports
        self.harvest = self.ledger.open_harvest("acme", date)
        self.ledger.plan(self.harvest, [Campaign(f"k{number}") for number in range(keys)], ACTIONS)
        tools = self.bench.desk.tools
        self.book = CounterBook(self.bench.database, self.ledger.run_id)
        self.counting = Counting(
            self.harvest, ReportDesk(self.bench.desk.caller, reports, Backoff(0.0, 0.0), tools), self.book
        )
        carrier = Carrier(self.bench.output, self.bench.parts, Carry.REFERENCE)
        self.snapshots = Snapshots(self.bench.database, self.ledger.run_id, carrier)
        self.gate = Gate(rules, self.snapshots, self.counting, tools)

    def sort_out(self) -> None:
        asyncio.run(self.gate.sort_out(self.harvest))

    def pass_all(self) -> list[tuple[Action, bool]]:
        """Bring every due job before the gate, all at once, as workers do; tell which it lets pass."""
        claimed = self.ledger.claim(self.harvest, 100, now_s=0.0)

        async def through() -> list[bool]:
            return await asyncio.gather(*(self.gate.lets_pass(each) for each in claimed))

        return list(zip([each.job.action for each in claimed], asyncio.run(through()), strict=True))

    def read_all(self) -> None:
        """Publish a partition for every running job, as if its set had been read."""
        self.ledger.release(self.harvest)
        for claimed in self.ledger.claim(self.harvest, 100, now_s=0.0):
            self.publish(claimed)

    def publish(self, claimed: ClaimedJob) -> Published:
        self.bench.parts.prepare()
        self.bench.parts.cut(claimed.job, 0, b"")
        (published,) = self.bench.parts.publish([Contents(claimed.job, 0)])
        self.ledger.commit([], [], [(claimed.job, published)], wall_s=0.0)
        return published

    @property
    def reports_of_jobs(self) -> list[JobReport]:
        return list(self.ledger.jobs(self.harvest))

    @property
    def states(self) -> list[JobState]:
        return [report.state for report in self.reports_of_jobs]

    @property
    def reasons(self) -> list[str | None]:
        return [report.due for report in self.reports_of_jobs]


Opener = Callable[..., Night]


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Opener]:
    opened: list[Night] = []

    def open_night(date: dt.date, answer: Mapping[Action, int] | Failure | Exception, **more: object) -> Night:
        opened.append(Night(tmp_path, date, Reports(answer), **more))  # type: ignore[arg-type]
        return opened[-1]

    yield open_night
    for each in opened:
        each.bench.close()


def read_before(night: Opener, counters: Mapping[Action, int], *, days: int = 1) -> None:
    """Leave a night on which every set was read whole, after its counters were told."""
    before = night(DATE - days * DAY, counters)
    before.pass_all()
    before.read_all()


def test_new_campaign_is_counted_once_and_read(night: Opener) -> None:
    """All jobs of a campaign pass on one question, and the ledger says why."""
    today = night(DATE, {Action.SENT: 5, Action.OPENED: 2})

    assert today.pass_all() == [(Action.SENT, True), (Action.OPENED, True)]

    assert today.reports.asked == ["k0"]
    assert today.reasons == [NEVER_READ, NEVER_READ]


def test_set_whose_counter_stands_is_carried_and_the_other_is_read(night: Opener) -> None:
    """One counter moved and one did not: only one set costs calls."""
    read_before(night, {Action.SENT: 5, Action.OPENED: 2})
    today = night(DATE, {Action.SENT: 5, Action.OPENED: 3})
    today.sort_out()

    assert today.pass_all() == [(Action.SENT, False), (Action.OPENED, True)]

    assert today.states == [JobState.CARRIED, JobState.RUNNING]
    assert today.reasons == [None, "its counter moved from 2 to 3"]
    carried = JobCarried("acme", "k0", Action.SENT, (DATE - DAY).isoformat())
    assert [event for event in today.bench.events if isinstance(event, JobCarried)] == [carried]


def test_set_that_is_not_due_is_carried_without_any_call(night: Opener) -> None:
    """A weekly look on the day after costs nothing, not even a question for counters."""
    read_before(night, {Action.SENT: 5, Action.OPENED: 2})
    today = night(DATE, {Action.SENT: 9, Action.OPENED: 9}, rules=WEEKLY)

    today.sort_out()

    assert today.states == [JobState.CARRIED, JobState.CARRIED]
    assert today.pass_all() == []
    assert today.reports.asked == []
    assert JobsCarried("acme", 2) in today.bench.events


def test_week_counts_from_the_last_look_not_from_the_last_reading(night: Opener) -> None:
    """A counter that stood a week after the reading postpones the next look by another week."""
    read_before(night, {Action.SENT: 5, Action.OPENED: 2}, days=10)
    looked = night(DATE - 3 * DAY, {Action.SENT: 5, Action.OPENED: 2}, rules=WEEKLY)
    looked.sort_out()
    looked.pass_all()
    today = night(DATE, {Action.SENT: 5, Action.OPENED: 2}, rules=WEEKLY)

    today.sort_out()

    assert looked.reports.asked == ["k0"]
    assert today.states == [JobState.CARRIED, JobState.CARRIED]
    assert today.reports.asked == []


@pytest.mark.parametrize("answer", [{}, failure(FailureKind.CAMPAIGN, code="6301"), StoppedError("no server")])
def test_unknown_counter_means_reading(night: Opener, answer: Mapping[Action, int] | Failure | Exception) -> None:
    """A report that says nothing, refuses or cannot be had never saves a set from being read."""
    read_before(night, {Action.SENT: 5, Action.OPENED: 2})
    today = night(DATE, answer)
    today.sort_out()

    assert today.pass_all() == [(Action.SENT, True), (Action.OPENED, True)]
    assert today.reasons == [NO_COUNTER, NO_COUNTER]


def test_endpoint_of_reports_that_is_gone_is_asked_no_more(night: Opener) -> None:
    """After its patience is at an end, the other campaigns do not wait for it again."""
    today = night(DATE, StoppedError("no server"), keys=4)

    today.pass_all()
    asked = len(today.reports.asked)

    today.ledger.release(today.harvest)
    today.pass_all()
    asyncio.run(today.counting.tell())

    assert len(today.reports.asked) == asked
    assert [event.campaigns for event in today.bench.events if isinstance(event, CountersMissing)] == [4]


def test_partition_that_is_gone_is_read_again(night: Opener, tmp_path: Path) -> None:
    """An equal counter is no reason to carry a file that is not there."""
    read_before(night, {Action.SENT: 5, Action.OPENED: 2})
    for path in (tmp_path / "output" / "recipients").rglob("k0.jsonl.gz"):
        path.unlink()
    today = night(DATE, {Action.SENT: 5, Action.OPENED: 2})
    today.sort_out()

    assert today.pass_all() == [(Action.SENT, True), (Action.OPENED, True)]
    assert today.reasons == [FILE_GONE, FILE_GONE]


def test_job_that_was_settled_is_not_settled_again(night: Opener) -> None:
    """A run that goes on reads what the run before had found due, although the counter is equal by now."""
    read_before(night, {Action.SENT: 5, Action.OPENED: 2})
    today = night(DATE, {Action.SENT: 6, Action.OPENED: 3})
    today.pass_all()
    today.ledger.release(today.harvest)
    later = night(DATE, {Action.SENT: 5, Action.OPENED: 2})
    later.sort_out()

    assert later.pass_all() == [(Action.SENT, True), (Action.OPENED, True)]
    assert later.reports.asked == []


def test_doubted_job_is_never_carried(night: Opener) -> None:
    """Rows were missing when its set was read: an equal counter says nothing for it."""
    today = night(DATE, {Action.SENT: 5, Action.OPENED: 2})
    today.read_all()
    with today.bench.database.writing(today.bench.database.durable) as connection:
        start_anew(connection, Chosen((JobState.DONE,), "action = ?", (Action.SENT,)), Cause.DOUBTED)

    today.sort_out()

    assert today.pass_all() == [(Action.SENT, True)]
    assert today.reasons[0] == DOUBTED


@pytest.mark.parametrize("is_failed", [False, True])
def test_set_in_doubt_is_carried_to_no_later_date(night: Opener, *, is_failed: bool) -> None:
    """A second reading that was cut off, or that found less, leaves nothing to be carried: the set is read again."""
    before = night(DATE - DAY, {Action.SENT: 5, Action.OPENED: 2})
    before.pass_all()
    before.read_all()
    with before.bench.database.writing(before.bench.database.durable) as connection:
        start_anew(connection, Chosen((JobState.DONE,), "action = ?", (Action.SENT,)), Cause.DOUBTED)
    if is_failed:
        (claimed,) = before.ledger.claim(before.harvest, 10, now_s=0.0)
        before.ledger.give_up(claimed.job, GivenUp(JobState.FAILED, FEWER_AGAIN, "fewer rows"))
    today = night(DATE, {Action.SENT: 5, Action.OPENED: 2})
    today.sort_out()

    assert today.pass_all() == [(Action.SENT, True), (Action.OPENED, False)]


def test_set_that_stays_short_is_read_again_when_it_is_due(night: Opener) -> None:
    """Rows may show later than they are counted: an equal counter carries no set that lacks many of them."""
    before = night(DATE - DAY, {Action.SENT: 500, Action.OPENED: 2})
    before.pass_all()
    before.read_all()
    verdicts = VerdictBook(before.bench.database, before.ledger.run_id)
    verdicts.write([(job.id, f"short by {job.counter_rows}") for job in list(verdicts.unjudged(before.harvest))])
    verdicts.distrust(before.harvest, [Action.OPENED], tolerance_share=0.01)
    today = night(DATE, {Action.SENT: 500, Action.OPENED: 2})
    today.sort_out()

    assert today.pass_all() == [(Action.SENT, True), (Action.OPENED, False)]


def test_carried_set_keeps_its_verdict(night: Opener) -> None:
    """A shortfall that is known is told on each date that has the set, and the set is judged only where it was read."""
    before = night(DATE - DAY, {Action.SENT: 5, Action.OPENED: 2})
    before.pass_all()
    before.read_all()
    verdicts = VerdictBook(before.bench.database, before.ledger.run_id)
    verdicts.write([(job.id, f"short by {job.counter_rows}") for job in list(verdicts.unjudged(before.harvest))])
    today = night(DATE, {Action.SENT: 5, Action.OPENED: 2})
    today.pass_all()

    told = VerdictBook(today.bench.database, today.ledger.run_id)

    assert told.findings(today.harvest) == {"short": 2}
    assert [job.missing_rows for job in told.short(today.harvest)] == [5, 2]
    assert list(told.unjudged(today.harvest)) == []


def test_job_that_another_run_took_meanwhile_is_not_carried(night: Opener) -> None:
    """Between the look at the plan and the carrying, the nightly run may have claimed a backfill's job, or read it."""
    read_before(night, {Action.SENT: 5, Action.OPENED: 2})
    filling = night(DATE, {Action.SENT: 6, Action.OPENED: 2}, rules=FillRules())
    filling.ledger.begin_run(0.0, Command.BACKFILL)
    batch = filling.snapshots.candidates(filling.harvest, 0)
    nightly = Ledger(filling.bench.database, "run-nightly", lambda: [filling.ledger.run_id])
    nightly.begin_run(0.0, Command.NIGHTLY)
    nightly.plan(filling.harvest, [Campaign("k0")], [Action.SENT])
    (claimed,) = nightly.claim(filling.harvest, 10, now_s=0.0)

    carried = filling.snapshots.carry([(each.job, each.snapshot, DATE) for each in batch if each.snapshot])

    assert carried == 1
    assert filling.states == [JobState.RUNNING, JobState.CARRIED]
    assert filling.publish(claimed).rows == 0


def test_run_that_is_asked_to_stop_settles_nothing(night: Opener) -> None:
    """Without its counter nobody can tell whether a set is to be read: the run that goes on asks."""
    read_before(night, {Action.SENT: 5, Action.OPENED: 2})
    today = night(DATE, {Action.SENT: 5, Action.OPENED: 2})
    today.bench.stop.ask("SIGTERM")

    today.pass_all()

    assert today.reasons == [None, None]


def test_backfill_leaves_out_what_another_run_has_read_meanwhile(night: Opener) -> None:
    """What the nightly run read since the backfill made its plan is carried, not asked for twice."""
    filling = night(DATE - DAY, {Action.SENT: 5, Action.OPENED: 2}, rules=FillRules())
    filling.sort_out()
    nightly = night(DATE, {Action.SENT: 5, Action.OPENED: 2})
    nightly.pass_all()
    nightly.read_all()

    assert filling.pass_all() == [(Action.SENT, False), (Action.OPENED, False)]
    assert filling.states == [JobState.CARRIED, JobState.CARRIED]


def test_campaign_too_old_to_begin_with_is_no_job(night: Opener) -> None:
    """A frozen campaign is wanted only where its set was read before."""
    never = RefreshRules(dict.fromkeys(Action, ()), full_refresh_days=30)
    read_before(night, {Action.SENT: 5, Action.OPENED: 2})
    today = night(DATE, {}, rules=never, keys=0)

    wanted = [today.gate.is_wanted(today.harvest, Campaign(key), Action.SENT) for key in ("k0", "k1")]

    assert wanted == [True, False]


def test_counters_are_asked_before_a_set_is_read(night: Opener) -> None:
    """What is carried tomorrow rests on a counter that was told before the reading of today."""
    today = night(DATE, {Action.SENT: 5, Action.OPENED: 2})
    today.pass_all()
    today.read_all()
    tomorrow = night(DATE + DAY, {Action.SENT: 5, Action.OPENED: 2})

    states: Sequence[tuple[Action, bool]] = tomorrow.pass_all()

    assert states == [(Action.SENT, False), (Action.OPENED, False)]
