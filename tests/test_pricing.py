"""What a set costs, held against the page loop that reads it."""

from math import inf

import pytest
from factories import rows
from hypothesis import given
from hypothesis import strategies as st
from paged import Reader, Server

from harvester.engine.pricing import GROWTH_MAX, Confirming, Price, Size, calls_of, price_of
from harvester.history import Typical

TYPICAL = Typical(rows=700.0, calls=2.5, calls_max=9)


def calls_made(total_rows: int, range_rows: int, longest_rows: int) -> int:
    server = Server(rows(1, total_rows), clamp_rows=range_rows)
    return Reader(range_rows=range_rows).read(server.answer, longest_rows).calls


@given(total_rows=st.integers(0, 600), range_rows=st.integers(1, 120))
def test_a_set_costs_what_the_page_loop_makes_of_it(total_rows: int, range_rows: int) -> None:
    """For any set and page size, with and without overlap, the formula says how many calls the real loop makes."""
    assert calls_of(total_rows, range_rows) == calls_made(total_rows, range_rows, longest_rows=range_rows)


@pytest.mark.parametrize(
    ("total_rows", "calls"), [(0, 1), (1, 1), (499, 1), (500, 2), (998, 2), (999, 3), (127_517, 256)]
)
def test_pages_of_500_bring_499_new_rows_each(total_rows: int, calls: int) -> None:
    """A set that ends with a whole page costs one call more, and an empty one costs one."""
    assert calls_of(total_rows, 500) == calls


@given(st.lists(st.integers(0, 300), max_size=12), st.integers(1, 120))
def test_confirming_calls_are_those_that_the_page_loop_makes(sets: list[int], range_rows: int) -> None:
    """Sets read one after the other cost their pages, and one call for each short page that no longer one preceded."""
    confirming, longest_rows, calls = Confirming(), 0, 0
    for total_rows in sets:
        server = Server(rows(1, total_rows), clamp_rows=range_rows)
        harvested = Reader(range_rows=range_rows).read(server.answer, longest_rows)
        longest_rows, calls = max(longest_rows, harvested.longest_rows), calls + harvested.calls
        confirming = confirming.after(total_rows, range_rows)

    assert calls == confirming.calls + sum(calls_of(total_rows, range_rows) for total_rows in sets)


@given(st.integers(0, 10**6), st.booleans())
def test_a_counted_set_has_its_price_and_a_young_one_may_grow(counted_rows: int, is_young: bool) -> None:  # noqa: FBT001
    """The counter is exact; only while a campaign is young may more come until the harvest."""
    price = price_of(Size(counted_rows, is_young=is_young), TYPICAL, 500)

    assert price.low == price.likely == calls_of(counted_rows, 500)
    assert price.high == (price.likely if not is_young else calls_of(int(counted_rows * 1.1), 500))


def test_a_set_without_counter_is_priced_by_its_last_harvest() -> None:
    """As it was then, and up to half as much again."""
    assert price_of(Size(None, 4_990), TYPICAL, 500) == Price(10, 10, calls_of(int(4_990 * GROWTH_MAX), 500))


def test_a_counter_is_not_believed_far_beyond_the_last_harvest() -> None:
    """A counter of opens may count each one: half as much again is the most."""
    assert Size(10_000, 400).rows == 600


def test_an_unknown_set_costs_the_mean_of_its_action() -> None:
    """One call at least, what others cost in the mean, and no more than the dearest of them."""
    assert price_of(Size(), TYPICAL, 500) == Price(1, 2.5, 9)


def test_without_any_history_nothing_bounds_the_price() -> None:
    """Nobody can say more than that it costs one call."""
    assert price_of(Size(), None, 500) == Price(1, 1, inf)


def test_pages_that_are_stored_are_paid() -> None:
    """What is left of a set costs one call at least: its end."""
    assert Price(10, 10, 12).less(4) == Price(6, 6, 8)
    assert Price(3, 3, 3).less(7) == Price(1, 1, 1)
