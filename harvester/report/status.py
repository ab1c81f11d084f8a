"""What `harvester status` shows: tables for a terminal, plain lines for a pipe, JSON for a machine."""

from dataclasses import asdict, dataclass, field
from typing import TextIO

import orjson
from rich.console import Console, Group, RenderableType
from rich.text import Text

from harvester.flaws import REMEDIES, FlawKind
from harvester.model import JobState
from harvester.report.figures import clock_time, countdown, short_key, size
from harvester.report.printable import printable_tree
from harvester.report.quiet import quiet
from harvester.report.sheets import Sheet, cells, drawn, sheet_lines
from harvester.report.summary import Problem

_COLUMNS_OF_STATES = {
    "open": (JobState.PENDING, JobState.RUNNING),
    "done": (JobState.DONE,),
    "carried": (JobState.CARRIED,),
    "partial": (JobState.PARTIAL,),
    "skipped": (JobState.SKIPPED,),
    "failed": (JobState.FAILED,),
}
"""Pending and running are one column, as in the live view: 80 columns have no room for both."""

_COLUMNS_WHERE_ANY = frozenset({"carried", "partial", "skipped"})
"""Many accounts never have any of these, and 80 columns have no room for noughts."""


_PUBLISHED = {None: "", True: "yes", False: "no"}


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job whose next attempt is due in `due_in_s` seconds (0: now), after `attempts` that failed for `reason`."""

    campaign_key: str
    action: str
    due_in_s: float
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True)
class HarvestStatus:
    """One account and date as the ledger has it.

    `jobs` per state of `JobState`, rows and bytes of the snapshot (done and carried), `verdicts` as in
    `AccountSummary`, and so is `published`. `runs_at_work` are the ids of the runs that are at work on it now.
    """

    account: str
    date: str
    jobs: dict[str, int]
    rows: int
    bytes: int
    calls: int
    problems: tuple[Problem, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    verdicts: dict[str, int] = field(default_factory=dict)
    published: bool | None = None
    runs_at_work: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """One endpoint's budget: calls in the window, the wait for the next one in seconds, the lockout's end (ISO)."""

    account: str
    endpoint: str
    calls_used: int
    calls_free: int
    next_slot_s: float
    lockout_until: str | None = None


@dataclass(frozen=True, slots=True)
class LockoutStatus:
    """A lockout that was met: when, until when the pause was to last (ISO), and our own calls in the window before."""

    account: str
    endpoint: str
    seen_at: str
    until: str
    level: int
    code: str
    message: str
    calls_in_window: int


@dataclass(frozen=True, slots=True)
class ErasureStatus:
    """Somebody is to be forgotten and is not yet: the erasure's id, and when it began, ISO 8601."""

    id: str
    began_at: str


@dataclass(frozen=True, slots=True)
class Status:
    """All that is known of the state directory."""

    harvests: tuple[HarvestStatus, ...] = ()
    budgets: tuple[BudgetStatus, ...] = ()
    lockouts: tuple[LockoutStatus, ...] = ()
    erasures: tuple[ErasureStatus, ...] = ()


def write(stream: TextIO, status: Status) -> None:
    """Write the status to `stream`: tables on a terminal, else `lines`; a stream that breaks is left."""
    out = quiet(stream)
    if stream.isatty():
        Console(file=out).print(tables(status))
    else:
        out.writelines(f"{line}\n" for line in lines(status))


def tables(status: Status) -> RenderableType:
    """Return the status as rich tables, long ones cut at `TABLE_ROWS_MAX` rows."""
    sheets = _sheets(status)
    return Group(*map(drawn, sheets)) if sheets else Text("nothing was harvested yet")


def lines(status: Status) -> list[str]:
    """Return the status as lines of tab-separated cells: a heading for each table, its columns, its rows."""
    return sheet_lines(_sheets(status)) or ["nothing was harvested yet"]


def to_json(status: Status) -> bytes:
    """Return the status as one line of UTF-8 JSON with its newline; keys are the names of the attributes."""
    return orjson.dumps(printable_tree(asdict(status)), option=orjson.OPT_APPEND_NEWLINE)


