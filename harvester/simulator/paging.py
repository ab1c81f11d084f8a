"""Which rows of a set one call gets: the clamp, and the wrong pages of `PagingFault`. Pure."""

from collections.abc import Callable, Sequence

from harvester.simulator.options import AnswerOptions
from harvester.simulator.rows import Contact
from harvester.simulator.set_options import PagingFault

Cut = tuple[int, list[Contact]]
"""Where in its set the first row of a page stands, from 0, and the rows."""


def granted_rows(options: AnswerOptions, asked_rows: int, calls: int) -> int:
    """Return the longest page, in rows, that a call gets after so many calls of its account."""
    is_later = options.later_clamp_rows is not None and calls >= options.later_clamp_calls
    clamp_rows = options.later_clamp_rows if is_later else options.clamp_rows
    return min(asked_rows, clamp_rows or asked_rows)


def cut(rows: Sequence[Contact], first: int, length: int) -> Cut:
    """Return the right page: `length` rows from `first` on, fewer at the end of the set."""
    return first, list(rows[first : first + length])


def cut_wrongly(
    fault: PagingFault, rows: Sequence[Contact], page: tuple[int, int], newcomer: Callable[[int], Contact]
) -> Cut:
    """Return the page that a fault makes of the right one.

    Args:
        fault: which; OVERSIZE is a matter of the length alone.
        rows: the whole set.
        page: place of the first row asked for, from 0, and length in rows.
        newcomer: gives the n-th contact, from 0, that is not yet in the set.
    """
    first, length = page
    match fault:
        case PagingFault.SAME_PAGE:
            return cut(rows, 0, length)
        case PagingFault.TWO_PAGES:
            return _cut_in_circles(rows, first, length)
        case PagingFault.ENDLESS:
            after = range(max(first, len(rows)), first + length)
            return first, [*rows[first : first + length], *(newcomer(place - len(rows)) for place in after)]
        case PagingFault.FALSE_EMPTY:
            return first, []
        case PagingFault.EARLY_END if first > 0:
            return first, []
        case _:
            return cut(rows, first, length)


def _cut_in_circles(rows: Sequence[Contact], first: int, length: int) -> Cut:
    # As if the first two pages were written one after the other for ever: pages that overlap fit together as well.
    period = min(2 * length, len(rows))
    if not period:
        return first, []
    places = [(first + step) % period for step in range(length)]
    return places[0], [rows[place] for place in places]
