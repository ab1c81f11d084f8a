"""How the practised Zoho behaves: every unknown of the real one is a switch here.

The real service documents 500 calls per 5 minutes and a lock of 30 minutes, and leaves open how it counts, how it
answers a locked caller and where it cuts a page. A client that is right must be right under every setting.
"""

import math
from dataclasses import dataclass, field
from enum import StrEnum, auto

from harvester.simulator.age_options import AgeOptions
from harvester.simulator.set_options import CounterOptions, PagingOptions, QuirkOptions, RepeatOptions, ShiftOptions

RECIPIENTS_MAX = 900_000
"""The largest campaign, in rows: contact ids have room for a million positions, unsent ones included."""

NOBODY_URL = "http://127.0.0.1:9/"
"""Where redirects lead: port 9 is reserved for discarding, and nobody listens there."""


class Counting(StrEnum):
    """How calls are counted against the limit."""

    FIXED = auto()  #: one count per aligned window
    SLIDING = auto()  #: every call of the last period, exactly
    WEIGHTED = auto()  #: this aligned window plus what still overlaps of the one before
    LEAKY = auto()  #: a bucket that drains evenly


class LocksAt(StrEnum):
    """Which call closes the lock; it is refused itself."""

    AT = auto()  #: the one that reaches the limit (the 500th)
    OVER = auto()  #: the first one beyond it (the 501st)


class LockedAnswer(StrEnum):
    """What a locked caller reads; nobody has published the real answer."""

    RETRY_AFTER = "429"
    BARE = "429-bare"
    THROTTLE = "400-throttle"
    ENVELOPE = "200-2008"
    HTML = "html"
    UNKNOWN = "403-unknown"


class PastEnd(StrEnum):
    """How the service says that there are no (more) rows; 6303 was seen live, the other codes are documented so."""

    NO_CONTACTS = "6303"
    NONE_FOUND = "6302"
    NONE_FITTING = "6501"
    NO_CONTACT = "993"
    EMPTY_LIST = "empty"


class EchoStyle(StrEnum):
    """How a JSON page repeats what it was asked; the documentation shows the first two."""

    OBJECT = auto()
    TEXT = auto()
    ABSENT = auto()


class FieldNames(StrEnum):
    """Which names a JSON row uses."""

    DOCUMENTED = auto()  #: ten keys, firstname and lastname
    LIVE = auto()  #: the wider row that users report, contactfn and contactln
    MIXED = auto()  #: live for campaigns of odd index, documented for even ones


class CountedAt(StrEnum):
    """When within its latency a call reaches the counter."""

    ARRIVAL = auto()
    UNIFORM = auto()
    END = auto()


class FaultKind(StrEnum):
    """One way to spoil an answer."""

    HTTP_500 = "http-500"
    HTTP_502 = "http-502"
    HTTP_503 = "http-503"
    RETRY_LATER = "6001"
    UNKNOWN_CODE = "9999"
    HTML = "html"
    EMPTY_BODY = "empty-body"
    NO_LIST = "no-list"  #: success, but without the list of rows
    WRONG_ECHO = "wrong-echo"  #: the page of another request, by its echo
    UNAUTHORIZED = "unauthorized"  #: 401 although the token is good
    CUT = "cut"  #: fewer bytes than announced
    RESET = "reset"  #: the connection is torn down, nothing is sent
    HANG = "hang"  #: no answer until the client gives up
    DRIP = "drip"  #: the whole answer, very slowly


class WireFault(StrEnum):
    """One way to spoil the HTTP around an answer; the answer within is whole unless it says otherwise."""

    GZIP = "gzip"  #: encoded although nobody offered to read it
    GZIP_CUT = "gzip-cut"  #: half of the encoded bytes, with a length that fits them
    GZIP_NO_TRAILER = "gzip-no-trailer"  #: without the check sum and length at the end
    GZIP_BAD_CRC = "gzip-bad-crc"
    GZIP_BOMB = "gzip-bomb"  #: little on the wire, 128 MiB in memory
    HUGE = "huge"  #: 100 MB on the wire
    TWO_LENGTHS = "two-lengths"  #: two headers Content-Length that differ
    REDIRECT_301 = "redirect-301"
    REDIRECT_307 = "redirect-307"


