"""Portions: what was too large at once is asked for in halves, and more is tried again."""

from hypothesis import given
from hypothesis import strategies as st

from harvester.engine.portion import PATIENCE_PAGES, Portion

USUAL_ROWS = 500


def calls(limit_of_row: dict[int, int], total_rows: int) -> tuple[int, int]:
    """Page through a set in which a page that holds a row has a limit; return all calls and the refused ones."""
    portion, first, made, refused = Portion(), 1, 0, 0
    while first <= total_rows:
        rows = portion.within(USUAL_ROWS)
        made += 1
        limit = min((limit for row, limit in limit_of_row.items() if first <= row < first + rows), default=USUAL_ROWS)
        if rows > limit:
            portion, refused = portion.after_refusal(rows), refused + 1
        else:
            portion, first = portion.after_page(), first + rows
    return made, refused


def test_A_27_one_large_row_costs_some_small_pages_and_not_all() -> None:
    """Once the row that made a page too large lies behind, pages grow to their usual size again."""
    made, refused = calls({3_000: 60}, 40_000)

    assert refused == 4
    assert made <= 80 + 5 * PATIENCE_PAGES


@given(limit=st.integers(1, 499))
def test_A_27_a_limit_that_stays_costs_ever_fewer_trials(limit: int) -> None:
    """Where more is refused each time, each next try waits twice as long."""
    total_rows = 400 * limit
    made, refused = calls(dict.fromkeys(range(1, total_rows + 1, max(1, limit // 2)), limit), total_rows)

    assert refused <= 9 + made.bit_length()


@given(st.integers(1, 500))
def test_usual_range_is_asked_for_where_nothing_was_too_large(usual_rows: int) -> None:
    """Pages alone change nothing."""
    portion = Portion()
    for _ in range(3 * PATIENCE_PAGES):
        portion = portion.after_page()

    assert portion.within(usual_rows) == usual_rows
