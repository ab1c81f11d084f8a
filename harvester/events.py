"""What happens in a run, as frozen values; `report` turns them into logs, a live view and a summary.

Names are `noun.verb` and stable: docs/events.md lists them, and people build alarms on them.
No event carries a row, an address, a token or a secret.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events; `name` is the key under which logs and docs know it."""

    name: ClassVar[str] = ""
    account: str


@dataclass(frozen=True, slots=True)
class HarvestStarted(Event):
    """The plan of one account and date stands; `jobs` of it, `jobs_open` of them still to be done.

    `calls_expected` are what these should cost, None where that is not known.
    """

    name = "harvest.started"
    date: str
    run_id: str
    jobs: int
    jobs_open: int
    calls_expected: int | None = None


@dataclass(frozen=True, slots=True)
class PartitionsMissing(Event):
    """Partitions of done jobs are gone or have another size; these `jobs` are harvested again."""

    name = "partitions.missing"
    date: str
    jobs: int


@dataclass(frozen=True, slots=True)
class PrivacyChanged(Event):
    """Other rules on personal data are in force than when these `jobs` were read in part; they begin again."""

    name = "privacy.changed"
    date: str
    jobs: int


@dataclass(frozen=True, slots=True)
class CampaignsDiscovered(Event):
    """A page of the campaign listing was read; `campaigns` so far."""

    name = "campaigns.discovered"
    campaigns: int


@dataclass(frozen=True, slots=True)
class CampaignsUnsteady(Event):
    """The listing was read twice and may still lack campaigns; those of both readings are taken."""

    name = "campaigns.unsteady"
    reason: str


@dataclass(frozen=True, slots=True)
class ChildrenMissing(Event):
    """The test halves of `campaigns` A/B campaigns stay unknown in this run, and so do their recipients."""

    name = "children.missing"
    campaigns: int
    reason: str


@dataclass(frozen=True, slots=True)
class OffsetsDiffer(Event):
    """By most new campaigns `sent_time` runs `offset_ms` ahead of UTC, by `campaigns` others not."""

    name = "offsets.differ"
    offset_ms: int
    campaigns: int


@dataclass(frozen=True, slots=True)
class JobStarted(Event):
    """A worker took the job up at `from_index` (1 = from the start)."""

    name = "job.started"
    campaign_key: str
    action: str
    from_index: int


@dataclass(frozen=True, slots=True)
class PageStored(Event):
    """A page is on disk and in the ledger."""

    name = "page.stored"
    campaign_key: str
    action: str
    from_index: int
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class JobDone(Event):
    """The partition is published; `unreadable_rows` of the set are not in it, but in quarantine."""

    name = "job.done"
    campaign_key: str
    action: str
    rows: int
    bytes: int
    ending: str
    unreadable_rows: int = 0


@dataclass(frozen=True, slots=True)
class JobPostponed(Event):
    """An attempt failed; the next is due after `after_s` seconds."""

    name = "job.postponed"
    campaign_key: str
    action: str
    attempts: int
    after_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class JobFailed(Event):
    """The job is given up in this run; `jobs` counts the siblings of its campaign that go with it, itself included."""

    name = "job.failed"
    campaign_key: str
    action: str
    code: str
    reason: str
    remedy: str
    jobs: int


@dataclass(frozen=True, slots=True)
class JobSkipped(Event):
    """The server says that there is nothing to ask for here; `jobs` as in `JobFailed`."""

    name = "job.skipped"
    campaign_key: str
    action: str
    code: str
    reason: str
    jobs: int


@dataclass(frozen=True, slots=True)
class JobCarried(Event):
    """The set stands as it was read on the date `from_date`, by its counter: it costs no call."""

    name = "job.carried"
    campaign_key: str
    action: str
    from_date: str


@dataclass(frozen=True, slots=True)
class JobsCarried(Event):
    """So many `jobs` are not due, or were read before: their sets are carried over without a call of any kind."""

    name = "jobs.carried"
    jobs: int


@dataclass(frozen=True, slots=True)
class CampaignsUnlisted(Event):
    """The account does not list so many `campaigns` any more that were read before: their sets are carried over."""

    name = "campaigns.unlisted"
    campaigns: int


@dataclass(frozen=True, slots=True)
class JobsLeftOut(Event):
    """So many `jobs` are of campaigns that were never read and are too old to begin with: a backfill reads them."""

    name = "jobs.left_out"
    jobs: int


