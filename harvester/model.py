"""The words of the project as frozen values, and the state table of a job.

Nothing here reads a clock, a file or a socket.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Any

Row = Mapping[str, Any]
"""One contact, verbatim as the server gave it: key to value, in the server's order."""


class Action(StrEnum):
    """What a recipient did or what became of the message; the API's names.

    Source: the parameter table of getcampaignrecipientsdata.
    """

    SENT = "sentcontacts"
    OPENED = "openedcontacts"
    CLICKED = "clickedcontacts"
    UNOPENED = "unopenedcontacts"
    OPTED_OUT = "optoutcontacts"
    SPAM = "spamcontacts"
    HARD_BOUNCE = "senthardbounce"
    SOFT_BOUNCE = "sentsoftbounce"
    UNSENT = "unsentcontacts"


class ResponseFormat(StrEnum):
    """How the server is asked to answer (parameter `resfmt`)."""

    JSON = "json"
    XML = "xml"


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign; `parent_key` is set where it is a test half of an A/B campaign."""

    key: str
    parent_key: str | None = None


@dataclass(frozen=True, slots=True)
class SentCampaign:
    """A campaign that was sent, as the account's listing shows it.

    Attributes:
        key: its campaign key, for the recipients endpoint.
        sent_at_ms: when it was sent, UTC, milliseconds since the epoch; None where the server does not say.
        sent_time_offset_ms: by how much the account's `sent_time` runs ahead of UTC; None if unknown.
    """

    key: str
    sent_at_ms: int | None
    sent_time_offset_ms: int | None


@dataclass(frozen=True, slots=True)
class CampaignPage:
    """One page of the campaign listing: the sent ones of `rows_received` rows; no rows at all mean the end.

    The next page starts `rows_received` further on, not by the number of campaigns kept.
    """

    campaigns: tuple[SentCampaign, ...]
    rows_received: int
    total: int | None = None


class JobState(StrEnum):
    """Where a job stands; the ledger stores exactly one of these for each job."""

    PENDING = auto()  #: waits for its turn, or for the moment its next attempt is due
    RUNNING = auto()  #: a worker has it
    DONE = auto()  #: its last page was proven last and its partition is published
    SKIPPED = auto()  #: the server says that there is nothing to ask for here; no partition
    FAILED = auto()  #: given up in this run; a later run tries again


TRANSITIONS: Mapping[JobState, frozenset[JobState]] = {
    JobState.PENDING: frozenset({JobState.RUNNING, JobState.SKIPPED, JobState.FAILED}),
    JobState.RUNNING: frozenset({JobState.PENDING, JobState.DONE, JobState.SKIPPED, JobState.FAILED}),
    JobState.DONE: frozenset({JobState.PENDING}),
    JobState.SKIPPED: frozenset({JobState.PENDING}),
    JobState.FAILED: frozenset({JobState.PENDING}),
}
"""From each state, the states that may follow. Back to pending from an end state only by a new run's request."""


@dataclass(frozen=True, slots=True)
class Job:
    """Account x campaign x action x harvest date: one partition to be written.

    `id` is the ledger's number for it.
    """

    id: int
    account: str
    campaign: Campaign
    action: Action
    date: dt.date


class Discovery(StrEnum):
    """How far the listing of a harvest's campaigns has come."""

    NONE = auto()  #: not begun: the campaigns were named, or the harvest is new
    PARTIAL = auto()  #: begun and cut off: there may be campaigns that no job knows of
    WHOLE = auto()  #: read to its end


@dataclass(frozen=True, slots=True)
class Harvest:
    """One account and date: the jobs that belong together. `id` is the ledger's number for it."""

    id: int
    account: str
    date: dt.date
    discovery: Discovery