Fault = FaultKind | WireFault
ALL_FAULTS: tuple[Fault, ...] = (*FaultKind, *WireFault)
"""Every kind that can be named; what is drawn where none is named are the faults of the answers alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldOptions:
    """Which campaigns an account has.

    Attributes:
        campaigns: how many there are, drafts and those of days to come included.
        recipients: rows of sentcontacts in each campaign; None spreads them, most small and some large.
        recipients_max: the largest campaign where `recipients` is None, in rows.
        drafts_share: share of campaigns that were never sent, 0..1.
        ab_share: share of A/B campaigns, 0..1; each has two child keys with rows of their own.
        tiny_ab_share: share of A/B campaigns with fewer than 4 recipients, 0..1.
        forbidden_share: share of campaigns that this account may not read, 0..1.
    """

    campaigns: int = 20
    recipients: int | None = None
    recipients_max: int = 50_000
    drafts_share: float = 0.0
    ab_share: float = 0.0
    tiny_ab_share: float = 0.0
    forbidden_share: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaOptions:
    """The limit of one endpoint for one account, in seconds of the server's clock.

    Attributes:
        calls: permitted per period.
        period_s: length of the period.
        lock_s: how long the lock lasts.
        counting: how calls are counted.
        locks_at: which call locks.
        is_lock_extended: whether a call during the lock starts it anew.
        phase_s: where the aligned windows begin, 0 <= phase_s < period_s.
    """

    calls: int = 500
    period_s: float = 300.0
    lock_s: float = 1800.0
    counting: Counting = Counting.FIXED
    locks_at: LocksAt = LocksAt.OVER
    is_lock_extended: bool = False
    phase_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerOptions:
    """What answers look like.

    Attributes:
        locked: what a locked caller reads.
        past_end: what follows the last row.
        empty: what a set without rows answers at its first page, None for the same as `past_end`.
        echo: how a JSON page repeats its request.
        names: which field names JSON rows use.
        clamp_rows: the longest page the server gives, None for no bound.
        later_clamp_rows: the longest page from `later_clamp_calls` on, None for no change.
        later_clamp_calls: after so many calls for rows of the account the clamp changes.
        is_clamp_echoed: whether a clamped page says so in its echo, or repeats what was asked.
        refuse_range_over_rows: a range beyond this is refused with code 6502, None for never.
        ab_type: what the listing calls the type of an A/B campaign. "abtesting" is the documented value of the
            request; what the listing really says, "AB Testing" or "ab" perhaps, nobody has published.
    """

    locked: LockedAnswer = LockedAnswer.THROTTLE
    past_end: PastEnd = PastEnd.NO_CONTACTS
    empty: PastEnd | None = None
    echo: EchoStyle = EchoStyle.OBJECT
    names: FieldNames = FieldNames.MIXED
    clamp_rows: int | None = None
    later_clamp_rows: int | None = None
    later_clamp_calls: int = 10
    is_clamp_echoed: bool = True
    refuse_range_over_rows: int | None = None
    ab_type: str = "abtesting"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOptions:
    """How long calls travel, in real seconds whatever the time scale.

    Attributes:
        latency_s: least time from request to answer.
        jitter_s: each call takes up to this much longer, evenly drawn.
        counted_at: when within that time the call is counted.
        late_share: share of calls that reach the counter late, 0..1; the client has given up by then.
        late_s: how late at most.
        drip_s: how long a dripping answer takes.
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    counted_at: CountedAt = CountedAt.ARRIVAL
    late_share: float = 0.0
    late_s: float = 120.0
    drip_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultOptions:
    """How often answers are spoiled, and how.

    Attributes:
        share: share of the API's answers, 0..1; the token endpoint is spared.
        kinds: drawn from evenly.
        until_s: faults stop at this second of the server's clock.
        endpoints: by the last part of the path; None spoils all of them.
        redirect_url: where a redirect leads.
    """

    share: float = 0.0
    kinds: tuple[Fault, ...] = tuple(FaultKind)
    until_s: float = math.inf
    endpoints: tuple[str, ...] | None = None
    redirect_url: str = NOBODY_URL


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenOptions:
    """The limits of access tokens, in seconds of the server's clock.

    Attributes:
        life_s: how long an access token is good.
        creations: how many may be made per refresh token and window.
        creations_window_s: length of that window, which begins with the first one made.
        alive: how many are good at once; one more kills the oldest.
        refusal_status: HTTP status of "Access Denied"; 400 was seen, 200 is this endpoint's habit.
    """

    life_s: float = 3600.0
    creations: int = 10
    creations_window_s: float = 600.0
    alive: int = 15
    refusal_status: int = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """All that makes one practised Zoho; equal options give equal worlds, draws and answers.

    Attributes:
        seed: of everything that is drawn.
        time_scale: how many seconds of the server's clock pass in a real one; > 0.
    """

    seed: int = 1
    time_scale: float = 1.0
    world: WorldOptions = field(default_factory=WorldOptions)
    quota: QuotaOptions = field(default_factory=QuotaOptions)
    answers: AnswerOptions = field(default_factory=AnswerOptions)
    network: NetworkOptions = field(default_factory=NetworkOptions)
    faults: FaultOptions = field(default_factory=FaultOptions)
    tokens: TokenOptions = field(default_factory=TokenOptions)
    age: AgeOptions = field(default_factory=AgeOptions)
    shifts: ShiftOptions = field(default_factory=ShiftOptions)
    repeats: RepeatOptions = field(default_factory=RepeatOptions)
    paging: PagingOptions = field(default_factory=PagingOptions)
    quirks: QuirkOptions = field(default_factory=QuirkOptions)
    counters: CounterOptions = field(default_factory=CounterOptions)

    def __post_init__(self) -> None:
        """Refuse settings that no server could have.

        Raises:
            ValueError: a scale, period or number that must be positive is not.
        """
        positive = {
            "time_scale": self.time_scale,
            "quota.calls": self.quota.calls,
            "quota.period_s": self.quota.period_s,
            "tokens.life_s": self.tokens.life_s,
            "shifts.every_pages": self.shifts.every_pages,
            "repeats.page_rows": self.repeats.page_rows,
        }
        for name, value in positive.items():
            if value <= 0:
                raise ValueError(f"{name}: expected a number above 0, got {value}")
        largest = max(self.world.recipients or 0, self.world.recipients_max)
        if largest > RECIPIENTS_MAX:
            raise ValueError(f"world.recipients: expected at most {RECIPIENTS_MAX}, got {largest}")
        drawn_from = {
            "faults.kinds": (self.faults.share, self.faults.kinds),
            "shifts.kinds": (self.shifts.share, self.shifts.kinds),
            "quirks.oddities": (self.quirks.odd_share, self.quirks.oddities),
            "quirks.damages": (self.quirks.damaged_share, self.quirks.damages),
            "counters.kinds": (self.counters.share, self.counters.kinds),
        }
        for name, (share, kinds) in drawn_from.items():
            if share > 0 and not kinds:
                raise ValueError(f"{name}: expected at least one kind where the share is above 0")
