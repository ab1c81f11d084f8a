"""Pages ahead: a giant job does not wait for each answer, and still asks for nothing twice or in vain."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random

import pytest
from factories import failure, page, request, seeded
from paged import Reader, server
from workbench import PAGE_ROWS, Recipients, Workbench

from harvester.engine.errand import Ended
from harvester.engine.lookahead import Answer, Ask, Lookahead
from harvester.model import Failure, FailureKind, JobState, Page, PageRequest

AHEAD = 4
TOTAL_ROWS = 1_500


def one_by_one(total_rows: int) -> list[int]:
    """Where the pages of a set begin for a reader that makes no call ahead."""
    told = Reader(PAGE_ROWS).read(server(total_rows).answer)
    return [asked.from_index for asked in told.asked]


@contextmanager
def bench(folder: Path, recipients: Recipients, *, lines: int = 16, run_id: str = "run-1") -> Iterator[Workbench]:
    opened = Workbench(folder, recipients, pages_ahead=AHEAD, lines=lines, run_id=run_id)
    try:
        yield opened
    finally:
        opened.close()


async def harvest(opened: Workbench, expected_rows: int | None = TOTAL_ROWS) -> None:
    """Carry the one job out to its end."""
    (claimed,) = opened.claim(expected_rows=expected_rows)
    assert await opened.carry_out(claimed) == Ended()


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


def in_any_order(rng: Random) -> Callable[[PageRequest], Coroutine[None, None, None]]:
    """Answers that overtake each other."""

    async def hold(_asked: PageRequest) -> None:
        for _ in range(rng.randrange(40)):
            await asyncio.sleep(0)

    return hold


# --- a whole job --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
async def test_pages_that_come_in_any_order_are_committed_in_theirs(tmp_path: Path, seed: int) -> None:
    """Whichever answer comes first, pages are stored one after the other, and no call is made that need not be."""
    recipients = Recipients(server(TOTAL_ROWS).answer, in_any_order(seeded(seed)))
    with bench(tmp_path, recipients) as opened:
        await harvest(opened)

        assert opened.contacts() == list(range(1, TOTAL_ROWS + 1))
        assert [record["position"] for record in opened.records()] == list(range(1, TOTAL_ROWS + 1))
        assert opened.stored_indices() == sorted(recipients.indices) == one_by_one(TOTAL_ROWS)
        assert opened.report().state is JobState.DONE
    assert 1 < recipients.most_under_way <= AHEAD + 1


async def test_set_of_unknown_size_is_read_one_by_one(tmp_path: Path) -> None:
    """Without counters and an earlier harvest no call is risked past the end."""
    recipients = Recipients(server(TOTAL_ROWS).answer, in_any_order(seeded()))
    with bench(tmp_path, recipients) as opened:
        await harvest(opened, expected_rows=None)

        assert opened.contacts() == list(range(1, TOTAL_ROWS + 1))
    assert (recipients.most_under_way, recipients.indices) == (1, one_by_one(TOTAL_ROWS))


@pytest.mark.parametrize("kind", [FailureKind.TRANSIENT, FailureKind.LOST, FailureKind.TOKEN])
async def test_page_that_fails_is_asked_again_and_the_others_are_kept(tmp_path: Path, kind: FailureKind) -> None:
    """A failure in the middle costs one call more, whatever had come already of the pages behind it."""
    ill = one_by_one(TOTAL_ROWS)[5]
    failures = [failure(kind)]

    def answer(asked: PageRequest) -> Page | Failure:
        return failures.pop() if failures and asked.from_index == ill else server(TOTAL_ROWS).answer(asked)

    recipients = Recipients(answer, in_any_order(seeded()))
    with bench(tmp_path, recipients) as opened:
        await harvest(opened)

        assert opened.contacts() == list(range(1, TOTAL_ROWS + 1))
    assert sorted(recipients.indices) == sorted([*one_by_one(TOTAL_ROWS), ill])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("total_rows", [1, PAGE_ROWS - 1, PAGE_ROWS, PAGE_ROWS + 1, 8 * PAGE_ROWS])
async def test_set_that_is_shorter_than_expected_costs_what_had_left(
    tmp_path: Path, total_rows: int, seed: int
) -> None:
    """Where the set ends early, at most the calls that were under way are in vain, and nothing else differs."""
    recipients = Recipients(server(total_rows).answer, in_any_order(seeded(seed)))
    with bench(tmp_path, recipients) as opened:
        await harvest(opened)

        assert opened.contacts() == list(range(1, total_rows + 1))
        assert opened.report().calls == len(recipients.asked)
    needed = one_by_one(total_rows)
    assert set(needed) <= set(recipients.indices)
    assert len(recipients.asked) <= len(needed) + AHEAD


async def test_calls_that_have_not_left_are_withdrawn(tmp_path: Path) -> None:
    """When the set turns out to end, calls ahead that still wait for a line are never sent."""
    total_rows, lines = 8 * PAGE_ROWS, 2
    is_needed = set(one_by_one(total_rows)).__contains__

    async def hold(asked: PageRequest) -> None:
        if not is_needed(asked.from_index):
            await opened.is_done.wait()
        await settled()

    recipients = Recipients(server(total_rows).answer, hold)
    with bench(tmp_path, recipients, lines=lines) as opened:
        await harvest(opened)

        assert opened.contacts() == list(range(1, total_rows + 1))
        assert opened.report().calls == len(recipients.asked)
    assert sum(not is_needed(index) for index in recipients.indices) == lines


async def test_A_27_asking_for_less_wastes_no_second_round(tmp_path: Path) -> None:
    """After a page that is too large, calls ahead wait until it is known how long the smaller pages are."""

    def answer(asked: PageRequest) -> Page | Failure:
        is_large = asked.from_index < 600 <= asked.from_index + asked.range_rows
        return failure(FailureKind.OVERSIZE) if is_large and asked.range_rows > 30 else server(TOTAL_ROWS).answer(asked)

    recipients = Recipients(answer)
    with bench(tmp_path, recipients) as opened:
        await harvest(opened)

        assert opened.contacts() == list(range(1, TOTAL_ROWS + 1))
    large = [
        each for each in recipients.asked if each.range_rows == PAGE_ROWS and each.from_index <= 600 + PAGE_ROWS * AHEAD
    ]
    assert len(large) <= 600 // (PAGE_ROWS - 1) + 1 + AHEAD + 1
    small = [request.from_index for request in recipients.asked if request.range_rows < PAGE_ROWS]
    assert len(small) == len(set(small))


# --- stopped, killed ----------------------------------------------------------------------------------------------


class Gate:
    """Lets calls through up to one row, and keeps the others until it is opened."""

    def __init__(self, last_index: int) -> None:
        self.last_index = last_index
        self.is_open = asyncio.Event()
        self.is_full = asyncio.Event()
        self.waiting = 0

    async def __call__(self, asked: PageRequest) -> None:
        if asked.from_index > self.last_index:
            self.waiting += 1
            if self.waiting == AHEAD + 1:
                self.is_full.set()
            await self.is_open.wait()


async def test_stop_stores_what_is_under_way_and_sends_nothing_more(tmp_path: Path) -> None:
    """Asked to stop, a job takes the pages that come, starts no call, and goes on after them in the next run."""
    gate = Gate(last_index=400)
    recipients = Recipients(server(TOTAL_ROWS).answer, gate)
    with bench(tmp_path, recipients) as opened:
        (claimed,) = opened.claim(expected_rows=TOTAL_ROWS)
        task = asyncio.create_task(opened.carry_out(claimed))
        await gate.is_full.wait()
        sent = list(recipients.indices)
        opened.stop.ask("enough")
        gate.is_open.set()

        assert await task == Ended()
        assert recipients.indices == sent
        assert opened.stored_indices() == sorted(sent)

    with bench(tmp_path, recipients, run_id="run-2") as opened:
        await harvest(opened)
        assert opened.contacts() == list(range(1, TOTAL_ROWS + 1))
    assert sorted(recipients.indices) == one_by_one(TOTAL_ROWS)


async def test_P3_killed_job_repeats_only_what_was_in_flight(tmp_path: Path) -> None:
    """A job that is killed with pages ahead goes on after its last committed page."""
    gate = Gate(last_index=400)
    recipients = Recipients(server(TOTAL_ROWS).answer, gate)
    with bench(tmp_path, recipients) as opened:
        (claimed,) = opened.claim(expected_rows=TOTAL_ROWS)
        task = asyncio.create_task(opened.carry_out(claimed))
        await gate.is_full.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        committed = opened.stored_indices()

    gate.is_open.set()
    with bench(tmp_path, recipients, run_id="run-2") as opened:
        await harvest(opened)
        assert opened.contacts() == list(range(1, TOTAL_ROWS + 1))
    assert committed == one_by_one(TOTAL_ROWS)[: len(committed)]
    assert len(recipients.asked) == len(one_by_one(TOTAL_ROWS)) + AHEAD + 1
    assert all(recipients.indices.count(index) == 1 for index in committed)


# --- by itself ----------------------------------------------------------------------------------------------------


class Calls:
    """Calls that leave when they are told to, and are answered when they are told to."""

    def __init__(self) -> None:
        self.leaves: dict[int, asyncio.Event] = {}
        self.answers: dict[int, asyncio.Future[Answer]] = {}
        self.cancelled: list[int] = []

    async def ask(self, asked: PageRequest, leaving: Callable[[], None]) -> Answer:
        index = asked.from_index
        self.leaves[index] = asyncio.Event()
        self.answers[index] = asyncio.get_running_loop().create_future()
        try:
            await self.leaves[index].wait()
            leaving()
            return await self.answers[index]
        except asyncio.CancelledError:
            self.cancelled.append(index)
            raise


def lookahead(ask: Ask, group: asyncio.TaskGroup) -> Lookahead:
    return Lookahead(ask, partial(group.create_task))


async def test_request_is_begun_once() -> None:
    """A request that is under way is not sent again, however often it is wanted."""
    calls = Calls()
    async with asyncio.TaskGroup() as group:
        ahead = lookahead(calls.ask, group)
        ahead.start([request(1), request(2)])
        ahead.start([request(2), request(3)])
        await settled()

        assert sorted(calls.leaves) == [1, 2, 3]
        assert request(3) in ahead
        ahead.keep_only(())


async def test_withdrawn_call_that_left_is_seen_to_its_end() -> None:
    """Only calls whose bytes have not left are cancelled: the server counts the others, and so must we."""
    calls = Calls()
    async with asyncio.TaskGroup() as group:
        ahead = lookahead(calls.ask, group)
        ahead.start([request(1), request(2), request(3)])
        await settled()
        calls.leaves[1].set()
        calls.leaves[3].set()
        await settled()

        ahead.keep_only([request(3)])
        await settled()

        assert calls.cancelled == [2]
        assert [asked in ahead for asked in (request(1), request(2), request(3))] == [False, False, True]
        calls.answers[1].set_result(page())
        calls.answers[3].set_result(page(3))
        assert await ahead.take(request(3)) == page(3)
        assert not ahead


async def test_answer_is_handed_over_once() -> None:
    """What was taken is forgotten: the same request can be made again."""
    calls = Calls()
    async with asyncio.TaskGroup() as group:
        ahead = lookahead(calls.ask, group)
        for _ in range(2):
            ahead.start([request(1)])
            await settled()
            calls.leaves[1].set()
            calls.answers[1].set_result(None)
            assert await ahead.take(request(1)) is None
            assert request(1) not in ahead
