"""When calls will have been made, held against the rule that lets them start."""

from bisect import insort
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.engine.admission import Admission, Quota, free_calls, next_start_s
from harvester.engine.forecast import PLAYED_TOKENS_MAX, PLAYED_WINDOWS, Course, forecast
from harvester.leases import Lockout, LockoutPhase, Standing

NOW_S = 10_000.0
IDLE = Standing(NOW_S, (), Lockout())
DOCUMENTED = Course(Quota(499, 300.0), lock_s=1800.0, gap_s=0.05, latency_s=0.5)

admissions = st.sampled_from(Admission)


def played(course: Course, standing: Standing, calls: int) -> list[float]:
    """Ask the rule of admission itself for each call, as the budget does."""
    stamps, now_s, starts = list(standing.stamps), standing.now_s, list[float]()
    while len(starts) < calls:
        start_s = next_start_s(course.quota, stamps, now_s)
        if start_s > now_s:
            now_s = start_s
            continue
        starts.append(now_s)
        insort(stamps, now_s + course.latency_s)
        now_s += course.gap_s
    return starts


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 25), admissions, st.floats(0.0, 20.0), st.floats(0.0, 2.0), st.lists(st.floats(0, 600)))
def test_calls_start_when_the_rule_lets_them(
    tokens: int, admission: Admission, latency_s: float, gap_s: float, ages_s: list[float]
) -> None:
    """With any calls of the recent past, the windows that are played are those of the budget."""
    course = Course(Quota(tokens, 300.0, admission), 1800.0, gap_s, latency_s)
    standing = Standing(NOW_S, tuple(sorted(NOW_S - age_s for age_s in ages_s)), Lockout())
    calls = PLAYED_WINDOWS * tokens

    foreseen = forecast(calls, course, standing)

    assert [foreseen.start_s(number) for number in range(calls)] == pytest.approx(played(course, standing, calls))


@pytest.mark.parametrize("admission", Admission)
@pytest.mark.parametrize("tokens", [1, 2, 7, 40, 100])
def test_windows_beyond_those_played_are_like_the_last(tokens: int, admission: Admission) -> None:
    """Ten windows further on, the moment is right to a hundredth of a window."""
    course = Course(Quota(tokens, 300.0, admission), 1800.0, 0.05, 0.5)
    calls = (PLAYED_WINDOWS + 10) * tokens

    foreseen = forecast(calls, course, IDLE)

    assert foreseen.start_s(calls - 1) == pytest.approx(played(course, IDLE, calls)[-1], abs=3.0)


@pytest.mark.parametrize(
    ("calls", "end_s"),
    [(1, 0.5), (499, 498 * 0.05 + 0.5), (998, 604), (1800, 1088), (100_000, 60_420)],
)
def test_a_night_takes_what_the_limit_allows(calls: int, end_s: float) -> None:
    """A window's worth goes at once, paced by the burst; all beyond at 499 calls in five minutes and a second."""
    foreseen = forecast(calls, DOCUMENTED, IDLE)

    assert foreseen.end_s(calls) - NOW_S == pytest.approx(end_s, rel=0.01)


def test_calls_of_the_last_minutes_delay_the_first() -> None:
    """A window that is used up gives no call before its own return."""
    standing = Standing(NOW_S, tuple(NOW_S - 100.0 + number / 100 for number in range(499)), Lockout())
    assert free_calls(DOCUMENTED.quota, standing.stamps, NOW_S) == 0

    assert forecast(10, DOCUMENTED, standing).start_s(0) > NOW_S + 200.0


def test_a_lockout_is_sat_out_then_probed_then_paced() -> None:
    """The first call is the probe at the end of the pause, and a period of evenly spaced calls follows."""
    locked = Standing(NOW_S, (), Lockout(LockoutPhase.OPEN, NOW_S + 1200.0, level=1))

    foreseen = forecast(5, DOCUMENTED, locked)
    starts = [foreseen.start_s(number) for number in range(5)]

    assert starts[0] == NOW_S + 1200.0
    gaps_s = [after - before for before, after in pairwise(starts[1:])]
    assert gaps_s == pytest.approx([DOCUMENTED.quota.window_s / 499] * 3)


@pytest.mark.parametrize("calls", [0, 1, 499, 5_000])
def test_calls_before_a_deadline_are_those_that_start_before(calls: int) -> None:
    """Before the present none, in the end all, and never fewer for a later moment."""
    foreseen = forecast(calls, DOCUMENTED, IDLE)
    counts = [foreseen.calls_before(NOW_S + second, calls) for second in range(-10, 4_000, 100)]

    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, calls)


def test_a_large_quota_is_played_in_grains() -> None:
    """With 50,000 calls a window, as an operator may set, the millionth call is foreseen all the same."""
    course = Course(Quota(100 * PLAYED_TOKENS_MAX, 300.0), 1800.0, 0.00001, 0.5)

    foreseen = forecast(1_000_000, course, IDLE)

    assert foreseen.start_s(999_999) - NOW_S == pytest.approx(20 * 301, rel=0.06)
