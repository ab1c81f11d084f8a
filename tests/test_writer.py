"""The writer: whatever waits is one batch, its bytes synced before the ledger's one word for it."""

import asyncio
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import TypeVar

import pytest
from factories import DATE, HandClock, facts, inline

from harvester.engine.framing import FramedPage
from harvester.engine.paging import Join
from harvester.engine.ports import Offload
from harvester.engine.writer import Closing, LastWord, NewPage, Writer
from harvester.errors import DiskError
from harvester.model import Action, Campaign, Contents, Harvest, Job, JobState, Published, StoredPage
from harvester.store.database import Database
from harvester.store.ledger import Ledger
from harvester.store.partitions import Compression, Partitions

T = TypeVar("T")

JOBS = 5


class WatchedLedger(Ledger):
    """The ledger itself, with a note of every commit."""

    def __init__(self, database: Database, steps: list[str]) -> None:
        super().__init__(database, "run-1")
        self.steps = steps

    def commit(
        self,
        pages: Sequence[tuple[Job, StoredPage]],
        endings: Sequence[tuple[Job, str]],
        published: Sequence[tuple[Job, Published]],
        wall_s: float,
    ) -> None:
        self.steps.append(f"commit {len(pages)} pages, {len(endings)} endings, {len(published)} partitions")
        super().commit(pages, endings, published, wall_s)


class WatchedParts(Partitions):
    """The partitions themselves, with a note of every durable step; `is_full` refuses one like a full disk."""

    def __init__(self, output: Path, steps: list[str]) -> None:
        super().__init__(output, Compression.NONE)
        self.steps = steps
        self.is_full = False

    def sync(self, jobs: Sequence[Job]) -> None:
        self.steps.append(f"sync {len(jobs)}")
        if self.is_full:
            raise DiskError("no space left on device")
        super().sync(jobs)

    def publish(self, finished: Sequence[Contents]) -> list[Published]:
        self.steps.append(f"publish {len(finished)}")
        return super().publish(finished)


class Desk:
    """A writer with all that it needs; `jobs` are running and their parts are open."""

    def __init__(self, folder: Path, database: Database, offload: Offload = inline) -> None:
        self.steps: list[str] = []
        self.output = folder / "output"
        self.ledger, self.parts = WatchedLedger(database, self.steps), WatchedParts(self.output, self.steps)
        self.harvest: Harvest = self.ledger.open_harvest("acme", DATE)
        self.ledger.plan(self.harvest, [Campaign(f"k{number}") for number in range(JOBS)], [Action.SENT])
        self.jobs = [claimed.job for claimed in self.ledger.claim(self.harvest, JOBS, now_s=0.0)]
        for job in self.jobs:
            self.parts.cut(job, 0, b"")
        self.writer = Writer(self.ledger, self.parts, HandClock(), offload)

    def committed(self) -> dict[str, StoredPage | None]:
        """What a next run would find of each job."""
        self.ledger.release(self.harvest)
        return {each.job.campaign.key: each.last_page for each in self.ledger.claim(self.harvest, JOBS, now_s=0.0)}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path / "ledger.sqlite")) as opened:
        yield opened


@pytest.fixture
def desk(tmp_path: Path, database: Database) -> Iterator[Desk]:
    desk = Desk(tmp_path, database)
    yield desk
    desk.parts.close_all()


