"""Many nights, one after another: the same folder and ledger, a process each night, a world that grows older."""

import asyncio
import datetime as dt
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simulation.clock import SimClock
from simulation.night import RAM_FOLDER, Night, play_process, settings_of
from simulation.scenario import Death, Scenario
from simulation.virtual_loop import VirtualLoop
from simulation.wire import Wire

from harvester.model import Command
from harvester.simulator.campaigns import DAY_MS, SENT_MS

DAY_S = 86_400.0
STARTS_AT = dt.time(2, tzinfo=dt.UTC)
"""When cron starts the nightly run."""

Look = Callable[[Night, int], None]
"""Called with the number of a night, from 0."""


def nothing(_night: Night, _number: int) -> None:
    """Befall nobody; look at nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Some nights in a row.

    Attributes:
        scenario: what they are made of.
        first_date: the date of the first one.
        nights: how many.
        deaths: by the number of a night, how its processes die; the one after them lives.
        befall: what happens to the server or the network before a night.
        look: what is checked after a night, with nobody running and the world as it was.
    """

    scenario: Scenario
    first_date: dt.date
    nights: int = 30
    deaths: Mapping[int, Sequence[Death]] = field(default_factory=dict)
    befall: Look = nothing
    look: Look = nothing


def play(calendar: Calendar) -> None:
    """Play all nights; their files are gone afterwards."""
    in_a_folder(lambda folder: _play(calendar, folder))


def in_a_folder(story: Callable[[Path], Coroutine[None, None, None]]) -> None:
    """Run what happens in a folder, in virtual time; the folder is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="nights-", dir=RAM_FOLDER if RAM_FOLDER.is_dir() else None))
    try:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(story(folder))
    finally:
        shutil.rmtree(folder)


def night_of(scenario: Scenario, folder: Path, date: dt.date, command: Command) -> Night:
    """Return the first of many nights, at the hour when its run starts; call it with a loop running."""
    clock = SimClock(asyncio.get_running_loop(), dt.datetime.combine(date, STARTS_AT).timestamp())
    wire = Wire(scenario.server, clock, scenario.outages)
    night = Night(scenario, folder, settings_of(scenario, folder), wire, clock, date, command)
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: night.loop_errors.append(str(context.get("message")))
    )
    return night


async def _play(calendar: Calendar, folder: Path) -> None:
    night = night_of(calendar.scenario, folder, calendar.first_date, Command.NIGHTLY)
    for number in range(calendar.nights):
        await asyncio.sleep(number * DAY_S - night.clock.true_s())
        _begin(night, calendar.first_date + dt.timedelta(days=number))
        calendar.befall(night, number)
        for death in (*calendar.deaths.get(number, ()), Death()):
            await play_process(night, death, lambda _: None)
            if night.exit_codes[-1] is not None:
                break
        await night.wire.settle_down()
        calendar.look(night, number)


def _begin(night: Night, date: dt.date) -> None:
    """Forget the night before, as far as calls and events go, and let the world be as old as the wall clock says."""
    night.date = date
    night.wire.begin_anew()
    night.wire.journal.clear()
    for record in (night.exit_codes, night.events, night.started_at_s):
        record.clear()
    grow_older(night)


def grow_older(night: Night) -> None:
    """Let the world be as old as the wall clock says."""
    night.wire.zoho.advance_to((night.clock.wall_s() * 1000 - SENT_MS) / DAY_MS)


def calls_to(night: Night, account: str, endpoint: str) -> int:
    """Return how many calls an account has made to an endpoint since the night began."""
    client_id = night.settings.accounts[account].client_id
    sheet = night.wire.ours.report()["accounts"].get(client_id, {}).get(endpoint, {})
    return int(sheet.get("calls", 0))
