"""The page loop against sets that move while they are read: what stays is taken once, and no loss is hidden."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from factories import facts, request, rows
from hypothesis import given
from hypothesis import strategies as st
from paged import RANGE_ROWS, Harvested, Reader, Server, contact

from harvester.engine.paging import (
    MOVING_OVERLAP_SHARE,
    STEPS_BACK_MAX,
    Back,
    Broken,
    Finished,
    Join,
    Progress,
    Trust,
    facts_of,
    judge,
)
from harvester.model import Page, PageRequest, Row

PAGE_ROWS = 60
"""Short, so that sets are small, and long enough to overlap."""

PAGES_BACK_MAX = 1 << STEPS_BACK_MAX - 1
COUNT_MAX = PAGE_ROWS * 8 // 10
"""Shorter than any step from page to page: a set that moves by just that looks like a server that repeats itself."""

NEW_FROM = 1_000_000
"""Contacts that come later have numbers from here on."""


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to a set before a call: rows go away at `at` (a share of it), or new ones come to front or end."""

    kind: str
    at: float
    count: int


class Moving:
    """A server of a set that changes before each of its calls; `ever` are all rows that it has had."""

    def __init__(self, first_rows: Sequence[Row], changes: Sequence[Change | None]) -> None:
        self.rows = list(first_rows)
        self.ever = list(first_rows)
        self._changes = iter(changes)
        self._first_rows = first_rows
        self._gone: set[int] = set()

    @property
    def stayed(self) -> list[Row]:
        """The rows that were there from the first call to the last."""
        return [row for row in self._first_rows if id(row) not in self._gone]

    def answer(self, asked: PageRequest) -> Page:
        if change := next(self._changes, None):
            self._change(change)
        return Server(self.rows).answer(asked)

    def _change(self, change: Change) -> None:
        if change.kind == "remove":
            at = round(change.at * len(self.rows))
            self._gone |= {id(row) for row in self.rows[at : at + change.count]}
            del self.rows[at : at + change.count]
        else:
            new = rows(NEW_FROM + len(self.ever), change.count)
            self.ever.extend(new)
            at = 0 if change.kind == "front" else len(self.rows)
            self.rows[at:at] = new


def changes_of(*kinds: str) -> st.SearchStrategy[list[Change | None]]:
    """Changes of these kinds before some of the calls, eight of which move a set by less than going back can mend."""
    some = st.builds(Change, st.sampled_from(kinds), st.floats(0, 1), st.integers(1, COUNT_MAX))
    few = st.lists(some, max_size=PAGES_BACK_MAX)
    return few.flatmap(lambda drawn: st.permutations([*drawn, *[None] * 12]))


def read(moving: Moving, *, longest_rows: int = PAGE_ROWS, killed_after: Sequence[int] = ()) -> Harvested:
    return Reader(PAGE_ROWS, killed_after).read(moving.answer, longest_rows)


totals = st.integers(51, 700)
longest = st.sampled_from([0, PAGE_ROWS])
kills = st.sets(st.integers(1, 12), max_size=4).map(sorted)


@given(total_rows=totals, changes=changes_of("remove", "front", "end"), longest_rows=longest, killed_after=kills)
def test_A_16_what_stays_is_taken_exactly_once(
    total_rows: int, changes: list[Change | None], longest_rows: int, killed_after: list[int]
) -> None:
    """Whatever goes away and comes, killed or not: a row that stays is written, in order, and none that never was."""
    moving = Moving(rows(1, total_rows), changes)

    told = read(moving, longest_rows=longest_rows, killed_after=killed_after)

    names = [contact(row) for row in told.rows]
    stayed = {contact(row) for row in moving.stayed}
    assert isinstance(told.verdict, Finished)
    assert len(names) == len(set(names))
    assert stayed <= set(names) <= {contact(row) for row in moving.ever}
    assert [name for name in names if name in stayed] == [contact(row) for row in moving.stayed]


