"""One job from where it stands to its end: stored, put off, given up, or taken up again."""

import asyncio
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from factories import failure, rows
from paged import Server, server
from workbench import PAGE_ROWS, Recipients, Workbench

from harvester.engine.errand import Ended, Errand, Outcome, PutOff, Refused
from harvester.engine.portion import PATIENCE_PAGES
from harvester.engine.retry import Scope
from harvester.events import JobDone, JobPostponed, JobStarted
from harvester.model import BROKEN_PAGING, FEWER_AGAIN, Failure, FailureKind, JobState, Page, PageRequest, Row

TOTAL_ROWS = 400
MALFORMED = failure(FailureKind.MALFORMED)

Answer = Callable[[PageRequest], Page | Failure]


@contextmanager
def bench(folder: Path, answer: Answer, *, pages_ahead: int = 0, run_id: str = "run-1") -> Iterator[Workbench]:
    opened = Workbench(folder, Recipients(answer), pages_ahead=pages_ahead, run_id=run_id)
    try:
        yield opened
    finally:
        opened.close()


async def carried_out(opened: Workbench, expected_rows: int | None = None) -> Outcome:
    (claimed,) = opened.claim(expected_rows=expected_rows)
    return await opened.carry_out(claimed)


def failing_at(number: int, *failures: Failure, total_rows: int = TOTAL_ROWS) -> Answer:
    """A server of a set whose `number`-th call, from 1, and those after it fail in these ways first."""
    waiting, calls = list(failures), iter(range(1, 1_000))

    def answer(asked: PageRequest) -> Page | Failure:
        is_ill = next(calls) >= number and waiting
        return waiting.pop(0) if is_ill else server(total_rows).answer(asked)

    return answer


# --- to the end ---------------------------------------------------------------------------------------------------


async def test_job_is_published_with_every_row(tmp_path: Path) -> None:
    """All rows stand in one partition, in order and with their places, and the ledger knows how it ended."""
    with bench(tmp_path, server(TOTAL_ROWS).answer) as opened:
        assert await carried_out(opened) == Ended()

        report = opened.report()
        assert (
            opened.contacts() == [record["position"] for record in opened.records()] == list(range(1, TOTAL_ROWS + 1))
        )
        assert (report.state, report.rows, report.ending) == (JobState.DONE, TOTAL_ROWS, "short page")
        assert (report.calls, report.codes) == (7, {"0": 7})
        assert [type(event) for event in opened.events if isinstance(event, JobStarted | JobDone)] == [
            JobStarted,
            JobDone,
        ]


@pytest.mark.parametrize(("code", "ending"), [("0", "empty page"), ("6303", "code 6303")])
async def test_A_03_A_10_empty_set_is_published_empty(tmp_path: Path, code: str, ending: str) -> None:
    """A set without rows is one call and a partition without records."""
    with bench(tmp_path, server(0, end_code=code).answer) as opened:
        assert await carried_out(opened) == Ended()

        report = opened.report()
        assert (opened.records(), report.state, report.ending) == ([], JobState.DONE, ending)
        assert (report.calls, report.pages) == (1, 0)


async def test_A_17_duplicates_stand_in_the_ledger(tmp_path: Path) -> None:
    """A contact that stands there twice is written once, and the job says how many were dropped."""
    with bench(tmp_path, Server((*rows(1, 100), *rows(1, 30), *rows(101, 100))).answer) as opened:
        assert await carried_out(opened) == Ended()

        assert opened.contacts() == list(range(1, 201))
        assert (opened.report().rows, opened.report().duplicates) == (200, 30)


async def test_A_16_shift_stands_in_the_ledger(tmp_path: Path) -> None:
    """Rows that were put in before the reader while it read are told with the job."""
    given = list(rows(1, 200))

    def answer(asked: PageRequest) -> Page:
        page = Server(given).answer(asked)
        if asked.from_index == 1:
            given[:0] = rows(1_000, 5)
        return page

    with bench(tmp_path, answer) as opened:
        assert await carried_out(opened) == Ended()

        assert opened.contacts() == list(range(1, 201))
        assert (opened.report().is_shifted, opened.report().state) == (True, JobState.DONE)


