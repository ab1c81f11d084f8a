"""`harvester run`: harvest what is due, and go on where an earlier run stopped."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from harvester.cli.account import harvest_accounts
from harvester.cli.ending import Ending, summarise
from harvester.cli.resuming import SIGNALS, resume_command
from harvester.cli.selection import Selection, keys_of, select
from harvester.cli.workshop import AccountBench, OnLockout, Store, open_store, open_tools, this_machine
from harvester.clock import SystemClock
from harvester.config import load
from harvester.engine.stop import Stop
from harvester.engine.tools import Tools
from harvester.errors import BusyError, DiskError
from harvester.events import DrainStarted, Emit
from harvester.model import Action
from harvester.report.live import choose
from harvester.report.quiet import quiet
from harvester.report.summary import RunSummary, sentences, to_json
from harvester.report.tally import Tally
from harvester.settings import Settings
from harvester.store.lock import exclusive
from harvester.zoho.api import Http

CONFIG = "config.toml"
PLAN_WAIT_S = 60.0
"""How long a run waits for another one that is planning: 100,000 campaigns take some ten seconds."""


@click.command(name="run")
@click.option(
    "--config", "config_path", type=click.Path(path_type=Path), default=CONFIG, show_default=True,
    help="The configuration file.",
)  # fmt: skip
@click.option("--account", "accounts", multiple=True, metavar="NAME", help="Only this account; may be repeated.")
@click.option("--campaign", "campaigns", multiple=True, metavar="KEY", help="Only this campaign; may be repeated.")
@click.option("--campaigns-file", metavar="FILE", help="Campaign keys, one a line; - for standard input.")
@click.option(
    "--action", "actions", multiple=True, type=click.Choice([action.value for action in Action]), metavar="ACTION",
    help="Only this action; may be repeated.",
)  # fmt: skip
@click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="The harvest date; default: today, UTC."
)
@click.option("--refresh", is_flag=True, help="Harvest again what is done for this date; old files are replaced.")
@click.option(
    "--on-lockout",
    type=click.Choice([choice.value for choice in OnLockout]),
    default=OnLockout.WAIT.value,
    show_default=True,
    help="Sit a lockout out, or exit with 75 and the time to come back.",
)
@click.option("--json", "is_json", is_flag=True, help="A summary in JSON on standard output.")
@click.option("-v", "--verbose", "is_verbose", is_flag=True, help="Log every page and every call, as JSON lines.")
def command(config_path: Path, *, is_json: bool, is_verbose: bool, on_lockout: str, **flags: Any) -> int:
    """Harvest every recipient of the selected campaigns into partitioned JSONL.

    Done jobs of the date are not asked again; the same command goes on wherever an earlier run stopped or was killed.
    On a terminal progress is drawn, elsewhere each event is a JSON line on standard error.
    """
    settings = load(config_path)
    keys = keys_of(settings, flags.pop("campaigns"), flags.pop("campaigns_file"))
    selection = select(settings, keys, **flags)
    manner = Manner(OnLockout(on_lockout), resume_command=resume_command(selection.date), is_verbose=is_verbose)
    summary = run(settings, selection, manner)
    quiet(sys.stderr).writelines(f"{line}\n" for line in sentences(summary))
    if is_json:
        quiet(sys.stdout).write(to_json(summary).decode())
    return summary.exit_code


@dataclass(frozen=True, slots=True)
class Manner:
    """How a run behaves: at a lockout, in its log, and what to type to go on."""

    on_lockout: OnLockout
    resume_command: str
    is_verbose: bool = False


def run(settings: Settings, selection: Selection, manner: Manner) -> RunSummary:
    """Harvest, show it, and return what came of it.

    Raises:
        ConfigError, BusyError, DiskError, VerificationError: before the first call.
    """
    clock = SystemClock()
    ending = Ending(began_s=clock.now_s())
    tally = Tally(settings.budget.calls - settings.budget.reserve_calls, settings.budget.period_s)
    with ExitStack() as stack:
        with exclusive(settings.state, PLAN_WAIT_S):
            store = stack.enter_context(open_store(settings, clock))
            plan_named(store, selection)
        store.ledger.begin_run(clock.wall_s())
        with choose(sys.stderr, tally, clock.now_s, clock.wall_s, is_verbose=manner.is_verbose) as emit:
            asyncio.run(_harvest(settings, selection, manner, store, emit, ending))
        calls = {account.account: account.counts.calls for account in tally.accounts}
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
                    benches = [
                        AccountBench(name, settings, store, tools, http, manner.on_lockout)
                        for name in selection.accounts
                    ]
                    ending.troubles = await harvest_accounts(benches, selection, settings.output)
    except asyncio.CancelledError:
        if ending.signal is None:
            raise


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
