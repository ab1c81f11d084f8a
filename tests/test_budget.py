"""The budget on a virtual clock, with the real book of calls underneath."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest
from factories import failure, inline
from simulation.virtual_loop import VirtualLoop

from harvester.engine.admission import Admission, Quota
from harvester.engine.budget import Budget, BudgetRules
from harvester.engine.ports import Offload
from harvester.engine.shares import Share
from harvester.engine.stop import Stop
from harvester.events import BudgetHeld, Event, LockoutClosed, LockoutOpened
from harvester.leases import Lease
from harvester.model import Command, Failure, FailureKind
from harvester.store.calls import CallBook, Window
from harvester.store.database import Database

T = TypeVar("T")

CALLS, PERIOD_S, LOCK_S, HOLD_S = 10, 300.0, 1800.0, 120.0
QUOTA = Quota(CALLS, PERIOD_S, Admission.WINDOW)
RULES = BudgetRules("acme", "endpoint", QUOTA, LOCK_S, call_timeout_s=30, late_grace_s=HOLD_S - 30, burst_per_s=100)
LOCKED = failure(FailureKind.LOCKED, code="2008")


class LoopClock:
    """The loop's own time on both clocks."""

    boot_id = "boot-1"

    def now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def asleep_s(self) -> float:
        return 0.0

    def wall_s(self) -> float:
        return 1_700_000_000.0 + self.now_s()


SLOW_S = 0.5
"""How long a slow disk works on each piece."""


class SlowDisk:
    """An `Offload` that does one piece after the other, as a thread does: what has begun is not cancelled any more."""

    def __init__(self) -> None:
        self.heard: dict[str, Callable[[], object]] = {}
        self._free_s = 0.0

    def __call__(self, work: Callable[[], T], /) -> "asyncio.Future[T]":
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()
        begins_s = max(loop.time(), self._free_s)
        self._free_s = begins_s + SLOW_S
        loop.call_at(begins_s, self._begin, work, outcome)
        self._tell("asked")
        return outcome

    def _begin(self, work: Callable[[], T], outcome: "asyncio.Future[T]") -> None:
        if not outcome.cancelled():
            asyncio.get_running_loop().call_later(SLOW_S, self._end, work, outcome)
            self._tell("begun")

    def _end(self, work: Callable[[], T], outcome: "asyncio.Future[T]") -> None:
        result = work()
        if not outcome.cancelled():
            outcome.set_result(result)
            self._tell("done")

    def _tell(self, moment: str) -> None:
        self.heard.pop(moment, int)()