async def test_A_16_set_that_shrank_is_whole_and_not_shifted(tmp_path: Path) -> None:
    """Rows that went away before the reader cost a page back, and nothing is missing."""
    given = list(rows(1, 200))

    def answer(asked: PageRequest) -> Page:
        page = Server(given).answer(asked)
        if asked.from_index == 1:
            del given[:5]
        return page

    with bench(tmp_path, answer) as opened:
        assert await carried_out(opened) == Ended()

        assert opened.contacts() == list(range(1, 201))
        assert (opened.report().is_shifted, opened.report().duplicates) == (False, 0)


async def test_A_11_pages_that_make_no_sense_end_the_job(tmp_path: Path) -> None:
    """A server that repeats its page costs two calls, and nothing is published."""
    with bench(tmp_path, lambda _asked: Page(rows(1, PAGE_ROWS))) as opened:
        outcome = await carried_out(opened)

        assert isinstance(outcome, Refused)
        assert (outcome.scope, outcome.end.state, outcome.end.code) == (Scope.JOB, JobState.FAILED, BROKEN_PAGING)
        assert opened.report().calls == 2


async def test_details_of_the_first_page_are_noted(tmp_path: Path) -> None:
    """What the XML format says of the campaign is kept, from the first page alone."""

    def answer(asked: PageRequest) -> Page:
        return replace(server(200).answer(asked), campaign_details={"page": str(asked.from_index)})

    with bench(tmp_path, answer) as opened:
        await carried_out(opened)

        told = opened.database.durable.execute("SELECT details FROM campaign_notes").fetchall()
        assert [row["details"] for row in told] == ['{"page":"1"}']


# --- rows that cannot be read -------------------------------------------------------------------------------------


def damaged(page: Page, place: int) -> Page:
    """The same page with one row that cannot be read."""
    return replace(
        page, rows=(*page.rows[:place], *page.rows[place + 1 :]), unreadable=frozenset({place}), body=b"as sent"
    )


@pytest.mark.parametrize("pages_ahead", [0, 3])
async def test_A_25_unreadable_row_costs_no_neighbour(tmp_path: Path, pages_ahead: int) -> None:
    """A page with a damaged row is asked for once more; then the reply is quarantined and the rest is written."""

    def answer(asked: PageRequest) -> Page:
        page = server(TOTAL_ROWS).answer(asked)
        return damaged(page, 100 - asked.from_index) if 0 <= 100 - asked.from_index < page.received_rows else page

    with bench(tmp_path, answer, pages_ahead=pages_ahead) as opened:
        outcome = await carried_out(opened, TOTAL_ROWS)
        while outcome == PutOff():
            outcome = await carried_out(opened)

        kept = [number for number in range(1, TOTAL_ROWS + 1) if number != 100]
        report, (reply,) = opened.report(), (opened.output / "_quarantine").rglob("*.reply")
        assert opened.contacts() == [record["position"] for record in opened.records()] == kept
        assert (report.state, report.rows, report.unreadable_rows) == (JobState.PARTIAL, TOTAL_ROWS - 1, 1)
        assert opened.recipients.indices.count(60) == 2
        assert len(opened.recipients.asked) == 7 + 1
        assert (reply.read_bytes(), stat.S_IMODE(reply.stat().st_mode)) == (b"as sent", 0o600)


async def test_A_25_row_that_was_damaged_on_its_way_is_no_loss(tmp_path: Path) -> None:
    """Where the second answer is whole, nothing is quarantined and the job is done."""
    answers = [damaged(server(TOTAL_ROWS).answer(PageRequest("k0", "sentcontacts", 1, PAGE_ROWS)), 5)]  # type: ignore[arg-type]

    with bench(tmp_path, lambda asked: answers.pop() if answers else server(TOTAL_ROWS).answer(asked)) as opened:
        assert await carried_out(opened) == Ended()

        assert opened.contacts() == list(range(1, TOTAL_ROWS + 1))
        assert (opened.report().state, opened.report().unreadable_rows) == (JobState.DONE, 0)
        assert not (opened.output / "_quarantine").exists()


