"""The shares of one budget: two sides that wait, several processes, one file, a virtual clock."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from factories import inline
from hypothesis import given
from hypothesis import strategies as st
from test_budget import LoopClock, virtually

from harvester.engine.admission import Admission, Quota
from harvester.engine.budget import Budget, BudgetRules
from harvester.engine.shares import DEMAND_LIFE_LOOKS, Share, demand_until_s, shared_start_s
from harvester.engine.stop import Stop
from harvester.events import Event
from harvester.leases import Lockout, LockoutPhase, Standing
from harvester.model import Command
from harvester.store.calls import CallBook, Window
from harvester.store.database import Database

PERIOD_S, LATENCY_S, WORKERS, TOKENS, PART = 300.0, 0.5, 16, 100, 0.2
LOOK_S = PERIOD_S / 60
QUOTA = Quota(TOKENS, PERIOD_S)
NIGHTLY, BACKFILL = Share(Command.NIGHTLY, PART), Share(Command.BACKFILL, PART)
NIGHTLY_TOKENS, BACKFILL_TOKENS = 80, 20

commands = st.sampled_from(Command)
shares = st.builds(Share, commands, st.floats(0.01, 0.99))
moments = st.lists(st.floats(0, 1_000), max_size=60).map(sorted)


def rules_of(share: Share, quota: Quota = QUOTA, account: str = "acme") -> BudgetRules:
    return BudgetRules(account, "endpoint", quota, 1_800.0, 30.0, 90.0, burst_per_s=20, share=share)


# --- the decision -------------------------------------------------------------------------------------------------


@given(st.integers(2, 100_000), st.floats(0.01, 0.99))
def test_shares_add_up_to_the_tokens_and_leave_one_to_each(tokens: int, part: float) -> None:
    """No token is lost between the sides, the backfill has no more than its share but for one, and none has nothing."""
    backfill = Share(Command.BACKFILL, part).of(tokens)

    assert 1 <= backfill <= max(1, tokens * part)
    assert {Share(command, part).of(tokens) for command in (Command.RUN, Command.NIGHTLY)} == {tokens - backfill}
    assert tokens - backfill >= 1


def test_a_single_token_is_for_both_sides() -> None:
    """What cannot be shared is nobody's alone."""
    assert NIGHTLY.of(1) == BACKFILL.of(1) == 1


@given(shares, moments, st.floats(0, 1_000))
def test_who_waits_alone_may_use_all_of_the_budget(share: Share, stamps: list[float], now_s: float) -> None:
    """P6: no share delays a call while the other side does not wait, or waits no longer."""
    standing = Standing(now_s, stamps, Lockout(), rival_until_s=now_s, side_stamps=stamps)

    assert shared_start_s(share, QUOTA, standing) == now_s


@given(shares, moments, st.floats(0, 1_000))
def test_no_side_holds_more_than_its_share_while_both_wait(share: Share, stamps: list[float], now_s: float) -> None:
    """At the moment named, fewer calls of the side weigh than its share has tokens; and not later than that."""
    standing = Standing(now_s, stamps, Lockout(), rival_until_s=now_s + 1, side_stamps=stamps)
    quota = replace(QUOTA, tokens=10)

    start_s = shared_start_s(share, quota, standing)

    def held(moment_s: float) -> int:
        return sum(stamp > moment_s - quota.window_s for stamp in stamps)

    assert held(start_s) < share.of(10)
    assert start_s == now_s or held(start_s - 3e-6) >= share.of(10)


@given(shares, st.sampled_from(Admission), moments, st.data(), st.floats(0, 1_000))
def test_R_13_a_share_never_lets_a_call_start_earlier(
    share: Share, admission: Admission, stamps: list[float], data: st.DataObject, now_s: float
) -> None:
    """P1: with whatever the other side does, a slot is never earlier than without shares."""
    own = [stamp for stamp in stamps if data.draw(st.booleans())]
    quota = Quota(9, PERIOD_S, admission)
    rules = rules_of(share, quota)
    alone = Standing(now_s, stamps, Lockout())

    shared = replace(alone, rival_until_s=data.draw(st.floats(0, 1_100)), side_stamps=own)

    assert rules.slot(shared).start_s >= rules.slot(alone).start_s


