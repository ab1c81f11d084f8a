"""The limit of one endpoint for one account: four ways of counting, one lock. Pure; the caller brings the time."""

from collections import deque
from collections.abc import Callable, Mapping
from enum import StrEnum, auto
from typing import Protocol

from harvester.simulator.options import Counting, LocksAt, QuotaOptions

LEVEL_TOLERANCE_CALLS = 1e-6
"""Levels of the weighted and the leaky count are sums of fractions: rounding alone must not lock anybody."""


class Counter(Protocol):
    """Counts calls; times never go back."""

    def add(self, now_s: float) -> float:
        """Count one call at `now_s` and return the level, in calls, with this one included."""


class FixedWindow:
    """One count for each aligned window of `period_s`."""

    def __init__(self, options: QuotaOptions) -> None:
        self._period_s = options.period_s
        self._phase_s = options.phase_s
        self._window = 0
        self._calls = 0

    def add(self, now_s: float) -> float:
        """Count one call and return those of its window so far."""
        window = int((now_s - self._phase_s) // self._period_s)
        if window != self._window:
            self._window, self._calls = window, 0
        self._calls += 1
        return self._calls


class SlidingLog:
    """Every call of the last `period_s`; the window is half open, a call exactly one period old is out."""

    def __init__(self, options: QuotaOptions) -> None:
        self._period_s = options.period_s
        self._times_s: deque[float] = deque()

    def add(self, now_s: float) -> float:
        """Count one call and return those of the window that ends with it."""
        while self._times_s and self._times_s[0] <= now_s - self._period_s:
            self._times_s.popleft()
        self._times_s.append(now_s)
        return len(self._times_s)


class WeightedCounter:
    """This aligned window's calls plus the share of the last one's that a sliding window would still overlap."""

    def __init__(self, options: QuotaOptions) -> None:
        self._period_s = options.period_s
        self._phase_s = options.phase_s
        self._window = 0
        self._calls = 0
        self._previous_calls = 0

    def add(self, now_s: float) -> float:
        """Count one call and return previous * (1 - elapsed share) + current."""
        position = (now_s - self._phase_s) / self._period_s
        window = int(position // 1)
        if window != self._window:
            self._previous_calls = self._calls if window == self._window + 1 else 0
            self._window, self._calls = window, 0
        self._calls += 1
        return self._previous_calls * (1 - (position - window)) + self._calls


class LeakyBucket:
    """A level that each call raises by one and that drains by `calls` per `period_s`."""

    def __init__(self, options: QuotaOptions) -> None:
        self._drain_per_s = options.calls / options.period_s
        self._level = 0.0
        self._at_s = 0.0

    def add(self, now_s: float) -> float:
        """Count one call and return the level."""
        self._level = max(0.0, self._level - (now_s - self._at_s) * self._drain_per_s) + 1
        self._at_s = now_s
        return self._level


_COUNTERS: Mapping[Counting, Callable[[QuotaOptions], Counter]] = {
    Counting.FIXED: FixedWindow,
    Counting.SLIDING: SlidingLog,
    Counting.WEIGHTED: WeightedCounter,
    Counting.LEAKY: LeakyBucket,
}


def new_counter(counting: Counting, options: QuotaOptions) -> Counter:
    """Return an empty counter of the given kind for this limit."""
    return _COUNTERS[counting](options)


class Verdict(StrEnum):
    """What the limit says to one call."""

    GRANTED = auto()
    TRIPPED = auto()  #: refused, and it closed the lock
    LOCKED = auto()  #: refused, the lock was closed before


class Quota:
    """One endpoint's limit for one account, and its lock.

    Calls into the lock are refused before they are counted. What was counted before the lock stays counted after it.
    """

    def __init__(self, options: QuotaOptions) -> None:
        self._options = options
        self._counter = new_counter(options.counting, options)
        self._locked_until_s = float("-inf")

    def admit(self, now_s: float) -> Verdict:
        """Count a call that the server receives at `now_s`; times never go back."""
        if now_s < self._locked_until_s:
            if self._options.is_lock_extended:
                self._locked_until_s = now_s + self._options.lock_s
            return Verdict.LOCKED
        if self._is_too_many(self._counter.add(now_s)):
            self._locked_until_s = now_s + self._options.lock_s
            return Verdict.TRIPPED
        return Verdict.GRANTED

    def lock_left_s(self, now_s: float) -> float:
        """Return how long the lock still lasts, 0.0 if there is none."""
        return max(0.0, self._locked_until_s - now_s)

    def _is_too_many(self, level_calls: float) -> bool:
        if self._options.locks_at is LocksAt.AT:
            return level_calls >= self._options.calls - LEVEL_TOLERANCE_CALLS
        return level_calls > self._options.calls + LEVEL_TOLERANCE_CALLS