async def test_A_25_page_that_failed_before_is_asked_for_once_more_all_the_same(tmp_path: Path) -> None:
    """Whatever went wrong with a page before, its damaged rows get their second chance; it is spent once a page."""
    whole = server(TOTAL_ROWS).answer
    answers: list[Page | Failure] = [MALFORMED, damaged(whole(PageRequest("k0", "sentcontacts", 1, PAGE_ROWS)), 5)]  # type: ignore[arg-type]

    with bench(tmp_path, lambda asked: answers.pop(0) if answers else whole(asked)) as opened:
        assert await carried_out(opened) == PutOff()
        assert await carried_out(opened) == Ended()

        assert (opened.report().state, opened.report().rows) == (JobState.DONE, TOTAL_ROWS)
        assert opened.recipients.indices.count(1) == 3


async def test_A_25_first_page_without_a_readable_row_goes_to_quarantine(tmp_path: Path) -> None:
    """A page of which no row can be read is no repeated page: its reply is kept, and the job is partial."""

    def answer(asked: PageRequest) -> Page:
        page = server(TOTAL_ROWS).answer(asked)
        lost_rows = max(0, PAGE_ROWS + 1 - asked.from_index)
        return Page(page.rows[lost_rows:], unreadable=frozenset(range(lost_rows)), body=b"as sent")

    with bench(tmp_path, answer) as opened:
        assert await carried_out(opened) == Ended()

        report, (reply,) = opened.report(), (opened.output / "_quarantine").rglob("*.reply")
        assert (report.state, report.rows, report.unreadable_rows) == (JobState.PARTIAL, TOTAL_ROWS - 60, 60)
        assert (opened.contacts()[0], reply.read_bytes()) == (61, b"as sent")


# --- counters -----------------------------------------------------------------------------------------------------


async def test_A_12_counter_of_none_fails_no_large_set(tmp_path: Path) -> None:
    """A counter may be wrong: a set of 70,000 rows that is counted as empty is read whole."""
    with bench(tmp_path, server(70_000).answer) as opened:
        assert await carried_out(opened, expected_rows=0) == Ended()

        assert (opened.report().state, opened.report().rows) == (JobState.DONE, 70_000)


async def test_A_14_counter_proves_no_end_to_a_doubted_job(tmp_path: Path) -> None:
    """A job that is read again because counts did not agree takes no end on trust, not the counter's either."""
    with bench(tmp_path, server(40).answer) as opened:
        (claimed,) = opened.claim(expected_rows=40)
        assert await opened.carry_out(replace(claimed, is_doubted=True)) == Ended()

        assert opened.report().calls == 2


# --- failures -----------------------------------------------------------------------------------------------------


async def test_failed_call_puts_the_job_off(tmp_path: Path) -> None:
    """A failure that may pass sends the job back to pending with its pages and its reason, and no worker waits."""
    with bench(tmp_path, failing_at(3, MALFORMED)) as opened:
        assert await carried_out(opened) == PutOff()

        report = opened.report()
        assert (report.state, report.attempts, report.retries, report.pages) == (JobState.PENDING, 1, 1, 2)
        assert [event.attempts for event in opened.events if isinstance(event, JobPostponed)] == [1]
        assert await carried_out(opened) == Ended()
        assert opened.contacts() == list(range(1, TOTAL_ROWS + 1))
        assert opened.report().calls == 7 + 1


async def test_page_that_fails_for_ever_gives_the_job_up(tmp_path: Path) -> None:
    """Attempts are counted over put-offs, and the last one says how many there were."""
    outcomes: list[Outcome] = []
    with bench(tmp_path, failing_at(1, *[MALFORMED] * 9)) as opened:
        while not outcomes or outcomes[-1] == PutOff():
            outcomes.append(await carried_out(opened))

    assert len(outcomes) == 5
    assert isinstance(outcomes[-1], Refused)
    assert outcomes[-1].end.reason.startswith("given up after 5 attempts")