@asynccontextmanager
async def at_work(writer: Writer) -> AsyncIterator[None]:
    task = asyncio.create_task(writer.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def new_page(job: Job, *, number: int = 1, ending: str | None = None, reply: bytes = b"", **flaws: object) -> NewPage:
    page = FramedPage(facts(number, 1, **flaws), b"row %d\n" % number, frozenset(), reply, {})
    return NewPage(job, page, number, number, ending)


async def test_order_is_durable_on_return(desk: Desk) -> None:
    """Once an order is carried out its bytes are in the part and its page is in the ledger, with the same hash."""
    async with at_work(desk.writer):
        assert await desk.writer.carry_out(new_page(desk.jobs[0])) is None

    page = desk.committed()["k0"]
    assert page is not None
    assert (page.number, page.from_index, page.rows, page.end_bytes) == (1, 1, 1, 6)
    assert desk.parts.cut(desk.jobs[0], page.end_bytes, page.sha256)


async def test_pages_that_wait_are_one_batch(desk: Desk) -> None:
    """However many pages wait, they cost one round of syncs and one commit."""
    async with at_work(desk.writer):
        await asyncio.gather(*(desk.writer.carry_out(new_page(job)) for job in desk.jobs))

    assert desk.steps == [f"sync {JOBS}", "publish 0", f"commit {JOBS} pages, 0 endings, 0 partitions"]
    assert None not in desk.committed().values()


async def test_data_goes_first_and_then_the_word_for_it(desk: Desk) -> None:
    """P3: Bytes are synced and files are in their place before the ledger says so, all kinds of orders together."""
    first, second, third, *_ = desk.jobs
    async with at_work(desk.writer):
        await desk.writer.carry_out(new_page(first, ending="short page"))
        desk.steps.clear()
        await asyncio.gather(
            desk.writer.carry_out(new_page(second)),
            desk.writer.carry_out(LastWord(third, "code 6303")),
            desk.writer.carry_out(Closing(Contents(first, 1))),
        )

    assert desk.steps == ["sync 1", "publish 1", "commit 1 pages, 1 endings, 1 partitions"]


async def test_closing_returns_its_own_partition(desk: Desk) -> None:
    """In a batch of several each caller gets what it ordered."""
    first, second, *others = desk.jobs
    async with at_work(desk.writer):
        await asyncio.gather(*(desk.writer.carry_out(new_page(job)) for job in (first, second)))
        results = await asyncio.gather(
            desk.writer.carry_out(Closing(Contents(first, 1))),
            desk.writer.carry_out(new_page(others[0])),
            desk.writer.carry_out(Closing(Contents(second, 1))),
        )

    assert [result.path if result else None for result in results] == [
        str(desk.parts.relative_path(first)),
        None,
        str(desk.parts.relative_path(second)),
    ]
    assert (desk.output / desk.parts.relative_path(second)).read_bytes() == b"row 1\n"
    assert desk.ledger.counts(desk.harvest)[JobState.DONE] == 2


async def test_last_word_stores_the_ending_alone(desk: Desk) -> None:
    """An end proven by a reply without rows adds no page."""
    async with at_work(desk.writer):
        await desk.writer.carry_out(LastWord(desk.jobs[0], "empty page"))

    desk.ledger.release(desk.harvest)
    claimed = desk.ledger.claim(desk.harvest, 1, now_s=0.0)[0]
    assert (claimed.ending, claimed.last_page) == ("empty page", None)


async def test_pages_of_one_job_follow_each_other(desk: Desk) -> None:
    """Page after page grows one part, and the last commit knows the size of the whole."""
    async with at_work(desk.writer):
        for number in (1, 2, 3):
            await desk.writer.carry_out(new_page(desk.jobs[0], number=number))

    page = desk.committed()["k0"]
    assert page is not None
    assert (page.number, page.end_bytes) == (3, 18)


async def test_D_01_full_disk_fails_the_whole_batch_and_commits_nothing(desk: Desk) -> None:
    """Where the disk refuses, every caller of the batch is told and no page of it counts."""
    desk.parts.is_full = True
    async with at_work(desk.writer):
        results = await asyncio.gather(
            *(desk.writer.carry_out(new_page(job)) for job in desk.jobs), return_exceptions=True
        )

    assert [type(result) for result in results] == [DiskError] * JOBS
    assert set(desk.committed().values()) == {None}
    assert desk.steps == [f"sync {JOBS}"]


async def test_D_01_writer_outlives_a_refusal(desk: Desk) -> None:
    """After a refusal the writer still answers: nobody waits for ever."""
    desk.parts.is_full = True
    async with at_work(desk.writer):
        with pytest.raises(DiskError):
            await desk.writer.carry_out(new_page(desk.jobs[0]))
        desk.parts.is_full = False
        await desk.writer.carry_out(new_page(desk.jobs[1]))

    assert desk.committed()["k1"] is not None


async def test_P_14_cancelled_waiter_takes_nothing_from_the_others(tmp_path: Path, database: Database) -> None:
    """A worker that is cancelled while its page is written leaves the page whole and the writer at work."""
    is_begun, may_go_on = asyncio.Event(), asyncio.Event()

    async def slow(work: Callable[[], T], /) -> T:
        is_begun.set()
        await may_go_on.wait()
        return work()

    desk = Desk(tmp_path, database, slow)
    async with at_work(desk.writer):
        waiters = [asyncio.create_task(desk.writer.carry_out(new_page(job))) for job in desk.jobs[:2]]
        await is_begun.wait()
        waiters[0].cancel()
        may_go_on.set()
        results = await asyncio.gather(*waiters, return_exceptions=True)
    desk.parts.close_all()

    assert [type(result) for result in results] == [asyncio.CancelledError, type(None)]
    assert [desk.committed()[key] is not None for key in ("k0", "k1")] == [True, True]


async def test_A_25_reply_is_in_quarantine_before_the_ledger_knows_of_its_rows(desk: Desk) -> None:
    """A page with rows that could not be read leaves the answer as it came, for its owner alone, and its counts."""
    async with at_work(desk.writer):
        await desk.writer.carry_out(
            new_page(desk.jobs[0], reply=b"as it came", unreadable_rows=2, received_rows=5, duplicates=1)
        )

    (reply,) = (desk.output / "_quarantine").rglob("*.reply")
    page = desk.committed()["k0"]
    assert page is not None
    assert (reply.read_bytes(), stat.S_IMODE(reply.stat().st_mode)) == (b"as it came", 0o600)
    assert (page.received_rows, page.rows, page.duplicates, page.unreadable_rows) == (5, 1, 1, 2)


async def test_A_16_shift_is_committed_with_its_page(desk: Desk) -> None:
    """A page that did not join on says so in the ledger."""
    async with at_work(desk.writer):
        await desk.writer.carry_out(new_page(desk.jobs[0], join=Join.ADRIFT))
        await desk.writer.carry_out(new_page(desk.jobs[1], join=Join.MENDED))

    pages = desk.committed()
    assert [page is not None and page.is_shifted for page in (pages["k0"], pages["k1"])] == [True, False]


async def test_bug_in_a_batch_is_not_swallowed(desk: Desk) -> None:
    """What is no refusal of the disk ends the writer, and with it the run."""
    desk.parts.close(desk.jobs[0])
    task = asyncio.create_task(desk.writer.run())
    waiter = asyncio.create_task(desk.writer.carry_out(new_page(desk.jobs[0])))

    with pytest.raises(KeyError):
        await task

    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