@given(total_rows=totals, changes=changes_of("remove"), longest_rows=longest, killed_after=kills)
def test_A_16_removals_alone_are_mended(
    total_rows: int, changes: list[Change | None], longest_rows: int, killed_after: list[int]
) -> None:
    """Rows that only go away, wherever and whenever, leave nothing to be told: the loop goes back for what moved up."""
    moving = Moving(rows(1, total_rows), changes)

    told = read(moving, longest_rows=longest_rows, killed_after=killed_after)

    assert {contact(row) for row in moving.stayed} <= {contact(row) for row in told.rows}
    assert (told.is_shifted, told.duplicates) == (False, 0)


@given(total_rows=totals, changes=changes_of("front"), killed_after=kills)
def test_A_16_rows_put_in_before_the_reader_are_taken_or_told(
    total_rows: int, changes: list[Change | None], killed_after: list[int]
) -> None:
    """Rows that come in where the reader has been are written, or the job says that some may be missing."""
    moving = Moving(rows(1, total_rows), changes)

    told = read(moving, killed_after=killed_after)

    assert told.is_shifted or {contact(row) for row in told.rows} == {contact(row) for row in moving.ever}
    assert told.duplicates == 0


@given(total_rows=totals, changes=changes_of("remove", "end"), every=st.integers(2, 5), killed_after=kills)
def test_A_16_rows_that_name_nobody_are_not_lost_when_others_go(
    total_rows: int, changes: list[Change | None], every: int, killed_after: list[int]
) -> None:
    """A row without a contact that stays is written: at most twice, never not at all."""
    given_rows: list[Row] = [{"row": at} | ({} if at % every else {"contactid": str(at)}) for at in range(total_rows)]
    moving = Moving(given_rows, changes)

    told = read(moving, killed_after=killed_after)

    assert {row["row"] for row in moving.stayed} <= {row.get("row") for row in told.rows}


def with_nameless(total_rows: int, *nameless: int) -> list[Row]:
    """A set of which the rows of these 1-based numbers name nobody; no two are equal."""
    return [{"row": at} | ({} if at in nameless else {"contactid": str(at)}) for at in range(1, total_rows + 1)]


def test_A_16_row_that_names_nobody_at_the_front_is_not_doubled_unsaid() -> None:
    """Back at row 1, what stands before the last known row came before, with new rows in front of it or without."""
    given_rows = with_nameless(150, 30)
    moved = [*rows(NEW_FROM, 1), *given_rows[:10], *given_rows[13:59], *given_rows[60:]]
    sets = iter([given_rows, moved, moved])

    told = Reader(PAGE_ROWS).read(lambda asked: Server(next(sets, moved)).answer(asked), PAGE_ROWS)

    assert sorted(row["row"] for row in told.rows if "row" in row) == list(range(1, 151))
    assert {"contactid": str(NEW_FROM)} in told.rows
    assert (told.duplicates, told.is_shifted) == (0, True)


def test_A_16_nameless_row_before_the_next_page_is_known_when_others_go() -> None:
    """Where rows only go away, the last row written is found again by what it says: nothing is doubled or doubted."""
    given_rows = with_nameless(150, 58, 59, 60)
    moved = given_rows[4:]
    sets = iter([given_rows])

    told = Reader(PAGE_ROWS).read(lambda asked: Server(next(sets, moved)).answer(asked), PAGE_ROWS)

    assert told.rows == given_rows
    assert (told.duplicates, told.is_shifted) == (0, False)


# --- what it costs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, 20])
def test_A_16_set_that_shrinks_all_the_time_costs_a_tenth_more(count: int) -> None:
    """Rows that go away in front of every page are met by a wider overlap, not by going back each time."""
    total_rows = 20_000
    moving = Moving(rows(1, total_rows), [Change("remove", 0.0, count)] * total_rows)

    told = Reader().read(moving.answer, RANGE_ROWS)

    still_calls = total_rows / (RANGE_ROWS - 1) + 1
    going_back_once = 2
    assert told.calls <= still_calls * (1 + 1.2 / MOVING_OVERLAP_SHARE) + going_back_once
    assert not told.is_shifted