@pytest.mark.parametrize(
    ("kind", "scope", "state"),
    [
        (FailureKind.JOB, Scope.JOB, JobState.FAILED),
        (FailureKind.CAMPAIGN, Scope.CAMPAIGN, JobState.FAILED),
        (FailureKind.NOT_APPLICABLE, Scope.CAMPAIGN, JobState.SKIPPED),
        (FailureKind.ACCOUNT, Scope.ACCOUNT, JobState.FAILED),
    ],
)
async def test_final_failure_reaches_as_far_as_it_must(
    tmp_path: Path, kind: FailureKind, scope: Scope, state: JobState
) -> None:
    """What no other try will mend ends the job at once, with the code of the answer."""
    with bench(tmp_path, lambda _asked: failure(kind, code="4711")) as opened:
        outcome = await carried_out(opened)

    assert isinstance(outcome, Refused)
    assert (outcome.scope, outcome.end.state, outcome.end.code) == (scope, state, "4711")


async def test_token_that_was_renewed_is_tried_once(tmp_path: Path) -> None:
    """A refused token costs one call; a second refusal of the same page needs a person."""
    with bench(tmp_path, failing_at(2, failure(FailureKind.TOKEN))) as opened:
        assert await carried_out(opened) == Ended()
    with bench(tmp_path / "other", failing_at(2, *[failure(FailureKind.TOKEN)] * 2)) as opened:
        outcome = await carried_out(opened)

    assert isinstance(outcome, Refused)
    assert outcome.scope is Scope.ACCOUNT


# --- too much at once ---------------------------------------------------------------------------------------------


def limited(limit_rows: int, code: str | None) -> Answer:
    """A server that refuses to give more than so many rows at once."""

    def answer(asked: PageRequest) -> Page | Failure:
        if asked.range_rows > limit_rows:
            return failure(FailureKind.OVERSIZE, code=code, message="too much")
        return server(TOTAL_ROWS).answer(asked)

    return answer


@pytest.mark.parametrize(("limit_rows", "granted_rows"), [(59, 30), (29, 15), (2, 1), (1, 1)])
async def test_A_27_page_that_is_too_large_is_asked_for_in_halves(
    tmp_path: Path, limit_rows: int, granted_rows: int
) -> None:
    """The range is halved, down to one row, until the answer can be had; the set is whole."""
    with bench(tmp_path, limited(limit_rows, None)) as opened:
        assert await carried_out(opened) == Ended()

        assert opened.contacts() == list(range(1, TOTAL_ROWS + 1))
        ranges = [asked.range_rows for asked in opened.recipients.asked]
        assert min(ranges) == granted_rows
        assert sum(rows > limit_rows for rows in ranges) <= PAGE_ROWS.bit_length() + len(ranges) // PATIENCE_PAGES
        assert opened.desk.lessons.range_rows == PAGE_ROWS


async def test_A_27_row_that_is_too_large_by_itself_fails_the_job(tmp_path: Path) -> None:
    """What cannot be had in any size ends this job, and says so in the server's words."""
    with bench(tmp_path, limited(0, None)) as opened:
        outcome = await carried_out(opened)

        assert isinstance(outcome, Refused)
        assert (outcome.scope, outcome.end.reason) == (Scope.JOB, "too much")
        assert [asked.range_rows for asked in opened.recipients.asked] == [60, 30, 15, 7, 3, 1]


async def test_range_that_the_server_refuses_is_a_lesson_for_all_jobs(tmp_path: Path) -> None:
    """Sixteen jobs whose range is refused at once halve it together, not one after the other."""
    with bench(tmp_path, limited(40, "6502")) as opened:
        claimed = opened.claim(16)
        async with opened.at_work():
            errands = [Errand(each, opened.desk, lambda: None).carry_out() for each in claimed]
            outcomes = await asyncio.gather(*errands)

        assert outcomes == [Ended()] * 16
        assert opened.desk.lessons.range_rows == 30
        assert {asked.range_rows for asked in opened.recipients.asked} == {60, 30}


# --- taken up again -----------------------------------------------------------------------------------------------


