"""The calls that a run may make: never one more, and none lost to a call that was not sent."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from factories import failure, inline, seeded
from hypothesis import given
from hypothesis import strategies as st
from test_budget import RULES, Bench, LoopClock, virtually

from harvester.engine.allowance import Allowance
from harvester.engine.caller import Caller, Weather
from harvester.engine.retry import Backoff
from harvester.engine.stop import Stop
from harvester.errors import CredentialsError
from harvester.model import Failure, FailureKind

NO_WAIT = Backoff(base_s=0.0, cap_s=0.0)
UNSENT = failure(FailureKind.NO_TOKEN, is_sent=False, retry_after_s=1.0)
LOST = failure(FailureKind.LOST)


class Server:
    """Answers in turn by `answers`, then well; counts what was really sent."""

    def __init__(self, answers: Sequence[Failure | BaseException] = ()) -> None:
        self.answers = list(answers)
        self.calls = 0

    async def answer(self) -> str | Failure:
        answer = self.answers.pop(0) if self.answers else "good"
        if not isinstance(answer, Failure) or answer.is_sent:
            self.calls += 1
        await asyncio.sleep(0.3)
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Run:
    """Some workers on each account of one run, which stops when its calls are used up."""

    def __init__(self, folder: Path, server: Server, calls_max: int | None, accounts: int = 1) -> None:
        self.stop, self.server = Stop(), server
        self.allowance = Allowance(calls_max, lambda: self.stop.ask("used up"))
        self.callers = [self._caller(Bench(folder / str(number), inline, stop=self.stop)) for number in range(accounts)]

    def _caller(self, bench: Bench) -> Caller:
        weather = Weather("acme", 600.0, NO_WAIT, LoopClock(), seeded(), bench.events.append)
        return Caller(bench.budget(RULES), weather, self.stop, self.allowance)

    async def work(self, workers: int = 16, until: Callable[[], bool] = lambda: False) -> None:
        async def worker(caller: Caller) -> None:
            while not until() and await caller.ask(self.server.answer) is not None:
                pass

        async with asyncio.TaskGroup() as group:
            for caller in self.callers:
                for _ in range(workers):
                    group.create_task(worker(caller))


@pytest.mark.parametrize("calls_max", [1, 5, 16, 37])
@pytest.mark.parametrize("accounts", [1, 3])
def test_no_call_more_than_allowed_is_made(tmp_path: Path, calls_max: int, accounts: int) -> None:
    """With many workers on several accounts exactly so many calls are made, then the run stops."""

    async def play() -> None:
        run = Run(tmp_path, Server(), calls_max, accounts)
        await run.work()
        assert run.server.calls == calls_max
        assert run.stop.reason == "used up"

    virtually(play)


def test_a_call_that_was_not_sent_gives_its_place_back(tmp_path: Path) -> None:
    """What never left is no call: as many as are allowed are sent all the same, and lost ones count as sent."""

    async def play() -> None:
        run = Run(tmp_path, Server([UNSENT, LOST, UNSENT, LOST]), 8)
        await run.work(workers=3)
        assert run.server.calls == 8
        assert run.stop.reason == "used up"

    virtually(play)


def test_who_finds_no_place_waits_for_the_calls_under_way(tmp_path: Path) -> None:
    """The run does not stop while a place may still come back."""

    async def play() -> None:
        run = Run(tmp_path, Server([UNSENT]), 1)
        await run.work(workers=2)
        assert run.server.calls == 1

    virtually(play)


def test_R_14_a_withdrawn_call_gives_its_place_back(tmp_path: Path) -> None:
    """Whoever is cancelled while it waits for a slot has used none."""

    async def play() -> None:
        run = Run(tmp_path, Server(), 2 * RULES.quota.tokens)
        burst = [asyncio.create_task(run.callers[0].ask(run.server.answer)) for _ in range(RULES.quota.tokens + 3)]
        await asyncio.sleep(5)
        for task in burst:
            task.cancel()
        await asyncio.gather(*burst, return_exceptions=True)
        assert run.server.calls == RULES.quota.tokens
        await run.work(workers=2)
        assert run.server.calls == 2 * RULES.quota.tokens

    virtually(play)


def test_a_call_that_ends_in_an_error_holds_nobody_up(tmp_path: Path) -> None:
    """What a person must mend ends its worker; the places of others are not waited for for ever."""

    async def play() -> None:
        run = Run(tmp_path, Server([CredentialsError("refused")]), 1)
        first = asyncio.create_task(run.callers[0].ask(run.server.answer))
        second = asyncio.create_task(run.callers[0].ask(run.server.answer))
        with pytest.raises(CredentialsError):
            await first
        assert await second is None
        assert run.stop.reason == "used up"

    virtually(play)


def test_a_run_that_needs_no_more_calls_is_not_stopped(tmp_path: Path) -> None:
    """The last place is used, all is done, and nobody is told of a limit."""

    async def play() -> None:
        run = Run(tmp_path, Server(), 8)
        await run.work(workers=4, until=lambda: run.server.calls >= 8)
        assert run.server.calls == 8
        assert run.stop.reason is None

    virtually(play)


def test_a_stop_ends_the_wait_for_a_place(tmp_path: Path) -> None:
    """A signal sends home those who wait for a place, as soon as the calls under way have ended."""

    async def play() -> None:
        run = Run(tmp_path, Server([UNSENT] * 100), 1)
        async with asyncio.TaskGroup() as group:
            group.create_task(run.work())
            await asyncio.sleep(2)
            run.stop.ask("SIGTERM")
        assert run.stop.reason == "SIGTERM"

    virtually(play)


@given(st.integers(1, 6), st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
def test_places_are_never_more_than_allowed(calls_max: int, steps: list[tuple[bool, bool]]) -> None:
    """Taken and used places together never exceed the limit, whatever comes back."""

    async def play() -> None:
        allowance, used, taken = Allowance(calls_max), 0, 0
        for is_take, is_used in steps:
            if is_take and used + taken < calls_max:
                assert await allowance.take()
                taken += 1
            elif not is_take and taken:
                allowance.settle(is_used=is_used)
                taken, used = taken - 1, used + is_used
        asking = asyncio.create_task(allowance.take())
        await asyncio.sleep(0)
        assert asking.done() == (used + taken < calls_max or not taken)
        assert not asking.done() or asking.result() == (used + taken < calls_max)
        asking.cancel()

    asyncio.run(play())