def _sheets(status: Status) -> list[Sheet]:
    sheets = (
        _harvests(status),
        _at_work(status),
        _proofs(status),
        _budgets(status),
        _lockouts(status),
        _erasures(status),
        _problems(status),
        _waiting(status),
    )
    return [sheet for sheet in sheets if sheet.rows]


def _harvests(status: Status) -> Sheet:
    present = {state for each in status.harvests for state, number in each.jobs.items() if number}
    columns = {
        name: states
        for name, states in _COLUMNS_OF_STATES.items()
        if name not in _COLUMNS_WHERE_ANY or not present.isdisjoint(states)
    }
    is_publishing = any(each.published is not None for each in status.harvests)
    rows = tuple(
        cells(
            each.account,
            each.date,
            *(f"{sum(each.jobs.get(state, 0) for state in states):,}" for states in columns.values()),
            f"{each.rows:,}",
            size(each.bytes),
            f"{each.calls:,}",
            *([_PUBLISHED[each.published]] if is_publishing else []),
        )
        for each in status.harvests
    )
    numbers = (*columns, "rows", "size", "calls")
    titles = ("account", "date", *numbers, *(["published"] if is_publishing else []))
    return Sheet("harvests", titles, rows, frozenset(numbers))


def _at_work(status: Status) -> Sheet:
    rows = tuple(cells(each.account, each.date, run) for each in status.harvests for run in each.runs_at_work)
    return Sheet("at work", ("account", "date", "run"), rows, frozenset())


def _proofs(status: Status) -> Sheet:
    judged = [each for each in status.harvests if each.verdicts]
    findings = tuple(judged[0].verdicts) if judged else ()
    rows = tuple(
        cells(each.account, each.date, *(f"{each.verdicts[finding]:,}" for finding in findings)) for each in judged
    )
    return Sheet("proof", ("account", "date", *findings), rows, frozenset(findings))


def _budgets(status: Status) -> Sheet:
    rows = tuple(
        cells(each.account, each.endpoint, f"{each.calls_used:,}", f"{each.calls_free:,}", _next_call(each))
        for each in status.budgets
    )
    columns = ("account", "endpoint", "used", "free", "next call")
    return Sheet("budgets", columns, rows, frozenset({"used", "free"}))


def _next_call(budget: BudgetStatus) -> str:
    if budget.lockout_until is not None:
        return f"locked until {clock_time(budget.lockout_until)}"
    return f"in {countdown(budget.next_slot_s)}" if budget.next_slot_s > 0 else "now"


def _lockouts(status: Status) -> Sheet:
    rows = tuple(
        cells(
            each.account,
            each.endpoint,
            each.seen_at,
            clock_time(each.until),
            f"{each.level}",
            f"{each.calls_in_window:,}",
            f"{each.code} {each.message}",
        )
        for each in status.lockouts
    )
    columns = ("account", "endpoint", "seen", "until", "in a row", "own calls", "answer")
    return Sheet("lockouts", columns, rows, frozenset({"in a row", "own calls"}))


def _erasures(status: Status) -> Sheet:
    remedy = REMEDIES[FlawKind.ERASURE]
    rows = tuple(cells(each.id, each.began_at, remedy) for each in status.erasures)
    return Sheet("forgetting", ("erasure", "begun", "remedy"), rows, frozenset())


def _problems(status: Status) -> Sheet:
    rows = tuple(
        cells(
            harvest.account,
            short_key(problem.campaign_key),
            problem.action or "all",
            f"{problem.jobs:,}",
            f"{problem.code} {problem.reason}",
            problem.remedy,
        )
        for harvest in status.harvests
        for problem in harvest.problems
    )
    return Sheet("failed", ("account", "campaign", "action", "jobs", "reason", "remedy"), rows, frozenset({"jobs"}))


def _waiting(status: Status) -> Sheet:
    rows = tuple(
        cells(
            harvest.account,
            short_key(job.campaign_key),
            job.action,
            f"in {countdown(job.due_in_s)}" if job.due_in_s > 0 else "now",
            f"{job.attempts:,}",
            job.reason,
        )
        for harvest in status.harvests
        for job in harvest.waiting
    )
    columns = ("account", "campaign", "action", "due", "attempts", "reason")
    return Sheet("waiting", columns, rows, frozenset({"attempts"}))
