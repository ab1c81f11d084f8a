"""When the next call may start, whatever the server's way of counting (pure).

Every call has a *stamp*: the latest moment at which the server can have counted it. While the call is out, that is
far ahead (its timeout and grace, `hold_s`); once its outcome is seen, it is the moment of seeing. A stamp is never
earlier than the true arrival, and a later arrival never makes a server's count smaller, so a rule that holds for the
stamps holds for the server.

Source of both rules and their proofs: docs/budget.md.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

WINDOW_MARGIN = 301 / 300
"""A window of exactly the period reuses tokens on its edge, where rounding decides; 1/300 covers clock drift too."""

EDGE_S = 1e-6
"""A call that returns its token at the edge of the window is reused this much later, so that rounding cannot decide."""


class Admission(StrEnum):
    """The two rules."""

    ROBUST = "robust"  #: safe on fixed windows, sliding logs, leaky buckets and weighted counters
    WINDOW = "window"  #: a burst every period: safe on all but weighted counters


@dataclass(frozen=True, slots=True)
class Quota:
    """What may be used: at most `tokens` calls in any window of `period_s` seconds."""

    tokens: int
    period_s: float
    admission: Admission = Admission.ROBUST

    @property
    def window_s(self) -> float:
        """How long a stamp weighs against the window rule, in seconds."""
        return self.period_s * WINDOW_MARGIN

    @property
    def memory_s(self) -> float:
        """How long a stamp matters at all, in seconds: a weighted counter looks back over two windows."""
        return self.window_s * (2 if self.admission is Admission.ROBUST else 1)


def free_calls(quota: Quota, stamps: Sequence[float], now_s: float) -> int:
    """Return how many calls may start at once, by the window rule; an upper bound under the robust rule.

    `stamps` ascend.
    """
    return max(0, quota.tokens - _count_after(stamps, now_s - quota.window_s))


def next_start_s(quota: Quota, stamps: Sequence[float], now_s: float) -> float:
    """Return the earliest moment, at or after `now_s`, at which one more call may start.

    Args:
        quota: what may be used.
        stamps: of all calls that still matter (`Quota.memory_s`), ascending; those of calls still out lie ahead.
        now_s: the present, on the clock of the stamps.

    Returns:
        `now_s` if a call may start now; else the moment to ask again, provided that no other call starts first.
    """
    if _count_after(stamps, now_s - quota.memory_s) < quota.tokens:
        return now_s
    start_s = _window_start_s(quota, stamps, now_s)
    return start_s if quota.admission is Admission.WINDOW else _robust_start_s(quota, stamps, start_s)


def _window_start_s(quota: Quota, stamps: Sequence[float], now_s: float) -> float:
    """Return when fewer than `tokens` stamps lie within the window."""
    in_window = _count_after(stamps, now_s - quota.window_s)
    if in_window < quota.tokens:
        return now_s
    return stamps[len(stamps) - quota.tokens] + quota.window_s + EDGE_S


def _robust_start_s(quota: Quota, stamps: Sequence[float], from_s: float) -> float:
    """Return the first moment from `from_s` on at which no phase of a weighted counter exceeds the tokens.

    Such a server cuts time into windows from an unknown phase and counts the present window's calls plus those of the
    one before, weighted by the share of it that a sliding window would still cover. With the present window begun at
    `begin_s` its estimate is a falling line over time, so the moment at which it leaves room for one more call is
    found by solving for it. Over all phases only those matter at which a call is about to leave a window: `begin_s`
    at a stamp, or one window after a stamp. Phases that begin later than `from_s` count no more than the plain window
    rule has already admitted.
    """
    start_s, window_s = from_s, quota.window_s
    room_calls = quota.tokens - 1
    excess_calls = len(stamps) - room_calls  # a phase whose window before begins after so many calls has room at once
    first, last = bisect_right(stamps, from_s - window_s), bisect_right(stamps, from_s)
    before = bisect_right(stamps, from_s - 2 * window_s)
    current = first
    for leaving in range(before, min(first, excess_calls)):  # a call about to leave the window before
        begin_s = stamps[leaving] + window_s
        while current < last and stamps[current] < begin_s:
            current += 1
        spare_share = (current - excess_calls) / (current - leaving)
        start_s = max(start_s, begin_s + window_s * (1 - spare_share))
    for current in range(first, last):  # a call about to leave the present window
        begin_s = stamps[current]
        while stamps[before] < begin_s - window_s:
            before += 1
        if before >= excess_calls:
            break
        spare_share = (current - excess_calls) / (current - before)
        start_s = max(start_s, begin_s + window_s * (1 - spare_share))
    return start_s


def _count_after(stamps: Sequence[float], moment_s: float) -> int:
    return len(stamps) - bisect_right(stamps, moment_s)
