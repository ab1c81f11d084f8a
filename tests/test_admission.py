import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.engine.admission import Admission, Quota, free_calls, next_start_s

ROBUST = Quota(tokens=9, period_s=300, admission=Admission.ROBUST)
WINDOW = Quota(tokens=9, period_s=300, admission=Admission.WINDOW)
stamp_lists = st.lists(st.floats(0, 1500), max_size=40).map(sorted)


def worst_window(moments: list[float], window_s: float) -> int:
    return max((sum(begin <= moment < begin + window_s for moment in moments) for begin in moments), default=0)


def worst_weighted(moments: list[float], now_s: float, window_s: float, phases: int = 40) -> float:
    """Brute force over evenly spread phases and all edges, straight from the definition of the server."""
    edges = [moment for moment in moments if moment <= now_s] + [moment + window_s for moment in moments]
    begins = [now_s - window_s * k / phases for k in range(phases)] + [
        begin for begin in edges if now_s - window_s < begin <= now_s
    ]
    return max(
        sum(moment >= begin for moment in moments)
        + sum(begin - window_s <= moment < begin for moment in moments) * (1 - (now_s - begin) / window_s)
        for begin in begins
    )


@given(stamp_lists, st.floats(0, 1500))
def test_robust_start_leaves_room_in_every_phase(stamps: list[float], now_s: float) -> None:
    """At the moment named, no phase of a weighted counter holds more than the tokens, the new call included."""
    start_s = next_start_s(ROBUST, stamps, now_s)

    assert start_s >= now_s
    assert worst_weighted(stamps, start_s + 1e-6, ROBUST.window_s) + 1 <= ROBUST.tokens + 1e-5


@given(stamp_lists, st.floats(0, 1500))
def test_robust_start_is_not_later_than_needed(stamps: list[float], now_s: float) -> None:
    """A moment before the one named, some way of counting would exceed the tokens."""
    start_s = next_start_s(ROBUST, stamps, now_s)
    early_s = start_s - 0.5

    if early_s > now_s:
        over = worst_weighted(stamps, early_s, ROBUST.window_s, phases=400) + 1 > ROBUST.tokens - 0.02
        assert over or sum(stamp > early_s - ROBUST.window_s for stamp in stamps) >= ROBUST.tokens


@given(stamp_lists, st.floats(0, 1500))
def test_window_start_is_exactly_when_a_token_returns(stamps: list[float], now_s: float) -> None:
    """The window rule starts a call as soon as fewer than `tokens` stamps lie within the window, and not before."""
    start_s = next_start_s(WINDOW, stamps, now_s)

    def in_window(moment_s: float) -> int:
        return sum(stamp > moment_s - WINDOW.window_s for stamp in stamps)

    assert in_window(start_s + 1e-9) < WINDOW.tokens
    assert start_s == now_s or in_window(start_s - 3e-6) >= WINDOW.tokens


@pytest.mark.parametrize("admission", list(Admission))
@given(seed=st.integers(0, 2**32))
def test_R_02_no_window_exceeds_the_tokens_whatever_the_latency(admission: Admission, seed: int) -> None:
    """Calls counted anywhere between their start and the sight of their outcome never exceed the tokens in a window."""
    quota, rng = Quota(9, 300, admission), random.Random(seed)  # noqa: S311  a seeded test
    now_s = 0.0
    arrivals: list[float] = []
    stamps: list[float] = []

    for _ in range(40):
        now_s = next_start_s(quota, stamps, now_s)
        seen_s = now_s + rng.choice([0, 0.3, 30, rng.uniform(0, 60)])
        arrivals.append(rng.uniform(now_s, seen_s))
        stamps = sorted([*stamps, seen_s])
        now_s += rng.choice([0, 0, rng.expovariate(0.1)])

    assert worst_window(arrivals, 300) <= quota.tokens
    if admission is Admission.ROBUST:
        for moment in arrivals[9::5]:
            seen = [arrival for arrival in arrivals if arrival <= moment]
            assert worst_weighted(seen, moment, 300) <= quota.tokens


@pytest.mark.parametrize(("admission", "share"), [(Admission.WINDOW, 0.98), (Admission.ROBUST, 0.97)])
def test_long_run_uses_the_budget(admission: Admission, share: float) -> None:
    """P6: with work always waiting, a long run gets at least 97 % of what the limit of 500 physically allows."""
    quota = Quota(499, 300, admission)
    now_s = 0.0
    stamps: list[float] = []

    for _ in range(10_000):
        now_s = next_start_s(quota, stamps, now_s)
        stamps.append(now_s + 0.3)
        if len(stamps) > 2_000:
            stamps = [stamp for stamp in stamps if stamp > now_s - quota.memory_s]

    assert 10_000 / (now_s / 300 + 1) >= share * 500 * (1 - 1 / (now_s / 300))


def test_small_harvest_starts_at_once() -> None:
    """A harvest that fits one window never waits."""
    stamps: list[float] = []

    for _ in range(ROBUST.tokens):
        assert next_start_s(ROBUST, stamps, 10.0) == 10.0
        stamps.append(10.0)

    assert next_start_s(ROBUST, stamps, 10.0) > 10.0


def test_free_calls_counts_tokens_not_in_the_window() -> None:
    """What is free is the tokens less the calls whose stamp still lies in the window, and never negative."""
    assert free_calls(WINDOW, [0.0, 100.0, 400.0], 302.0) == 7
    assert free_calls(WINDOW, [300.0] * 20, 302.0) == 0


def test_paced_calls_keep_an_even_distance() -> None:
    """After its first burst the robust rule paces itself: no gap is longer than two shares of the window."""
    quota, now_s = Quota(20, 300, Admission.ROBUST), 0.0
    stamps: list[float] = []
    starts: list[float] = []

    for _ in range(200):
        now_s = next_start_s(quota, stamps, now_s)
        stamps.append(now_s)
        starts.append(now_s)

    gaps = [later - earlier for earlier, later in pairwise(starts[100:])]
    assert max(gaps) < 2 * quota.window_s / quota.tokens
