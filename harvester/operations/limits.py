"""The limits of one run, `--max-calls` and `--deadline`: read from the flags, and watched while it goes."""

import asyncio
import datetime as dt
import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from harvester.clock import Clock
from harvester.engine.allowance import Allowance
from harvester.engine.stop import Stop
from harvester.engine.tools import Tools
from harvester.errors import ConfigError
from harvester.events import DrainStarted

LOOK_S = 5.0
"""A timer stands still while the machine sleeps, and the deadline does not: no wait goes on longer unlooked at."""

DURATION = re.compile(r"(?=\d)(?:(\d{1,4})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?", re.ASCII)
TIME_OF_DAY = re.compile(r"\d\d:\d\d(:\d\d)?", re.ASCII)

FORMS = 'Give a duration ("2h30m"), a time of day in UTC ("06:00"), or a date and time ("2026-01-15T06:00Z").'


@dataclass(frozen=True, slots=True)
class Deadline:
    """When no call may start any more.

    Attributes:
        words: as it was typed.
        at_s: on the clock of `Clock.now_s`, so that no step of the wall clock moves it.
        wall_s: the same as it seemed when it was typed, in seconds since the epoch.
    """

    words: str
    at_s: float
    wall_s: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What ends a run before all is done.

    Attributes:
        max_calls: to the recipients endpoint, over all accounts, retries included; None for any number.
        deadline: None if there is none.
    """

    max_calls: int | None = None
    deadline: Deadline | None = None


NO_LIMITS = Limits()


def limits_of(max_calls: int | None, deadline: str | None, clock: Clock) -> Limits:
    """Return what the flags say.

    Raises:
        ConfigError: the deadline cannot be read, or has passed.
    """
    return Limits(max_calls, None if deadline is None else deadline_of(deadline, clock))


def deadline_of(words: str, clock: Clock) -> Deadline:
    """Return the deadline that the words name: a duration from now, the next such time of day, or a moment.

    Raises:
        ConfigError: they are none of these, or the moment has passed.
    """
    wall_s = clock.wall_s()
    try:
        left_s = _left_s(words, dt.datetime.fromtimestamp(wall_s, dt.UTC))
    except (ValueError, OverflowError):
        raise ConfigError(f"--deadline {words!a} is no moment.", FORMS) from None
    if left_s <= 0:
        raise ConfigError(f"--deadline {words} has passed.", "Give a later one, or leave it out.")
    return Deadline(words, clock.now_s() + left_s, wall_s + left_s)


def _left_s(words: str, now: dt.datetime) -> float:
    if match := DURATION.fullmatch(words):
        hours, minutes, seconds = (int(number or 0) for number in match.groups())
        return dt.timedelta(hours=hours, minutes=minutes, seconds=seconds).total_seconds()
    if TIME_OF_DAY.fullmatch(words):
        moment = dt.datetime.combine(now.date(), dt.time.fromisoformat(words), dt.UTC)
        return (moment - now + dt.timedelta(days=moment <= now)).total_seconds()
    moment = dt.datetime.fromisoformat(words)
    return (moment.replace(tzinfo=moment.tzinfo or dt.UTC) - now).total_seconds()


@asynccontextmanager
async def watching(limits: Limits, stop: Stop, tools: Tools, accounts: Iterable[str]) -> AsyncIterator[Allowance]:
    """Ask the run to stop when a limit is met: calls under way are finished and stored, none starts.

    Args:
        limits: of the run.
        stop: of the run.
        tools: its clock, and who hears of it.
        accounts: their names.

    Yields:
        The places for calls to the recipients endpoint.
    """

    def end(reason: str) -> None:
        if stop.is_asked:
            return
        stop.ask(reason)
        for account in accounts:
            tools.emit(DrainStarted(account, f"{reason}: finishing the calls under way"))

    allowance = Allowance(limits.max_calls, partial(end, f"--max-calls {limits.max_calls} is used up"))
    if limits.deadline is None:
        yield allowance
        return
    async with asyncio.TaskGroup() as group:
        watcher = group.create_task(_watch(limits.deadline, stop, tools.clock, end), name="deadline")
        try:
            yield allowance
        finally:
            watcher.cancel()


async def _watch(deadline: Deadline, stop: Stop, clock: Clock, end: Callable[[str], None]) -> None:
    while (left_s := deadline.at_s - clock.now_s()) > 0:
        if stop.is_asked:
            return
        await stop.pause(min(left_s, LOOK_S))
    end(f"--deadline {deadline.words} has come")
