"""Whether what was harvested is all there is: rows held against counters, and sets against each other (pure).

Both proofs are weaker than they look, and are told so. That a counter counts the rows of an action is inferred from its
name, and counters and sets move while they are read. So a verdict is a remark beside a job, and no state of it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from heapq import heappop, heappush
from itertools import chain

from harvester.model import Action


class Finding(StrEnum):
    """What a counter says of a job's rows."""

    PROVEN = auto()  #: there are as many as counted
    SHORT = auto()  #: there are fewer
    OVER = auto()  #: there are more
    UNKNOWN = auto()  #: nothing was counted, or the set moved while it was read


@dataclass(frozen=True, slots=True)
class Verdict:
    """A finding, and by how many rows; its text, such as "short by 3", is what the manifest shows."""

    finding: Finding
    rows: int = 0

    def __str__(self) -> str:
        return f"{self.finding} by {self.rows}" if self.rows else f"{self.finding}"


@dataclass(frozen=True, slots=True)
class Yield:
    """What the pages of a job came to.

    Attributes:
        rows: written, each of another contact.
        duplicates: rows dropped, their contact being written already.
        unreadable_rows: rows that lie in quarantine.
        is_shifted: whether the set was seen to move in a way that could not be mended.
    """

    rows: int
    duplicates: int = 0
    unreadable_rows: int = 0
    is_shifted: bool = False


def verdict_of(harvested: Yield, counter_rows: int | None) -> Verdict:
    """Hold a job's rows against its counter.

    A row in quarantine was given, so it counts as one that is there. Whether a counter counts a repeated contact once
    or each time nobody knows: where it fits only with the rows that were dropped, as many others may be missing. A set
    that moved may have lost one row and won another. In both cases equal numbers prove nothing.

    Args:
        harvested: what the pages came to.
        counter_rows: how many rows there should be; None where that is not known.
    """
    if counter_rows is None:
        return Verdict(Finding.UNKNOWN)
    given_rows = harvested.rows + harvested.unreadable_rows
    if counter_rows == given_rows and not harvested.is_shifted:
        return Verdict(Finding.PROVEN)
    if counter_rows in {given_rows, given_rows + harvested.duplicates}:
        return Verdict(Finding.UNKNOWN)
    if given_rows < counter_rows:
        return Verdict(Finding.SHORT, counter_rows - given_rows)
    return Verdict(Finding.OVER, given_rows - counter_rows)


# --- which jobs are harvested again -----------------------------------------------------------------------------------

LEANING_SHARE = 0.9
LEANING_JOBS_MIN = 10
"""Where nine of ten sets of an action, and ten of them at least, are off in the same way, it is not the sets."""

SAMPLES = 3
"""Jobs of such an action that are harvested again all the same: if pages were lost, these will show it."""

DOUBT_CALLS_SHARE = 0.05
DOUBT_CALLS_MIN = 50
"""What harvesting again may cost: a twentieth of the calls that the harvest cost, or a tenth of one limit's window."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A job that has fewer rows than were counted.

    Attributes:
        job_id: the ledger's number of it.
        action: its action.
        missing_rows: how many fewer.
        counter_rows: how many were counted.
        calls: what harvesting it again will cost, at least 1.
    """

    job_id: int
    action: Action
    missing_rows: int
    counter_rows: int
    calls: int

    def is_beyond(self, tolerance_share: float) -> bool:
        """Whether more than this share of the counter is missing: up to it, sets move while they are read."""
        return self.missing_rows > tolerance_share * self.counter_rows


def leaning(findings: Mapping[str, int]) -> Finding | None:
    """Return SHORT or OVER where the counter of an action cannot count what its sets list; None where it may.

    Args:
        findings: how many jobs of the action there are of each `Finding`, without those that are empty by rows and
            counter.
    """
    judged = sum(findings.get(finding, 0) for finding in (Finding.PROVEN, Finding.SHORT, Finding.OVER))
    if judged < LEANING_JOBS_MIN:
        return None
    off = (finding for finding in (Finding.SHORT, Finding.OVER) if findings.get(finding, 0) >= LEANING_SHARE * judged)
    return next(off, None)


