"""How sets of recipients misbehave: they move, repeat rows, page wrongly, hold odd values, and are miscounted.

A set is what one campaign and action give. Nobody has said in public that the real service keeps its sets still, gives
each contact once, or counts as it lists; each of these is a switch here, and all of them are off by default.
"""

from dataclasses import dataclass
from enum import StrEnum, auto


class Shift(StrEnum):
    """One way in which a set moves while it is read."""

    FRONT = auto()  #: new contacts come before the first row
    BACK = auto()  #: new contacts come after the last row
    REMOVED = auto()  #: contacts leave from before the reader's position


class PagingFault(StrEnum):
    """One way to answer the wrong rows; the echo repeats what was asked all the same."""

    SAME_PAGE = "same-page"  #: `fromindex` is ignored: the first rows for ever
    TWO_PAGES = "two-pages"  #: the first two pages take turns for ever, and fit together without a seam
    ENDLESS = "endless"  #: after the last row come new contacts for ever
    OVERSIZE = "oversize"  #: more rows than asked
    EARLY_END = "early-end"  #: after the first page the set says that it ends
    FALSE_EMPTY = "false-empty"  #: the set says that it has no rows


class Oddity(StrEnum):
    """A value that is right and seldom seen; it must come through as it is."""

    ID_OVER_2_53 = "id-over-2-53"  #: the id is a number that no double holds
    ID_OVER_2_64 = "id-over-2-64"  #: the id is a number that no machine word holds
    NUMBERS = auto()  #: numbers, true and null where texts are documented
    NESTED = auto()  #: an object where a text is documented
    CUSTOM_FIELDS = "custom-fields"  #: further fields with blanks, quotes and letters of many kinds in their names
    EMOJI = auto()
    LINE_SEPARATORS = "line-separators"  #: U+2028, U+2029 and U+0085
    NUL = auto()  #: the escape \u0000
    LONE_SURROGATE = "lone-surrogate"  #: the escape \ud83d without its other half


class Damage(StrEnum):
    """What makes one row of a page unreadable or unwritable, to a JSON parser at least."""

    INVALID_UTF8 = "invalid-utf8"
    NAN = auto()
    HUGE_NUMBER = "huge-number"  #: 1e999
    DEEP = auto()  #: nested 300 deep
    RAW_CONTROL = "raw-control"  #: U+0001 without an escape
    NOT_OBJECT = "not-object"  #: the row is a text; nothing of the contact is given


class CounterFault(StrEnum):
    """One way in which campaignreports tells other numbers than the rows."""

    OFF = auto()  #: each counter is off by `CounterOptions.off_by`
    MISSING = auto()  #: the nine counters are not there
    BLANK = auto()
    NEGATIVE = auto()
    NULL = auto()  #: the text "null"
    TOTAL = auto()  #: opens and clicks are counted each time, not once for each contact


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftOptions:
    """How sets move while they are read; by the pages served of each, never by time.

    Attributes:
        share: share of sets that move, 0..1.
        every_pages: a set moves after each so many of its pages.
        rows: how many contacts come or leave in one move.
        moves_max: a set moves at most so often, so that every reader comes to an end.
        kinds: drawn from evenly.
    """

    share: float = 0.0
    every_pages: int = 1
    rows: int = 1
    moves_max: int = 10
    kinds: tuple[Shift, ...] = tuple(Shift)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatOptions:
    """How sets hold contacts twice: right after each other, over a page's border, and far apart.

    Attributes:
        share: share of sets with repeated rows, 0..1.
        each: how many contacts are repeated in each of the three ways; small sets hold fewer.
        page_rows: where a border between pages is taken to be.
    """

    share: float = 0.0
    each: int = 1
    page_rows: int = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class PagingOptions:
    """Which sets give wrong pages.

    Attributes:
        kinds: drawn from evenly; none of them means that all sets page rightly.
        share: share of sets, 0..1.
        oversize_rows: how many rows too many an oversize page has.
        until_calls: after so many calls a set pages rightly, None for never.
    """

    kinds: tuple[PagingFault, ...] = ()
    share: float = 1.0
    oversize_rows: int = 150
    until_calls: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuirkOptions:
    """How many contacts have odd values or damaged rows; a contact is the same in all its sets.

    Attributes:
        odd_share: share of contacts with one of `oddities`, 0..1.
        oddities: drawn from evenly.
        damaged_share: share of contacts with one of `damages`, 0..1.
        damages: drawn from evenly.
    """

    odd_share: float = 0.0
    oddities: tuple[Oddity, ...] = tuple(Oddity)
    damaged_share: float = 0.0
    damages: tuple[Damage, ...] = tuple(Damage)


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterOptions:
    """How many campaigns are miscounted by campaignreports.

    Attributes:
        share: share of campaigns, 0..1.
        kinds: drawn from evenly.
        off_by: what CounterFault.OFF adds to each counter; no counter falls below 0.
    """

    share: float = 0.0
    kinds: tuple[CounterFault, ...] = tuple(CounterFault)
    off_by: int = 3
