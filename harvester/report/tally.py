"""What has happened so far, as numbers: events in, counts, waits and an estimate out (pure, no clock).

The values per account are frozen and replaced whole, so a drawing thread always reads a consistent one.
"""

from dataclasses import dataclass, field, fields, replace
from functools import singledispatch

from harvester.events import (
    BudgetHeld,
    BudgetUsed,
    CampaignsDiscovered,
    DrainStarted,
    Event,
    HarvestFinished,
    HarvestJudged,
    HarvestStarted,
    JobCarried,
    JobDone,
    JobFailed,
    JobPostponed,
    JobsDoubted,
    JobSkipped,
    JobStarted,
    LockoutClosed,
    LockoutOpened,
    OutageClosed,
    OutageOpened,
    PageStored,
    PublishFinished,
    PublishStarted,
    PublishStored,
)
from harvester.report.attention import Attention, attend
from harvester.report.cost import Cost
from harvester.report.rate import Rate
from harvester.report.remarks import told_findings

RECIPIENTS_ENDPOINT = "getcampaignrecipientsdata"
"""The endpoint whose budget bounds a harvest; the others are asked a few times only and are not counted here."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What can be added up. Rows, bytes, pages and calls are this run's; jobs are the harvest date's."""

    jobs: int = 0
    done: int = 0
    partial: int = 0
    carried: int = 0
    failed: int = 0
    skipped: int = 0
    rows: int = 0
    bytes: int = 0
    pages: int = 0
    calls: int = 0
    campaigns: int = 0

    @property
    def closed(self) -> int:
        """Jobs that need nothing more in this run."""
        return self.done + self.partial + self.carried + self.failed + self.skipped

    @property
    def open(self) -> int:
        """Jobs still to be done, those in hand included."""
        return max(0, self.jobs - self.closed)

    def plus(self, **more: int) -> "Counts":
        """Return the counts with the named ones raised."""
        return replace(self, **{name: getattr(self, name) + number for name, number in more.items()})

    def __add__(self, other: "Counts") -> "Counts":
        return self.plus(**{each.name: getattr(other, each.name) for each in fields(other)})


@dataclass(frozen=True, slots=True)
class AccountTally:
    """One account's harvest; moments (`_s`) are on the clock of `fold`.

    Attributes:
        account: its name.
        date: the harvest date, ISO; empty until the plan stands.
        counts: the numbers that add up over accounts.
        in_hand: the (campaign key, action) of the jobs that workers have.
        free_calls: how many calls could start at once; None until a call was made.
        held_until_s: until when no call may start because the window is used up; None if not held.
        locked_until_s: until when the server's lockout is sat out; None if not locked.
        locked_until: the same as the event tells it, ISO.
        outage: why no server is reached; None if one is.
        proof: jobs by verdict, in words; empty until they were judged.
        is_draining: whether the run was asked to stop.
        publish_files: how many files are on their way to the object store; None while none are.
        published_files: how many of them are there.
        started_s: when the plan stood; finished_s: when the harvest ended; seen_s: when the last event came.
        rate: jobs closed per second in which calls might start.
        cost: what they cost.
    """

    account: str
    date: str = ""
    counts: Counts = Counts()
    in_hand: frozenset[tuple[str, str]] = frozenset()
    free_calls: int | None = None
    held_until_s: float | None = None
    locked_until_s: float | None = None
    locked_until: str = ""
    outage: str | None = None
    proof: str = ""
    is_draining: bool = False
    publish_files: int | None = None
    published_files: int = 0
    started_s: float | None = None
    finished_s: float | None = None
    seen_s: float = 0.0
    rate: Rate = field(default_factory=Rate)
    cost: Cost = field(default_factory=Cost)

    def held_s(self, now_s: float) -> float:
        """Seconds until the window admits the next call; 0 if it does."""
        return max(0.0, self.held_until_s - now_s) if self.held_until_s is not None else 0.0

    def locked_s(self, now_s: float) -> float | None:
        """Seconds until the lockout ends, 0 while the probe is out; None if not locked."""
        return max(0.0, self.locked_until_s - now_s) if self.locked_until_s is not None else None

    def elapsed_s(self, now_s: float) -> float | None:
        """Seconds since the plan stood, to the end if the harvest ended; None before."""
        if self.started_s is None:
            return None
        return max(0.0, (now_s if self.finished_s is None else self.finished_s) - self.started_s)

    def at(self, now_s: float) -> "AccountTally":
        """Return the tally as of `now_s`: the rate has aged by the time in which calls might start."""
        if self.started_s is None or now_s <= self.seen_s:
            return self
        waits_until_s = max(self.held_until_s or 0.0, self.locked_until_s or 0.0)
        worked_s = max(0.0, now_s - max(self.seen_s, waits_until_s))
        return replace(self, seen_s=now_s, rate=self.rate.after(worked_s))

    def close(self, event: JobDone | JobCarried | JobFailed | JobSkipped, state: str, jobs: int) -> "AccountTally":
        """Return the tally with `jobs` more in the end state named as in `Counts`, and the event's job out of hand."""
        return replace(
            self,
            counts=self.counts.plus(**{state: jobs}),
            in_hand=self.in_hand - {(event.campaign_key, event.action)},
            rate=self.rate.after(0.0, jobs),
            cost=self.cost.after(self.counts.calls, jobs),
        )


