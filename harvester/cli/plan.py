"""`harvester plan`: what a run would cost, before its first call to the recipients endpoint."""

import asyncio
import datetime as dt
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from harvester.cli import flags
from harvester.clock import SystemClock
from harvester.config import load
from harvester.engine.stop import Stop
from harvester.errors import ConfigError, HarvestError, StoppedError
from harvester.events import Emit, Event
from harvester.model import Command
from harvester.operations.account import first_trouble
from harvester.operations.ending import most_urgent
from harvester.operations.estimating import estimate
from harvester.operations.limits import Deadline, deadline_of
from harvester.operations.selection import Selection, keys_of, select
from harvester.operations.session import PLAN_WAIT_S
from harvester.operations.unfinished import unfinished_date
from harvester.operations.workshop import AccountBench, Approach, OnLockout, Store, open_store, open_tools, this_machine
from harvester.report.log import JsonLog
from harvester.report.plan import AccountPlan, RunPlan, sentence, to_json, write
from harvester.report.quiet import quiet
from harvester.settings import Settings
from harvester.store.lock import exclusive
from harvester.zoho.api import Http

FOREIGN_FLAGS: Mapping[Command, Sequence[str]] = {
    Command.NIGHTLY: ("campaigns", "campaigns_file", "since", "until", "refresh"),
    Command.RUN: ("since", "until"),
    Command.BACKFILL: (),
}
"""Flags of other commands: what cannot be run so is not planned so."""


@click.command(name="plan")
@click.argument("command", type=click.Choice([each.value for each in Command]), default=Command.NIGHTLY.value)
@flags.flags(
    flags.CONFIG_FLAG,
    flags.ACCOUNT_FLAG,
    click.option("--since", type=flags.DATE, metavar="DATE", help="Only campaigns sent on this day, UTC, or later."),
    click.option("--until", type=flags.DATE, metavar="DATE", help="Only campaigns sent on this day, UTC, or before."),
    flags.CAMPAIGN_FLAG,
    flags.CAMPAIGNS_FILE_FLAG,
    flags.ACTION_FLAG,
    flags.NAME_FLAG,
    flags.TYPE_FLAG,
    flags.AS_OF_FLAG,
    click.option("--refresh", is_flag=True, help="As if what is done were harvested again."),
    click.option(
        "--deadline", metavar="WHEN", help='Whether it ends before this: "2h30m", "06:00" (UTC), or a date and time.'
    ),
    click.option("--json", "is_json", is_flag=True, help="JSON on standard output."),
)
def command(config_path: Path, *, command: str, deadline: str | None, is_json: bool, **chosen: Any) -> int:
    """Say what a run would harvest, how many calls that takes, and when it would end.

    COMMAND is nightly (the default), backfill or run. The listing, the details of A/B campaigns and the counters are
    asked for, each on a budget of its own; the recipients endpoint is not called, and no job is changed.
    """
    settings = load(config_path)
    selection = _selection(settings, Command(command), chosen)
    moment = None if deadline is None else deadline_of(deadline, SystemClock())
    return plan_and_show(settings, selection, Showing(is_json=is_json, deadline=moment))


def _selection(settings: Settings, command: Command, chosen: dict[str, Any]) -> Selection:
    """Return what the command would harvest with these flags.

    Raises:
        ConfigError: the command has no such flag, or has no use for its value.
    """
    for name in FOREIGN_FLAGS[command]:
        if chosen[name]:
            flag = name.replace("_", "-") if name != "campaigns" else "campaign"
            raise ConfigError(f"harvester {command} has no --{flag}.", "Leave it out, or plan another command.")
    keys = keys_of(settings, chosen.pop("campaigns"), chosen.pop("campaigns_file"))
    selection = select(settings, keys, command=command, **chosen)
    is_dated = command is not Command.BACKFILL or chosen["as_of"] is not None
    date = None if is_dated else unfinished_date(settings, selection)
    return selection if date is None else selection.on(date)


@dataclass(frozen=True, slots=True)
class Showing:
    """How a plan is shown, and what it is held against.

    Attributes:
        is_json: JSON instead of tables.
        deadline: when no call may start any more; None without one.
    """

    is_json: bool = False
    deadline: Deadline | None = None


def plan_and_show(settings: Settings, selection: Selection, showing: Showing) -> int:
    """Write what a run would cost to standard output, and a sentence of it to standard error.

    Returns:
        The exit code: 0, or 75 if the run would not end before the deadline; where an account could not be planned,
        the code of what kept it, and the plan is that of the others.

    Raises:
        HarvestError: no account could be planned.
    """
    outcomes = _outcomes(settings, selection, showing.deadline)
    accounts = tuple(outcome for outcome in outcomes if isinstance(outcome, AccountPlan))
    troubles = [outcome for outcome in outcomes if isinstance(outcome, HarvestError)]
    worst = most_urgent(troubles)
    if worst is not None and not accounts:
        raise worst
    deadline = None if showing.deadline is None else _iso(showing.deadline.wall_s)
    plan = RunPlan(selection.command, selection.date.isoformat(), accounts, deadline)
    if showing.is_json:
        quiet(sys.stdout).write(to_json(plan).decode())
    else:
        write(sys.stdout, plan)
    quiet(sys.stderr).writelines(f"{line}\n" for line in (*map(str, troubles), sentence(plan)))
    if worst is not None:
        return worst.exit_code
    return StoppedError.exit_code if plan.is_in_time is False else 0


def _outcomes(
    settings: Settings, selection: Selection, deadline: Deadline | None
) -> Sequence[AccountPlan | HarvestError]:
    """Return the plan of each account, or what kept it from being made."""
    clock = SystemClock()
    with ExitStack() as stack:
        with exclusive(settings.state, PLAN_WAIT_S):
            store = stack.enter_context(open_store(settings, clock))
        emit = stack.enter_context(_notices(clock))
        return asyncio.run(_side_by_side(settings, selection, store, emit, deadline))


async def _side_by_side(
    settings: Settings, selection: Selection, store: Store, emit: Emit, deadline: Deadline | None
) -> Sequence[AccountPlan | HarvestError]:
    approach = Approach(selection.command, OnLockout.EXIT)
    with this_machine(store.database) as machine:
        async with Http() as http, open_tools(store, machine, Stop(), emit) as tools, asyncio.TaskGroup() as group:
            benches = [AccountBench(name, settings, store, tools, http, approach) for name in selection.accounts]
            tasks = [group.create_task(_outcome(bench, selection, deadline), name=bench.name) for bench in benches]
            await asyncio.wait(tasks)
    return [task.result() for task in tasks]


async def _outcome(bench: AccountBench, selection: Selection, deadline: Deadline | None) -> AccountPlan | HarvestError:
    """Return the plan of an account, or what kept it from being made; a bug of ours is raised."""
    try:
        return await estimate(bench, selection, deadline)
    except HarvestError as error:
        return error
    except BaseExceptionGroup as group:
        trouble = first_trouble(group)
        if trouble is None:
            raise
        return trouble


@contextmanager
def _notices(clock: SystemClock) -> Iterator[Emit]:
    """Give what takes the events: a log, or on a terminal a sign of life, since what matters stands in the plan."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with Console(file=quiet(sys.stderr)).status("looking the campaigns over"):
            yield _unheard
    else:
        yield JsonLog(sys.stderr, clock.wall_s)


def _unheard(_: Event) -> None:
    """Take an event that nobody needs to hear of."""


def _iso(wall_s: float) -> str:
    return dt.datetime.fromtimestamp(wall_s, dt.UTC).isoformat(timespec="seconds")
