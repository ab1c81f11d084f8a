"""Runs with one fault each: which system call of which thread, what it meets there, and what must be true after it."""

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import pytest
from end_to_end.rehearsal import DATE, Ended, Rehearsal, assert_is_truth, assert_is_whole, rehearsing
from faults.warm import SIGN_OF_TRACER, Request

from harvester.simulator.options import Options, WorldOptions
from harvester.simulator.set_options import Damage, QuirkOptions

TIMEOUT_S = 30.0
"""Far beyond what a run takes; a hang becomes a failing test."""

THREADS = ("Main", "disk")
"""Those that write: one opens and closes the ledger, the other does all between."""

HARVEST_DATE = ("run", "--as-of", DATE)

CONCURRENCY = 2
CAMPAIGNS = 2
ROWS = 25
PAGE_ROWS = 10
SPOILED_SEED = 4
"""A world in which one of the two sets has a row that cannot be read."""

ACTIONS = ("sentcontacts",)

HARVEST: Mapping[str, object] = {
    "page_size": PAGE_ROWS,
    "actions": list(ACTIONS),
    "concurrency": CONCURRENCY,
}

CHANGES = {
    "openat": "openat",
    "write": "write",
    "pwrite64": "pwrite64",
    "ftruncate": "ftruncate",
    "fsync": "fsync",
    "fdatasync": "fdatasync",
    "rename": "?rename,?renameat,?renameat2",
    "unlink": "?unlink,?unlinkat",
    "mkdir": "?mkdir,?mkdirat",
    "link": "?link,?linkat,?symlink,?symlinkat",
    "attributes": "?chmod,?fchmod,?fchmodat,utimensat,?fallocate",
}
"""The system calls that change a disk, by a short name; which of the variants there are differs by machine."""

STRIDES = {"pwrite64": 8, "fdatasync": 2, "openat": 2}
"""How many tests share the calls of a kind: a run makes a hundred writes to the ledger, and three renames."""


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault at one place.

    Attributes:
        thread: which thread meets it, one of `THREADS`.
        change: at which calls, a key of `CHANGES`.
        when: at the how-many-th of them, from 1; "7+" from the seventh on.
        fault: as strace has it: "signal=KILL" or "error=EIO".
        is_all_seen: whether what the other threads do from then on is watched too; they may meet the fault as well.
    """

    thread: str
    change: str
    when: str
    fault: str = "signal=KILL"
    is_all_seen: bool = False

    def __str__(self) -> str:
        return f"{self.thread}-{self.change}-{self.when}"

    @property
    def tracer(self) -> list[str]:
        """The command that watches a thread and lays the fault in its way."""
        watched = ",".join([SIGN_OF_TRACER, *CHANGES.values()])
        fault = f"{CHANGES[self.change]}:{self.fault}:when={self.when}"
        return ["strace", "-qq", "-y", *(["-f"] if self.is_all_seen else []), f"--trace={watched}", f"--inject={fault}"]


@dataclass(frozen=True, slots=True)
class Place:
    """Calls of one kind that one thread makes: each `stride`-th of them from the `first`, until a run has no more."""

    thread: str
    change: str
    first: int = 1
    stride: int = 1

    def __str__(self) -> str:
        return f"{self.thread}-{self.change}-{self.first}"

    @property
    def times(self) -> Iterator[int]:
        return count(self.first, self.stride)


def each_place(*changes: str) -> pytest.MarkDecorator:
    """Make a test of each place where these changes happen, all changes if none is named.

    Many calls of a kind are dealt to several tests, so that the processors of the machine share them.
    """
    places = [
        Place(thread, change, first, STRIDES.get(change, 1))
        for thread in THREADS
        for change in changes or CHANGES
        for first in range(1, 1 + STRIDES.get(change, 1))
    ]
    return pytest.mark.parametrize("place", places, ids=str)


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is over: how it ended, and what its traced thread did to the disk, a line a call."""

    ended: Ended
    calls: tuple[str, ...]

    @property
    def was_killed(self) -> bool:
        return self.ended.code == -signal.SIGKILL

    @property
    def injected(self) -> list[str]:
        """The calls that met the fault."""
        return [call for call in self.calls if call.endswith("(INJECTED)")]