@dataclass(frozen=True, slots=True)
class Doubts:
    """Which jobs are harvested again, by their numbers, and how many `left` are not though they fall as short."""

    job_ids: tuple[int, ...]
    left: int


def doubts_on(shortfalls: Iterable[Shortfall], leanings: Collection[Action], harvest_calls: int) -> Doubts:
    """Choose the jobs that are worth harvesting again, the largest shortfall first; memory holds what can be paid for.

    Args:
        shortfalls: beyond the tolerance, of jobs that were not harvested again before.
        leanings: actions whose counters are themselves in doubt; of these only samples are taken.
        harvest_calls: what the harvest has cost so far.
    """
    allowance_calls = max(DOUBT_CALLS_MIN, int(DOUBT_CALLS_SHARE * harvest_calls))
    largest: dict[Action, list[tuple[int, int, Shortfall]]] = {}
    count = 0
    for each in shortfalls:
        count += 1
        heap = largest.setdefault(each.action, [])
        heappush(heap, (each.missing_rows, -each.job_id, each))
        if len(heap) > (SAMPLES if each.action in leanings else allowance_calls):
            heappop(heap)
    chosen = []
    for _, _, shortfall in sorted(chain.from_iterable(largest.values()), reverse=True):
        if shortfall.calls <= allowance_calls:
            allowance_calls -= shortfall.calls
            chosen.append(shortfall.job_id)
    return Doubts(tuple(chosen), count - len(chosen))


# --- the laws of the sets ---------------------------------------------------------------------------------------------


class Relation(StrEnum):
    """How two sets of contacts lie to each other."""

    WITHIN = auto()  #: who is in the first is in the second
    APART = "apart from"  #: nobody is in both


@dataclass(frozen=True, slots=True)
class Law:
    """A relation between the sets of two actions of one campaign, and why it should hold."""

    first: Action
    relation: Relation
    second: Action
    reason: str

    def __str__(self) -> str:
        return f"{self.first} {self.relation} {self.second}"

    def broken_by(self, first: set[int], second: set[int]) -> int:
        """Return how many contacts break the law."""
        return len(first & second if self.relation is Relation.APART else first - second)


_SENT_REASON = "what became of a message, became of one that was sent"

LAWS: Sequence[Law] = (
    Law(Action.OPENED, Relation.APART, Action.UNOPENED, "the words exclude each other"),
    Law(Action.HARD_BOUNCE, Relation.APART, Action.SOFT_BOUNCE, "a message bounces in one way"),
    Law(Action.OPENED, Relation.WITHIN, Action.SENT, _SENT_REASON),
    Law(Action.UNOPENED, Relation.WITHIN, Action.SENT, _SENT_REASON),
    Law(Action.CLICKED, Relation.WITHIN, Action.SENT, _SENT_REASON),
    Law(Action.HARD_BOUNCE, Relation.WITHIN, Action.SENT, _SENT_REASON),
    Law(Action.SOFT_BOUNCE, Relation.WITHIN, Action.SENT, _SENT_REASON),
    # The weakest: a reader without pictures may click and never be counted as one who opened.
    Law(Action.CLICKED, Relation.WITHIN, Action.OPENED, "a link is read before it is clicked"),
)
"""None of them is documented: all are inferred from what the words mean.

That sent and unsent are apart is none of them: a public client's sample has an unsent contact among the sent ones.
Who opted out or complained may have done so long after and elsewhere, so these two sets are bound by no law.
"""

LAW_ROWS_MAX = 1_000_000
"""A campaign whose sets have more rows than this together is not checked: 100 MB are enough for a remark."""

LAW_ACTIONS = frozenset(action for law in LAWS for action in (law.first, law.second))


def broken_laws(sets: Mapping[Action, set[int]]) -> dict[str, int]:
    """Return the laws that a campaign's sets break, each with the number of contacts that break it.

    Args:
        sets: contacts by action, each as a number that stands for it; laws of other actions are passed over.
    """
    known = [law for law in LAWS if law.first in sets and law.second in sets]
    counts = {str(law): law.broken_by(sets[law.first], sets[law.second]) for law in known}
    return {name: contacts for name, contacts in counts.items() if contacts}