@pytest.mark.parametrize("count", [RANGE_ROWS, 2_000, 4_000])
def test_A_16_rows_put_in_all_at_once_break_no_job(count: int) -> None:
    """A campaign that is opened by thousands during a lockout is read on to its end, and called shifted."""
    changes = [None] * 12 + [Change("front", 0.0, count)]
    moving = Moving(rows(1, 10_000), changes)

    told = Reader().read(moving.answer, RANGE_ROWS)

    assert isinstance(told.verdict, Finished)
    assert {contact(row) for row in moving.stayed} <= {contact(row) for row in told.rows}
    assert (told.is_shifted, told.duplicates) == (True, 0)


def test_A_11_A_16_set_that_moved_by_just_a_page_is_not_told_from_a_repeat() -> None:
    """Where as many rows were put in as a page goes on, the same page comes again: the job fails, nothing is hidden."""
    moving = Moving(rows(1, 300), [None, None, Change("front", 0.0, PAGE_ROWS - 1)])

    told = read(moving)

    assert isinstance(told.verdict, Broken)


def test_A_16_set_that_moved_by_more_than_going_back_reaches_is_told() -> None:
    """Where more pages went away at once than the loop goes back, it takes what comes and says so."""
    gone_rows = (PAGES_BACK_MAX + 1) * PAGE_ROWS
    moving = Moving(rows(1, 2_000), [None] * 20 + [Change("remove", 0.0, gone_rows)])

    told = read(moving)

    assert isinstance(told.verdict, Finished)
    assert told.is_shifted
    assert contact(told.rows[-1]) == "2000"


@pytest.mark.parametrize("left_rows", [0, 1, 30, 59, 60, 61, 200])
@pytest.mark.parametrize("longest_rows", [0, PAGE_ROWS])
def test_A_16_set_that_shrinks_to_less_than_was_read_ends(left_rows: int, longest_rows: int) -> None:
    """A set that ends before the row that is asked for is finished after going back, not broken and not endless."""
    changes = [None, None, None, Change("remove", left_rows / 400, 400)]
    moving = Moving(rows(1, 400), changes)

    told = read(moving, longest_rows=longest_rows)

    assert isinstance(told.verdict, Finished)
    assert not told.is_shifted
    assert told.calls <= 4 + STEPS_BACK_MAX + 2


def test_A_16_row_that_goes_away_during_the_confirming_call_is_no_loss() -> None:
    """The last row of a record page, gone when the end is confirmed, leaves a set that is whole."""
    moving = Moving(rows(1, 300), [None, Change("remove", 1 - 1 / 300, 1)])

    told = Reader().read(moving.answer)

    assert isinstance(told.verdict, Finished)
    assert (len(told.rows), told.is_shifted) == (300, False)


@given(seed=st.randoms(use_true_random=False), total_rows=st.integers(60, 400))
def test_A_16_server_without_an_order_ends(seed: object, total_rows: int) -> None:
    """A server that shuffles its set for every call keeps nobody for ever, and no contact is written twice."""
    shuffle, given_rows = seed.shuffle, list(rows(1, total_rows))  # type: ignore[attr-defined]

    def answer(asked: PageRequest) -> Page:
        shuffle(given_rows)
        return Server(given_rows).answer(asked)

    told = Reader(PAGE_ROWS).read(answer, PAGE_ROWS)

    names = [contact(row) for row in told.rows]
    assert told.verdict is not None
    assert len(names) == len(set(names))


# --- joins, one by one --------------------------------------------------------------------------------------------

LAST = 100
AT_101 = Progress(next_index=LAST + 1, pages=1, page_rows=LAST, last=str(LAST))
SEEN = {str(number) for number in range(1, LAST + 1)}
MOVING = Progress(next_index=LAST + 1, pages=1, page_rows=LAST, last=str(LAST), is_moving=True)


