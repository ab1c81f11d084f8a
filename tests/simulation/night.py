"""One night: processes of the real harvester, one after another, until the harvest is complete.

The wiring is that of `harvester run`; only what touches the machine is simulated: clocks, threads, network, death.
"""

import asyncio
import datetime as dt
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from simulation.clock import SimClock
from simulation.process import Life, MortalDatabase, MortalPartitions, Thread
from simulation.scenario import Death, Scenario
from simulation.virtual_loop import VirtualLoop
from simulation.wire import Wire

from harvester.engine.stop import Stop
from harvester.events import Event
from harvester.model import Command
from harvester.operations.account import harvest_accounts
from harvester.operations.ending import Ending, summarise
from harvester.operations.selection import Selection
from harvester.operations.session import plan_named
from harvester.operations.workshop import LEDGER_FILE, AccountBench, Approach, Machine, open_tools, store_of
from harvester.settings import Settings
from harvester.store.lock import exclusive
from harvester.store.partitions import Compression

DATE = dt.date(2026, 3, 1)
YESTERDAY = DATE - dt.timedelta(days=1)
WALL_START_S = 1_772_323_200.0
"""The wall clock at the beginning: midnight of that date, UTC."""

RUNS_MAX = 100
NIGHT_S_MAX = 115_200.0
"""Thirty-two hours, for the largest world on the smallest limit; who is not done by then never will be."""

RETRY_PAUSE_S = 600.0
"""The operator's timer: a run that ended early is started again so much later."""

STABLE_EXITS = frozenset({0, 3, 4})
"""Exit codes with which nothing more is to be gained once all trouble is over."""

RAM_FOLDER = Path("/dev/shm")  # noqa: S108  a mount point: the ledger's syncs cost nothing there
RENEWAL = "token-renewal"
"""The one task that may outlive a run that ended early: no waiter owns it, and `asyncio.run` ends it with the loop."""

SECRETS = ("hush-client-secret", "hush-refresh-token")


@dataclass(slots=True)
class Night:
    """What a night was, for the invariants.

    Attributes:
        scenario: what it was made of.
        folder: where its output and state lie.
        settings: of all its runs.
        wire: the network, with the server and its referees.
        clock: the time.
        date: the harvest date.
        command: what its runs are for.
        exit_codes: of the runs, None where one was killed.
        events: of all runs, each with its moment in true seconds.
        leaked_tasks: names of tasks that outlived their run.
        loop_errors: what nobody caught.
        started_at_s: when each run was started, in true seconds.
        ended_at_s: when the last one ended.
        is_over: whether there was nothing left to do by then.
        calls_of_a_repeat: what one more run costs after all is done.
    """

    scenario: Scenario
    folder: Path
    settings: Settings
    wire: Wire
    clock: SimClock
    date: dt.date = DATE
    command: Command = Command.RUN
    exit_codes: list[int | None] = field(default_factory=list)
    events: list[tuple[float, Event]] = field(default_factory=list)
    leaked_tasks: list[str] = field(default_factory=list)
    loop_errors: list[str] = field(default_factory=list)
    started_at_s: list[float] = field(default_factory=list)
    ended_at_s: float = 0.0
    is_over: bool = False
    calls_of_a_repeat: int = 0

    @property
    def kills(self) -> int:
        """How many of its processes were killed."""
        return self.exit_codes.count(None)

    @property
    def digest(self) -> str:
        """Stands for everything that happened, in its order."""
        told = [f"{at_s:.6f} {event!r}" for at_s, event in self.events]
        return hashlib.sha256("\n".join([*told, *self.wire.journal, repr(self.exit_codes)]).encode()).hexdigest()[:16]


Look = Callable[[Night], None]
"""Called after every run, with nobody running; raises what is wrong."""


