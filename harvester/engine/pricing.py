"""What a set costs, from its rows to calls (pure).

The page loop of `engine.paging` in numbers: each page but the first begins with the last row of the one before, and a
set ends with a page that is shorter than others are.
"""

from dataclasses import dataclass
from math import inf

from harvester.engine.paging import OVERLAP_PAGE_ROWS_MIN
from harvester.history import Typical

GROWTH_MAX = 1.5
"""By how much a set may have grown since it was last read; the counters of opens, which may count each one, are
believed up to this as well."""

YOUNG_GROWTH = 1.1
"""By how much a set of a campaign sent within the last days may grow between its counter and its harvest."""


def calls_of(rows: int, page_rows: int) -> int:
    """Return how many calls read a set whose pages are known to end it when they are short.

    Without overlap (pages of less than 51 rows) a set of whole pages is asked once more, and so is an empty one; with
    overlap each page brings one row less, and the last row of a whole page is asked for again.

    Args:
        rows: of the set, from 0 up.
        page_rows: rows asked for in one call, from 1 up.
    """
    if page_rows < OVERLAP_PAGE_ROWS_MIN:
        return rows // page_rows + 1
    return max(1, -(-rows // (page_rows - 1)))


@dataclass(frozen=True, slots=True)
class Price:
    """A number of calls: the least, the likely one and the most; `inf` where nothing bounds it."""

    low: float = 0
    likely: float = 0
    high: float = 0

    def __add__(self, other: "Price") -> "Price":
        return Price(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def less(self, calls: int) -> "Price":
        """Return the price of what is left after so many calls; the end still costs one."""
        return Price(*(max(1, each - calls) for each in (self.low, self.likely, self.high)))

    def with_margin(self, share: float, calls: float) -> "Price":
        """Return the price with a share of the most, and some calls, added to the most."""
        return Price(self.low, self.likely, self.high * (1 + share) + calls)


ONE_CALL = Price(1, 1, 1)
"""What a campaign that refuses costs, for all of its actions: the first answer speaks for the others."""


@dataclass(frozen=True, slots=True)
class Size:
    """What is known of how many rows a set has.

    Attributes:
        counted_rows: by its counter; None if that is not known.
        earlier_rows: when it was last read whole; None if it never was.
        is_young: whether its campaign was sent within the last days.
    """

    counted_rows: int | None = None
    earlier_rows: int | None = None
    is_young: bool = False

    @property
    def rows(self) -> int | None:
        """The likely rows: by the counter, but never much more than were read before; None if nothing is known."""
        if self.counted_rows is None or self.earlier_rows is None:
            return self.earlier_rows if self.counted_rows is None else self.counted_rows
        return min(self.counted_rows, int(GROWTH_MAX * self.earlier_rows))


def price_of(size: Size, typical: Typical | None, page_rows: int) -> Price:
    """Return the price of a set.

    - Counted: exact; of a young campaign up to a tenth more rows.
    - Not counted, but read before: as then, up to half as much again.
    - Else: one call, what the account's sets of this action cost in the mean, and the dearest of them.
    - Where the account has no history either: one call, and no bound.
    """
    rows = size.rows
    if rows is None:
        return Price(1, max(1, typical.calls), typical.calls_max) if typical else Price(1, 1, inf)
    calls = calls_of(rows, page_rows)
    growth = (YOUNG_GROWTH if size.is_young else 1) if size.counted_rows is not None else GROWTH_MAX
    return Price(calls, calls, calls_of(int(rows * growth), page_rows))


@dataclass(frozen=True, slots=True)
class Confirming:
    """The calls that confirm an end, while sets are read one after the other.

    A short page ends a set only where a longer one was seen on the same date, so each that is as long as any before
    it costs one call more, until the first whole page.

    Attributes:
        longest_rows: the longest page so far.
        calls: of this kind.
    """

    longest_rows: int = 0
    calls: int = 0

    def after(self, rows: int, page_rows: int) -> "Confirming":
        """Return the state after a set of so many rows."""
        is_confirmed = self.longest_rows <= rows < page_rows and rows > 0
        return Confirming(max(self.longest_rows, min(rows, page_rows)), self.calls + is_confirmed)
