"""What `harvester plan` shows: what a run would cost, as tables, plain lines or JSON."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TextIO

import orjson
from rich.console import Console, Group, RenderableType

from harvester.report.figures import counted, short_key
from harvester.report.printable import printable_tree
from harvester.report.quiet import quiet
from harvester.report.sheets import Sheet, cells, drawn, sheet_lines

UNBOUNDED = "?"


@dataclass(frozen=True, slots=True)
class CallRange:
    """A number of calls: the least, the likely one, and the most; None where nothing bounds it."""

    low: int
    likely: int
    high: int | None

    def __str__(self) -> str:
        return f"{self.low:,} - {UNBOUNDED if self.high is None else f'{self.high:,}'}"


@dataclass(frozen=True, slots=True)
class ActionPlan:
    """What the sets of one action come to."""

    action: str
    jobs: int
    calls: CallRange


@dataclass(frozen=True, slots=True)
class CampaignPlan:
    """One of the dearest campaigns; `calls` are the likely ones."""

    campaign_key: str
    name: str
    jobs: int
    calls: int


@dataclass(frozen=True, slots=True)
class JobsPlan:
    """A run's jobs: to be read, carried over, none of the run's, and done on the date already."""

    read: int
    carried: int
    left_out: int
    done: int


@dataclass(frozen=True, slots=True)
class CountersPlan:
    """The counters that the plan is made by: of how many campaigns, of how many not, and what ended the asking."""

    told: int
    missing: int
    trouble: str


@dataclass(frozen=True, slots=True)
class Remainder:
    """What would be left at the deadline, by the likely calls."""

    calls: int
    jobs: int


@dataclass(frozen=True, slots=True)
class AccountPlan:
    """What the run of one account would come to.

    Attributes:
        account: its name.
        campaigns: looked at.
        jobs: by what becomes of them.
        reasons: jobs to be read, by why.
        calls: to the recipients endpoint.
        rows: expected in the sets that are read.
        windows: periods' worth of calls that the likely calls are.
        calls_free: how many calls could start now.
        ends_at: when the last of the likely calls would be answered, ISO 8601, UTC.
        ends_at_latest: the same of the most calls; None where nothing bounds them.
        locked_until: the end of a lockout that is to be sat out first, ISO 8601, UTC; None if there is none.
        actions: in the order in which they are asked for.
        largest: the campaigns that cost most, the dearest first.
        counters: by which it was priced.
        left: at the deadline; None without one.
    """

    account: str
    campaigns: int
    jobs: JobsPlan
    reasons: Mapping[str, int]
    calls: CallRange
    rows: int
    windows: int
    calls_free: int
    ends_at: str
    ends_at_latest: str | None
    locked_until: str | None
    actions: tuple[ActionPlan, ...]
    largest: tuple[CampaignPlan, ...]
    counters: CountersPlan
    left: Remainder | None = None


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run would come to; accounts go side by side. `deadline` is ISO 8601, UTC."""

    command: str
    date: str
    accounts: tuple[AccountPlan, ...]
    deadline: str | None = None

    @property
    def ends_at(self) -> str | None:
        """When the last account would be through, ISO 8601, UTC; None without an account."""
        return max((account.ends_at for account in self.accounts), default=None)

    @property
    def is_in_time(self) -> bool | None:
        """Whether all likely calls could start before the deadline; None without one."""
        lefts = [account.left for account in self.accounts if account.left is not None]
        return None if self.deadline is None else not any(left.calls for left in lefts)


def write(stream: TextIO, plan: RunPlan) -> None:
    """Write the plan to `stream`: tables on a terminal, else `lines`; a stream that breaks is left."""
    out = quiet(stream)
    if stream.isatty():
        Console(file=out).print(tables(plan))
    else:
        out.writelines(f"{line}\n" for line in lines(plan))


def tables(plan: RunPlan) -> RenderableType:
    """Return the plan as rich tables."""
    return Group(*map(drawn, _sheets(plan)))


def lines(plan: RunPlan) -> list[str]:
    """Return the plan as lines of tab-separated cells: a heading for each table, its columns, its rows."""
    return sheet_lines(_sheets(plan))


