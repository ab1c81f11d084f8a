"""What a run would do and what that would cost, campaign by campaign (pure)."""

import datetime as dt
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from harvester.engine.pricing import ONE_CALL, Confirming, Price, Size, price_of
from harvester.engine.proof import DOUBT_CALLS_SHARE
from harvester.engine.refresh import Decision, Rules
from harvester.history import Habits, KnownCampaign, KnownSet, OpenSet
from harvester.model import Action, Campaign, Counters, Job, JobState
from harvester.snapshot import Snapshot

LARGEST_MAX = 5
"""Campaigns named one by one: those that cost most."""

YOUNG_DAYS = 2
"""A campaign sent so lately is still being opened while it is harvested."""

SETTLED = frozenset({JobState.DONE, JobState.CARRIED, JobState.SKIPPED})
"""States of a date's jobs that cost no further call."""


class Reason(StrEnum):
    """Why a set would be read."""

    ASKED_FOR = "asked for"
    BEGUN = "begun before"
    NEVER_READ = "never read"
    COUNTER_MOVED = "counter moved"
    NO_COUNTER = "no counter"
    FULL_REFRESH = "full refresh"


@dataclass(frozen=True, slots=True)
class Intent:
    """What a run is for, as far as its plan goes.

    Attributes:
        account: its name.
        date: the harvest date.
        actions: in the order in which they are asked for.
        rules: which sets are read; None where all of them are.
        page_rows: rows asked for in one call.
        is_refresh: whether sets that are done on the date are read again.
    """

    account: str
    date: dt.date
    actions: Sequence[Action]
    rules: Rules | None
    page_rows: int
    is_refresh: bool = False


@dataclass(frozen=True, slots=True)
class Prospect:
    """A campaign before its price is known.

    Attributes:
        campaign: which.
        name: what its owner calls it; may be empty.
        known: what the ledger knows of it.
        is_due: whether any of its sets is read, or is read if its counter moved.
    """

    campaign: Campaign
    name: str
    known: KnownCampaign
    is_due: bool


@dataclass(frozen=True, slots=True)
class CampaignPrice:
    """One of the dearest campaigns; `calls` are the likely ones."""

    calls: float
    key: str
    name: str
    jobs: int


@dataclass(slots=True)
class Estimate:
    """What an account's run would come to; grows by `Estimator.take`.

    Attributes:
        campaigns: looked at.
        jobs_carried: sets that stand as they were last read.
        jobs_left_out: sets that are none of this run's.
        jobs_settled: sets that are done on the date.
        reasons: jobs to be read, by why.
        prices: of these, by action; without margins.
        action_jobs: of these, by action.
        rows: expected of these.
        confirming: the calls that confirm an end.
        largest: the dearest campaigns, in no order.
    """

    campaigns: int = 0
    jobs_carried: int = 0
    jobs_left_out: int = 0
    jobs_settled: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)
    prices: dict[Action, Price] = field(default_factory=dict)
    action_jobs: Counter[Action] = field(default_factory=Counter)
    rows: float = 0.0
    confirming: Confirming = field(default_factory=Confirming)
    largest: list[CampaignPrice] = field(default_factory=list)

    @property
    def jobs(self) -> int:
        """How many sets would be read."""
        return self.reasons.total()


