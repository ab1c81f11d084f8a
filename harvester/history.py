"""What earlier harvests have taught about an account, as frozen values: the ground on which a plan is priced.

Nothing here reads a clock, a file or a socket.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from harvester.model import Action, JobState
from harvester.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class KnownSet:
    """What the ledger knows of a campaign's set for one action, as a certain harvest date meets it.

    Attributes:
        snapshot: how it stood when it was last read whole; None if it never was.
        state: of its job on that date; None if the date has no such job.
        is_due: whether that job was begun, or settled to be harvested.
        pages: stored of that job.
        counter_rows: what its counter says on that date; None if nobody asked or it does not say.
    """

    snapshot: Snapshot | None = None
    state: JobState | None = None
    is_due: bool = False
    pages: int = 0
    counter_rows: int | None = None


@dataclass(frozen=True, slots=True)
class OpenSet:
    """A set that a run has still to read: by its counter, as it was last read, and the pages of it that are stored."""

    action: Action
    counted_rows: int | None
    earlier_rows: int | None
    pages: int


@dataclass(frozen=True, slots=True)
class KnownCampaign:
    """What the ledger knows of a campaign.

    Attributes:
        sets: by action; one of which nothing is known may be left out.
        is_counted: whether its counters were told on the date.
        is_refused: whether all of its jobs were refused alike when they were last harvested.
    """

    sets: Mapping[Action, KnownSet] = field(default_factory=dict)
    is_counted: bool = False
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class Typical:
    """What a set of an action comes to on an account: mean rows, mean and most calls of the last harvests."""

    rows: float
    calls: float
    calls_max: int


@dataclass(frozen=True, slots=True)
class Habits:
    """How an account's server has behaved.

    Attributes:
        longest_page_rows: the longest page of the date; 0 before any.
        page_rows_max: the longest page that the server gives, where it gave no longer one of a larger set; else None.
        retry_share: of the calls, those that were tried again.
        typical: by action; one that was never harvested is left out.
    """

    longest_page_rows: int = 0
    page_rows_max: int | None = None
    retry_share: float = 0.0
    typical: Mapping[Action, Typical] = field(default_factory=dict)
