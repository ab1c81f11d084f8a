"""The limit and the referee's counts, against brute force."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.simulator.options import Counting, LocksAt, QuotaOptions
from harvester.simulator.quota import Quota, Verdict, new_counter
from harvester.simulator.referee import Arrival, Coverage, Referee

CALLS = 6
PERIOD_S = 8
PHASE_S = 3

# Whole quarters of a second: exact in binary, so that the oracle and the counters may be compared for equality.
TIMES_S = st.lists(st.integers(0, 60).map(lambda quarters: quarters / 4), max_size=60).map(
    lambda gaps: [sum(gaps[: i + 1]) / 4 for i in range(len(gaps))],
)


def _options(counting: Counting = Counting.FIXED, **changes: object) -> QuotaOptions:
    settings: dict[str, object] = {"calls": CALLS, "period_s": PERIOD_S, "lock_s": 20.0, "counting": counting}
    return QuotaOptions(**(settings | {"phase_s": PHASE_S} | changes))  # type: ignore[arg-type]


def _level(counting: Counting, times_s: list[float]) -> Fraction:
    """Return the level at the last of these calls by definition, not by bookkeeping."""
    exact = [Fraction(time_s) for time_s in times_s]
    now_s = exact[-1]
    position = (now_s - PHASE_S) / PERIOD_S
    window = math.floor(position)
    windows = [math.floor((time_s - PHASE_S) / PERIOD_S) for time_s in exact]
    match counting:
        case Counting.FIXED:
            return Fraction(windows.count(window))
        case Counting.SLIDING:
            return Fraction(sum(now_s - PERIOD_S < time_s <= now_s for time_s in exact))
        case Counting.WEIGHTED:
            return windows.count(window - 1) * (1 - (position - window)) + windows.count(window)
        case Counting.LEAKY:
            # A queue's level is the worst surplus of arrivals over drain since any earlier arrival.
            rate = Fraction(CALLS, PERIOD_S)
            return max(len(exact) - i - rate * (now_s - exact[i]) for i in range(len(exact)))


@pytest.mark.parametrize("counting", Counting)
@given(times_s=TIMES_S)
def test_R_01_each_counter_gives_the_level_of_its_definition(counting: Counting, times_s: list[float]) -> None:
    """At every call the level is the one that brute force over all earlier calls gives."""
    counter = new_counter(counting, _options(counting))

    levels = [counter.add(time_s) for time_s in times_s]

    expected = [float(_level(counting, times_s[: i + 1])) for i in range(len(times_s))]
    assert levels == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("counting", Counting)
@pytest.mark.parametrize("locks_at", LocksAt)
@given(times_s=TIMES_S)
def test_R_01_the_first_call_at_or_over_the_limit_locks(
    counting: Counting,
    locks_at: LocksAt,
    times_s: list[float],
) -> None:
    """Exactly the first call whose level reaches (or passes) the limit is the one that locks."""
    quota = Quota(_options(counting, locks_at=locks_at, lock_s=math.inf))

    verdicts = [quota.admit(time_s) for time_s in times_s]

    levels = [_level(counting, times_s[: i + 1]) for i in range(len(times_s))]
    is_over = [level >= CALLS if locks_at is LocksAt.AT else level > CALLS for level in levels]
    granted = is_over.index(True) if True in is_over else len(times_s)
    expected = [Verdict.GRANTED] * granted + [Verdict.TRIPPED] + [Verdict.LOCKED] * len(times_s)
    assert verdicts == expected[: len(times_s)]


@pytest.mark.parametrize("counting", Counting)
@pytest.mark.parametrize(("locks_at", "granted"), [(LocksAt.AT, 499), (LocksAt.OVER, 500)])
def test_a_burst_is_granted_up_to_the_limit(counting: Counting, locks_at: LocksAt, granted: int) -> None:
    """Of a burst, 499 calls pass where the 500th locks, and 500 where the 501st does."""
    quota = Quota(QuotaOptions(counting=counting, locks_at=locks_at))

    verdicts = [quota.admit(100.0) for _ in range(600)]

    assert verdicts.index(Verdict.TRIPPED) == granted
    assert verdicts.count(Verdict.GRANTED) == granted


def test_R_06_the_lock_ends_after_its_time() -> None:
    """A call one moment before the end is locked, one at the end is granted."""
    quota = Quota(_options())
    for _ in range(CALLS + 1):
        quota.admit(4.0)

    assert quota.lock_left_s(14.0) == 10.0
    assert quota.admit(23.99) is Verdict.LOCKED
    assert quota.admit(24.0) is Verdict.GRANTED
    assert quota.lock_left_s(24.0) == 0.0


def test_R_15_a_call_into_an_extending_lock_starts_it_anew() -> None:
    """Where the lock is extended, it ends `lock_s` after the last call into it."""
    quota = Quota(_options(is_lock_extended=True))
    for _ in range(CALLS + 1):
        quota.admit(4.0)

    assert quota.admit(23.0) is Verdict.LOCKED
    assert quota.admit(42.0) is Verdict.LOCKED
    assert quota.admit(62.0) is Verdict.GRANTED


def test_a_call_one_period_old_has_left_the_sliding_window() -> None:
    """The sliding window is half open: two calls exactly one period apart never share one."""
    counter = new_counter(Counting.SLIDING, _options())

    assert [counter.add(time_s) for time_s in (0.0, 7.75, 8.0)] == [1, 2, 2]


def test_rounding_alone_locks_nobody() -> None:
    """A caller that fills the bucket and then keeps exactly to its drain is never locked by sums of fractions."""
    quota = Quota(QuotaOptions(calls=7, period_s=0.3, counting=Counting.LEAKY))

    verdicts = [quota.admit(max(0, n - 6) * 0.3 / 7) for n in range(5000)]

    assert set(verdicts) == {Verdict.GRANTED}


@given(times_s=TIMES_S)
def test_R_01_the_referee_knows_the_worst_level_of_every_count(times_s: list[float]) -> None:
    """Whatever counts the server's own limit, the worst levels of all four ways are reported."""
    referee = Referee(_options())

    for time_s in times_s:
        referee.record(Arrival("acme", "x", time_s, "document"))

    if times_s:
        worst = referee.report()["accounts"]["acme"]["x"]["worst_calls"]
        for counting in Counting:
            expected = max(float(_level(counting, times_s[: i + 1])) for i in range(len(times_s)))
            assert worst[counting] == pytest.approx(expected, abs=1e-5)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12))))
def test_coverage_counts_each_row_once(ranges: list[tuple[int, int]]) -> None:
    """The new rows of a page are those in no earlier page, in whatever order pages come."""
    coverage, known = Coverage(), set[int]()

    for first, rows in ranges:
        page = set(range(first, first + rows))
        assert coverage.add(first, first + rows) == len(page - known)
        known |= page
