"""The one writer: takes whatever pages wait, syncs each touched part once and commits once for all.

So its cost per page falls as load rises, and the event loop never waits for a disk. Data first, then the ledger's
word for it: a kill between the two costs a page that is fetched again, never a row.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from harvester.clock import Clock
from harvester.engine.framing import FramedPage
from harvester.engine.ports import JobLedger, Offload, Parts
from harvester.errors import HarvestError
from harvester.model import Contents, Job, Published, StoredPage


@dataclass(frozen=True, slots=True)
class NewPage:
    """A page to be stored, the job's `number`-th, which begins at `from_index`; `ending` if it was proven last."""

    job: Job
    page: FramedPage
    number: int
    from_index: int
    ending: str | None


@dataclass(frozen=True, slots=True)
class LastWord:
    """A job whose end was proven by a reply without rows, so that there is nothing to append."""

    job: Job
    ending: str


@dataclass(frozen=True, slots=True)
class Closing:
    """A job whose rows are all committed and whose partition is to be published."""

    contents: Contents


Order = NewPage | LastWord | Closing


class Writer:
    """Carries out orders in batches, in the order of their arrival.

    Args:
        ledger: what survives a crash.
        parts: the files.
        clock: the time, for `finished_s`.
        offload: runs the writing in the one thread that owns ledger and files.
    """

    def __init__(self, ledger: JobLedger, parts: Parts, clock: Clock, offload: Offload) -> None:
        self._ledger = ledger
        self._parts = parts
        self._clock = clock
        self._offload = offload
        self._waiting: asyncio.Queue[tuple[Order, asyncio.Future[Published | None]]] = asyncio.Queue()

    async def carry_out(self, order: Order) -> Published | None:
        """Have the order carried out; on return it is durable. For a `Closing`, return the partition.

        The queue is bounded by its users: each worker waits for its own order.

        Raises:
            DiskError: the disk refused; nothing of the batch counts.
        """
        done: asyncio.Future[Published | None] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((order, done))
        return await done

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            batch = [await self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            await self._write([order for order, _ in batch], [done for _, done in batch])
            for _ in batch:
                self._waiting.task_done()

    async def carried_out(self) -> None:
        """Wait until every order given so far is carried out, those of workers that were cancelled as well."""
        await self._waiting.join()

    async def _write(self, orders: Sequence[Order], dones: Sequence["asyncio.Future[Published | None]"]) -> None:
        try:
            results = await self._offload(lambda: self._apply(orders))
        except HarvestError as error:
            for done in dones:
                if not done.done():
                    done.set_exception(error)
            return
        for done, result in zip(dones, results, strict=True):
            if not done.done():
                done.set_result(result)

    def _apply(self, orders: Sequence[Order]) -> list[Published | None]:
        """Carry out a batch: bytes, sync, renames, and then one transaction for all of it."""
        new_pages = [order for order in orders if isinstance(order, NewPage)]
        contents = [order.contents for order in orders if isinstance(order, Closing)]
        endings = [(order.job, order.ending) for order in orders if not isinstance(order, Closing) and order.ending]
        pages = [(order.job, self._append(order)) for order in new_pages]
        self._parts.sync([order.job for order in new_pages])
        published = self._parts.publish(contents)
        closed = list(zip([each.job for each in contents], published, strict=True))
        self._ledger.commit(pages, endings, closed, self._clock.wall_s())
        places = iter(published)
        return [next(places) if isinstance(order, Closing) else None for order in orders]

    def _append(self, order: NewPage) -> StoredPage:
        facts = order.page.facts
        if order.page.reply:
            self._parts.quarantine(order.job, order.from_index, order.page.reply)
        end_bytes, sha256 = self._parts.append(order.job, order.page.frame)
        return StoredPage(
            number=order.number,
            from_index=order.from_index,
            received_rows=facts.received_rows,
            rows=facts.new_rows,
            duplicates=facts.duplicates,
            unreadable_rows=facts.unreadable_rows,
            is_shifted=facts.is_shifted,
            end_bytes=end_bytes,
            sha256=sha256,
            digest=facts.digest,
        )
