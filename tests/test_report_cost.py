"""How the calls that are left are foreseen while a night goes on."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.report.cost import Cost

SIZES = [1] * 700 + [2 + number % 5 for number in range(180)] + [10 + 5 * number for number in range(20)]
"""What 900 jobs cost, in calls: as in an account where most sets are small and some large."""

MOMENTS = (0.1, 0.5, 0.9)


def in_any_order(seed: int) -> list[int]:
    jobs = list(SIZES)
    Random(seed).shuffle(jobs)  # noqa: S311  any order will do
    return jobs


def errors(jobs: Sequence[int], expected_calls: int) -> list[float]:
    """By which share of the whole the foreseen end is off, after a tenth, half and nine tenths of the calls."""
    whole, cost, calls, found = sum(jobs), Cost(expected_calls), 0, list[float]()
    for number, each in enumerate(jobs, start=1):
        calls += each
        cost = cost.after(calls, 1)
        if len(found) < len(MOMENTS) and calls >= MOMENTS[len(found)] * whole:
            left = cost.left_calls(len(jobs) - number, calls)
            assert left is not None
            found.append(abs(calls + left - whole) / whole)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_a_true_plan_is_not_led_astray(seed: int) -> None:
    """In whatever order the jobs come, the end is foreseen to a twentieth early on, and to a tenth all the way."""
    early, half, late = errors(in_any_order(seed), sum(SIZES))

    assert early <= 0.05
    assert max(half, late) <= 0.1


def test_a_plan_by_size_is_not_led_astray() -> None:
    """Where the largest sets come first, their cost says nothing of those that follow."""
    assert max(errors(sorted(SIZES, reverse=True), sum(SIZES))) <= 0.1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("error_share", [-0.25, 0.25])
def test_a_wrong_plan_corrects_itself(seed: int, error_share: float) -> None:
    """A plan that is off by a quarter is off by a seventh at most when nine tenths of the calls are made."""
    early, _, late = errors(in_any_order(seed), round(sum(SIZES) * (1 + error_share)))

    assert early <= 0.3
    assert late <= 0.15


def test_nothing_is_foreseen_from_nothing() -> None:
    """Without a plan, and before a job is closed."""
    assert Cost().left_calls(10, 0) is None
    assert Cost(25).left_calls(10, 5) == 20
    assert Cost().after(4, 2).left_calls(10, 4) == 20


@given(st.none() | st.integers(0, 10**6), st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 50)), max_size=30))
def test_what_is_left_is_never_below_zero(expected_calls: int | None, closings: list[tuple[int, int]]) -> None:
    """Whatever was expected and came, and nothing is left once no job is open and the plan was met."""
    cost, calls = Cost(expected_calls), 0
    for more_calls, jobs in closings:
        calls += more_calls
        cost = cost.after(calls, jobs)
        assert (cost.left_calls(7, calls) or 0.0) >= 0.0