def to_json(plan: RunPlan) -> bytes:
    """Return the plan as one line of UTF-8 JSON with its newline; keys are the names of the attributes."""
    document = asdict(plan) | {"ends_at": plan.ends_at, "is_in_time": plan.is_in_time}
    return orjson.dumps(printable_tree(document), option=orjson.OPT_APPEND_NEWLINE)


def sentence(plan: RunPlan) -> str:
    """Return the last line: what it costs, when it would end, and whether that is in time."""
    calls = sum(account.calls.likely for account in plan.accounts)
    jobs = sum(account.jobs.read for account in plan.accounts)
    cost = f"{plan.command} of {plan.date} would read {counted(jobs, 'set')} with {counted(calls, 'call')}"
    end = f" and end at {local_time(plan.ends_at)}" if calls and plan.ends_at else ""
    if plan.deadline is None:
        return f"{cost}{end}"
    lefts = [account.left for account in plan.accounts if account.left is not None]
    left = f"{counted(sum(each.calls for each in lefts), 'call')} of {counted(sum(each.jobs for each in lefts), 'job')}"
    fit = "which is in time" if plan.is_in_time else f"and {left} would be left"
    return f"{cost}{end}; the deadline is {local_time(plan.deadline)}, {fit}"


def local_time(moment: str) -> str:
    """Return an ISO 8601 moment in the zone of this machine: `2026-01-15 03:12 CET`."""
    return f"{dt.datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M %Z}"


def _sheets(plan: RunPlan) -> list[Sheet]:
    sheets = (_accounts(plan), _reasons(plan), _actions(plan), _largest(plan), _counters(plan))
    return [sheet for sheet in sheets if sheet.rows]


def _accounts(plan: RunPlan) -> Sheet:
    numbers = ("campaigns", "read", "carried", "left out", "done", "rows", "calls", "range", "windows", "free now")
    rows = tuple(
        cells(
            each.account,
            f"{each.campaigns:,}",
            *(f"{jobs:,}" for jobs in (each.jobs.read, each.jobs.carried, each.jobs.left_out, each.jobs.done)),
            f"{each.rows:,}",
            f"{each.calls.likely:,}",
            f"{each.calls}",
            f"{each.windows:,}",
            f"{each.calls_free:,}",
            f"{local_time(each.ends_at)}" if each.calls.likely else "no call",
        )
        for each in plan.accounts
    )
    return Sheet(f"{plan.command} {plan.date}", ("account", *numbers, "ends"), rows, frozenset(numbers))


def _reasons(plan: RunPlan) -> Sheet:
    rows = tuple(
        cells(each.account, reason, f"{jobs:,}") for each in plan.accounts for reason, jobs in each.reasons.items()
    )
    return Sheet("why sets are read", ("account", "reason", "sets"), rows, frozenset({"sets"}))


def _actions(plan: RunPlan) -> Sheet:
    rows = tuple(
        cells(each.account, action.action, f"{action.jobs:,}", f"{action.calls.likely:,}", f"{action.calls}")
        for each in plan.accounts
        for action in each.actions
    )
    return Sheet(
        "actions", ("account", "action", "sets", "calls", "range"), rows, frozenset({"sets", "calls", "range"})
    )


def _largest(plan: RunPlan) -> Sheet:
    rows = tuple(
        cells(
            each.account, short_key(campaign.campaign_key), campaign.name, f"{campaign.jobs:,}", f"{campaign.calls:,}"
        )
        for each in plan.accounts
        for campaign in each.largest
    )
    return Sheet("largest", ("account", "campaign", "name", "sets", "calls"), rows, frozenset({"sets", "calls"}))


def _counters(plan: RunPlan) -> Sheet:
    rows = tuple(
        cells(each.account, f"{each.counters.told:,}", f"{each.counters.missing:,}", each.counters.trouble)
        for each in plan.accounts
        if each.counters.missing
    )
    return Sheet("counters", ("account", "told", "missing", "because"), rows, frozenset({"told", "missing"}))
