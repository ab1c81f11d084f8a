"""The page loop as a state machine (pure).

The API counts rows from 1 (`fromindex`), clamps `range` without saying so, gives no total, and ends a set either with
an empty page or with an error code. So the loop advances by rows received, and a short page ends a set only where
this account's server has been seen to give longer ones, or where the campaign's own counter says as many rows as came;
else one confirming call asks what comes after it.

Sets move while they are read: contacts open, unsubscribe, are removed. So pages overlap by one row, by which a page is
known to join on to the rows before it; where it does not, the loop goes back until it meets a row that it knows.

Source: docs/api.md, sections on pages and ends.
"""

from bisect import bisect_left
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum, auto
from itertools import takewhile

from harvester.engine.marks import mark, page_digest
from harvester.model import SHORT_PAGE, Echo, Job, Page, PageRequest, Row

PAGES_MAX = 50_000
"""A set of 25 million rows at 500 a page; beyond it a server is taken to page in circles."""

OVERLAP_PAGE_ROWS_MIN = 51
"""The shortest page that overlaps: one row of 50 new ones is 2 % of the calls; below, counts alone must prove a job."""

MOVING_OVERLAP_SHARE = 10
"""Once a set has moved, pages overlap by a tenth: rows that go away all the time then cost a tenth of the calls, where
going back each time would gain no more than the rows that went."""

STEPS_BACK_MAX = 4
"""Going back by 1, 2, 4 and 8 pages; a set that moved by more is taken as it comes, and called shifted."""

REPEAT_ROWS_MIN = 2
"""A page of one row can be the same as the one before it because a contact stands there twice."""

LOOKAHEAD_PAGES_MIN = 10
"""The smallest set of which pages are asked for ahead of their turn."""

IDLE_PAGES_MAX = 10
IDLE_ROWS_MAX = 10
"""Pages in a row, and rows in them, without a new contact: more than going back reads again; a server in a circle."""

Identity = Callable[[Row], str]
"""By what the same contact is known again; empty for a row that names none."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job has come; the ledger can rebuild it from the committed pages, but for what a page back needs.

    Attributes:
        next_index: the 1-based index of the next row wanted.
        pages: pages stored so far.
        page_rows: rows received with the last of them.
        digest: of the last page stored, to notice a server that repeats itself; empty before the first.
        last: the mark of the row before `next_index`; empty where it is not known.
        steps_back: how often in a row the loop went back.
        is_moving: whether it ever did: rows before the reader go away.
        is_behind: whether the page before, after a move of the set, held only rows that came before, as may the next.
        idle_pages: pages in a row that held no new contact.
        idle_rows: the rows of these pages.
    """

    next_index: int = 1
    pages: int = 0
    page_rows: int = 0
    digest: bytes = b""
    last: str = ""
    steps_back: int = 0
    is_moving: bool = False
    is_behind: bool = False
    idle_pages: int = 0
    idle_rows: int = 0

    @property
    def overlap_rows(self) -> int:
        """How many rows of the page before the next one begins with."""
        if self.page_rows < OVERLAP_PAGE_ROWS_MIN:
            return 0
        return self.page_rows // MOVING_OVERLAP_SHARE if self.is_moving else 1

    @property
    def from_index(self) -> int:
        """The 1-based index at which the next page begins."""
        if self.steps_back:
            return max(1, self.next_index - self.page_rows * (1 << self.steps_back - 1))
        return self.next_index - self.overlap_rows


class Join(StrEnum):
    """How a page joins on to the rows known before it."""

    STEADY = auto()  #: where it should, or there is nothing to compare
    MENDED = auto()  #: after going back, or within the overlap: rows before it went away, and none is missed
    MOVED = auto()  #: too late: rows were put in before it
    APART = auto()  #: at a row that is not known: more rows before it went away than it overlaps
    ADRIFT = auto()  #: likewise, and going back did not help, or left rows that may be old or new


SHIFTED = frozenset({Join.MOVED, Join.ADRIFT})
"""Joins after which rows may be missing that came in while the set was read."""


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What is to be known of a page to judge it: all but its rows.

    Attributes:
        received_rows: how many it holds, unreadable ones included; none means that the server said so.
        new_rows: how many of them are written.
        new_contacts: how many of these name their contact.
        duplicates: how many are dropped because their contact is known; rows that came before do not count.
        unreadable_rows: how many could not be read; those that came before do not count.
        join: how it joins on.
        last: the mark of the last row, by which it is known again: its identity, else a digest; empty if unreadable.
        digest: of the page, to notice a server that repeats itself; empty where it has no rows.
        echo: what the server says it was asked.
        code: of the reply.
    """

    received_rows: int
    new_rows: int
    new_contacts: int
    duplicates: int
    unreadable_rows: int
    join: Join
    last: str
    digest: bytes
    echo: Echo
    code: str

    @property
    def is_shifted(self) -> bool:
        """Whether rows may be missing before this page."""
        return self.join in SHIFTED


@dataclass(frozen=True, slots=True)
class Trust:
    """What a judgement may build on.

    Attributes:
        longest_rows: the longest page, in rows, that this account's server was seen to give.
        is_doubted: whether a short page proves nothing here, because counts have shown otherwise.
    """

    longest_rows: int = 0
    is_doubted: bool = False


@dataclass(frozen=True, slots=True)
class Continue:
    """Store the page; more may follow."""

    progress: Progress


@dataclass(frozen=True, slots=True)
class Back:
    """Store nothing; ask for earlier rows, to meet one that is known."""

    progress: Progress


@dataclass(frozen=True, slots=True)
class Finished:
    """Store the page, if it has rows; the set ends here.

    `ending` says how that was proven, for the manifest.
    """

    progress: Progress
    ending: str


@dataclass(frozen=True, slots=True)
class Broken:
    """The server's pages make no sense; nothing of this page is stored."""

    reason: str


