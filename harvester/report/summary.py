"""What a run came to: sentences for people, JSON for machines (pure); docs/events.md describes the JSON."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

import orjson

from harvester.model import JobState
from harvester.report.figures import clock_time, counted, duration, short_key, size
from harvester.report.printable import printable, printable_tree
from harvester.report.remarks import Remark, told_findings

PROBLEM_LINES_MAX = 10
"""What fits a screen beside the rest; `harvester status` has all."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Jobs of one campaign, or of several for one reason, that are not done.

    Attributes:
        campaign_key: of which campaign; empty if of several.
        action: of which action; None if of all that were asked for.
        jobs: how many jobs that are.
        code: the API's code, or the short name of the failure.
        reason: what it means, redacted.
        remedy: what a person can do; may be empty.
        campaigns: how many campaigns that are.
    """

    campaign_key: str
    action: str | None
    jobs: int
    code: str
    reason: str
    remedy: str
    campaigns: int = 1


@dataclass(frozen=True, slots=True)
class AccountSummary:
    """One account's harvest of one date.

    Attributes:
        account: its name.
        date: the harvest date, ISO.
        jobs: how many jobs stand in each state of `JobState`; a state may be missing.
        rows: in the finished partitions of the date, carried ones included, so safe on disk.
        bytes: size of the same.
        calls: made in this run to the recipients endpoint, whose budget is the scarce one.
        not_done: what failed.
        verdicts: jobs by what the server's counters say of them; empty where nothing was counted.
        remarks: what else should be known.
        published: whether the object store has the date as it lies on disk; None where nothing is published.
    """

    account: str
    date: str
    jobs: dict[str, int]
    rows: int
    bytes: int
    calls: int
    not_done: tuple[Problem, ...] = ()
    verdicts: dict[str, int] = field(default_factory=dict)
    remarks: tuple[Remark, ...] = ()
    published: bool | None = None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A whole run.

    Attributes:
        run_id: as in the records and the ledger.
        exit_code: of the process.
        outcome: the same in words: "complete", "partial", "stopped, resumable", ...
        accounts: one for each account and date; empty if the run ended before any was planned.
        seconds: how long it took.
        output: the directory that holds the rows, as it is to be shown.
        resume_command: what to type to go on; None if nothing is left to do or the same command would not help.
        stopped_because: one sentence without full stop; None if the run came to its end.
        remedy: what a person can do about that, one sentence; None where nothing is known.
        resume_at: before when going on is useless (a lockout), ISO 8601; None if at once.
    """

    run_id: str
    exit_code: int
    outcome: str
    accounts: tuple[AccountSummary, ...]
    seconds: float
    output: str
    resume_command: str | None = None
    stopped_because: str | None = None
    remedy: str | None = None
    resume_at: str | None = None


def sentences(summary: RunSummary) -> list[str]:
    """Return the lines for stderr: one for each account, problems, remarks, and last what happened and how to go on.

    The last line says the outcome, what is safe on disk, and the command that goes on, if there is one.
    """
    accounts = [_account_line(account) for account in summary.accounts]
    problems = [problem for account in summary.accounts for problem in account.not_done]
    remedies = [summary.remedy] if summary.remedy else []
    remarks = [f"{account.account}: {remark.sentence}" for account in summary.accounts for remark in account.remarks]
    lines = (*accounts, *problem_lines(problems), *remarks, *remedies, _last_line(summary))
    return [printable(line) for line in lines]


def problem_lines(problems: Iterable[Problem]) -> list[str]:
    """Return one line for each different code, reason and remedy, most jobs first, at most `PROBLEM_LINES_MAX`."""
    groups: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        groups.setdefault((problem.code, problem.reason, problem.remedy), []).append(problem)
    ranked = sorted(groups.values(), key=lambda group: -sum(problem.jobs for problem in group))
    lines = [_problem_line(group) for group in ranked[:PROBLEM_LINES_MAX]]
    hidden = len(ranked) - len(lines)
    return [*lines, f"+{hidden:,} more, see harvester status"] if hidden else lines


def to_json(summary: RunSummary) -> bytes:
    """Return the summary as one line of UTF-8 JSON with its newline; keys are the names of the attributes."""
    return orjson.dumps(printable_tree(asdict(summary)), option=orjson.OPT_APPEND_NEWLINE)


def _problem_line(group: list[Problem]) -> str:
    first = group[0]
    keys = {problem.campaign_key for problem in group if problem.campaign_key}
    campaigns = len(keys) + sum(problem.campaigns for problem in group if not problem.campaign_key)
    which = f" ({short_key(first.campaign_key)})" if campaigns == len(keys) == 1 else ""
    jobs = counted(sum(problem.jobs for problem in group), "job")
    why = f"{first.code} {first.reason}".rstrip(". ")
    line = f"{counted(campaigns, 'campaign')}{which}, {jobs}: {why}"
    return f"{line} - {first.remedy}" if first.remedy else line


def _account_line(account: AccountSummary) -> str:
    states = ", ".join(f"{account.jobs[state]:,} {state}" for state in JobState if account.jobs.get(state))
    amounts = f"{counted(account.rows, 'row')} ({size(account.bytes)}), {counted(account.calls, 'call')}"
    proof = told_findings(account.verdicts)
    where = {None: "", True: "published", False: "not published"}[account.published]
    told = "; ".join(part for part in (amounts, proof, where) if part)
    return f"{account.account} {account.date}: jobs {states or 'none'}; {told}"


def _last_line(summary: RunSummary) -> str:
    because = f" ({summary.stopped_because})" if summary.stopped_because else ""
    parts = [f"{summary.outcome}{because} after {duration(summary.seconds)}: {_safe(summary)}"]
    if summary.resume_at is not None:
        parts.append(f"not before {clock_time(summary.resume_at)}")
    if summary.resume_command is not None:
        parts.append(f"go on with: {summary.resume_command}")
    return "; ".join(parts)


def _safe(summary: RunSummary) -> str:
    if not summary.accounts:
        return "no harvest was begun, what was on disk is unchanged"
    rows = counted(sum(account.rows for account in summary.accounts), "row")
    jobs = sum(sum(account.jobs.values()) for account in summary.accounts)
    # A skipped job has nothing to ask for, and a carried one stands as it was: as complete as one that is done.
    states = (JobState.DONE, JobState.PARTIAL, JobState.CARRIED, JobState.SKIPPED)
    closed = sum(account.jobs.get(state, 0) for account in summary.accounts for state in states)
    if closed == jobs:
        return f"{rows} of {counted(jobs, 'job')} in {summary.output}"
    return f"{closed:,} of {counted(jobs, 'job')} ({rows}) are safe in {summary.output}"