@dataclass(frozen=True, slots=True)
class StoredPage:
    """A committed page.

    Attributes:
        number: counts the job's pages from 1.
        from_index: of its first row in the set, from 1.
        rows: how many it holds.
        end_bytes: the size of the part up to its end.
        sha256: of the part up to its end.
        digest: of its rows, to notice a server that repeats itself.
    """

    number: int
    from_index: int
    rows: int
    end_bytes: int
    sha256: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job handed to this run, with how far an earlier attempt came.

    Attributes:
        job: the job.
        is_campaign_known: whether any job of its campaign and date has had a good answer.
        attempts: tries of the next page that failed so far.
        last_page: the last page committed, if any.
        ending: how its last page was proven last, if it was; then only the publishing is left.
    """

    job: Job
    is_campaign_known: bool
    attempts: int
    last_page: StoredPage | None
    ending: str | None

    @property
    def rows(self) -> int:
        """How many rows are committed: pages follow each other without a gap."""
        return self.last_page.from_index + self.last_page.rows - 1 if self.last_page else 0


BROKEN_PAGING = "broken-paging"
"""The code of a job whose pages made no sense: none of them is built on."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Why a job ended without a partition.

    Attributes:
        state: FAILED, or SKIPPED where that is no error.
        code: the API's code, or the short name of the failure.
        reason: what it means, redacted.
        remedy: what a person can do about it; may be empty.
    """

    state: JobState
    code: str
    reason: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """A finished partition; `path` is relative to the output folder, `sha256` in hex."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to send one call, written down.

    `stamp_s` is the latest moment at which the server can count the call if its outcome is never seen; `is_probe`
    marks the one call that finds out whether a lockout is over.
    """

    id: int
    job_id: int | None
    stamp_s: float
    is_probe: bool = False


class LockoutPhase(StrEnum):
    """Where the lockout of an endpoint stands."""

    CLOSED = auto()  #: calls go out
    DRAIN = auto()  #: a locked answer came; no call starts, those under way are awaited
    OPEN = auto()  #: nothing is under way; the pause runs
    HALF_OPEN = auto()  #: one probe is under way or about to be
    RAMP = auto()  #: the probe was answered; calls go out evenly spaced for one period


@dataclass(frozen=True, slots=True)
class Lockout:
    """The lockout of one account and endpoint; `engine.lockout` moves it.

    Attributes:
        phase: where it stands.
        until_s: DRAIN and OPEN: when the pause ends; RAMP: when even spacing ends; on the clock of `Clock.now_s`.
        level: how many times in a row the lock was met; 0 when clean.
        probe_until_s: HALF_OPEN: until when the lease of a probe under way is respected; 0 if there is none.
    """

    phase: LockoutPhase = LockoutPhase.CLOSED
    until_s: float = 0.0
    level: int = 0
    probe_until_s: float = 0.0

    @property
    def is_draining(self) -> bool:
        """Whether the pause runs: every answer that still comes lengthens it."""
        return self.phase in {LockoutPhase.DRAIN, LockoutPhase.OPEN}

    @property
    def is_shut(self) -> bool:
        """Whether no ordinary call may start."""
        return self.is_draining or self.phase is LockoutPhase.HALF_OPEN


@dataclass(frozen=True, slots=True)
class Standing:
    """How the calls of one account and endpoint stand, over all processes.

    Attributes:
        now_s: the present, on the clock of `Clock.now_s`.
        stamps: of all calls that still matter, ascending: the latest moment at which each can have been counted.
        lockout: as it was last written down.
        last_start_s: when the last call started; 0 and unused while the lockout is CLOSED.
        calls_out: calls whose outcome is not seen and that may still arrive; 0 and unused while CLOSED.
    """

    now_s: float
    stamps: Sequence[float]
    lockout: Lockout
    last_start_s: float = 0.0
    calls_out: int = 0


@dataclass(frozen=True, slots=True)
class Slot:
    """When the next call may start, and the lockout as that leaves it; `is_probe` as in `Lease`."""

    start_s: float
    lockout: Lockout
    is_probe: bool = False


@dataclass(frozen=True, slots=True)
class LockoutRecord:
    """What was known when an endpoint locked.

    Attributes:
        seen_wall_s: when, seconds since the epoch.
        until_wall_s: how long the pause was to last, likewise.
        level: as in `Lockout`.
        code: the API's code, or the short name of the answer.
        message: of the answer, redacted.
        calls_in_window: our own calls of the period before; far below the limit, somebody else uses the account.
    """

    seen_wall_s: float
    until_wall_s: float
    level: int
    code: str
    message: str
    calls_in_window: int


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What one call to the recipients endpoint asks for.

    `from_index` counts rows from 1; `range_rows` is the number of rows wanted.
    """

    campaign_key: str
    action: Action
    from_index: int
    range_rows: int


@dataclass(frozen=True, slots=True)
class Echo:
    """What the server says it was asked; each part None where the reply does not say."""

    range_rows: int | None = None
    action: str | None = None
    from_index: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of one good reply, in server order; no rows means that the server said so."""

    rows: tuple[Row, ...]
    echo: Echo = Echo()
    code: str = "0"
    campaign_details: Mapping[str, Any] = field(default_factory=dict)


class FailureKind(StrEnum):
    """What a reply without rows means, from the call outwards; `engine.retry` decides what follows."""

    UNREACHED = auto()  #: no byte left: name, route or connection refused
    NO_TOKEN = auto()  #: no byte left: the token endpoint gives no token for `retry_after_s`
    LOST = auto()  #: bytes left and no whole answer came: timeout, reset, cut body
    TRANSIENT = auto()  #: the server says to try again
    MALFORMED = auto()  #: an answer, but no envelope that we know
    UNKNOWN = auto()  #: an envelope with a code that we do not know
    LOCKED = auto()  #: the endpoint is locked, for everybody of this account
    TOKEN = auto()  #: the access token was not taken
    JOB = auto()  #: this request will never work
    CAMPAIGN = auto()  #: no request for this campaign will work now
    NOT_APPLICABLE = auto()  #: the campaign has nothing of the kind; no error of the run
    ACCOUNT = auto()  #: no request of this account will work until a person acts


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that gave no page.

    Attributes:
        kind: what it means.
        message: one redacted line, at most 200 characters, for logs and the manifest.
        code: the API's own code, as text, if there was one.
        status: the HTTP status, if an answer came.
        retry_after_s: how long the server asks to wait, in seconds, if it says so.
        is_sent: whether bytes may have left; False only where it is certain that none did.
        remedy: what a person can do about it, one sentence; empty where nothing is known.
    """

    kind: FailureKind
    message: str
    code: str | None = None
    status: int | None = None
    retry_after_s: float | None = None
    is_sent: bool = True
    remedy: str = ""

    @property
    def signature(self) -> str:
        """The short name under which replies of this kind are counted: the code, else status or kind."""
        if self.code is not None:
            return self.code
        return f"http-{self.status}" if self.status is not None else str(self.kind)
