"""The page loop against a server that stands still: every row once, no call too many, never endless."""

from dataclasses import replace
from fractions import Fraction
from itertools import cycle

import pytest
from factories import facts, job, page, request, rows
from hypothesis import example, given
from hypothesis import strategies as st
from paged import CALLS_MAX, RANGE_ROWS, Harvested, Reader, Server, contact, server

from harvester.engine import paging
from harvester.engine.marks import rows_digest
from harvester.engine.paging import (
    IDLE_PAGES_MAX,
    IDLE_ROWS_MAX,
    LOOKAHEAD_PAGES_MIN,
    OVERLAP_PAGE_ROWS_MIN,
    PAGES_MAX,
    Broken,
    Continue,
    Finished,
    Progress,
    Trust,
    facts_of,
    judge,
    requests_ahead,
)
from harvester.model import Action, Page, PageRequest, Row

OVERHEAD_MAX = Fraction(2, 100)

CALLS_PER_IDLE_PAGE_MAX = 2
"""In a circle, one call that does not join on and one from further back, which does."""


def calls_needed(total_rows: int, page_rows: int, longest_rows: int) -> tuple[int, int]:
    """Return the least calls of a reader that must see the end, and those that may confirm the end of a record page.

    Pages that overlap go `page_rows` - 1 rows on, and the last row of a set stands on two of them or on a short one;
    where they do not overlap, only a row less than a full page, or nothing, is the end.
    """
    is_overlapping = page_rows >= OVERLAP_PAGE_ROWS_MIN
    stride = page_rows - is_overlapping
    calls = max(0, total_rows - is_overlapping) // stride + 1
    last_rows = total_rows - (calls - 1) * stride
    longest_rows = max(longest_rows, page_rows if total_rows >= page_rows else 0)
    return calls, int(last_rows > 0 and last_rows >= longest_rows)


pages_of_rows = st.one_of(st.integers(1, 650), st.sampled_from([1, 2, 49, 50, 51, 52, 499, 500, 501]))


@given(
    page_rows=pages_of_rows,
    range_rows=pages_of_rows,
    pages=st.integers(0, 4),
    off_rows=st.integers(-2, 2) | st.integers(0, 700),
    stride_off=st.sampled_from([0, 1]),
    is_echoing=st.booleans(),
    end_code=st.sampled_from(["0", "6303"]),
    is_known=st.booleans(),
)
def test_A_14_A_15_every_row_comes_once_whatever_the_clamp(  # noqa: PLR0913  each is a way in which servers differ
    *,
    page_rows: int,
    range_rows: int,
    pages: int,
    off_rows: int,
    stride_off: int,
    is_echoing: bool,
    end_code: str,
    is_known: bool,
) -> None:
    """For any clamp, range and end, and totals around multiples of page and stride, no row and no call comes twice."""
    granted_rows = min(page_rows, range_rows)
    total_rows = max(0, pages * max(1, granted_rows - stride_off) + off_rows)
    known_rows = granted_rows if is_known else 0
    asked_of = server(total_rows, page_rows, is_echoing=is_echoing, end_code=end_code)

    told = Reader(range_rows).read(asked_of.answer, known_rows)

    assert told.rows == list(rows(1, total_rows))
    assert isinstance(told.verdict, Finished)
    assert told.calls == sum(calls_needed(total_rows, granted_rows, known_rows))
    assert (told.duplicates, told.is_shifted) == (0, False)


@pytest.mark.parametrize("is_echoing", [False, True], ids=["silent", "echoed"])
@pytest.mark.parametrize("end_code", ["0", "6303"], ids=["empty list", "code 6303"])
def test_A_14_clamp_sweep(*, is_echoing: bool, end_code: str) -> None:
    """For every clamp from 1 to 650 a set of 1,300 rows is whole, with the least calls and at most one to confirm."""
    for clamp_rows in range(1, 651):
        told = Reader().read(server(1_300, clamp_rows, is_echoing=is_echoing, end_code=end_code).answer)

        assert len(told.rows) == 1_300
        assert told.calls == sum(calls_needed(1_300, min(clamp_rows, RANGE_ROWS), 0))