@dataclass(slots=True)
class Bench:
    """Several processes' budgets over one file, and what they told."""

    path: Path
    offload: Offload = inline
    events: list[Event] = field(default_factory=list)
    stop: Stop = field(default_factory=Stop)

    def budget(self, rules: BudgetRules = RULES) -> Budget:
        book = self.book(rules.share.command)
        return Budget(rules, book, LoopClock(), self.offload, self.events.append, self.stop)

    def book(self, command: Command = Command.RUN) -> CallBook:
        window = Window("acme", "endpoint", QUOTA.memory_s)
        return CallBook(Database(self.path / "ledger.sqlite"), window, LoopClock(), command)

    def told(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


def virtually(play: Callable[[], Awaitable[None]]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(play())  # type: ignore[arg-type]


async def call(budget: Budget, latency_s: float = 0.3, outcome: Failure | None = None) -> float:
    """One call from its lease to its outcome; returns when it started."""
    lease = await budget.lease()
    assert lease is not None
    started_s = asyncio.get_running_loop().time()
    await asyncio.sleep(latency_s)
    await budget.settle(lease, outcome, "0")
    return started_s


async def leased(budget: Budget) -> Lease:
    lease = await budget.lease()
    assert lease is not None
    return lease


def test_tokens_come_back_a_period_after_the_outcome(tmp_path: Path) -> None:
    """The call beyond the tokens starts a window after the first outcome was seen, not after its start."""

    async def play() -> None:
        budget = Bench(tmp_path).budget()
        starts = [await call(budget, latency_s=20) for _ in range(CALLS + 1)]
        assert starts[CALLS] == pytest.approx(starts[0] + 20 + QUOTA.window_s, abs=0.5)

    virtually(play)


def test_R_03_abandoned_call_keeps_its_token_for_timeout_and_grace(tmp_path: Path) -> None:
    """A lease that is never settled comes back only when the call cannot reach the server any more."""

    async def play() -> None:
        budget = Bench(tmp_path).budget()
        for _ in range(CALLS):
            await leased(budget)
        began_s = asyncio.get_running_loop().time()
        assert await call(budget) == pytest.approx(began_s + HOLD_S + QUOTA.window_s, abs=6)

    virtually(play)


def test_call_that_never_left_costs_nothing(tmp_path: Path) -> None:
    """A refused connection gives its token back at once."""

    async def play() -> None:
        budget = Bench(tmp_path).budget()
        unsent = failure(FailureKind.UNREACHED, is_sent=False)
        for _ in range(5 * CALLS):
            await call(budget, outcome=unsent)
        assert asyncio.get_running_loop().time() < PERIOD_S

    virtually(play)


@pytest.mark.parametrize("other", Command)
def test_R_13_two_processes_share_the_tokens(tmp_path: Path, other: Command) -> None:
    """Together two processes start no more calls in a window than one may, whatever they are for."""

    async def play() -> None:
        bench = Bench(tmp_path)
        budgets = [bench.budget(), bench.budget(replace(RULES, share=Share(other)))]

        async def worker(budget: Budget) -> list[float]:
            return [await call(budget) for _ in range(2 * CALLS)]

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(worker(budget)) for budget in budgets]
        starts = sorted(start for task in tasks for start in task.result())
        assert all(later - earlier >= PERIOD_S for earlier, later in zip(starts, starts[CALLS:], strict=False))

    virtually(play)


def test_R_06_lockout_pauses_from_the_last_answer_and_probes_once(tmp_path: Path) -> None:
    """No call starts until the lock is over, counted from the last answer; then one goes ahead of all others."""

    async def play() -> None:
        bench = Bench(tmp_path)
        budget, loop = bench.budget(), asyncio.get_running_loop()
        first, second = await leased(budget), await leased(budget)
        await budget.settle(first, LOCKED, "2008")
        await asyncio.sleep(10)
        await budget.settle(second, LOCKED, "2008")
        last_answer_s = loop.time()

        probe = await leased(budget)
        assert probe.is_probe
        assert loop.time() >= last_answer_s + LOCK_S
        async with asyncio.TaskGroup() as group:
            follower = group.create_task(leased(budget))
            await asyncio.sleep(60)
            assert not follower.done()
            await budget.settle(probe, None, "0")
        assert not follower.result().is_probe
        assert len(bench.told(LockoutOpened)) == 1
        assert len(bench.told(LockoutClosed)) == 1

    virtually(play)


def test_R_08_lockout_outlives_the_process(tmp_path: Path) -> None:
    """A process that starts during a lockout sends nothing until it is over."""

    async def play() -> None:
        bench, loop = Bench(tmp_path), asyncio.get_running_loop()
        budget = bench.budget()
        await budget.settle(await leased(budget), LOCKED, "2008")

        after_restart = bench.budget()

        assert (await leased(after_restart)).is_probe
        assert loop.time() >= LOCK_S

    virtually(play)


def test_probe_of_another_process_is_respected(tmp_path: Path) -> None:
    """While one process probes, the other waits for its answer."""

    async def play() -> None:
        bench = Bench(tmp_path)
        ours, theirs = bench.budget(), bench.budget()
        await ours.settle(await leased(ours), LOCKED, "2008")
        probe = await leased(theirs)
        async with asyncio.TaskGroup() as group:
            waiter = group.create_task(leased(ours))
            await asyncio.sleep(30)
            assert not waiter.done()
            await theirs.settle(probe, None, "0")
        assert not waiter.result().is_probe

    virtually(play)


def test_probe_that_is_locked_again_waits_longer(tmp_path: Path) -> None:
    """Each lock in a row doubles the pause."""

    async def play() -> None:
        bench, loop = Bench(tmp_path), asyncio.get_running_loop()
        budget = bench.budget()
        pauses = []
        for _ in range(3):
            await budget.settle(await leased(budget), LOCKED, "2008")
            locked_s = loop.time()
            probe = await leased(budget)
            pauses.append(loop.time() - locked_s)
            await budget.settle(probe, LOCKED, "2008")
        assert pauses[0] == pytest.approx(LOCK_S, rel=0.01)
        assert all(later > 1.5 * earlier for earlier, later in pairwise(pauses))

    virtually(play)


def test_probe_without_clear_answer_is_followed_by_another_soon(tmp_path: Path) -> None:
    """A probe that fails for another reason neither opens the endpoint nor lengthens the lock."""

    async def play() -> None:
        bench, loop = Bench(tmp_path), asyncio.get_running_loop()
        budget = bench.budget()
        await budget.settle(await leased(budget), LOCKED, "2008")
        first = await leased(budget)
        first_s = loop.time()
        await budget.settle(first, failure(FailureKind.TRANSIENT), "500")

        second = await leased(budget)

        assert second.is_probe
        assert loop.time() - first_s == pytest.approx(LOCK_S / 60, abs=6)

    virtually(play)


def test_calls_are_spaced_evenly_after_a_lockout(tmp_path: Path) -> None:
    """For one period after the probe there is no burst."""

    async def play() -> None:
        budget = Bench(tmp_path).budget()
        await budget.settle(await leased(budget), LOCKED, "2008")
        await budget.settle(await leased(budget), None, "0")

        starts = [await call(budget) for _ in range(CALLS - 2)]

        gap_s = QUOTA.window_s / CALLS
        assert all(later - earlier >= gap_s - 0.01 for earlier, later in pairwise(starts))

    virtually(play)


def test_stop_ends_every_wait(tmp_path: Path) -> None:
    """Who waits for a slot is sent home when the run is asked to stop."""

    async def play() -> None:
        bench = Bench(tmp_path)
        budget = bench.budget()
        for _ in range(CALLS):
            await leased(budget)
        async with asyncio.TaskGroup() as group:
            waiters = [group.create_task(budget.lease()) for _ in range(5)]
            await asyncio.sleep(1)
            bench.stop.ask("SIGTERM")
        assert [waiter.result() for waiter in waiters] == [None] * 5
        assert asyncio.get_running_loop().time() < PERIOD_S

    virtually(play)


def test_R_14_cancelled_waiters_leak_no_slot(tmp_path: Path) -> None:
    """Waiters that are cancelled neither keep a slot nor hold up those behind them."""

    async def play() -> None:
        budget = Bench(tmp_path).budget()
        for _ in range(CALLS):
            await call(budget, latency_s=0)
        async with asyncio.TaskGroup() as group:
            doomed = [group.create_task(leased(budget)) for _ in range(50)]
            last = group.create_task(leased(budget))
            await asyncio.sleep(1)
            for waiter in doomed:
                waiter.cancel()
        assert last.result().id > 0
        assert asyncio.get_running_loop().time() == pytest.approx(QUOTA.window_s, abs=6)

    virtually(play)


@pytest.mark.parametrize("is_probe", [False, True])
@pytest.mark.parametrize("cancels", [1, 2])
@pytest.mark.parametrize("moment", ["asked", "begun", "done"])
def test_R_14_a_withdrawn_call_leaves_no_lease(tmp_path: Path, *, moment: str, cancels: int, is_probe: bool) -> None:
    """Whoever is cancelled while the lease is written costs neither budget nor time, nor the right to probe."""

    async def play() -> None:
        disk = SlowDisk()
        bench = Bench(tmp_path, offload=disk)
        budget, loop = bench.budget(), asyncio.get_running_loop()
        if is_probe:
            await budget.settle(await leased(budget), LOCKED, "2008")
            await asyncio.sleep(2 * LOCK_S)
        stamps = bench.book().standing().stamps
        doomed = asyncio.create_task(leased(budget))
        disk.heard[moment] = doomed.cancel
        for _ in range(cancels - 1):
            await asyncio.sleep(1.4 * SLOW_S)
            doomed.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doomed

        began_s, lease = loop.time(), await leased(budget)

        assert lease.is_probe == is_probe
        assert loop.time() - began_s < 5 * SLOW_S
        assert len(bench.book().standing().stamps) == len(stamps) + 1

    virtually(play)


def test_long_wait_is_told_once(tmp_path: Path) -> None:
    """A wait for the window is one event, not one for each look at the clock."""

    async def play() -> None:
        bench = Bench(tmp_path)
        budget = bench.budget()
        for _ in range(CALLS + 1):
            await call(budget)
        assert len(bench.told(BudgetHeld)) == 1

    virtually(play)


def test_lockout_is_recorded_with_our_own_calls(tmp_path: Path) -> None:
    """The record of a lockout tells when, what was answered, and how many calls of ours were in the window."""

    async def play() -> None:
        bench = Bench(tmp_path)
        budget = bench.budget()
        for _ in range(4):
            await call(budget)
        await call(budget, outcome=LOCKED)

        (record,) = bench.book().records(10)
        assert (record.code, record.level, record.calls_in_window) == ("2008", 1, 5)
        assert record.until_wall_s - record.seen_wall_s == pytest.approx(LOCK_S, rel=0.01)

    virtually(play)