class Stage:
    """Makes runs of rehearsals in processes that need no start-up."""

    def __init__(self, warm: asyncio.subprocess.Process) -> None:
        self._warm = warm

    async def run(
        self,
        rehearsal: Rehearsal,
        injection: Injection | None = None,
        arguments: tuple[str, ...] = HARVEST_DATE,
        file_bytes_max: int | None = None,
    ) -> Run:
        """Run the program, with a fault or a limit on the size of its files; if not told otherwise it harvests."""
        said = rehearsal.folder.with_name(rehearsal.folder.name + ".said")
        said.mkdir(exist_ok=True)
        stdout, stderr, log = (said / name for name in ("stdout", "stderr", "strace"))
        log.unlink(missing_ok=True)
        thread, tracer = (injection.thread, injection.tracer) if injection else ("", [])
        folder = str(rehearsal.folder)
        code = await self._ask(
            Request(folder, list(arguments), str(stdout), str(stderr), tracer, str(log), thread, file_bytes_max)
        )
        ended = Ended(code, stdout.read_text(), stderr.read_text())
        calls = log.read_text(errors="replace").splitlines() if log.exists() else []
        return Run(ended, tuple(call for call in calls if SIGN_OF_TRACER not in call))

    async def _ask(self, request: Request) -> int:
        assert self._warm.stdin is not None
        assert self._warm.stdout is not None
        self._warm.stdin.write(json.dumps(asdict(request)).encode() + b"\n")
        async with asyncio.timeout(TIMEOUT_S):
            return int(await self._warm.stdout.readline())


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    """Give a stage; all its processes end with the context."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HARVESTER_")}
    warm = await asyncio.create_subprocess_exec(
        *(sys.executable, str(Path(__file__).with_name("warm.py"))),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**inherited, "PYTHONWARNINGS": "error"},
        start_new_session=True,
    )
    try:
        yield Stage(warm)
    finally:
        os.killpg(warm.pid, signal.SIGKILL)
        await warm.communicate()


@asynccontextmanager
async def small_run(folder: Path, pages_ahead: int = 0) -> AsyncIterator[Rehearsal]:
    """Give the server and folder of a run of two jobs of three pages; the folder goes if nothing went wrong."""
    await asyncio.to_thread(folder.mkdir)
    options = Options(world=WorldOptions(campaigns=CAMPAIGNS, recipients=ROWS))
    async with rehearsing(folder, options, harvest={**HARVEST, "pages_ahead": pages_ahead}) as rehearsal:
        yield rehearsal
    shutil.rmtree(folder)


@asynccontextmanager
async def spoiled_run(folder: Path) -> AsyncIterator[Rehearsal]:
    """Give the same with rows that cannot be read in some sets, so that each run asks for those sets again."""
    await asyncio.to_thread(folder.mkdir)
    quirks = QuirkOptions(damaged_share=0.02, damages=(Damage.NOT_OBJECT,))
    options = Options(seed=SPOILED_SEED, world=WorldOptions(campaigns=CAMPAIGNS, recipients=ROWS), quirks=quirks)
    async with rehearsing(folder, options, harvest=HARVEST) as rehearsal:
        yield rehearsal
    shutil.rmtree(folder)


# --- what must be true ------------------------------------------------------------------------------------------------


def assert_nothing_is_wrong(rehearsal: Rehearsal) -> None:
    """Check what must hold at every instant: what is published is whole, what is done is there, each job stands once.

    The ledger is read from a copy: opening it is recovery, and that is for the next run to do.
    """
    world = rehearsal.world
    for (key, action), records in rehearsal.harvested().items():
        assert [record["raw"] for record in records] == list(world.rows(key, action)), f"{key[:8]}: not the rows"
    jobs = _jobs(rehearsal)
    assert [name for name, times in Counter(job[:2] for job in jobs).items() if times > 1] == []
    done = {(key, action) for key, action, state in jobs if state == "done"}
    assert done <= set(rehearsal.harvested()), "done without a file"
    if (rehearsal.date_folder / "_SUCCESS").exists():
        assert len(done) == len(jobs) == CAMPAIGNS * len(ACTIONS)


def assert_no_row_is_lost(rehearsal: Rehearsal) -> None:
    """Check that every row of a published set is in its file or, if it cannot be read, in an answer in quarantine."""
    world = rehearsal.world
    for (key, action), records in rehearsal.harvested().items():
        assert [record["raw"] for record in records] == list(world.rows(key, action)), f"{key[:8]}: not the rows"
        replies = rehearsal.output.glob(f"_quarantine/account=*/dt=*/action={action}/{key}.from-*.reply")
        assert bool(list(replies)) == bool(world.damaged(key, action)), f"{key[:8]}: an answer is missing, or too many"


def assert_all_there(rehearsal: Rehearsal, ended: Ended, *, wasted_calls: int = CONCURRENCY) -> None:
    """Check the end: all rows, each once; no job open; nothing left over; few calls wasted: those under way."""
    assert ended.code == 0, ended.stderr
    assert_nothing_is_wrong(rehearsal)
    assert_is_truth(rehearsal, actions=ACTIONS)
    assert_is_whole(rehearsal)
    assert {state for *_, state in _jobs(rehearsal)} == {"done"}
    assert [path.name for path in rehearsal.folder.rglob("*draft*")] == []
    assert rehearsal.total("calls_wasted") <= wasted_calls, rehearsal.sheet()
    assert rehearsal.total("lockouts") == 0


def _jobs(rehearsal: Rehearsal) -> list[tuple[str, str, str]]:
    """Return campaign key, action and state of every job, as the ledger has it; nothing where there is no ledger."""
    if not (rehearsal.state / "ledger.sqlite").exists():
        return []
    with _copy_of_ledger(rehearsal) as ledger:
        return ledger.execute(
            "SELECT key, action, state FROM jobs JOIN campaigns ON campaigns.id = jobs.campaign_id"
        ).fetchall()


@contextmanager
def _copy_of_ledger(rehearsal: Rehearsal) -> Iterator[sqlite3.Connection]:
    copy = rehearsal.folder.with_name(rehearsal.folder.name + ".ledger")
    copy.mkdir()
    try:
        for path in rehearsal.state.glob("ledger.sqlite*"):
            if not path.name.endswith("-shm"):  # made anew from the log
                shutil.copy(path, copy)
        ledger = sqlite3.connect(copy / "ledger.sqlite")
        try:
            yield ledger
        finally:
            ledger.close()
    finally:
        shutil.rmtree(copy)