Step = Continue | Back | Finished | Broken
"""What follows from a page."""


def next_request(job: Job, progress: Progress, range_rows: int) -> PageRequest:
    """Return the next call of the job, for `range_rows` rows."""
    return PageRequest(job.campaign.key, job.action, progress.from_index, range_rows)


def requests_ahead(
    request: PageRequest, progress: Progress, expected_rows: int | None, pages_ahead: int
) -> list[PageRequest]:
    """Return the calls that may be under way together with `request`, the next one: none where a page more is a risk.

    They assume that pages stay as long as the last one; no call is made past the expected end, but for the one that a
    full last page needs. As a counter may promise more than there is, never more are risked than have come already, and
    none for a set of a few pages, which other jobs keep company. Pages that do not overlap are asked for one by one:
    where a set grew at its front between two of them, and the later one was made first, a row would fall between them.
    """
    if expected_rows is None or not progress.overlap_rows or progress.steps_back:
        return []
    if progress.page_rows > request.range_rows:
        return []
    stride = progress.page_rows - progress.overlap_rows
    if expected_rows < LOOKAHEAD_PAGES_MIN * stride:
        return []
    indices = range(request.from_index + stride, expected_rows + 1, stride)[: min(pages_ahead, progress.pages)]
    return [replace(request, from_index=index) for index in indices]


def facts_of(
    page: Page, request: PageRequest, progress: Progress, seen: Container[str], identity: Identity
) -> tuple[PageFacts, Mapping[int, str]]:
    """Return what is to be known of a page, and which of its rows are to be written: place in the page to identity.

    Args:
        page: as it came.
        request: what was asked.
        progress: where the job stood when it asked.
        seen: the identities of all rows written so far.
        identity: of a row.
    """
    named = dict(zip(page.places, map(identity, page.rows), strict=True))
    join, known_rows = _join(page, named, request, progress, seen)
    chosen = {} if join is Join.APART else _new_rows(named, known_rows, seen)
    beyond_rows = 0 if join is Join.APART else len(named) - bisect_left(page.places, known_rows)
    facts = PageFacts(
        received_rows=page.received_rows,
        new_rows=len(chosen),
        new_contacts=sum(map(bool, chosen.values())),
        duplicates=beyond_rows - (len(chosen) - bisect_left(tuple(chosen), known_rows)),
        unreadable_rows=0 if join is Join.APART else sum(place >= known_rows for place in page.unreadable),
        join=join,
        last=_mark(page, named, page.received_rows - 1),
        digest=page_digest(page),
        echo=page.echo,
        code=page.code,
    )
    return facts, chosen


def _new_rows(named: Mapping[int, str], known_rows: int, seen: Container[str]) -> Mapping[int, str]:
    """Return the rows whose contacts are not known, each at its first place, in order.

    A row that names nobody may be anybody's: it is kept, unless it came before.
    """
    fresh: set[str] = set()
    chosen: dict[int, str] = {}
    for place, identity in named.items():
        if (identity not in seen and identity not in fresh) if identity else place >= known_rows:
            fresh.add(identity)
            chosen[place] = identity
    return chosen


def _mark(page: Page, named: Mapping[int, str], place: int) -> str:
    return mark(page.rows[page.places.index(place)], named[place]) if place in named else ""


def _join(
    page: Page, named: Mapping[int, str], request: PageRequest, progress: Progress, seen: Container[str]
) -> tuple[Join, int]:
    """Return how a page joins on, and how many rows at its beginning came before."""
    again_rows = progress.next_index - request.from_index
    if not again_rows:
        return Join.STEADY, 0
    is_where_it_was = page.received_rows >= again_rows and _mark(page, named, again_rows - 1) == progress.last
    if is_where_it_was and (progress.last or again_rows == 1):
        known_rows = max(again_rows, _known_rows(page, named, "", seen)) if progress.is_behind else again_rows
        return Join.MENDED if progress.steps_back else Join.STEADY, known_rows
    if request.from_index == 1:
        return _join_at_front(page, named, progress.last, seen)
    known_rows = _known_rows(page, named, progress.last, seen)
    if not known_rows:
        return Join.APART if progress.steps_back < STEPS_BACK_MAX else Join.ADRIFT, 0
    if not progress.last:  # after a restart: any known row will do
        known_rows = min(known_rows, again_rows)
        return Join.MENDED if known_rows < again_rows or progress.steps_back else Join.STEADY, known_rows
    # Where the last row itself went away, one row fewer can stand before those that follow it.
    is_gone = progress.last not in named.values()
    return Join.MOVED if known_rows > again_rows - is_gone else Join.MENDED, known_rows