class Tally:
    """All accounts of a run.

    Args:
        calls: how many calls the budget admits in each window, per account; above 0.
        period_s: the window's length in seconds; above 0.
    """

    def __init__(self, calls: int, period_s: float) -> None:
        self.calls = calls
        self.period_s = period_s
        self.attention: Attention = ()
        self._accounts: dict[str, AccountTally] = {}

    @property
    def accounts(self) -> tuple[AccountTally, ...]:
        """Every account that an event told of, in order of appearance."""
        return tuple(self._accounts.values())

    @property
    def total(self) -> Counts:
        """The counts of all accounts together."""
        return sum((account.counts for account in self.accounts), Counts())

    def fold(self, event: Event, now_s: float) -> None:
        """Take an event in; `now_s` in seconds on any steady clock. An event without account is only a notice."""
        self.attention = attend(self.attention, event)
        if event.account:
            before = self._accounts.get(event.account, AccountTally(event.account, seen_s=now_s))
            self._accounts[event.account] = _after(event, before.at(now_s), now_s)

    def account_eta_s(self, account: AccountTally, now_s: float) -> float | None:
        """Estimate the seconds until an account's last job is closed; 0 if none is open, None while not known.

        wait + max(open / rate, (calls left - free calls) x period_s / calls), where `wait` is what is left of a hold or
        lockout, and `rate` is jobs closed per second while calls might start (so it measures server and network, not
        the limit). The first term of the maximum rules while the server is the bottleneck, the second while the budget
        is. Not known: before the plan, during an outage or a drain, and until some jobs were closed, unless the calls
        expected are more than are free.
        """
        counts = account.counts
        if account.started_s is not None and counts.open == 0:
            return 0.0
        calls_left = account.cost.left_calls(counts.open, counts.calls)
        if account.started_s is None or calls_left is None or account.outage is not None or account.is_draining:
            return None
        by_budget_s = max(0.0, calls_left - self._free_calls(account)) * self.period_s / self.calls
        rate_per_s = account.at(now_s).rate.per_s
        if rate_per_s is None and (account.cost.expected_calls is None or not by_budget_s):
            return None
        by_rate_s = counts.open / rate_per_s if rate_per_s is not None else 0.0
        wait_s = max(account.held_s(now_s), account.locked_s(now_s) or 0.0)
        return wait_s + max(by_rate_s, by_budget_s)

    def _free_calls(self, account: AccountTally) -> int:
        """Return how many calls could start at once, as far as was heard: before the first one, a whole window."""
        return self.calls if account.free_calls is None else account.free_calls

    def eta_s(self, now_s: float) -> float | None:
        """Estimate the seconds until all accounts are through: the longest of them; None if one is not known."""
        etas = [self.account_eta_s(account, now_s) for account in self.accounts]
        known = [eta_s for eta_s in etas if eta_s is not None]
        return max(known) if known and len(known) == len(etas) else None


@singledispatch
def _after(event: Event, tally: AccountTally, now_s: float) -> AccountTally:
    """Return the account's tally after `event`; events without a rule of their own change no number."""
    del event, now_s
    return tally


@_after.register
def _(event: HarvestStarted, tally: AccountTally, now_s: float) -> AccountTally:
    # What was closed before this run counts as done: the event does not tell done from skipped.
    done = max(0, event.jobs - event.jobs_open)
    counts = replace(tally.counts, jobs=event.jobs, done=done, partial=0, carried=0, failed=0, skipped=0)
    begun = replace(tally, started_s=now_s, finished_s=None, seen_s=now_s, cost=Cost(event.calls_expected))
    return replace(begun, date=event.date, counts=counts, in_hand=frozenset())