class Cut:
    """A server whose `number`-th call never comes back: the run is killed meanwhile."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls = 0
        self.is_reached = asyncio.Event()

    async def __call__(self, _asked: PageRequest) -> None:
        self.calls += 1
        if self.calls == self.number:
            self.is_reached.set()
            await asyncio.Event().wait()


async def killed_at(folder: Path, number: int, given: Server) -> list[int]:
    """Leave a job whose run died in its `number`-th call; return where its committed pages begin."""
    cut = Cut(number)
    opened = Workbench(folder, Recipients(given.answer, cut))
    (claimed,) = opened.claim()
    task = asyncio.create_task(opened.carry_out(claimed))
    await cut.is_reached.wait()
    task.cancel()
    await asyncio.wait([task])
    committed = opened.stored_indices()
    opened.close()
    return committed


@pytest.mark.parametrize("number", range(1, 8))
async def test_P3_killed_job_goes_on_after_its_last_page(tmp_path: Path, number: int) -> None:
    """Whichever call a run dies in, the next one asks for that page and for none before it."""
    committed = await killed_at(tmp_path, number, server(TOTAL_ROWS))

    with bench(tmp_path, server(TOTAL_ROWS).answer, run_id="run-2") as opened:
        assert await carried_out(opened) == Ended()

        assert opened.contacts() == list(range(1, TOTAL_ROWS + 1))
        assert len(committed) == number - 1
        assert opened.recipients.indices == opened.stored_indices()[number - 1 :]


async def test_A_17_contacts_of_before_the_kill_are_still_known(tmp_path: Path) -> None:
    """What was written before a restart is read back from the part, so nobody is written twice."""
    given = Server((*rows(1, 150), *rows(3, 40), *rows(151, 10)))
    await killed_at(tmp_path, 3, given)

    with bench(tmp_path, given.answer, run_id="run-2") as opened:
        assert await carried_out(opened) == Ended()

        assert opened.contacts() == list(range(1, 161))
        assert opened.report().duplicates == 40


async def test_A_16_rows_put_in_while_nobody_read_are_told(tmp_path: Path) -> None:
    """Between a kill and the next run a set can move as well: the last row written is known again."""
    await killed_at(tmp_path, 3, server(TOTAL_ROWS))

    with bench(tmp_path, Server((*rows(1_000, 5), *rows(1, TOTAL_ROWS))).answer, run_id="run-2") as opened:
        assert await carried_out(opened) == Ended()

        assert opened.contacts() == list(range(1, TOTAL_ROWS + 1))
        assert opened.report().is_shifted


@pytest.mark.parametrize("is_changed", [False, True], ids=["vanished", "changed"])
async def test_D_09_D_10_job_whose_part_is_not_to_be_trusted_starts_over(tmp_path: Path, *, is_changed: bool) -> None:
    """Where the committed bytes are not there, every row is fetched again."""
    await killed_at(tmp_path, 4, server(TOTAL_ROWS))
    (part,) = (tmp_path / "output" / "_parts").iterdir()
    content = part.read_bytes()
    part.unlink()
    if is_changed:
        part.write_bytes(content[:-1] + b"!")

    with bench(tmp_path, server(TOTAL_ROWS).answer, run_id="run-2") as opened:
        assert await carried_out(opened) == Ended()

        assert opened.contacts() == list(range(1, TOTAL_ROWS + 1))
        assert len(opened.recipients.asked) == 7


@pytest.mark.parametrize("is_renamed", [False, True], ids=["before the rename", "after the rename"])
async def test_D_11_publishing_that_was_cut_off_costs_no_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_renamed: bool
) -> None:
    """Killed between the last page and the ledger's word, the next run publishes or adopts, without asking."""
    with bench(tmp_path, server(TOTAL_ROWS).answer) as opened:
        publish = opened.parts.publish

        def cut_off(finished: object) -> object:
            if not finished:
                return []
            if is_renamed:
                publish(finished)  # type: ignore[arg-type]
            raise RuntimeError("killed")

        monkeypatch.setattr(opened.parts, "publish", cut_off)
        (claimed,) = opened.claim()
        with pytest.raises(ExceptionGroup):
            await opened.carry_out(claimed)

    with bench(tmp_path, lambda _asked: MALFORMED, run_id="run-2") as opened:
        assert await carried_out(opened) == Ended()

        assert opened.recipients.asked == []
        assert opened.contacts() == list(range(1, TOTAL_ROWS + 1))
        assert opened.report().state is JobState.DONE


NAMELESS_SETS: dict[str, list[Row]] = {
    "at every border": [
        {"row": at, "note": "\ud800", "n": 2**70} | ({} if at % 59 in {0, 1} else {"contactid": str(at)})
        for at in range(1, 201)
    ],
    "all": [{"row": at, "share": at / 7} for at in range(1, 201)],
    "none named twice": [{"row": at} | ({} if at == 60 else {"contactid": str(max(at, 8))}) for at in range(1, 201)],
}