def _join_at_front(page: Page, named: Mapping[int, str], last: str, seen: Container[str]) -> tuple[Join, int]:
    """Return the same of a page from row 1, where new rows may stand in front of known ones: none of them is missed.

    Only of rows that name nobody, where contacts among them are new, nobody can tell which ones came before.
    """
    known_places = [place for place, identity in named.items() if identity in seen]
    known_rows = _known_rows(page, named, last, seen)
    if last not in named.values() and known_places:
        known_rows = max(known_rows, known_places[-1] + 1)
    among = [identity for place, identity in named.items() if place < known_rows]
    is_open = "" in among and any(identity and identity not in seen for identity in among)
    return Join.ADRIFT if is_open else Join.MENDED, known_rows


def _known_rows(page: Page, named: Mapping[int, str], last: str, seen: Container[str]) -> int:
    """Return how many rows at the beginning of a page came before: up to the last of them, else up to a new contact."""
    if last and last in named.values():
        return next(place for place, identity in named.items() if identity == last) + 1
    known_rows = 0
    for place, identity in named.items():
        if identity in seen:
            known_rows = place + 1
        elif identity:
            break
    # The last of them may name nobody; it is looked for right behind the contacts, since others may look like it.
    for place in takewhile(lambda place: not named.get(place), range(known_rows, page.received_rows)):
        if last and _mark(page, named, place) == last:
            return place + 1
    return known_rows


def judge(progress: Progress, request: PageRequest, page: PageFacts, trust: Trust) -> Step:
    """Say what a good reply means for its job.

    Args:
        progress: where the job stood when it asked.
        request: what was asked.
        page: what came.
        trust: what may be built on.
    """
    if page.received_rows and (reason := _nonsense(progress, page)):
        return Broken(reason)
    if page.join is Join.APART:
        return Back(replace(progress, steps_back=progress.steps_back + 1))
    if not page.received_rows:
        return Finished(progress, "empty page" if page.code == "0" else f"code {page.code}")
    after = _after(progress, request, page)
    if after.idle_pages >= IDLE_PAGES_MAX and after.idle_rows >= IDLE_ROWS_MAX:
        return Broken(f"the server gives known rows again and again up to row {after.next_index - 1}")
    # A page from further back always leads on: how far it reaches says nothing.
    advance_rows = page.received_rows if progress.steps_back else after.next_index - progress.next_index
    if _proves_end(request, page, trust, advance_rows):
        return Finished(after, SHORT_PAGE)
    return Continue(after)


def _nonsense(progress: Progress, page: PageFacts) -> str:
    """Return why the server's pages make no sense, or nothing."""
    is_repeat = page.digest == progress.digest and not page.new_contacts and not progress.steps_back
    if is_repeat and page.received_rows >= REPEAT_ROWS_MIN:
        return f"the server repeats the page before row {progress.next_index}"
    if progress.pages >= PAGES_MAX:
        return f"no end after {PAGES_MAX} pages"
    return ""


def _after(progress: Progress, request: PageRequest, page: PageFacts) -> Progress:
    next_index = request.from_index + page.received_rows
    # Unreadable rows are something new once; from going back to them without end nothing comes.
    is_idle = not page.new_rows and not (page.unreadable_rows and page.join is Join.STEADY)
    return Progress(
        next_index=next_index,
        pages=progress.pages + 1,
        page_rows=page.received_rows,
        digest=page.digest,
        last=page.last,
        is_moving=progress.is_moving or page.join in {Join.MENDED, Join.ADRIFT},
        is_behind=not page.new_rows and (progress.is_behind or page.join is not Join.STEADY),
        idle_pages=progress.idle_pages + 1 if is_idle else 0,
        idle_rows=progress.idle_rows + page.received_rows if is_idle else 0,
    )


def _proves_end(request: PageRequest, page: PageFacts, trust: Trust, advance_rows: int) -> bool:
    """Tell whether a page is short of its own accord: less than asked, than an echoed clamp, and than others were.

    Where counts have shown that short pages prove nothing, only a page that ends with the row before it does.
    """
    if trust.is_doubted and advance_rows:
        return False
    granted_rows = request.range_rows if page.echo.range_rows is None else page.echo.range_rows
    return page.received_rows < min(request.range_rows, granted_rows, trust.longest_rows)
