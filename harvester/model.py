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


class Order(StrEnum):
    """Which campaigns a backfill takes first."""

    NEWEST = auto()  #: those sent last
    LARGEST = auto()  #: those with most recipients, as far as that is known


class ResponseFormat(StrEnum):
    """How the server is asked to answer (parameter `resfmt`)."""

    JSON = "json"
    XML = "xml"


class Command(StrEnum):
    """What a run is for; with which right it asks for calls, and which jobs it leaves as they stand."""

    RUN = auto()  #: all of what was asked for
    NIGHTLY = auto()  #: what changed since the night before
    BACKFILL = auto()  #: what was never harvested


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign.

    Attributes:
        key: its campaign key.
        parent_key: of the A/B campaign that it is a test half of; None for all others.
        sent_at_ms: when it was sent, UTC, milliseconds since the epoch; None if that is not known.
    """

    key: str
    parent_key: str | None = None
    sent_at_ms: int | None = None


class JobState(StrEnum):
    """Where a job stands; the ledger stores exactly one of these for each job."""

    PENDING = auto()  #: waits for its turn, or for the moment its next attempt is due
    RUNNING = auto()  #: a worker has it
    DONE = auto()  #: its last page was proven last and its partition is published
    PARTIAL = auto()  #: as done, but rows of it could not be read and lie in quarantine; a later run tries again
    CARRIED = auto()  #: not asked for: its set stands as an earlier harvest left it, and that partition holds it
    SKIPPED = auto()  #: the server says that there is nothing to ask for here; no partition
    FAILED = auto()  #: given up in this run; a later run tries again


TRANSITIONS: Mapping[JobState, frozenset[JobState]] = {
    JobState.PENDING: frozenset({JobState.RUNNING, JobState.CARRIED, JobState.SKIPPED, JobState.FAILED}),
    JobState.RUNNING: frozenset(set(JobState) - {JobState.RUNNING}),
    JobState.DONE: frozenset({JobState.PENDING}),
    JobState.PARTIAL: frozenset({JobState.PENDING}),
    JobState.CARRIED: frozenset({JobState.PENDING}),
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
        received_rows: how many rows the server gave.
        rows: how many of them were new and are written.
        duplicates: how many of them were dropped, their contact being known; the overlap is none.
        unreadable_rows: how many of them lie in quarantine.
        is_shifted: whether the set was seen to have moved before this page in a way that could not be mended.
        end_bytes: the size of the part up to its end.
        sha256: of the part up to its end.
        digest: of its rows, to notice a server that repeats itself.
    """

    number: int
    from_index: int
    received_rows: int
    rows: int
    duplicates: int
    unreadable_rows: int
    is_shifted: bool
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
        rows: how many rows are committed, over all pages.
        unreadable_rows: how many lie in quarantine, over all pages.
        unreadable_from: where the pages of these begin in the set.
        is_doubted: whether an earlier harvest of this date fell short of the counters: no end is taken on trust.
        standing_rows: how many rows the partition of that harvest has; None without one.
        due: why it is harvested and not carried; None if that is still to be found out.
    """

    job: Job
    is_campaign_known: bool
    attempts: int
    last_page: StoredPage | None
    ending: str | None
    rows: int = 0
    unreadable_rows: int = 0
    unreadable_from: tuple[int, ...] = ()
    is_doubted: bool = False
    standing_rows: int | None = None
    due: str | None = None


BROKEN_PAGING = "broken-paging"
"""The code of a job whose pages made no sense: none of them is built on."""

FEWER_AGAIN = "fewer-again"
"""The code of a job that was read again because rows were missing, and came to far fewer: the first reading stands."""

ANEW_CODES = frozenset({BROKEN_PAGING, FEWER_AGAIN})
"""Codes of failed jobs of whose pages nothing is built on."""

SHORT_PAGE = "short page"
"""The ending that costs no call of its own: a page shorter than others were."""


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
class Delay:
    """A job's next attempt is put off.

    Attributes:
        wait_s: for how long.
        not_before_s: until when, on the clock of `Clock.now_s`.
        attempts: tries of the next page that failed so far.
        reason: what it waits for, redacted.
    """

    wait_s: float
    not_before_s: float
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in the part of a job whose pages are all committed.

    `unreadable_rows` lie in quarantine instead, in the replies of pages that begin at the rows `unreadable_from`.
    """

    job: Job
    rows: int
    unreadable_rows: int = 0
    unreadable_from: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Published:
    """A finished partition; `path` is relative to the output folder, `sha256` in hex."""

    path: str
    rows: int
    bytes: int
    sha256: str
    unreadable_rows: int = 0

    @property
    def state(self) -> JobState:
        """What its job has come to."""
        return JobState.PARTIAL if self.unreadable_rows else JobState.DONE


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
    """The rows of one good reply, in server order; no rows at all mean that the server said so.

    Attributes:
        rows: those that could be read.
        echo: what the server says it was asked.
        code: of the reply.
        campaign_details: as the XML format gives them.
        unreadable: the places in the page, from 0, of rows that could not be read; nearly always empty.
        body: the reply as it came, only where rows could not be read; holds personal data.
    """

    rows: tuple[Row, ...]
    echo: Echo = Echo()
    code: str = "0"
    campaign_details: Mapping[str, Any] = field(default_factory=dict)
    unreadable: frozenset[int] = frozenset()
    body: bytes = field(default=b"", repr=False)

    @property
    def received_rows(self) -> int:
        """How many rows the server gave, unreadable ones included."""
        return len(self.rows) + len(self.unreadable)

    @property
    def places(self) -> Sequence[int]:
        """The place in the page, from 0, of each of `rows`."""
        if not self.unreadable:
            return range(len(self.rows))
        return [place for place in range(self.received_rows) if place not in self.unreadable]


@dataclass(frozen=True, slots=True)
class Counters:
    """How many rows each action of a campaign should have, by the server's own report; unknown ones are left out."""

    rows: Mapping[Action, int]


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
    OVERSIZE = auto()  #: more rows or bytes than can be had at once; fewer rows may do
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
