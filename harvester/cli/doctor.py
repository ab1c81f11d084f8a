"""`harvester doctor`: what would stop a harvest, and what to do about it; first what needs no call."""

import asyncio
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import click

from harvester.cli.flags import ACCOUNT_FLAG, CONFIG_FLAG
from harvester.clock import SystemClock
from harvester.config import load
from harvester.engine.diagnosis import AccountSeen, FolderSeen, findings, of_folder, of_runs, of_trouble
from harvester.engine.probing import Withheld
from harvester.engine.stop import Stop
from harvester.errors import DiskError, HarvestError
from harvester.events import Event
from harvester.findings import Finding, Verdict
from harvester.operations.account import first_trouble
from harvester.operations.examination import Examination, Wire
from harvester.operations.selection import select
from harvester.operations.session import PLAN_WAIT_S
from harvester.operations.workshop import (
    AccountBench,
    Store,
    credentials_of,
    open_store,
    open_tools,
    this_machine,
    token_settings_of,
)
from harvester.report.diagnosis import Diagnosis, last_line, to_json, write
from harvester.report.quiet import quiet
from harvester.settings import Settings
from harvester.store.disk import disk_errors
from harvester.store.lock import exclusive, runs_at_work
from harvester.zoho.api import Http
from harvester.zoho.auth import cache_of

STARTS_S_MAX = 60.0
"""Calls start within so many seconds or not at all: other runs may take every slot, and a person waits."""


@click.command(name="doctor")
@CONFIG_FLAG
@ACCOUNT_FLAG
@click.option("--json", "is_json", is_flag=True, help="JSON on standard output.")
def command(config_path: Path, accounts: tuple[str, ...], *, is_json: bool) -> int:
    """Examine folders, credentials, hosts and limits, with at most five calls for each account.

    The calls count on the budget like those of a harvest; none is made to an endpoint that is locked.
    """
    settings = load(config_path)
    diagnosis = diagnose(settings, select(settings, None, accounts=accounts).accounts)
    if is_json:
        quiet(sys.stdout).write(to_json(diagnosis).decode())
    else:
        write(sys.stdout, diagnosis)
    quiet(sys.stderr).write(f"{last_line(diagnosis)}\n")
    return diagnosis.exit_code


def diagnose(settings: Settings, names: Sequence[str]) -> Diagnosis:
    """Examine the machine, and then those of the accounts to which calls can be made."""
    found = [*_machine(settings), *(_token_cache(settings, name) for name in names)]
    refused = {finding.account for finding in found if finding.trouble is not None}
    seen = dict.fromkeys(names, AccountSeen(token=Withheld()))
    wires: Mapping[str, Wire] = {}
    try:
        if None not in refused:  # a problem of the machine is one of every account
            with _opened(settings) as store:
                wires, examined = asyncio.run(
                    _examined(settings, store, [name for name in names if name not in refused])
                )
                seen |= examined
    except HarvestError as error:
        found.append(of_trouble("ledger", error))
    except BaseExceptionGroup as group:
        trouble = first_trouble(group)
        if trouble is None:
            raise
        found.append(of_trouble("ledger", trouble))
    found += [replace(finding, account=name) for name in names for finding in findings(seen[name])]
    return Diagnosis(found, {name: wires[name].calls if name in wires else 0 for name in names})


def _machine(settings: Settings) -> Iterator[Finding]:
    yield from of_folder(_folder("output", settings.output))
    yield from of_folder(_folder("state", settings.state))
    try:
        yield of_runs(runs_at_work(settings.state))
    except HarvestError as error:
        yield of_trouble("other runs", error)


def _folder(name: str, path: Path) -> FolderSeen:
    """Look at a folder, or at the nearest one above that is there; a file without a name shows if it can be written."""
    mode, free_bytes = None, 0
    try:
        with disk_errors(path):
            there = next(folder for folder in (path, *path.parents) if folder.exists())
            free_bytes = shutil.disk_usage(there).free
            mode = stat.S_IMODE(path.stat().st_mode) if there == path else None
            with tempfile.TemporaryFile(dir=there) as probe:
                probe.write(b"\0")
                probe.flush()
                os.fsync(probe.fileno())
    except DiskError as trouble:
        return FolderSeen(name, os.path.relpath(path), trouble, mode, free_bytes)
    return FolderSeen(name, os.path.relpath(path), None, mode, free_bytes)


def _token_cache(settings: Settings, name: str) -> Finding:
    credentials = credentials_of(settings.accounts[name])
    try:
        entry = cache_of(credentials, token_settings_of(name, settings)).read()
    except HarvestError as error:
        return replace(of_trouble("token cache", error), account=name)
    what = "holds an access token of these credentials" if entry.access_token else "holds no access token"
    return Finding("token cache", Verdict.OK, what, account=name)


@contextmanager
def _opened(settings: Settings) -> Iterator[Store]:
    """Open the ledger, without which no lease could be written down."""
    with ExitStack() as stack:
        with exclusive(settings.state, PLAN_WAIT_S):
            store = stack.enter_context(open_store(settings, SystemClock()))
        yield store


async def _examined(
    settings: Settings, store: Store, names: Sequence[str]
) -> tuple[dict[str, Wire], dict[str, AccountSeen]]:
    """Examine the accounts side by side: trouble of one never stops another."""
    stop = Stop()
    with this_machine(store.database) as machine:
        async with Http() as http, open_tools(store, machine, stop, _unheard) as tools:
            asyncio.get_running_loop().call_later(STARTS_S_MAX, stop.ask, "the examination takes too long")
            wires = {name: Wire(http) for name in names}
            benches = [AccountBench(name, settings, store, tools, wires[name]) for name in names]
            async with asyncio.TaskGroup() as group:
                tasks = {
                    bench.name: group.create_task(Examination(bench, wires[bench.name]).run(), name=bench.name)
                    for bench in benches
                }
    return wires, {name: task.result() for name, task in tasks.items()}


def _unheard(_: Event) -> None:
    """Take an event; the findings tell what came of it."""