@_after.register
def _(event: CampaignsDiscovered, tally: AccountTally, _now_s: float) -> AccountTally:
    return replace(tally, counts=replace(tally.counts, campaigns=event.campaigns))


@_after.register
def _(event: JobStarted, tally: AccountTally, _now_s: float) -> AccountTally:
    return replace(tally, in_hand=tally.in_hand | {(event.campaign_key, event.action)})


@_after.register
def _(event: PageStored, tally: AccountTally, _now_s: float) -> AccountTally:
    return replace(tally, counts=tally.counts.plus(pages=1, rows=event.rows, bytes=event.bytes))


@_after.register
def _(event: JobDone, tally: AccountTally, _now_s: float) -> AccountTally:
    return tally.close(event, "partial" if event.unreadable_rows else "done", 1)


@_after.register
def _(event: JobCarried, tally: AccountTally, _now_s: float) -> AccountTally:
    return tally.close(event, "carried", 1)


@_after.register
def _(event: JobFailed, tally: AccountTally, _now_s: float) -> AccountTally:
    return tally.close(event, "failed", event.jobs)


@_after.register
def _(event: JobSkipped, tally: AccountTally, _now_s: float) -> AccountTally:
    return tally.close(event, "skipped", event.jobs)


@_after.register
def _(event: JobPostponed, tally: AccountTally, _now_s: float) -> AccountTally:
    return replace(tally, in_hand=tally.in_hand - {(event.campaign_key, event.action)})


@_after.register
def _(event: BudgetUsed, tally: AccountTally, _now_s: float) -> AccountTally:
    if event.endpoint != RECIPIENTS_ENDPOINT:
        return tally
    return replace(tally, counts=tally.counts.plus(calls=1), free_calls=event.free_calls, held_until_s=None)


@_after.register
def _(event: BudgetHeld, tally: AccountTally, now_s: float) -> AccountTally:
    if event.endpoint != RECIPIENTS_ENDPOINT:
        return tally
    return replace(tally, free_calls=0, held_until_s=now_s + event.wait_s)


@_after.register
def _(event: LockoutOpened, tally: AccountTally, now_s: float) -> AccountTally:
    if event.endpoint != RECIPIENTS_ENDPOINT:
        return tally
    return replace(tally, free_calls=0, locked_until_s=now_s + event.wait_s, locked_until=event.until)


@_after.register
def _(event: LockoutClosed, tally: AccountTally, _now_s: float) -> AccountTally:
    if event.endpoint != RECIPIENTS_ENDPOINT:
        return tally
    return replace(tally, locked_until_s=None, locked_until="")


@_after.register
def _(event: OutageOpened, tally: AccountTally, _now_s: float) -> AccountTally:
    return replace(tally, outage=event.reason)


@_after.register
def _(_event: OutageClosed, tally: AccountTally, _now_s: float) -> AccountTally:
    return replace(tally, outage=None)


@_after.register
def _(_event: DrainStarted, tally: AccountTally, _now_s: float) -> AccountTally:
    return replace(tally, is_draining=True)


@_after.register
def _(event: JobsDoubted, tally: AccountTally, _now_s: float) -> AccountTally:
    return replace(tally, counts=tally.counts.plus(done=-event.jobs))


@_after.register
def _(event: HarvestJudged, tally: AccountTally, _now_s: float) -> AccountTally:
    findings = {"proven": event.proven, "short": event.short, "over": event.over, "unknown": event.unknown}
    return replace(tally, proof=told_findings(findings))


@_after.register
def _(event: HarvestFinished, tally: AccountTally, now_s: float) -> AccountTally:
    # The ledger's states replace those of the events; rows and calls stay this run's own.
    counts = replace(
        tally.counts,
        jobs=event.done + event.partial + event.carried + event.failed + event.skipped + event.open,
        done=event.done,
        partial=event.partial,
        carried=event.carried,
        failed=event.failed,
        skipped=event.skipped,
    )
    return replace(tally, date=event.date, counts=counts, finished_s=now_s, in_hand=frozenset())


@_after.register
def _(event: PublishStarted, tally: AccountTally, _now_s: float) -> AccountTally:
    return replace(tally, publish_files=event.files, published_files=0)


@_after.register
def _(_event: PublishStored, tally: AccountTally, _now_s: float) -> AccountTally:
    return replace(tally, published_files=tally.published_files + 1)


@_after.register
def _(_event: PublishFinished, tally: AccountTally, _now_s: float) -> AccountTally:
    return replace(tally, publish_files=None)
