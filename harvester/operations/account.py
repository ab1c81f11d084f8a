"""One account's part of a run: its plan, its harvest, its manifest."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Iterator, Sequence
from functools import partial
from pathlib import Path

from harvester.engine.counting import Counting
from harvester.engine.gate import Gate
from harvester.engine.tools import Tools
from harvester.errors import BusyError, DiskError, HarvestError, StoppedError
from harvester.events import HarvestFinished
from harvester.model import Command, Harvest, JobState
from harvester.operations.changing import write_changes
from harvester.operations.destination import Work
from harvester.operations.ending import most_urgent
from harvester.operations.planning import MANIFEST_WAIT_S, announce_work, now_of, plan, write_overdue
from harvester.operations.proving import check_laws, judge, tell
from harvester.operations.selection import Selection
from harvester.operations.workshop import AccountBench, Store
from harvester.store.lock import exclusive
from harvester.store.manifest import overdue, write_manifest


async def harvest_accounts(benches: Sequence[AccountBench], selection: Selection, output: Path) -> list[HarvestError]:
    """Harvest accounts side by side: trouble of one never stops another, trouble of the disk stops all.

    Returns:
        What ended some of them early.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(harvest_account(bench, selection, output), name=bench.name) for bench in benches]
    return [trouble for task in tasks if (trouble := task.result()) is not None]


async def harvest_account(bench: AccountBench, selection: Selection, output: Path) -> HarvestError | None:
    """Plan and harvest one account, and write its manifest unless the disk refuses.

    Returns:
        What ended it early, if anything did; trouble of one account is no trouble of another.
    """
    trouble = await _trouble_of(_harvest(bench, selection, output))
    if trouble is None and bench.lockout is not None:
        until = bench.lockout.until
        trouble = StoppedError(f"{bench.name}: {bench.lockout.endpoint} is locked until {until}.", resume_at=until)
    troubles = [trouble]
    if not isinstance(trouble, DiskError | BusyError):
        await bench.tools.writer.carried_out()
        closing = partial(_close, bench.store, bench.tools, bench.name, selection.date, output)
        troubles.append(await _trouble_of(bench.tools.offload_disk(closing)))
    if bench.settings.publish.url is not None and not any(isinstance(each, DiskError | BusyError) for each in troubles):
        troubles.append(await _trouble_of(_publish(bench, selection.date)))
    worst = most_urgent([each for each in troubles if each is not None])
    if isinstance(worst, DiskError):
        bench.run_stop.ask("the disk refuses")
    return worst


async def _harvest(bench: AccountBench, selection: Selection, output: Path) -> None:
    store, tools = bench.store, bench.tools
    harvest = await tools.offload_disk(partial(store.ledger.open_harvest, bench.name, selection.date))
    is_counted = bench.settings.harvest.counters and (selection.keys is None or selection.command is not Command.RUN)
    counting = bench.counting(harvest) if is_counted else None
    gate = bench.gate(counting)
    await tools.offload_disk(partial(write_overdue, store, tools, harvest, output))
    await plan(bench, selection, harvest, gate, output)
    await _work_through(bench, harvest, counting, gate)
    withdrawal = partial(announce_work, store, tools, harvest, output)
    if counting is not None and await judge(bench, harvest, withdrawal):
        await _work_through(bench, harvest, bench.counting(harvest), gate)
        await judge(bench, harvest, withdrawal)
    await tell(bench, harvest)
    await check_laws(bench, harvest, output)
    if bench.settings.changes.enabled:
        await write_changes(bench, harvest, output)


async def _work_through(bench: AccountBench, harvest: Harvest, counting: Counting | None, gate: Gate | None) -> None:
    """Carry out the pending jobs, and ask how many rows there should be: beside them, or before each campaign's."""
    offset_ms = await bench.tools.offload_disk(partial(bench.store.servers.sent_time_offset_ms, bench.name))
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.harvest(harvest, offset_ms).run(gate), name=f"{bench.name}-harvest")
        if counting is not None and (gate is None or bench.is_ranking):
            group.create_task(counting.run(), name=f"{bench.name}-counting")
    if counting is not None:
        await counting.tell()


async def _publish(bench: AccountBench, date: dt.date) -> None:
    """Bring the date to the object store, unless the run is asked to end."""
    from harvester.operations.publishing import publish_harvest

    tools = bench.tools
    harvest = await tools.offload_disk(partial(bench.store.ledger.open_harvest, bench.name, date))
    work = Work(bench.store.database, tools.offload_disk, tools.offload, tools.emit, bench.run_stop)
    await publish_harvest(bench.settings, harvest, work)


async def _trouble_of(work: Awaitable[None]) -> HarvestError | None:
    """Await the work and return what a person should hear of it; a bug of ours is raised."""
    try:
        await work
    except HarvestError as error:
        return error
    except BaseExceptionGroup as group:
        trouble = first_trouble(group)
        if trouble is None:
            raise
        return trouble
    return None


def first_trouble(group: BaseExceptionGroup[BaseException]) -> HarvestError | None:
    """Return what a person should hear of first, the most urgent; None if anything in the group is a bug of ours."""
    troubles, others = group.split(HarvestError)
    if others is not None or troubles is None:
        return None
    return most_urgent(list(_leaves(troubles)))


def _leaves(group: BaseExceptionGroup[HarvestError]) -> Iterator[HarvestError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _close(store: Store, tools: Tools, account: str, date: dt.date, output: Path) -> None:
    """Let unfinished jobs go, write the manifest, and tell how it ended."""
    ledger = store.ledger
    harvest = ledger.open_harvest(account, date)
    ledger.release(harvest)
    with exclusive(store.database.path.parent, MANIFEST_WAIT_S):
        write_manifest(output, ledger, harvest, now_of(tools))
        for other in overdue(ledger, account):
            write_manifest(output, ledger, other, now_of(tools))
        if not ledger.open_jobs(harvest):
            store.parts.sweep(harvest.account, harvest.date)
    counts = ledger.counts(harvest, is_plan_only=True)
    rows, _, calls = ledger.totals(harvest)
    tools.emit(
        HarvestFinished(
            harvest.account,
            harvest.date.isoformat(),
            done=counts[JobState.DONE],
            failed=counts[JobState.FAILED],
            skipped=counts[JobState.SKIPPED],
            open=counts[JobState.PENDING],
            rows=rows,
            calls=calls,
            partial=counts[JobState.PARTIAL],
            carried=counts[JobState.CARRIED],
        )
    )