def joined(progress: Progress, *identities: str, unreadable: frozenset[int] = frozenset()) -> tuple[Join, list[str]]:
    """Return how a page of these contacts joins on where the next one is asked for, and who of it is written."""
    given_rows = tuple({"contactid": identity, "row": at} for at, identity in enumerate(identities))
    page = Page(given_rows, unreadable=unreadable)
    came, chosen = facts_of(page, request(progress.from_index), progress, SEEN, contact)
    return came.join, list(chosen.values())


@pytest.mark.parametrize(
    ("identities", "join", "written"),
    [
        pytest.param(["100", "101"], Join.STEADY, ["101"], id="where it should"),
        pytest.param(["98", "99", "100", "101"], Join.MOVED, ["101"], id="two were put in"),
        pytest.param(["98", "99"], Join.MOVED, [], id="more were put in than the page holds"),
        pytest.param(["99", "101"], Join.MOVED, ["101"], id="one was put in, the last one went"),
        pytest.param(["101", "102"], Join.APART, [], id="one went away"),
        pytest.param([], Join.APART, [], id="nothing is left there"),
        pytest.param(["", "102"], Join.APART, [], id="one went away and nobody is named there"),
    ],
)
def test_page_joins_on_at_the_last_row(identities: list[str], join: Join, written: list[str]) -> None:
    """The row before is the first of the page; where it is not, the page says in which direction the set moved."""
    assert joined(AT_101, *identities) == (join, written)


@pytest.mark.parametrize(
    ("gone", "put_in", "join"),
    [(0, 0, Join.STEADY), (1, 0, Join.MENDED), (9, 0, Join.MENDED), (10, 0, Join.APART), (0, 1, Join.MOVED)],
)
def test_page_of_a_moving_set_joins_on_within_its_overlap(gone: int, put_in: int, join: Join) -> None:
    """As many rows may go away unnoticed as the pages overlap; rows put in are told whatever the overlap."""
    first = MOVING.from_index + gone - put_in
    identities = [str(number) for number in range(first, 120)]

    assert joined(MOVING, *identities) == (join, [] if join is Join.APART else [str(n) for n in range(101, 120)])


def test_row_before_that_cannot_be_read_now_is_no_join() -> None:
    """Where the row by which a page joins on was readable before and is not now, another row may stand there."""
    assert joined(AT_101, "101", unreadable=frozenset({0})) == (Join.APART, [])


def test_row_before_that_could_never_be_read_is_taken_for_the_same() -> None:
    """A damaged row at the border is the same one on both pages, and is counted once."""
    progress = Progress(next_index=101, pages=1, page_rows=100, last="")
    page = Page(rows(101, 1), unreadable=frozenset({0}))

    came, chosen = facts_of(page, request(100), progress, SEEN, contact)

    assert (came.join, came.unreadable_rows, list(chosen.values())) == (Join.STEADY, 0, ["101"])


@pytest.mark.parametrize(("identity", "join"), [("100", Join.STEADY), ("99", Join.STEADY), ("101", Join.APART)])
def test_after_a_restart_any_known_row_will_do(identity: str, join: Join) -> None:
    """Where the last row is not known again, a page joins on at any row that was written."""
    progress = Progress(next_index=101, pages=1, page_rows=100)

    assert joined(progress, identity, "200")[0] is join


def test_page_that_does_not_join_on_leads_back_in_growing_steps() -> None:
    """One page, two, four, eight: and then the page is taken as it comes."""
    progress, asked = Progress(next_index=5_001, pages=50, page_rows=100, last="5000"), []
    for _ in range(STEPS_BACK_MAX):
        verdict = judge(progress, request(progress.from_index), facts(1, 100, join=Join.APART), Trust(100))
        assert isinstance(verdict, Back)
        progress = verdict.progress
        asked.append(progress.from_index)

    came, chosen = facts_of(Page(rows(9_000, 100)), request(progress.from_index), progress, SEEN, contact)

    assert asked == [4_901, 4_801, 4_601, 4_201]
    assert (came.join, came.is_shifted, len(chosen)) == (Join.ADRIFT, True, 100)