@given(total_rows=st.integers(0, 10**8), page_rows=pages_of_rows)
def test_overlap_and_end_cost_at_most_two_percent(total_rows: int, page_rows: int) -> None:
    """Against a reader that knows the size and takes no row twice, large sets cost at most 2 % more calls."""
    calls, _ = calls_needed(total_rows, page_rows, longest_rows=page_rows)

    assert calls - 1 <= -(-total_rows // page_rows) * (1 + OVERHEAD_MAX)


@given(sizes=st.lists(st.integers(0, 1_200), min_size=1, max_size=20), clamp_rows=st.integers(1, 650))
def test_account_pays_one_confirming_call_for_each_record_page(sizes: list[int], clamp_rows: int) -> None:
    """Over the jobs of an account, only a last page that is the longest ever seen costs a call to confirm it."""
    longest_rows, page_rows = 0, min(clamp_rows, RANGE_ROWS)
    calls, least_calls, records = 0, 0, 0
    for size in sizes:
        least, confirming = calls_needed(size, page_rows, longest_rows)
        told = Reader().read(server(size, clamp_rows).answer, longest_rows)
        least_calls, records, calls = least_calls + least, records + confirming, calls + told.calls
        assert len(told.rows) == size
        longest_rows = told.longest_rows

    assert calls == least_calls + records


@given(
    total_rows=st.integers(0, 900),
    page_rows=st.integers(1, 200),
    killed_after=st.sets(st.integers(1, 20), max_size=6),
)
def test_P_03_taken_up_again_nothing_is_asked_twice(total_rows: int, page_rows: int, killed_after: set[int]) -> None:
    """Killed after any pages, the loop asks for the same pages as if nothing had happened."""
    whole = Reader(page_rows).read(server(total_rows).answer)

    told = Reader(page_rows, killed_after).read(server(total_rows).answer)

    assert told == whole


# --- ends ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "ending"), [("0", "empty page"), ("6303", "code 6303")])
@pytest.mark.parametrize("progress", [Progress(), Progress(21, 1, 20, b"digest")], ids=["first page", "later page"])
def test_A_10_page_without_rows_is_the_end(code: str, ending: str, progress: Progress) -> None:
    """An empty list or code 6303 ends the set, on the first page as on a later one, and stores nothing."""
    verdict = judge(progress, request(progress.from_index), facts(count=0, code=code), Trust())

    assert verdict == Finished(progress, ending)


def test_short_page_is_the_end_where_longer_ones_were_seen() -> None:
    """A page shorter than this server can give needs no confirmation."""
    verdict = judge(Progress(), request(), facts(count=300), Trust(longest_rows=301))

    assert isinstance(verdict, Finished)
    assert verdict.ending == "short page"
    assert (verdict.progress.next_index, verdict.progress.pages) == (301, 1)


@pytest.mark.parametrize("longest_rows", [0, 299, 300])
def test_A_14_short_page_alone_proves_nothing(longest_rows: int) -> None:
    """As long as no longer page was seen, a short page may be a clamp."""
    assert isinstance(judge(Progress(), request(), facts(count=300), Trust(longest_rows)), Continue)


def test_A_14_page_as_long_as_its_echoed_clamp_goes_on() -> None:
    """A server that starts to clamp and says so is believed, however long its pages were before."""
    clamped = replace(facts(count=200), echo=page(echo_rows=200).echo)

    assert isinstance(judge(Progress(), request(), clamped, Trust(longest_rows=500)), Continue)


@pytest.mark.parametrize("echo_rows", [0, -1, 10**9])
def test_senseless_echo_ends_no_set_early(echo_rows: int) -> None:
    """An echo that cannot be a clamp never makes a full page the last one."""
    full = replace(facts(count=500), echo=page(echo_rows=echo_rows).echo)

    assert isinstance(judge(Progress(), request(), full, Trust(longest_rows=500)), Continue)


@given(
    total_rows=st.integers(0, 900),
    clamps=st.lists(st.integers(2, 80) | st.integers(51, 500), min_size=1, max_size=30),
)
def test_A_14_doubted_set_is_read_to_where_nothing_follows(total_rows: int, clamps: list[int]) -> None:
    """Where counts have shown that short pages prove nothing, pages of two rows and more are followed to the last."""
    lengths = cycle([*clamps, 60])
    told = Reader(is_doubted=True).read(
        lambda asked: server(total_rows, next(lengths)).answer(asked), longest_rows=RANGE_ROWS
    )

    assert told.rows == list(rows(1, total_rows))
    assert isinstance(told.verdict, Finished)


def test_doubt_costs_one_call_a_set() -> None:
    """A doubted set of one short page is confirmed once."""
    told = Reader(is_doubted=True).read(server(300).answer, longest_rows=RANGE_ROWS)

    assert (told.calls, len(told.rows)) == (2, 300)


def test_A_13_page_longer_than_asked_is_kept_whole() -> None:
    """All rows of a page count, and the next request starts behind the last of them."""
    told = Reader(range_rows=100).read(lambda asked: server(1_000).answer(replace(asked, range_rows=130)))

    assert told.rows == list(rows(1, 1_000))
    assert told.calls == sum(calls_needed(1_000, 130, 0))


# --- contacts that stand twice ------------------------------------------------------------------------------------


def numbered(identities: list[str]) -> list[Row]:
    """Rows of these contacts that differ in what else they say."""
    return [{"contactid": identity, "row": number} for number, identity in enumerate(identities)]


@st.composite
def repeats(draw: st.DrawFn) -> list[Row]:
    """A set of contacts each of which stands there twice in a row, or some of which stand there again anywhere."""
    names = [f"c{number}" for number in range(draw(st.integers(1, 250)))]
    if draw(st.booleans()):
        return numbered([name for name in names for _ in range(2)])
    for _ in range(draw(st.integers(0, IDLE_PAGES_MAX - 1))):
        names.insert(draw(st.integers(0, len(names))), draw(st.sampled_from(names)))
    return numbered(names)


@given(given_rows=repeats(), page_rows=st.sampled_from([1, 2, 3, 50, 51, 60, 100, 500]), is_killed=st.booleans())
def test_A_17_each_contact_comes_once_and_the_rest_is_counted(
    given_rows: list[Row], page_rows: int, *, is_killed: bool
) -> None:
    """Contacts that stand there again, side by side, over a border or far apart, are dropped and counted exactly."""
    told = Reader(page_rows, range(CALLS_MAX) if is_killed else ()).read(Server(given_rows).answer)

    first_of = {contact(row): row for row in reversed(given_rows)}
    assert told.rows == sorted(first_of.values(), key=given_rows.index)
    assert told.duplicates == len(given_rows) - len(first_of)
    assert (type(told.verdict), told.is_shifted) == (Finished, False)


def test_A_17_same_row_may_stand_there_twice_where_pages_have_one() -> None:
    """On pages of one row, the same row again is no server that repeats itself."""
    told = Reader().read(Server([*rows(1, 1), *rows(1, 2)], clamp_rows=1).answer)

    assert told.rows == list(rows(1, 2))


@given(data=st.data(), total_rows=st.integers(1, 300), page_rows=st.sampled_from([1, 2, 50, 51, 60, 500]))
def test_P_03_row_that_names_nobody_is_kept(data: st.DataObject, total_rows: int, page_rows: int) -> None:
    """Rows without a contact are written, each once, wherever they stand: any may be somebody else; killed or not."""
    nameless = data.draw(st.sets(st.integers(0, total_rows - 1)))
    given_rows = numbered([f"c{number}" if number not in nameless else "" for number in range(total_rows)])

    killed_after = data.draw(st.sampled_from([(), range(CALLS_MAX)]) | st.sets(st.integers(1, 20)))

    told = Reader(page_rows, killed_after).read(Server(given_rows).answer)

    assert (told.rows, told.is_shifted) == (given_rows, False)


def test_A_12_A_25_first_page_that_never_joins_on_is_no_circle() -> None:
    """Where nothing of a page can be read, but its last row can be on the next one, the loop does not go round."""

    def answer(asked: PageRequest) -> Page:
        lost = Page((), unreadable=frozenset(range(60)), body=b"as it came")
        return lost if asked.from_index == 1 else server(200).answer(asked)

    told = Reader(60).read(answer)

    assert isinstance(told.verdict, Broken)
    assert told.calls <= CALLS_PER_IDLE_PAGE_MAX * (IDLE_PAGES_MAX + 1)


def test_A_17_P_03_row_that_names_nobody_is_kept_once_beside_a_repeated_contact() -> None:
    """A nameless row at the end of a page is known again after a kill, whatever else of its page was dropped."""
    given_rows = numbered(["c0", "c0", *(f"c{number}" for number in range(2, 59)), "", *"xyz"])

    told = Reader(60, killed_after=range(CALLS_MAX)).read(Server(given_rows).answer)

    assert told.rows == [given_rows[0], *given_rows[2:]]
    assert (told.duplicates, told.calls) == (1, 2)


def test_A_25_first_page_without_a_readable_row_is_no_repeat() -> None:
    """A first page of which nothing could be read is stored like any other; only the same reply again is a repeat."""
    came = Page((), unreadable=frozenset({0, 1, 2}), body=b"as it came")
    first, _ = facts_of(came, request(), Progress(), set(), contact)
    verdict = judge(Progress(), request(), first, Trust())

    assert isinstance(verdict, Continue)
    again, _ = facts_of(came, request(4), verdict.progress, set(), contact)
    assert isinstance(judge(verdict.progress, request(4), again, Trust()), Broken)


# --- never endless ------------------------------------------------------------------------------------------------


def read_on(answer_pages: list[tuple[Row, ...]], reader: Reader | None = None) -> Harvested:
    """Page through a server that gives these pages, whatever it is asked, over and over."""
    pages = cycle(answer_pages)
    return (reader or Reader()).read(lambda _asked: Page(next(pages)))


@pytest.mark.parametrize("count", [2, 50, 51, 500])
@pytest.mark.parametrize("is_nameless", [False, True], ids=["named", "nameless"])
@pytest.mark.parametrize("killed_after", [(), (1,)], ids=["in one go", "killed"])
def test_A_11_server_that_repeats_its_page_is_found_out_at_the_second_call(
    count: int, killed_after: tuple[int, ...], *, is_nameless: bool
) -> None:
    """A server that ignores `fromindex` costs one call more than the page, and nothing of the repeat is stored."""
    given_rows = numbered(["" if is_nameless else f"c{number}" for number in range(count)])

    told = read_on([tuple(given_rows)], Reader(killed_after=killed_after))

    assert isinstance(told.verdict, Broken)
    assert "repeats the page" in told.verdict.reason
    assert (told.calls, told.rows) == (2, given_rows)


@pytest.mark.parametrize("count", [1, 2, 50, 51, 500])
@pytest.mark.parametrize("pages", [2, 3])
def test_A_12_server_in_a_circle_is_found_out(pages: int, count: int) -> None:
    """A circle of pages ends once so many pages and rows in a row have held nobody new."""
    told = read_on([rows(1 + number * count, count) for number in range(pages)])

    idle_pages = max(IDLE_PAGES_MAX, -(-IDLE_ROWS_MAX // count))
    assert isinstance(told.verdict, Broken)
    assert "again and again" in told.verdict.reason
    assert len(told.rows) <= pages * count
    assert told.calls <= pages + idle_pages * CALLS_PER_IDLE_PAGE_MAX


def test_A_12_last_page_within_the_bound_is_taken() -> None:
    """Whatever the size, the bound stops the page after the last one allowed, not that one."""
    before = Progress(pages=PAGES_MAX - 1)

    assert isinstance(judge(before, request(), facts(count=500), Trust(500)), Continue)
    assert isinstance(judge(replace(before, pages=PAGES_MAX), request(), facts(count=500), Trust(500)), Broken)


# --- requests -----------------------------------------------------------------------------------------------------


def test_next_request_asks_for_the_next_row_of_its_job() -> None:
    """A request is made of the job's campaign and action and of where it stands."""
    asked = paging.next_request(job(key="k"), Progress(next_index=41), 20)

    assert asked == PageRequest("k", Action.SENT, 41, 20)


@given(
    total_rows=st.integers(1, 2_000),
    page_rows=st.sampled_from([1, 2, 50, 51, 60, 500]),
    pages_ahead=st.integers(0, 20),
)
@example(total_rows=1_000, page_rows=51, pages_ahead=8)
def test_requests_ahead_are_those_that_come_anyway(total_rows: int, page_rows: int, pages_ahead: int) -> None:
    """Where a set has the size that was expected, the calls ahead are the next ones of a reader that makes none.

    Never more of them than pages that came, none of a set of a few pages, and none where pages do not overlap.
    """
    is_large = total_rows >= LOOKAHEAD_PAGES_MIN * (page_rows - 1)
    asked = Reader(page_rows).read(server(total_rows).answer, page_rows).asked
    progress, seen = Progress(), set[str]()
    for at, one in enumerate(asked):
        ahead = requests_ahead(one, progress, total_rows, pages_ahead)
        following = [each for each in asked[at + 1 :] if each.from_index <= total_rows]
        allowed = min(pages_ahead, progress.pages) if progress.overlap_rows and is_large else 0
        assert ahead == following[:allowed]
        came, chosen = facts_of(server(total_rows).answer(one), one, progress, seen, contact)
        verdict = judge(progress, one, came, Trust(page_rows))
        assert isinstance(verdict, Continue | Finished)
        progress, seen = verdict.progress, seen | set(chosen.values())


AT_ROW_501 = Progress(next_index=501, pages=1, page_rows=500)


@pytest.mark.parametrize(
    ("progress", "range_rows", "expected_rows"),
    [
        pytest.param(AT_ROW_501, 500, None, id="size unknown"),
        pytest.param(Progress(), 500, 5_000, id="no page yet"),
        pytest.param(replace(AT_ROW_501, steps_back=1), 500, 5_000, id="going back"),
        pytest.param(AT_ROW_501, 250, 5_000, id="asking for less"),
        pytest.param(AT_ROW_501, 500, 998, id="no row beyond the next page"),
    ],
)
def test_no_call_is_risked_ahead(progress: Progress, range_rows: int, expected_rows: int | None) -> None:
    """Where it is not known how long pages are or how many will follow, one call is made at a time."""
    next_one = request(progress.from_index, range_rows)

    assert requests_ahead(next_one, progress, expected_rows, pages_ahead=8) == []


# --- digests ------------------------------------------------------------------------------------------------------

values = st.one_of(st.none(), st.integers(), st.text(st.characters(exclude_categories=[])))
some_rows = st.lists(st.dictionaries(st.text(max_size=5), values, max_size=3), min_size=1, max_size=4)


@given(some_rows, some_rows)
def test_digest_tells_pages_apart_by_length_and_ends(one: list[Row], two: list[Row]) -> None:
    """Pages have the same digest exactly if their lengths, their first and their last rows are the same."""
    same = (len(one), one[0], one[-1]) == (len(two), two[0], two[-1])

    assert (rows_digest(one) == rows_digest(two)) == (same and repr((one[0], one[-1])) == repr((two[0], two[-1])))
