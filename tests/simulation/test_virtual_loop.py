import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from aiolimiter import AsyncLimiter
from hypothesis import given
from hypothesis import strategies as st
from simulation import virtual_loop
from simulation.virtual_loop import DeadlockError, LivelockError, VirtualLoop


def run(main: Coroutine[Any, Any, float]) -> float:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20))
def test_timers_fire_in_order_and_never_early(delays_s: list[float]) -> None:
    """Whatever the delays, each timer fires after its moment, by two microseconds at most beyond the one before."""

    async def main() -> float:
        loop, fired = asyncio.get_running_loop(), []

        async def one(delay_s: float) -> None:
            await asyncio.sleep(delay_s)
            fired.append((delay_s, loop.time()))

        async with asyncio.TaskGroup() as group:
            for delay_s in delays_s:
                group.create_task(one(delay_s))
        assert all(delay_s <= at_s + 1e-9 for delay_s, at_s in fired)
        assert all(at_s <= delay_s + 4e-6 * len(delays_s) for delay_s, at_s in fired)
        assert [at_s for _, at_s in fired] == sorted(at_s for _, at_s in fired)
        return 0.0

    run(main())


def test_a_limiter_moves_on_where_a_float_stops_short() -> None:
    """1,500 grants of aiolimiter pass: time lands past a timer, so no rounding arms the same instant for ever."""

    async def main() -> float:
        limiter = AsyncLimiter(500, 300)
        for _ in range(1_500):
            await limiter.acquire()
        return asyncio.get_running_loop().time()

    assert run(main()) == pytest.approx(600, abs=1)


def test_waiting_for_nothing_is_a_deadlock() -> None:
    """Where nothing is ready and no timer is set, the loop raises instead of hanging."""

    async def main() -> float:
        await asyncio.Event().wait()
        return 0.0

    with pytest.raises(DeadlockError):
        run(main())


def test_turning_without_time_is_a_livelock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where callbacks follow each other and no moment passes, the loop raises instead of spinning."""
    monkeypatch.setattr(virtual_loop, "TURNS_MAX", 1_000)

    async def main() -> float:
        turn(1_500)
        await asyncio.Event().wait()
        return 0.0

    def turn(more: int) -> None:
        if more:
            asyncio.get_running_loop().call_soon(turn, more - 1)

    with pytest.raises(LivelockError):
        run(main())