@dataclass(frozen=True, slots=True)
class CountersRead(Event):
    """The counters of `campaigns` campaigns were read, to hold their rows against."""

    name = "counters.read"
    campaigns: int


@dataclass(frozen=True, slots=True)
class CountersMissing(Event):
    """The counters of `campaigns` campaigns stay unknown in this run, and so do the verdicts on their jobs."""

    name = "counters.missing"
    campaigns: int
    reason: str


@dataclass(frozen=True, slots=True)
class CounterMisfits(Event):
    """Nearly all sets of an action are off their counters in the same way: it does not count what they list."""

    name = "counter.misfits"
    action: str
    direction: str
    jobs: int


@dataclass(frozen=True, slots=True)
class JobsDoubted(Event):
    """So many `jobs` have fewer rows than counted and are harvested again; `left` others are not, to save calls."""

    name = "jobs.doubted"
    jobs: int
    left: int


@dataclass(frozen=True, slots=True)
class HarvestJudged(Event):
    """The rows of the plan's jobs were held against the counters: jobs by verdict."""

    name = "harvest.judged"
    date: str
    proven: int
    short: int
    over: int
    unknown: int


@dataclass(frozen=True, slots=True)
class ChangesWritten(Event):
    """So many `jobs` were compared with the harvest before them: contacts by what became of them."""

    name = "changes.written"
    date: str
    jobs: int
    added: int
    removed: int
    changed: int
    left_out: int


@dataclass(frozen=True, slots=True)
class ChangesLeftOut(Event):
    """A job could not be compared; without campaign and action all of the date that are not compared yet."""

    name = "changes.left_out"
    date: str
    campaign_key: str
    action: str
    reason: str


@dataclass(frozen=True, slots=True)
class PublishStarted(Event):
    """A date is brought to the object store: `files` of `bytes` bytes are not there yet."""

    name = "publish.started"
    date: str
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class PublishStored(Event):
    """A file is in the object store, and the ledger knows it."""

    name = "publish.stored"
    date: str
    path: str
    bytes: int


@dataclass(frozen=True, slots=True)
class PublishFinished(Event):
    """All of a date is in the object store, its manifest last; objects `removed` are named by no manifest any more."""

    name = "publish.finished"
    date: str
    files: int
    bytes: int
    removed: int


@dataclass(frozen=True, slots=True)
class PublishLeftOut(Event):
    """A date is not published now."""

    name = "publish.left_out"
    date: str
    reason: str


@dataclass(frozen=True, slots=True)
class BudgetHeld(Event):
    """No call may start for `wait_s` seconds: the window is used up."""

    name = "budget.held"
    endpoint: str
    wait_s: float


@dataclass(frozen=True, slots=True)
class BudgetUsed(Event):
    """A call was admitted; `free_calls` could still start at once."""

    name = "budget.used"
    endpoint: str
    free_calls: int


@dataclass(frozen=True, slots=True)
class LockoutOpened(Event):
    """The server locked the endpoint; nothing is sent to it for `wait_s` seconds."""

    name = "lockout.opened"
    endpoint: str
    wait_s: float
    until: str
    level: int
    calls_in_window: int


@dataclass(frozen=True, slots=True)
class LockoutClosed(Event):
    """The probe was answered; calls go on, paced."""

    name = "lockout.closed"
    endpoint: str


@dataclass(frozen=True, slots=True)
class OutageOpened(Event):
    """Several calls in a row found no working server; one at a time now tries."""

    name = "outage.opened"
    reason: str


@dataclass(frozen=True, slots=True)
class OutageClosed(Event):
    """A call was answered again."""

    name = "outage.closed"


@dataclass(frozen=True, slots=True)
class DrainStarted(Event):
    """A signal or a limit asked to stop; calls under way are finished and stored."""

    name = "drain.started"
    reason: str


@dataclass(frozen=True, slots=True)
class HarvestFinished(Event):
    """The account's harvest ended: the plan's jobs by state, and rows and calls of the date, of all its runs."""

    name = "harvest.finished"
    date: str
    done: int
    failed: int
    skipped: int
    open: int
    rows: int
    calls: int
    partial: int = 0
    carried: int = 0


Emit = Callable[[Event], None]
"""Takes an event; must not block and must not raise."""
