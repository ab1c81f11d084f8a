"""A simulated process: it has one life, a disk that it writes to while it lives, and threads on virtual time.

Once the life is over every step raises, so whatever the dead process still does on its way out, a rollback or a
`finally`, changes nothing on disk and sends nothing: what is left is what a kill leaves.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from harvester.model import Contents, Job, Published
from harvester.store.database import Database
from harvester.store.partitions import Compression, Partitions

T = TypeVar("T")

PROMPT_SHARE = 0.9
"""Share of work that its thread does at once; the rest takes a moment, so that the order of things varies."""


class KilledError(BaseException):
    """The process is dead; nothing that catches an Exception may notice."""


class Life:
    """From the start of a process to its death.

    Args:
        last_step: the step at which it dies, from 1; None to live on.
    """

    def __init__(self, last_step: int | None = None) -> None:
        self._last_step = last_step
        self.steps = 0
        self.is_over = False

    def end(self) -> None:
        """Die now."""
        self.is_over = True

    def step(self, last_deed: Callable[[], object] = lambda: None) -> None:
        """Do one thing that the world outside can see, or die at it, `last_deed` half done."""
        if self.is_over:
            raise KilledError
        self.steps += 1
        if self.steps == self._last_step:
            last_deed()
            self.end()
            raise KilledError


class MortalDatabase(Database):
    """The ledger's file; a kill comes before a transaction or before its commit.

    It never syncs: no power fails here.
    """

    def __init__(self, path: Path, life: Life) -> None:
        self._life = life
        super().__init__(path)

    @contextmanager
    def writing(self, connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        self._life.step()
        with super().writing(connection) as open_connection:
            yield open_connection
            self._life.step()

    @staticmethod
    def _connect(path: Path, synchronous: str) -> sqlite3.Connection:
        del synchronous
        return Database._connect(path, "OFF")


class MortalPartitions(Partitions):
    """The output folder; a kill comes before each step, between two renames, or in the middle of a write."""

    def __init__(self, output: Path, compression: Compression, life: Life) -> None:
        super().__init__(output, compression)
        self._life = life

    def cut(self, job: Job, size_bytes: int, sha256: bytes) -> bool:
        self._life.step()
        return super().cut(job, size_bytes, sha256)

    def append(self, job: Job, frame: bytes) -> tuple[int, bytes]:
        write = super().append
        self._life.step(lambda: write(job, frame[: len(frame) // 2]))
        return write(job, frame)

    def sync(self, jobs: Sequence[Job]) -> None:
        del jobs
        self._life.step()

    def publish(self, finished: Sequence[Contents]) -> list[Published]:
        published = []
        for one in finished:
            self._life.step()
            published += super().publish([one])
        return published


class Thread:
    """An `Offload` on virtual time: work is done in the loop, one at a time and in order, mostly at once.

    As with a real thread, work that nobody waits for any more is still done if it had begun.

    Args:
        loop: where it runs.
        life: of the process; it may end before the work or after it.
        rng: draws how long the work takes.
        slowest_s: the longest that a piece of work takes.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, life: Life, rng: Random, slowest_s: float) -> None:
        self._loop = loop
        self._life = life
        self._rng = rng
        self._slowest_s = slowest_s
        self._waiting: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._handed_over: list[AbstractContextManager[Any]] = []

    def __call__(self, work: Callable[[], T], /) -> "asyncio.Future[T]":
        done: asyncio.Future[T] = self._loop.create_future()
        self._waiting.append((work, done))
        if len(self._waiting) == 1:
            self._start()
        return done

    def close(self) -> None:
        """Close what its work opened and handed over, as the kernel does for a process that dies before it has it."""
        for each in self._handed_over:
            each.__exit__(None, None, None)

    def _start(self) -> None:
        if self._rng.random() < PROMPT_SHARE:
            self._loop.call_soon(self._finish)
        else:
            self._loop.call_later(self._rng.random() * self._slowest_s, self._finish)

    def _finish(self) -> None:
        work, done = self._waiting.popleft()
        if not done.cancelled() or self._rng.random() < 1 / 2:
            self._carry_out(work, done)
        if self._waiting:
            self._start()

    def _carry_out(self, work: Callable[[], T], done: "asyncio.Future[T]") -> None:
        try:
            self._life.step()
            result = work()
            if isinstance(result, AbstractContextManager):
                self._handed_over.append(result)
            self._life.step()
        except BaseException as error:  # noqa: BLE001  the one who waits gets it, as from a real thread
            if not done.cancelled():
                done.set_exception(error)
        else:
            if not done.cancelled():
                done.set_result(result)