@contextmanager
def played(scenario: Scenario, after_run: Look = lambda _: None) -> Iterator[Night]:
    """Play a night to its end and yield what it was; its files are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="night-", dir=RAM_FOLDER if RAM_FOLDER.is_dir() else None))
    try:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            night = runner.run(_play(scenario, folder, after_run))
        yield night
    finally:
        shutil.rmtree(folder)


async def _play(scenario: Scenario, folder: Path, after_run: Look) -> Night:
    loop = asyncio.get_running_loop()
    clock = SimClock(loop, WALL_START_S)
    night = Night(
        scenario, folder, settings_of(scenario, folder), Wire(scenario.server, clock, scenario.outages), clock
    )
    loop.set_exception_handler(lambda _, context: night.loop_errors.append(str(context.get("message"))))
    disturbances = [asyncio.create_task(each, name="disturbance") for each in _disturbances(night)]
    if scenario.has_yesterday:
        await _yesterday(night, after_run)
    with suppress(TimeoutError):
        async with asyncio.timeout(NIGHT_S_MAX):
            while not await _is_over(night):
                await play_process(night, _fate(night), after_run)
            night.is_over = True
    night.ended_at_s = clock.true_s()
    night.wire.life.end()
    if night.is_over and night.exit_codes[-1] == 0:
        await night.wire.settle_down()
        calls = len(night.wire.journal)
        await play_process(night, Death(), after_run)
        night.calls_of_a_repeat = len(night.wire.journal) - calls
    for task in disturbances:
        task.cancel()
    await night.wire.settle_down()
    return night


async def _yesterday(night: Night, after_run: Look) -> None:
    """Harvest the day before in one run, as far as it comes; what it costs is no part of the night."""
    night.date = YESTERDAY
    await play_process(night, Death(), after_run)
    await night.wire.settle_down()
    night.wire.begin_anew()
    for account in night.settings.accounts.values():
        night.wire.zoho.world(account.client_id).watch()
    for record in (night.exit_codes, night.started_at_s, night.events):
        record.clear()
    night.date = DATE


async def _is_over(night: Night) -> bool:
    """Wait until the next process is to start; True if none is needed any more."""
    if not night.exit_codes:
        return False
    last, runs = night.exit_codes[-1], len(night.exit_codes)
    if last == 0 or runs >= RUNS_MAX:
        return True
    if last is None:
        return False
    is_stable = last in STABLE_EXITS and night.started_at_s[-1] >= night.scenario.trouble_ends_s
    if not is_stable:
        await asyncio.sleep(RETRY_PAUSE_S)
    return is_stable


def _fate(night: Night) -> Death:
    """Return how the next process dies; a death that never comes for one that lives on."""
    number, deaths = len(night.exit_codes), night.scenario.deaths
    return deaths[number] if number < len(deaths) else Death()


async def play_process(night: Night, death: Death, after_run: Look) -> None:
    """Start a process, kill it if that is its fate, and see what it leaves."""
    number = len(night.exit_codes)
    life = night.wire.life = Life(death.step)
    night.started_at_s.append(night.clock.true_s())
    before = asyncio.all_tasks()
    run = asyncio.create_task(run_process(night, life, number), name="process")
    timer = asyncio.get_running_loop().call_later(min(death.after_s, NIGHT_S_MAX), _kill, run, life)
    exit_code = await _exit_code(run, life)
    timer.cancel()
    await _bury(night, before, life)
    night.exit_codes.append(exit_code)
    after_run(night)
    if exit_code is None:
        await asyncio.sleep(death.pause_s)
        if death.is_reboot:
            night.clock.reboot()
            night.clock.set_wall(death.wall_jump_s)


def _kill(run: asyncio.Task[int], life: Life) -> None:
    life.end()
    run.cancel()


async def _exit_code(run: asyncio.Task[int], life: Life) -> int | None:
    await asyncio.wait([run])
    if life.is_over:
        if not run.cancelled():
            run.exception()
        return None
    return run.result()


async def _bury(night: Night, before: set[asyncio.Task[object]], life: Life) -> None:
    """End what a dead process left running; of one that ended by itself nothing may be left."""
    left = asyncio.all_tasks() - before - night.wire.journeys
    if not life.is_over:
        night.leaked_tasks += sorted({task.get_name() for task in left} - {RENEWAL})
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left)
    life.end()


async def run_process(night: Night, life: Life, number: int) -> int:
    """Do what `harvester run` does, on the simulated machine, and return its exit code."""
    settings, clock = night.settings, night.clock
    rng, loop = Random(f"{night.scenario.seed}/{number}"), asyncio.get_running_loop()  # noqa: S311  a night, no secret
    slowest_s = night.scenario.slowest_disk_s
    threads = [Thread(loop, life, rng, slowest_s) for _ in range(2)]
    machine = Machine(clock, threads[0], threads[1], rng)
    accounts, actions = night.scenario.accounts, settings.harvest.actions
    selection = Selection(accounts, actions, night.date, None, is_refresh=False, command=night.command)
    ending = Ending(began_s=clock.now_s())

    def emit(event: Event) -> None:
        if not life.is_over:
            night.events.append((clock.true_s(), event))

    with ExitStack() as stack:
        for thread in threads:
            stack.callback(thread.close)
        with exclusive(settings.state):
            database = MortalDatabase(settings.state / LEDGER_FILE, life)
            parts = MortalPartitions(settings.output, Compression(settings.harvest.compression), life)
            store = stack.enter_context(store_of(database, parts, clock, f"run-{night.date}-{number}"))
            plan_named(store, selection)
        store.ledger.begin_run(clock.wall_s(), night.command)
        async with open_tools(store, machine, Stop(), emit) as tools:
            approach = Approach(night.command)
            benches = [AccountBench(name, settings, store, tools, night.wire, approach) for name in accounts]
            ending.troubles = await harvest_accounts(benches, selection, settings.output)
        summary = summarise(ending, selection, store.ledger, {})
        store.ledger.end_run(clock.wall_s(), summary.outcome)
    return summary.exit_code


def settings_of(scenario: Scenario, folder: Path) -> Settings:
    """Return the settings of a scenario's runs; `folder` is to hold output and state."""
    secret, refresh_token = SECRETS
    accounts = {
        name: {
            "client_id": f"client-of-{name}",
            "client_secret": secret,
            "refresh_token": scenario.refresh_tokens.get(name, refresh_token),
            "base_url": f"http://127.0.0.1:{port}",
            "accounts_url": f"http://127.0.0.1:{port}",
        }
        for port, name in enumerate(scenario.accounts, start=8001)
    }
    places = {"output": folder / "output", "state": folder / "state"}
    sections = {"accounts": accounts, "budget": scenario.budget, "harvest": scenario.harvest, **scenario.sections}
    return Settings.model_validate(places | sections)


def _disturbances(night: Night) -> Iterator[Coroutine[None, None, None]]:
    """Yield what befalls the machine and the server, each at its moment."""
    scenario, clock, wire = night.scenario, night.clock, night.wire
    foreign_calls = scenario.server.quota.calls + 1

    async def foreign(at_s: float) -> None:
        await asyncio.sleep(at_s)
        wire.call_as_a_stranger(foreign_calls)

    async def wall_step(at_s: float, by_s: float) -> None:
        await asyncio.sleep(at_s)
        clock.set_wall(by_s)

    async def suspend(at_s: float, length_s: float) -> None:
        await asyncio.sleep(at_s)
        await wire.settle_down(lambda: clock.suspend(length_s))

    yield from (foreign(at_s) for at_s in scenario.foreign_at_s)
    yield from (wall_step(at_s, by_s) for at_s, by_s in scenario.wall_steps)
    yield from (suspend(at_s, length_s) for at_s, length_s in scenario.suspends)