class Estimator:
    """Prices the campaigns of an account one after the other.

    Args:
        intent: what the run is for.
        habits: how the account's server has behaved.
    """

    def __init__(self, intent: Intent, habits: Habits) -> None:
        self._intent = intent
        self._habits = habits
        self._page_rows = min(intent.page_rows, habits.page_rows_max or intent.page_rows)
        self.estimate = Estimate(confirming=Confirming(habits.longest_page_rows))

    @property
    def total(self) -> Price:
        """The price of all sets taken so far.

        The most has more in it: what this account's history shows of calls tried again, a twentieth for second
        readings of sets that fall short, and confirming calls once more, as sets read at the same time confirm each.
        """
        estimate, confirmed = self.estimate, self.estimate.confirming.calls
        plain = sum(estimate.prices.values(), Price(0, confirmed, confirmed))
        return plain.with_margin(self._habits.retry_share + DOUBT_CALLS_SHARE, confirmed)

    def prospect(self, campaign: Campaign, name: str, known: KnownCampaign) -> Prospect:
        """Return a campaign with whether its counters are worth a question."""
        decisions = {self._decide(job, known_set) for job, known_set in self._jobs(campaign, known)}
        is_due = not decisions.isdisjoint({Decision.HARVEST, Decision.ASK})
        return Prospect(campaign, name, known, is_due)

    def take(self, prospect: Prospect, counters: Counters | None, *, is_refused: bool = False) -> None:
        """Add a campaign.

        Args:
            prospect: which.
            counters: as they were told now; None if nobody asked, or got no answer.
            is_refused: whether they were refused for want of privilege or the like: so will be the recipients.
        """
        estimate, known = self.estimate, prospect.known
        estimate.campaigns += 1
        chosen = list(self._chosen(prospect, {} if counters is None else counters.rows))
        prices = (
            [ONE_CALL, *[Price()] * (len(chosen) - 1)][: len(chosen)]
            if is_refused or known.is_refused
            else [self._price(job, known_set, rows) for job, known_set, rows in chosen]
        )
        for (job, _, _), price in zip(chosen, prices, strict=True):
            estimate.prices[job.action] = estimate.prices.get(job.action, Price()) + price
            estimate.action_jobs[job.action] += 1
        if chosen:
            calls = sum(price.likely for price in prices)
            candidate = CampaignPrice(calls, prospect.campaign.key, prospect.name, len(chosen))
            estimate.largest = heapq.nlargest(LARGEST_MAX, [*estimate.largest, candidate], key=lambda each: each.calls)

    def _jobs(self, campaign: Campaign, known: KnownCampaign) -> Iterator[tuple[Job, KnownSet]]:
        intent = self._intent
        for action in intent.actions:
            job = Job(0, intent.account, campaign, action, intent.date)
            yield job, known.sets.get(action, KnownSet())

    def _decide(self, job: Job, known: KnownSet) -> Decision | None:
        """Return what becomes of a job before its counter is known; None if nothing is left to do."""
        if self._intent.is_refresh:
            return Decision.HARVEST
        if known.state in SETTLED:
            return None
        if self._intent.rules is None or known.is_due or known.pages:
            return Decision.HARVEST
        return self._intent.rules.decide(job, known.snapshot)

    def _chosen(self, prospect: Prospect, counted: Mapping[Action, int]) -> Iterator[tuple[Job, KnownSet, int | None]]:
        """Yield the sets of a campaign that are read, each with its counter; note why, and what becomes of others."""
        estimate = self.estimate
        for job, known in self._jobs(prospect.campaign, prospect.known):
            rows = counted.get(job.action, known.counter_rows)
            decision = self._decide(job, known)
            reason = self._reason(job, known, decision, rows)
            estimate.jobs_settled += decision is None
            estimate.jobs_left_out += decision is Decision.LEAVE_OUT
            if reason is not None:
                estimate.reasons[reason] += 1
                yield job, known, rows
            elif decision in {Decision.CARRY, Decision.ASK}:
                estimate.jobs_carried += 1

    def _reason(self, job: Job, known: KnownSet, decision: Decision | None, rows: int | None) -> Reason | None:
        """Return why a set is read, now that its counter is known or not to be had; None if it is not."""
        if decision not in {Decision.HARVEST, Decision.ASK}:
            return None
        if known.pages or known.is_due:
            return Reason.BEGUN
        rules = self._intent.rules
        if rules is None or self._intent.is_refresh:
            return Reason.ASKED_FOR
        if decision is Decision.ASK and rules.why_read(job, known.snapshot, rows) is None:
            return None
        return _why(decision, known.snapshot, rows)

    def _price(self, job: Job, known: KnownSet, counted_rows: int | None) -> Price:
        """Return the price of a set, and take its rows in."""
        estimate, typical = self.estimate, self._habits.typical.get(job.action)
        size = self._size(job, known, counted_rows)
        price = price_of(size, typical, self._page_rows)
        rows = size.rows if size.rows is not None else (typical.rows if typical else 0)
        estimate.rows += rows
        estimate.confirming = estimate.confirming.after(int(rows), self._page_rows)
        return price.less(known.pages)

    def _size(self, job: Job, known: KnownSet, counted_rows: int | None) -> Size:
        partition = known.snapshot.partition if known.snapshot else None
        sent_at_ms = job.campaign.sent_at_ms
        day = None if sent_at_ms is None else dt.datetime.fromtimestamp(sent_at_ms / 1000, dt.UTC).date()
        is_young = day is not None and (job.date - day).days < YOUNG_DAYS
        return Size(counted_rows, partition.rows if partition else None, is_young)


def calls_expected(sets: Iterable[OpenSet], habits: Habits, page_rows: int) -> int | None:
    """Return the likely calls of the sets that a run has still to read; None where of one nothing at all is known.

    Args:
        sets: that are open.
        habits: how the account's server has behaved.
        page_rows: rows asked for in one call.
    """
    calls = 0.0
    for each in sets:
        typical = habits.typical.get(each.action)
        size = Size(each.counted_rows, each.earlier_rows)
        if size.rows is None and typical is None:
            return None
        calls += price_of(size, typical, min(page_rows, habits.page_rows_max or page_rows)).less(each.pages).likely
    return round(calls)


def _why(decision: Decision, snapshot: Snapshot | None, rows: int | None) -> Reason:
    if snapshot is None:
        return Reason.NEVER_READ
    if decision is Decision.HARVEST:
        return Reason.FULL_REFRESH
    return Reason.NO_COUNTER if None in {rows, snapshot.counter_rows} else Reason.COUNTER_MOVED
