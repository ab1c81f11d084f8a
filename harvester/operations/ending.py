"""How a run ended: from counts, troubles and signals to an exit code and a summary."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from signal import Signals

from harvester.errors import URGENCY, BusyError, DiskError, HarvestError, StoppedError, VerificationError
from harvester.model import Discovery, Harvest, JobState
from harvester.operations.remarks import remarks_on, verdicts_of
from harvester.operations.resuming import SIGNAL_BASE
from harvester.operations.selection import Selection
from harvester.report.summary import AccountSummary, Problem, RunSummary
from harvester.store.job_report import JobReport
from harvester.store.ledger import Ledger

EXIT_PARTIAL = 3
EXIT_CREDENTIALS = 4

PRIVILEGE_CODES = frozenset({"6607", "6601"})
"""If these are all that an account ever answers, it is the account that lacks the privilege, not a campaign."""

PROBLEMS_MAX = 1_000
"""Campaigns named one by one; the manifest names all."""

WORDS = {
    0: "complete",
    EXIT_PARTIAL: "partial: some jobs failed, the rest is complete",
    EXIT_CREDENTIALS: "a person must act",
    BusyError.exit_code: "left to another run",
    VerificationError.exit_code: "ledger and files disagree",
    DiskError.exit_code: "the disk refuses",
    StoppedError.exit_code: "stopped, resumable",
}


UNREADABLE = "partial: some rows could not be read, the rest is complete"
"""In the place of the words for `EXIT_PARTIAL` where no job failed."""


@dataclass(slots=True)
class Ending:
    """What is learned while a run ends.

    Attributes:
        began_s: when the run began, on the clock of `Clock.now_s`.
        troubles: what ended accounts early.
        signal: the signal that asked to stop, if any.
        stop_reason: why the run was asked to stop: a signal, a limit, ...; None if it was not.
        published: by account, whether the object store has the date as it lies on disk; empty where nothing is.
    """

    began_s: float
    troubles: list[HarvestError] = field(default_factory=list)
    signal: Signals | None = None
    stop_reason: str | None = None
    published: Mapping[str, bool | None] = field(default_factory=dict)


def summarise(ending: Ending, selection: Selection, ledger: Ledger, calls_by_account: Mapping[str, int]) -> RunSummary:
    """Return the summary of a run; its exit code is a function of the ledger's content, troubles and the signal."""
    harvests = [ledger.open_harvest(name, selection.date) for name in selection.accounts]
    accounts = tuple(
        replace(
            _account_summary(ledger, harvest, calls_by_account.get(harvest.account, 0)),
            published=ending.published.get(harvest.account),
        )
        for harvest in harvests
    )
    is_listing_cut_off = any(harvest.discovery is Discovery.PARTIAL for harvest in harvests)
    exit_code = exit_code_of(ending, accounts, is_listing_cut_off=is_listing_cut_off)
    trouble = most_urgent(ending.troubles)
    because = trouble.message.rstrip(".") if trouble else None
    if because is None and exit_code:
        because = ending.stop_reason
    moments = [trouble.resume_at for trouble in ending.troubles if isinstance(trouble, StoppedError)]
    return RunSummary(
        run_id=ledger.run_id,
        exit_code=exit_code,
        outcome=_outcome(exit_code, accounts, is_stopped=ending.signal is not None),
        accounts=accounts,
        seconds=0.0,
        output="",
        stopped_because=because,
        remedy=(trouble.remedy or None) if trouble else None,
        resume_at=max((moment for moment in moments if moment is not None), default=None),
    )


def _outcome(exit_code: int, accounts: Iterable[AccountSummary], *, is_stopped: bool) -> str:
    if exit_code == EXIT_PARTIAL and not any(account.jobs[JobState.FAILED] for account in accounts):
        return UNREADABLE
    return WORDS.get(exit_code, "stopped, resumable" if is_stopped else "failed")


def exit_code_of(ending: Ending, accounts: Iterable[AccountSummary], *, is_listing_cut_off: bool = False) -> int:
    """Return the exit code: the most urgent trouble first, then the signal, then what is left undone."""
    accounts = tuple(accounts)
    trouble = most_urgent(ending.troubles)
    if trouble is not None and not isinstance(trouble, StoppedError):
        return trouble.exit_code
    is_open = is_listing_cut_off or any(
        account.jobs[JobState.PENDING] or account.jobs[JobState.RUNNING] for account in accounts
    )
    is_unpublished = any(account.published is False for account in accounts)
    if ending.signal is not None and (is_open or is_unpublished):
        return SIGNAL_BASE + ending.signal
    if is_open:
        return StoppedError.exit_code
    if any(_lacks_privilege(account) for account in accounts):
        return EXIT_CREDENTIALS
    if trouble is not None or is_unpublished:
        return StoppedError.exit_code
    is_partial = any(account.jobs[JobState.FAILED] or account.jobs[JobState.PARTIAL] for account in accounts)
    return EXIT_PARTIAL if is_partial else 0


def most_urgent(troubles: Sequence[HarvestError]) -> HarvestError | None:
    """Return the trouble that a person should hear of first, by `URGENCY`; None if there is none."""
    return min(troubles, key=lambda trouble: URGENCY.index(type(trouble)), default=None)


def _lacks_privilege(account: AccountSummary) -> bool:
    """Whether nothing of an account could be read, each time for want of privilege."""
    codes = {problem.code for problem in account.not_done}
    was_read = any(account.jobs[state] for state in (JobState.DONE, JobState.PARTIAL, JobState.CARRIED))
    return bool(codes) and codes <= PRIVILEGE_CODES and not was_read


def _account_summary(ledger: Ledger, harvest: Harvest, calls: int) -> AccountSummary:
    rows, size_bytes, _ = ledger.totals(harvest, is_plan_only=True)
    counts = ledger.counts(harvest, is_plan_only=True)
    counts[JobState.PENDING] += counts[
        JobState.RUNNING
    ]  # nothing runs any more, also where the disk kept us from saying so
    counts[JobState.RUNNING] = 0
    return AccountSummary(
        account=harvest.account,
        date=harvest.date.isoformat(),
        jobs={state.value: number for state, number in counts.items()},
        rows=rows,
        bytes=size_bytes,
        calls=calls,
        not_done=tuple(problems(ledger.jobs(harvest, JobState.FAILED))),
        verdicts=verdicts_of(ledger, harvest, is_plan_only=True),
        remarks=tuple(remarks_on(ledger, harvest)),
    )


def problems(jobs: Iterable[JobReport]) -> Iterator[Problem]:
    """Yield what failed: campaign by campaign, and from `PROBLEMS_MAX` on by cause, so that memory stays flat."""
    causes = groupby(jobs, key=lambda job: (job.campaign_key, job.code, job.reason, job.remedy))
    by_campaign = (_problem(key, code, reason, remedy, list(group)) for (key, code, reason, remedy), group in causes)
    yield from islice(by_campaign, PROBLEMS_MAX)
    rest: dict[tuple[str, str, str], Problem] = {}
    for problem in by_campaign:
        cause = (problem.code, problem.reason, problem.remedy)
        so_far = rest.get(cause, Problem("", None, 0, *cause, campaigns=0))
        rest[cause] = replace(so_far, jobs=so_far.jobs + problem.jobs, campaigns=so_far.campaigns + 1)
    yield from rest.values()


def _problem(key: str, code: str | None, reason: str | None, remedy: str | None, jobs: Sequence[JobReport]) -> Problem:
    action = jobs[0].action if len(jobs) == 1 else None
    return Problem(key, action, len(jobs), code or "", reason or "", remedy or "")
