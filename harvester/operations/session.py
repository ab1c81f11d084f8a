"""One run from start to end, whatever it is for: harvest, show it, and say what came of it."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from harvester.clock import SystemClock
from harvester.engine.stop import Stop
from harvester.engine.tools import Tools
from harvester.errors import BusyError, DiskError
from harvester.events import DrainStarted, Emit
from harvester.operations.account import harvest_accounts
from harvester.operations.destination import open_courier, published_state
from harvester.operations.ending import Ending, summarise
from harvester.operations.fingerprint import fingerprint
from harvester.operations.limits import NO_LIMITS, Limits, watching
from harvester.operations.protection import group_id_of
from harvester.operations.resuming import SIGNALS
from harvester.operations.selection import Selection
from harvester.operations.workshop import AccountBench, Approach, OnLockout, Store, open_store, open_tools, this_machine
from harvester.report.live import choose
from harvester.report.summary import RunSummary
from harvester.report.tally import Tally
from harvester.settings import Settings
from harvester.store.erasure import Erasures
from harvester.store.lock import exclusive
from harvester.store.purging import revive
from harvester.store.sharing import share
from harvester.zoho.api import Http

PLAN_WAIT_S = 60.0
"""How long a run waits for another one that is planning: 100,000 campaigns take some ten seconds."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a run behaves at a lockout and in its log, what to type to go on, and what ends it early."""

    resume_command: str
    on_lockout: OnLockout = OnLockout.WAIT
    is_verbose: bool = False
    limits: Limits = NO_LIMITS


def run(settings: Settings, selection: Selection, manner: Manner) -> RunSummary:
    """Harvest, show it, and return what came of it.

    Raises:
        ConfigError, BusyError, DiskError, VerificationError: before the first call.
    """
    clock = SystemClock()
    ending = Ending(began_s=clock.now_s())
    tally = Tally(settings.budget.calls - settings.budget.reserve_calls, settings.budget.period_s)
    if settings.publish.url is not None:
        open_courier(settings)  # what keeps us from publishing is told before the first call
    with ExitStack() as stack:
        with exclusive(settings.state, PLAN_WAIT_S):
            store = stack.enter_context(open_store(settings, clock))
            make_ready(settings, store, selection)
            plan_named(store, selection)
        store.ledger.begin_run(clock.wall_s(), selection.command, fingerprint(settings))
        with choose(sys.stderr, tally, clock.now_s, clock.wall_s, is_verbose=manner.is_verbose) as emit:
            asyncio.run(_harvest(settings, selection, manner, store, emit, ending))
        calls = {account.account: account.counts.calls for account in tally.accounts}
        if settings.publish.url is not None:
            ending.published = _published(settings, store, selection)
        summary = summarise(ending, selection, store.ledger, calls)
        try:
            store.ledger.end_run(clock.wall_s(), summary.outcome)
        except (BusyError, DiskError) as trouble:  # the harvest is safe: its summary must not be lost as well
            ending.troubles.append(trouble)
            summary = summarise(ending, selection, store.ledger, calls)
    is_finished = summary.exit_code == 0
    return replace(
        summary,
        seconds=clock.now_s() - ending.began_s,
        output=os.path.relpath(settings.output / "recipients"),
        resume_command=None if is_finished else manner.resume_command,
    )


def make_ready(settings: Settings, store: Store, selection: Selection) -> None:
    """Bring the files into the state that a run builds on; the caller holds the state folder.

    Raises:
        ConfigError: the files cannot be given to the group.
        VerificationError: a date is purged in part.
        DiskError: the disk refuses.
    """
    Erasures(store.database, settings.output).settle()
    share(settings.output, group_id_of(settings))
    for account in selection.accounts:
        revive(store.database, account, selection.date)


def _published(settings: Settings, store: Store, selection: Selection) -> dict[str, bool | None]:
    """Return for each account whether the object store has the date as it lies on disk."""
    harvests = [store.ledger.open_harvest(name, selection.date) for name in selection.accounts]
    return {harvest.account: published_state(settings, store.database, harvest) for harvest in harvests}


def plan_named(store: Store, selection: Selection) -> None:
    """Write named campaigns into the plan; all of the list is read and checked before the first call."""
    if selection.keys is None:
        return
    for account in selection.accounts:
        harvest = store.ledger.open_harvest(account, selection.date)
        store.ledger.plan(harvest, selection.campaigns(), selection.actions)


async def _harvest(
    settings: Settings, selection: Selection, manner: Manner, store: Store, emit: Emit, ending: Ending
) -> None:
    """Bring up what a run needs, harvest, and listen to signals meanwhile."""
    stop = Stop()
    try:
        with this_machine(store.database) as machine:
            async with Http() as http, open_tools(store, machine, stop, emit) as tools:
                with _signals(stop, tools, selection.accounts, ending):
                    async with watching(manner.limits, stop, tools, selection.accounts) as allowance:
                        approach = Approach(selection.command, manner.on_lockout, allowance)
                        benches = [
                            AccountBench(name, settings, store, tools, http, approach) for name in selection.accounts
                        ]
                        ending.troubles = await harvest_accounts(benches, selection, settings.output)
    except asyncio.CancelledError:
        if ending.signal is None:
            raise
    finally:
        ending.stop_reason = stop.reason


@contextmanager
def _signals(stop: Stop, tools: Tools, accounts: tuple[str, ...], ending: Ending) -> Iterator[None]:
    """First signal: no new call, calls under way are finished and stored. Second: at once; nothing stored is lost."""
    loop, main = asyncio.get_running_loop(), asyncio.current_task()

    def heard(number: signal.Signals) -> None:
        if ending.signal is not None and main is not None:
            main.cancel()
            return
        ending.signal = number
        stop.ask(number.name)
        for account in accounts:
            tools.emit(DrainStarted(account, f"{number.name}: finishing the calls under way; once more stops at once"))

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        loop.add_signal_handler(number, heard, number)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
