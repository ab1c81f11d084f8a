"""From settings and a selection to what a run would cost; jobs, files and the recipients endpoint are left alone."""

import datetime as dt
import math
from dataclasses import dataclass
from functools import partial

from harvester.engine import lockout as breaker
from harvester.engine.admission import free_calls
from harvester.engine.estimate import Estimator, Intent
from harvester.engine.estimate import calls_expected as priced
from harvester.engine.forecast import Course, Forecast, forecast
from harvester.engine.pricing import Price
from harvester.engine.survey import Survey
from harvester.errors import StoppedError
from harvester.model import Harvest
from harvester.operations.limits import Deadline
from harvester.operations.prospects import prospects
from harvester.operations.selection import Selection
from harvester.operations.workshop import RECIPIENTS, AccountBench, quota_of, rules_of
from harvester.report.plan import (
    AccountPlan,
    ActionPlan,
    CallRange,
    CampaignPlan,
    CountersPlan,
    JobsPlan,
    Remainder,
)
from harvester.store.account_history import AccountHistory
from harvester.store.calls import CallBook, Window

LATENCY_S = 0.5
"""How long an answer takes where no call of the account is remembered."""


async def estimate(bench: AccountBench, selection: Selection, deadline: Deadline | None = None) -> AccountPlan:
    """Return what an account's run would come to.

    Args:
        bench: the account's connections; it asks the listing, the details of A/B campaigns, and the reports.
        selection: what the run would harvest.
        deadline: when no call may start any more; None without one.

    Raises:
        HarvestError: the listing could not be read, or the disk refused.
    """
    tools, settings = bench.tools, bench.settings
    history = AccountHistory(bench.store.database, bench.name, selection.date, selection.actions)
    rules = rules_of(selection.command, settings.nightly)
    intent = Intent(
        bench.name, selection.date, selection.actions, rules, settings.harvest.page_size, selection.is_refresh
    )
    estimator = Estimator(intent, await tools.offload_disk(history.habits))
    desk = bench.reports() if settings.harvest.counters else None
    survey = Survey(estimator, history.campaign, desk, tools.offload_disk)
    async for campaigns in prospects(bench, selection):
        await survey.take(campaigns)
    if tools.stop.is_asked:
        until = bench.lockout.until if bench.lockout else None
        raise StoppedError(f"{bench.name}: {tools.stop.reason}, so its campaigns could not be listed.", "", until)
    look = partial(_outlook, bench, history, estimator.total, deadline)
    return _plan(bench.name, estimator, survey, await tools.offload_disk(look))


def calls_expected(bench: AccountBench, harvest: Harvest) -> int | None:
    """Return what the open jobs of a run should cost, by what the ledger knows; None where it knows too little.

    In the thread of the disk; asks nobody. Sets that a counter may yet spare are taken as read.
    """
    history = AccountHistory(bench.store.database, harvest.account, harvest.date, ())
    sets = history.open_sets(harvest, bench.store.ledger.run_id)
    return priced(sets, history.habits(), bench.settings.harvest.page_size)


@dataclass(frozen=True, slots=True)
class Outlook:
    """How the calls of an account would go; moments (`_s`) are on the clock of `Clock.now_s`.

    Attributes:
        now_s: the present.
        wall_s: the same moment in seconds since the epoch.
        course: of the calls, as many as there may be.
        tokens: calls of a window.
        free_calls: how many calls could start now.
        locked_until_s: when a lockout ends; None if there is none.
        deadline_s: until when calls may start; None without a limit.
    """

    now_s: float
    wall_s: float
    course: Forecast
    tokens: int
    free_calls: int
    locked_until_s: float | None
    deadline_s: float | None

    def iso(self, moment_s: float) -> str:
        """Return a moment as ISO 8601, UTC."""
        moment = dt.datetime.fromtimestamp(self.wall_s + moment_s - self.now_s, dt.UTC)
        return moment.isoformat(timespec="seconds")

    def ends_at(self, calls: int) -> str:
        """Return when the last of so many calls would be answered, ISO 8601, UTC; now if there is none."""
        return self.iso(self.course.end_s(calls) if calls else self.now_s)

    def left(self, calls: int, jobs: int) -> Remainder | None:
        """Return what is left at the deadline: of the jobs the same share as of the calls; None without a deadline."""
        if self.deadline_s is None:
            return None
        left = calls - self.course.calls_before(self.deadline_s, calls)
        return Remainder(left, -(-jobs * left // calls) if calls else 0)


def _outlook(bench: AccountBench, history: AccountHistory, price: Price, deadline: Deadline | None) -> Outlook:
    """Play the calls forward from the budget's present; in the thread of the disk."""
    settings, clock = bench.settings, bench.tools.clock
    quota, lock_s = quota_of(settings), settings.budget.lock_s
    standing = CallBook(bench.store.database, Window(bench.name, RECIPIENTS, quota.memory_s), clock).standing()
    latency_s = history.latency_s() or LATENCY_S
    gap_s = max(1 / settings.budget.burst_per_s, latency_s / settings.harvest.concurrency)
    most_calls = math.ceil(price.high if math.isfinite(price.high) else price.likely)
    state = breaker.aged(standing, lock_s)
    return Outlook(
        now_s=standing.now_s,
        wall_s=clock.wall_s(),
        course=forecast(most_calls, Course(quota, lock_s, gap_s, latency_s), standing),
        tokens=quota.tokens,
        free_calls=0 if state.is_shut else free_calls(quota, standing.stamps, standing.now_s),
        locked_until_s=state.until_s if state.is_draining else None,
        deadline_s=None if deadline is None else deadline.at_s,
    )


def _plan(account: str, estimator: Estimator, survey: Survey, outlook: Outlook) -> AccountPlan:
    found, calls = estimator.estimate, _calls(estimator.total)
    return AccountPlan(
        account=account,
        campaigns=found.campaigns,
        jobs=JobsPlan(found.jobs, found.jobs_carried, found.jobs_left_out, found.jobs_settled),
        reasons={reason.value: jobs for reason, jobs in found.reasons.items()},
        calls=calls,
        rows=round(found.rows),
        windows=-(-calls.likely // outlook.tokens),
        calls_free=outlook.free_calls,
        ends_at=outlook.ends_at(calls.likely),
        ends_at_latest=None if calls.high is None else outlook.ends_at(calls.high),
        locked_until=None if outlook.locked_until_s is None else outlook.iso(outlook.locked_until_s),
        actions=tuple(
            ActionPlan(action, jobs, _calls(found.prices[action])) for action, jobs in found.action_jobs.items()
        ),
        largest=tuple(CampaignPlan(each.key, each.name, each.jobs, round(each.calls)) for each in found.largest),
        counters=CountersPlan(survey.counted, survey.missing, survey.trouble),
        left=outlook.left(calls.likely, found.jobs),
    )


def _calls(price: Price) -> CallRange:
    high = math.ceil(price.high) if math.isfinite(price.high) else None
    return CallRange(round(price.low), round(price.likely), high)