@given(st.floats(0, 1_000), st.floats(0, 1_100))
def test_a_demand_never_lapses_between_two_looks(now_s: float, before_s: float) -> None:
    """Who waits is known to wait until the next look at least, and not for long after; who does not wait, no more."""
    standing = Standing(now_s, (), Lockout(), demand_until_s=min(before_s, now_s + DEMAND_LIFE_LOOKS * LOOK_S))

    until_s = demand_until_s(standing, LOOK_S, is_waiting=True)

    assert now_s + LOOK_S <= until_s <= now_s + DEMAND_LIFE_LOOKS * LOOK_S
    assert demand_until_s(standing, LOOK_S, is_waiting=False) == 0


def test_R_06_the_probe_is_not_subject_to_shares() -> None:
    """After a lockout the first who comes finds the way, though its side holds more than its share."""
    stamps = [100.0] * BACKFILL_TOKENS
    half_open = Lockout(LockoutPhase.HALF_OPEN, 100.0, 1)
    standing = Standing(200.0, stamps, half_open, rival_until_s=205.0, side_stamps=stamps)

    assert rules_of(BACKFILL).slot(standing).is_probe
    assert rules_of(BACKFILL).slot(replace(standing, lockout=Lockout())).start_s > 200.0


# --- two processes ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Process:
    """One process that calls as often as it may; `starts` are the moments of its calls."""

    share: Share
    budget: Budget
    stop: Stop
    starts: list[float] = field(default_factory=list)

    async def work(self, calls: float = float("inf")) -> None:
        """Make calls, `WORKERS` of them at once, until there are enough of them or the process is told to stop."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._worker(calls))

    async def _worker(self, calls: float) -> None:
        while len(self.starts) < calls and (lease := await self.budget.lease()) is not None:
            self.starts.append(LoopClock().now_s())
            await asyncio.sleep(LATENCY_S)
            await self.budget.settle(lease, None, "0")

    def calls_in(self, window: int) -> int:
        """How many calls started in a window, counted from 0."""
        begin_s = window * QUOTA.window_s
        return sum(begin_s <= start_s < begin_s + QUOTA.window_s for start_s in self.starts)


@contextmanager
def processes(folder: Path, *shares: Share, account: str = "acme") -> Iterator[tuple[Process, ...]]:
    """Each with a connection of its own to one file, as real ones have."""
    with ExitStack() as stack:
        yield tuple(_process(stack, folder, share, account) for share in shares)


def _process(stack: ExitStack, folder: Path, share: Share, account: str) -> Process:
    database = stack.enter_context(closing(Database(folder / "ledger.sqlite")))
    database.brief.execute("PRAGMA synchronous = OFF")
    stop, events = Stop(), list[Event]()
    book = CallBook(database, Window(account, "endpoint", QUOTA.memory_s), LoopClock(), share.command)
    return Process(
        share, Budget(rules_of(share, account=account), book, LoopClock(), inline, events.append, stop), stop
    )


async def side_by_side(working: Sequence[Process], windows: int) -> None:
    """Let them work for so many windows."""
    async with asyncio.TaskGroup() as group:
        for process in working:
            group.create_task(process.work())
        await asyncio.sleep(windows * QUOTA.window_s)
        for process in working:
            process.stop.ask("the windows are over")


def worst_window_calls(starts: Sequence[float]) -> int:
    ordered = sorted(starts)
    return max(sum(begin <= start < begin + PERIOD_S for start in ordered) for begin in ordered)


@pytest.mark.parametrize("order", [(NIGHTLY, BACKFILL), (BACKFILL, NIGHTLY)], ids=["nightly first", "backfill first"])
def test_R_13_both_sides_get_their_share_of_every_window(tmp_path: Path, order: tuple[Share, Share]) -> None:
    """From the second window on each side has its share of what one alone gets, within a call, and nothing is lost."""
    alone: list[Process] = []
    both: list[Process] = []

    async def play(folder: Path, shares: Sequence[Share], played: list[Process]) -> None:
        with processes(folder, *shares) as working:
            played.extend(working)
            await side_by_side(working, 4)

    virtually(lambda: play(tmp_path / "alone", [NIGHTLY], alone))
    virtually(lambda: play(tmp_path / "both", order, both))

    for window in (1, 2, 3):
        of_one = alone[0].calls_in(window)
        for process in both:
            part = PART if process.share is BACKFILL else 1 - PART
            assert process.calls_in(window) == pytest.approx(of_one * part, abs=1)
    starts = [start for process in both for start in process.starts]
    assert len(starts) >= 0.97 * len(alone[0].starts)
    assert worst_window_calls(starts) <= TOKENS


@pytest.mark.parametrize("share", [NIGHTLY, BACKFILL], ids=lambda share: share.command.value)
def test_one_side_alone_uses_the_whole_budget(tmp_path: Path, share: Share) -> None:
    """P6: without anybody on the other side a share costs nothing; two of the same side take from each other only."""

    async def play() -> None:
        with processes(tmp_path, share, share) as both:
            await side_by_side(both, 3)
        assert all(sum(process.calls_in(window) for process in both) >= 0.97 * TOKENS for window in range(3))

    virtually(play)


def test_a_nightly_run_gets_its_share_from_a_backfill_that_holds_all(tmp_path: Path) -> None:
    """What comes back goes to the one that came later, until the backfill holds no more than its share."""

    async def play() -> None:
        with processes(tmp_path, NIGHTLY, BACKFILL) as (nightly, backfill):
            async with asyncio.TaskGroup() as group:
                group.create_task(backfill.work())
                await asyncio.sleep(1.5 * QUOTA.window_s)
                group.create_task(nightly.work())
                await asyncio.sleep(3.5 * QUOTA.window_s)
                nightly.stop.ask("over")
                backfill.stop.ask("over")
        assert nightly.calls_in(3) >= NIGHTLY_TOKENS - 3
        assert 0 < backfill.calls_in(3) <= BACKFILL_TOKENS

    virtually(play)


def test_what_one_side_leaves_goes_to_the_other_within_a_look(tmp_path: Path) -> None:
    """P6: a nightly run that ends leaves no demand behind that would hold the backfill back."""

    async def play() -> None:
        with processes(tmp_path, NIGHTLY, BACKFILL) as (nightly, backfill):
            async with asyncio.TaskGroup() as group:
                group.create_task(backfill.work())
                group.create_task(nightly.work(calls=120))
                await asyncio.sleep(4 * QUOTA.window_s)
                assert len(nightly.starts) >= 120
                backfill.stop.ask("over")
        ended_s = nightly.starts[-1]
        free_s = next(start for start in backfill.starts if start > ended_s + LATENCY_S)
        assert free_s - ended_s < 2 * LOOK_S
        assert backfill.calls_in(3) >= 0.97 * TOKENS

    virtually(play)


@pytest.mark.parametrize("killed", [NIGHTLY, BACKFILL], ids=lambda share: share.command.value)
def test_P_03_the_demand_of_a_killed_process_fades(tmp_path: Path, killed: Share) -> None:
    """Nobody cleans up after a kill, and the other side has the whole budget all the same."""
    other = BACKFILL if killed is NIGHTLY else NIGHTLY

    async def play() -> None:
        with processes(tmp_path, killed, other) as (victim, survivor):
            working = asyncio.create_task(victim.work())
            async with asyncio.TaskGroup() as group:
                group.create_task(survivor.work())
                await asyncio.sleep(1.1 * QUOTA.window_s)
                working.cancel()
                await asyncio.sleep(2.9 * QUOTA.window_s)
                survivor.stop.ask("over")
        assert survivor.calls_in(3) >= 0.97 * TOKENS

    virtually(play)


def test_accounts_wait_for_themselves_only(tmp_path: Path) -> None:
    """The demand of one account holds nobody of another back."""

    async def play() -> None:
        with (
            processes(tmp_path, NIGHTLY, account="acme") as acme,
            processes(tmp_path, BACKFILL, account="other") as other,
        ):
            await side_by_side([*acme, *other], 2)
        assert all(process.calls_in(1) >= 0.97 * TOKENS for process in (*acme, *other))

    virtually(play)
