"""The limits of a run: what the flags mean, and that the deadline comes when it should."""

import asyncio
import datetime as dt
from dataclasses import dataclass, field

import pytest
from factories import HandClock
from hypothesis import given
from hypothesis import strategies as st
from test_budget import virtually

from harvester.engine.stop import Stop
from harvester.errors import ConfigError
from harvester.events import DrainStarted, Event
from harvester.operations.limits import LOOK_S, NO_LIMITS, Deadline, Limits, deadline_of, limits_of, watching

NOON_S = dt.datetime(2026, 1, 14, 12, 0, tzinfo=dt.UTC).timestamp()
HOUR_S = 3_600


def noon() -> HandClock:
    return HandClock(wall=NOON_S)


@pytest.mark.parametrize(
    ("words", "left_s"),
    [
        ("90m", 1.5 * HOUR_S),
        ("2h30m", 2.5 * HOUR_S),
        ("45s", 45),
        ("1h0m1s", HOUR_S + 1),
        ("06:00", 18 * HOUR_S),
        ("12:00", 24 * HOUR_S),
        ("12:00:01", 1),
        ("23:59", 12 * HOUR_S - 60),
        ("2026-01-14T13:00Z", HOUR_S),
        ("2026-01-14T13:00:00", HOUR_S),
        ("2026-01-14 14:30+01:00", 1.5 * HOUR_S),
        ("2026-01-15", 12 * HOUR_S),
    ],
)
def test_a_deadline_is_a_duration_a_time_of_day_or_a_moment(words: str, left_s: float) -> None:
    """Each form names one moment, on both clocks; without an offset it is UTC."""
    clock = noon()

    assert deadline_of(words, clock) == Deadline(words, clock.now_s() + left_s, NOON_S + left_s)


@pytest.mark.parametrize(
    "words", ["2026-01-14T11:59Z", "2026-01-14T12:00Z", "2026-01-14T12:30+01:00", "0s", "1999-01-01"]
)
def test_a_deadline_that_has_passed_is_refused(words: str) -> None:
    """A limit that leaves no call is a mistake, told before the first one."""
    with pytest.raises(ConfigError, match="has passed") as error:
        deadline_of(words, noon())
    assert error.value.exit_code == 2


@pytest.mark.parametrize("words", ["", "soon", "90", "30m2h", "25:00", "6:00", "-5m", "2026-13-01", "99999999h", "٣m"])
def test_a_deadline_that_is_no_moment_is_refused(words: str) -> None:
    """What cannot be read is told with the forms that can."""
    with pytest.raises(ConfigError, match="no moment") as error:
        deadline_of(words, noon())
    assert "2h30m" in error.value.remedy


@given(
    st.text(max_size=30) | st.datetimes().map(str) | st.datetimes(timezones=st.timezones()).map(dt.datetime.isoformat)
)
def test_whatever_is_typed_is_a_moment_ahead_or_refused(words: str) -> None:
    """No text gives a deadline that has passed, or another error."""
    try:
        deadline = deadline_of(words, noon())
    except ConfigError:
        return
    assert deadline.wall_s > NOON_S


def test_without_flags_there_are_no_limits() -> None:
    """What is not typed limits nothing."""
    assert limits_of(None, None, noon()) == NO_LIMITS


# --- the watch ----------------------------------------------------------------------------------------------------


class SleepyClock:
    """The loop's time, plus what the machine slept; the wall clock is set at will."""

    boot_id = "boot-1"

    def __init__(self) -> None:
        self.slept_s = 0.0
        self.wall_step_s = 0.0

    def now_s(self) -> float:
        return asyncio.get_running_loop().time() + self.slept_s

    def asleep_s(self) -> float:
        return self.slept_s

    def wall_s(self) -> float:
        return NOON_S + self.now_s() + self.wall_step_s


@dataclass(slots=True)
class Watched:
    """A run that is watched; stands for the tools of it."""

    clock: SleepyClock = field(default_factory=SleepyClock)
    events: list[Event] = field(default_factory=list)
    stop: Stop = field(default_factory=Stop)

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def watching(self, limits: Limits):  # type: ignore[no-untyped-def]  # noqa: ANN201
        return watching(limits, self.stop, self, ["acme", "other"])  # type: ignore[arg-type]

    @property
    def drained(self) -> list[str]:
        return [event.account for event in self.events if isinstance(event, DrainStarted)]


def test_the_deadline_stops_the_run_when_it_comes() -> None:
    """Not before it and not after it the run is asked to stop, with the reason, and every account hears of it."""

    async def play() -> None:
        run = Watched()
        async with run.watching(Limits(deadline=deadline_of("90m", run.clock))):
            await asyncio.sleep(1.5 * HOUR_S - 1)
            assert not run.stop.is_asked
            await asyncio.sleep(2)
        assert run.stop.reason == "--deadline 90m has come"
        assert run.drained == ["acme", "other"]

    virtually(play)


@pytest.mark.parametrize("step_s", [-86_400.0, 86_400.0])
def test_no_step_of_the_wall_clock_moves_the_deadline(step_s: float) -> None:
    """Once the run has begun, only time that passes counts."""

    async def play() -> None:
        run = Watched()
        async with run.watching(Limits(deadline=deadline_of("13:00", run.clock))):
            run.clock.wall_step_s = step_s
            await asyncio.sleep(HOUR_S - 1)
            assert not run.stop.is_asked
            await asyncio.sleep(2)
        assert run.stop.reason == "--deadline 13:00 has come"

    virtually(play)


def test_a_deadline_that_passes_while_the_machine_sleeps_is_noticed_soon_after() -> None:
    """Timers stand still in a suspend; the watch looks again all the same."""

    async def play() -> None:
        run = Watched()
        async with run.watching(Limits(deadline=deadline_of("2h", run.clock))):
            await asyncio.sleep(60)
            run.clock.slept_s = 3 * HOUR_S
            await asyncio.sleep(LOOK_S + 1)
        assert run.stop.is_asked

    virtually(play)


def test_a_run_that_ends_before_its_deadline_is_not_held_up() -> None:
    """The watch ends with the run, and says nothing."""

    async def play() -> None:
        run = Watched()
        async with run.watching(Limits(deadline=deadline_of("2h", run.clock))):
            await asyncio.sleep(60)
        assert asyncio.get_running_loop().time() < 61
        assert not run.stop.is_asked

    virtually(play)


def test_the_first_reason_to_stop_is_the_one_that_is_told() -> None:
    """A limit that is met while the run ends already is not worth a word."""

    async def play() -> None:
        run = Watched()
        async with run.watching(Limits(max_calls=1, deadline=deadline_of("1m", run.clock))) as allowance:
            run.stop.ask("SIGTERM")
            assert await allowance.take()
            allowance.settle(is_used=True)
            assert not await allowance.take()
            await asyncio.sleep(120)
        assert run.stop.reason == "SIGTERM"
        assert run.drained == []

    virtually(play)


def test_used_up_calls_stop_the_run_with_the_reason() -> None:
    """The reason names the flag and the number, once for each account."""

    async def play() -> None:
        run = Watched()
        async with run.watching(Limits(max_calls=1)) as allowance:
            assert await allowance.take()
            allowance.settle(is_used=True)
            assert [await allowance.take() for _ in range(3)] == [False] * 3
        assert run.stop.reason == "--max-calls 1 is used up"
        assert run.drained == ["acme", "other"]

    virtually(play)