@pytest.mark.parametrize("given_rows", NAMELESS_SETS.values(), ids=NAMELESS_SETS)
@pytest.mark.parametrize("number", range(2, 5))
async def test_A_16_P_03_row_that_names_nobody_is_written_once_over_a_restart(
    tmp_path: Path, number: int, given_rows: list[Row]
) -> None:
    """Killed after any page, a nameless row at its end is known again by what it says, read back from the part."""
    await killed_at(tmp_path, number, Server(given_rows))

    with bench(tmp_path, Server(given_rows).answer, run_id="run-2") as opened:
        assert await carried_out(opened) == Ended()

        report, places = opened.report(), [record["raw"]["row"] for record in opened.records()]
        assert places == [record["position"] for record in opened.records()]
        assert len(set(places)) == len(places) == 200 - report.duplicates
        assert (report.is_shifted, report.calls) == (False, 4 + 1)


async def test_A_16_row_that_names_nobody_is_written_once_over_a_put_off(tmp_path: Path) -> None:
    """A call that fails where a nameless row ends the page before doubles nothing."""
    given_rows = [{"row": at} | ({} if at == 60 else {"contactid": str(at)}) for at in range(1, 101)]
    failures = [MALFORMED]

    def answer(asked: PageRequest) -> Page | Failure:
        return failures.pop() if asked.from_index == 60 and failures else Server(given_rows).answer(asked)

    with bench(tmp_path, answer) as opened:
        assert await carried_out(opened) == PutOff()
        assert await carried_out(opened) == Ended()

        assert [record["position"] for record in opened.records()] == list(range(1, 101))


async def test_rows_of_any_shape_are_known_again_after_a_restart(tmp_path: Path) -> None:
    """Contacts named by odd values are the same after the round through the part."""
    odd: list[Row] = [{"contactid": 2**70 + at, "note": "\ud800"} for at in range(150)]
    given = Server((*odd, *odd[:20]))
    await killed_at(tmp_path, 3, given)

    with bench(tmp_path, given.answer, run_id="run-2") as opened:
        assert await carried_out(opened) == Ended()

        assert (opened.report().rows, opened.report().duplicates) == (150, 20)


# --- doubt --------------------------------------------------------------------------------------------------------


async def test_job_that_fell_short_takes_no_end_on_trust(tmp_path: Path) -> None:
    """A set that the counters doubt is read on behind a short page until nothing follows."""

    def answer(asked: PageRequest) -> Page:
        return Server(rows(1, TOTAL_ROWS), clamp_rows=52 if asked.from_index > 200 else PAGE_ROWS).answer(asked)

    with bench(tmp_path, answer) as opened:
        (claimed,) = opened.claim()
        assert await opened.carry_out(replace(claimed, is_doubted=True)) == Ended()

        assert opened.contacts() == list(range(1, TOTAL_ROWS + 1))


@pytest.mark.parametrize("rows", [0, 20, 49])
async def test_P2_second_reading_that_finds_far_fewer_rows_replaces_nothing(tmp_path: Path, rows: int) -> None:
    """A job that is read again because rows were missing is given up, with the reason, where it comes to much less."""
    with bench(tmp_path, server(rows).answer) as opened:
        claimed = replace(opened.claim()[0], is_doubted=True, standing_rows=100)

        outcome = await opened.carry_out(claimed)

        assert isinstance(outcome, Refused)
        assert (outcome.scope, outcome.end.state, outcome.end.code) == (Scope.JOB, JobState.FAILED, FEWER_AGAIN)
        assert f"{rows} rows; the file with 100 stays" in outcome.end.reason
        assert list(opened.output.glob("recipients/**/*.jsonl*")) == []


async def test_P2_second_reading_of_a_set_that_shrank_a_little_is_taken(tmp_path: Path) -> None:
    """Sets move while they are read: some rows fewer are no reason to keep the first reading."""
    with bench(tmp_path, server(50).answer) as opened:
        assert await opened.carry_out(replace(opened.claim()[0], is_doubted=True, standing_rows=100)) == Ended()
