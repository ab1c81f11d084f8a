"""The page loop against a scripted server: every row once, no call too many, never endless."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from factories import facts, job, page, request, rows
from hypothesis import example, given
from hypothesis import strategies as st

from harvester.engine import paging
from harvester.engine.paging import PAGES_MAX, Broken, Continue, Finished, Progress, facts_of, judge, rows_digest
from harvester.model import Action, Echo, Page, PageRequest, Row

RANGE_ROWS = 500


@dataclass(frozen=True, slots=True)
class Server:
    """A set of rows, and how it is given out.

    `clamp_rows` is the longest page it gives; `ends_with_code` whether a question beyond the end gets code 6303
    instead of an empty list.
    """

    total_rows: int
    clamp_rows: int = 650
    is_echoing: bool = False
    ends_with_code: bool = False

    def answer(self, asked: PageRequest) -> Page:
        granted_rows = min(asked.range_rows, self.clamp_rows)
        count = max(0, min(granted_rows, self.total_rows - asked.from_index + 1))
        code = "6303" if not count and self.ends_with_code else "0"
        return Page(rows(asked.from_index, count), Echo(granted_rows if self.is_echoing else None), code)


@dataclass(slots=True)
class Harvested:
    """What a job came to; `longest_rows` is what the account knows afterwards."""

    longest_rows: int
    rows: list[Row] = field(default_factory=list)
    calls: int = 0
    verdict: Finished | Broken | None = None


def harvest(
    answer: Callable[[PageRequest], Page], longest_rows: int = 0, range_rows: int = RANGE_ROWS, calls_max: int = 5_000
) -> Harvested:
    """Page through a set as the engine does."""
    progress, told = Progress(), Harvested(longest_rows)
    while told.verdict is None and told.calls < calls_max:
        asked = request(progress.next_index, range_rows)
        got = answer(asked)
        told.calls += 1
        verdict = judge(progress, asked, facts_of(got), told.longest_rows)
        if isinstance(verdict, Broken):
            told.verdict = verdict
            break
        told.longest_rows = max(told.longest_rows, len(got.rows))
        told.rows.extend(got.rows)
        progress = verdict.progress
        told.verdict = verdict if isinstance(verdict, Finished) else None
    return told


def calls_needed(total_rows: int, page_rows: int, longest_rows: int) -> tuple[int, int]:
    """Return the calls that no reader could save, and those that may confirm the end of a record page."""
    full_pages, last_rows = divmod(total_rows, page_rows)
    if not last_rows:
        return full_pages + 1, 0
    longest_rows = max(longest_rows, page_rows if full_pages else 0)
    return full_pages + 1, int(last_rows >= longest_rows)


totals = st.one_of(
    st.integers(0, 2_000),
    st.builds(lambda pages, off: max(0, pages * RANGE_ROWS + off), st.integers(0, 4), st.integers(-1, 1)),
)
servers = st.builds(Server, totals, st.integers(1, 650), st.booleans(), st.booleans())


@given(
    server=servers, off_rows=st.sampled_from([None, -1, 0, 1]), range_rows=st.integers(1, 650), longest=st.booleans()
)
@example(server=Server(0), off_rows=None, range_rows=500, longest=True)
@example(server=Server(1), off_rows=None, range_rows=1, longest=False)
def test_A_14_A_15_every_row_comes_once_whatever_the_clamp(
    server: Server, off_rows: int | None, range_rows: int, *, longest: bool
) -> None:
    """For any clamp, echoed or silent, any end and any total, each row is taken once and no call is wasted."""
    page_rows = min(range_rows, server.clamp_rows)
    if off_rows is not None:  # around a multiple of the page that really comes
        server = replace(server, total_rows=max(0, server.total_rows // page_rows * page_rows + off_rows))
    known_rows = page_rows if longest else 0

    told = harvest(server.answer, known_rows, range_rows)

    least_calls, confirming_calls = calls_needed(server.total_rows, page_rows, known_rows)
    assert told.rows == list(rows(1, server.total_rows))
    assert isinstance(told.verdict, Finished)
    assert told.calls == least_calls + confirming_calls


@pytest.mark.parametrize("is_echoing", [False, True], ids=["silent", "echoed"])
@pytest.mark.parametrize("ends_with_code", [False, True], ids=["empty list", "code 6303"])
def test_A_14_clamp_sweep(*, is_echoing: bool, ends_with_code: bool) -> None:
    """For every clamp from 1 to 650 a set of 1,300 rows is whole, with at most one call more than its pages."""
    for clamp_rows in range(1, 651):
        server = Server(1_300, clamp_rows, is_echoing, ends_with_code)

        told = harvest(server.answer)

        assert len(told.rows) == 1_300
        assert told.calls <= -(-1_300 // min(clamp_rows, RANGE_ROWS)) + 1


@given(sizes=st.lists(st.integers(0, 1_200), min_size=1, max_size=20), clamp_rows=st.integers(1, 650))
def test_account_pays_one_confirming_call_for_each_record_page(sizes: list[int], clamp_rows: int) -> None:
    """Over the jobs of an account, only a last page that is the longest ever seen costs a call to confirm it."""
    longest_rows, page_rows = 0, min(clamp_rows, RANGE_ROWS)
    calls, least_calls, records = 0, 0, 0
    for size in sizes:
        least, confirming = calls_needed(size, page_rows, longest_rows)
        told = harvest(Server(size, clamp_rows).answer, longest_rows)
        least_calls, records, calls = least_calls + least, records + confirming, calls + told.calls
        assert len(told.rows) == size
        longest_rows = told.longest_rows

    assert calls == least_calls + records


# --- ends ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "ending"), [("0", "empty page"), ("6303", "code 6303")])
@pytest.mark.parametrize("progress", [Progress(), Progress(501, 1, b"digest")], ids=["first page", "later page"])
def test_A_10_page_without_rows_is_the_end(code: str, ending: str, progress: Progress) -> None:
    """An empty list or code 6303 ends the set, on the first page as on a later one, and stores nothing."""
    verdict = judge(progress, request(progress.next_index), facts(count=0, code=code), longest_rows=0)

    assert verdict == Finished(progress, ending)


def test_short_page_is_the_end_where_longer_ones_were_seen() -> None:
    """A page shorter than this server can give needs no confirmation."""
    verdict = judge(Progress(), request(), facts(count=300), longest_rows=301)

    assert isinstance(verdict, Finished)
    assert verdict.ending == "short page"
    assert (verdict.progress.next_index, verdict.progress.pages) == (301, 1)


@pytest.mark.parametrize("longest_rows", [0, 299, 300])
def test_A_14_short_page_alone_proves_nothing(longest_rows: int) -> None:
    """As long as no longer page was seen, a short page may be a clamp."""
    assert isinstance(judge(Progress(), request(), facts(count=300), longest_rows), Continue)


def test_A_14_page_as_long_as_its_echoed_clamp_goes_on() -> None:
    """A server that starts to clamp and says so is believed, however long its pages were before."""
    assert isinstance(judge(Progress(), request(), facts(count=200, echo_rows=200), longest_rows=500), Continue)


@pytest.mark.parametrize("echo_rows", [0, -1, 10**9])
def test_senseless_echo_ends_no_set_early(echo_rows: int) -> None:
    """An echo that cannot be a clamp never makes a full page the last one."""
    assert isinstance(judge(Progress(), request(), facts(count=500, echo_rows=echo_rows), longest_rows=500), Continue)


def test_A_13_page_longer_than_asked_is_kept_whole() -> None:
    """All rows of a page count, and the next request starts behind the last of them."""
    verdict = judge(Progress(), request(range_rows=100), facts(count=130), longest_rows=130)

    assert isinstance(verdict, Continue)
    assert verdict.progress.next_index == 131


# --- never endless ------------------------------------------------------------------------------------------------


def test_A_11_server_that_repeats_its_page_is_found_out_at_the_second_call() -> None:
    """A server that ignores `fromindex` costs one call more than the page, and nothing of the repeat is stored."""
    told = harvest(lambda _asked: page(count=500))

    assert isinstance(told.verdict, Broken)
    assert "repeats the page" in told.verdict.reason
    assert (told.calls, len(told.rows)) == (2, 500)


def test_A_11_repeat_is_found_out_after_a_restart() -> None:
    """The digest that the ledger stores is enough to know a repeated page again."""
    stored = Progress(501, 1, rows_digest(rows(1, 500)))

    assert isinstance(judge(stored, request(501), facts(count=500), longest_rows=500), Broken)


def test_A_12_cycle_ends_at_the_bound_on_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that goes round in circles is stopped after a bounded number of pages."""
    monkeypatch.setattr(paging, "PAGES_MAX", 50)

    told = harvest(lambda asked: page(first=1 + asked.from_index // 500 % 2, count=500))

    assert isinstance(told.verdict, Broken)
    assert told.calls == 51


def test_A_12_last_page_within_the_bound_is_taken() -> None:
    """The bound stops the page after the last one allowed, not that one."""
    before = Progress(1, PAGES_MAX - 1)

    assert isinstance(judge(before, request(), facts(count=500), 500), Continue)
    assert isinstance(judge(replace(before, pages=PAGES_MAX), request(), facts(count=500), 500), Broken)


def test_next_request_asks_for_the_next_row_of_its_job() -> None:
    """A request is made of the job's campaign and action and of where it stands."""
    asked = paging.next_request(job(key="k"), Progress(next_index=41), 20)

    assert asked == PageRequest("k", Action.SENT, 41, 20)


# --- digests ------------------------------------------------------------------------------------------------------

values = st.one_of(st.none(), st.integers(), st.text(st.characters(exclude_categories=[])))
some_rows = st.lists(st.dictionaries(st.text(max_size=5), values, max_size=3), min_size=1, max_size=4)


@given(some_rows, some_rows)
def test_digest_tells_pages_apart_by_length_and_ends(one: list[Row], two: list[Row]) -> None:
    """Pages have the same digest exactly if their lengths, their first and their last rows are the same."""
    same = (len(one), one[0], one[-1]) == (len(two), two[0], two[-1])

    assert (rows_digest(one) == rows_digest(two)) == (same and repr((one[0], one[-1])) == repr((two[0], two[-1])))
