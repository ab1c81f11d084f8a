"""When so many calls will have been made: the rule of admission, played forward (pure)."""

from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from harvester.engine import lockout as breaker
from harvester.engine.admission import Quota, next_start_s
from harvester.leases import Lockout, LockoutPhase, Standing

PLAYED_WINDOWS = 4
"""Windows' worth of calls that are played one by one: from the third on one is like the other, and a test holds that
against longer games. So the millionth call costs no more than the first."""

PLAYED_TOKENS_MAX = 500
"""The largest quota that is played call by call; of a larger one several calls are played as one."""


@dataclass(frozen=True, slots=True)
class Course:
    """How the calls to one endpoint follow each other.

    Attributes:
        quota: how many may start in which window.
        lock_s: the documented lock period, in seconds.
        gap_s: the least time from one start to the next, in seconds, by bursts and by workers.
        latency_s: how long an answer takes, in seconds.
    """

    quota: Quota
    lock_s: float
    gap_s: float
    latency_s: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """When calls start, the first of them as played, all others window by window like the last.

    Attributes:
        starts_s: of the calls played, ascending, on the clock of the stamps; never empty.
        window_calls: how many of these make a window.
        grain: how many real calls each of these stands for.
        latency_s: how long an answer takes, in seconds.
    """

    starts_s: Sequence[float]
    window_calls: int
    grain: int
    latency_s: float

    def start_s(self, number: int) -> float:
        """Return when a call starts, counted from 0."""
        played = number // self.grain
        beyond = played - len(self.starts_s) + 1
        if beyond <= 0:
            return self.starts_s[played]
        windows = -(-beyond // self.window_calls)
        window_s = self.starts_s[-1] - self.starts_s[-1 - self.window_calls]
        return self.starts_s[played - windows * self.window_calls] + windows * window_s

    def end_s(self, calls: int) -> float:
        """Return when the last of so many calls, one or more, is answered."""
        return self.start_s(calls - 1) + self.latency_s

    def calls_before(self, moment_s: float, calls: int) -> int:
        """Return how many of so many calls start before a moment."""
        return bisect_right(range(calls), moment_s, key=self.start_s)


def forecast(calls: int, course: Course, standing: Standing) -> Forecast:
    """Play calls forward from the present, as one process alone would make them.

    Args:
        calls: how many.
        course: how they follow each other.
        standing: the present.
    """
    grain = -(-course.quota.tokens // PLAYED_TOKENS_MAX)
    quota = replace(course.quota, tokens=course.quota.tokens // grain)
    coarse = replace(course, quota=quota, gap_s=course.gap_s * grain)
    played = min(max(1, -(-calls // grain)), PLAYED_WINDOWS * quota.tokens)
    starts = _starts(coarse, replace(standing, stamps=standing.stamps[::grain]))
    return Forecast(tuple(islice(starts, played)), quota.tokens, grain, course.latency_s)


def _starts(course: Course, standing: Standing) -> Iterator[float]:
    """Yield when calls start, without end."""
    stamps, now_s, lockout = list(standing.stamps), standing.now_s, standing.lockout
    last_start_s = standing.last_start_s
    while True:
        present = Standing(now_s, stamps, lockout, last_start_s)
        lockout = breaker.aged(present, course.lock_s)
        start_s = _next_start_s(course, present, lockout)
        if start_s > now_s:
            now_s = start_s
            continue
        yield now_s
        del stamps[: bisect_right(stamps, now_s - course.quota.memory_s)]
        insort(stamps, now_s + course.latency_s)
        last_start_s = now_s
        if lockout.phase is LockoutPhase.HALF_OPEN:  # the others wait for the answer to this one
            now_s += course.latency_s
            probed = Standing(now_s, stamps, lockout)
            lockout = breaker.answered(probed, course.lock_s, course.quota.period_s, is_probe=True, is_good=True)
        else:
            now_s += course.gap_s


def _next_start_s(course: Course, present: Standing, lockout: Lockout) -> float:
    even_gap_s = course.quota.window_s / course.quota.tokens
    opens_s = breaker.opens_s(lockout, present, even_gap_s)
    return opens_s if opens_s > present.now_s else next_start_s(course.quota, present.stamps, present.now_s)
