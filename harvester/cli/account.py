"""One account's part of a run: its plan, its harvest, its manifest."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Iterator, Sequence
from functools import partial
from pathlib import Path

from harvester.cli.ending import most_urgent
from harvester.cli.proving import check_laws, judge, tell
from harvester.cli.selection import Selection
from harvester.cli.workshop import CAMPAIGNS, AccountBench, Store
from harvester.engine.discovery import sent_campaigns
from harvester.engine.tools import Tools
from harvester.errors import BusyError, DiskError, HarvestError, StoppedError
from harvester.events import CampaignsDiscovered, HarvestFinished, HarvestStarted, PartitionsMissing
from harvester.model import Campaign, Discovery, Harvest, JobState
from harvester.store.counters import CounterBook
from harvester.store.lock import exclusive
from harvester.store.manifest import withdraw, write_manifest

MANIFEST_WAIT_S = 60.0
"""How long to wait for another run that is planning or writing its manifest: seconds at most."""


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
    worst = most_urgent([each for each in troubles if each is not None])
    if isinstance(worst, DiskError):
        bench.run_stop.ask("the disk refuses")
    return worst


async def _harvest(bench: AccountBench, selection: Selection, output: Path) -> None:
    store, tools = bench.store, bench.tools
    harvest = await tools.offload_disk(partial(store.ledger.open_harvest, bench.name, selection.date))
    is_counted = selection.keys is None and bench.settings.harvest.counters
    await _plan(bench, selection, harvest, output)
    await _work_through(bench, harvest, is_counted=is_counted)
    withdrawal = partial(_withdraw, store, tools, harvest, output)
    if is_counted and await judge(bench, harvest, withdrawal):
        await _work_through(bench, harvest, is_counted=is_counted)
        await judge(bench, harvest, withdrawal)
    await tell(bench, harvest)
    await check_laws(bench, harvest, output)


async def _work_through(bench: AccountBench, harvest: Harvest, *, is_counted: bool) -> None:
    """Carry out the pending jobs, and beside them ask how many rows there should be."""
    offset_ms = await bench.tools.offload_disk(partial(bench.store.servers.sent_time_offset_ms, bench.name))
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.harvest(harvest, offset_ms).run(), name=f"{bench.name}-harvest")
        if is_counted:
            group.create_task(bench.counting(harvest).run(), name=f"{bench.name}-counting")


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


async def _plan(bench: AccountBench, selection: Selection, harvest: Harvest, output: Path) -> None:
    """See that the ledger holds this run's plan, and send back what is to be tried again."""
    store, tools = bench.store, bench.tools
    again = [JobState.FAILED, JobState.PARTIAL]
    if selection.is_refresh:
        again += [JobState.DONE, JobState.SKIPPED]
    await tools.offload_disk(partial(store.ledger.release, harvest))
    if selection.keys is None:
        await _discover(bench, selection, harvest)
    await tools.offload_disk(partial(store.ledger.requeue, harvest, again))
    missing = await tools.offload_disk(partial(store.ledger.requeue_missing, harvest, store.parts.is_there))
    if missing:
        tools.emit(PartitionsMissing(bench.name, harvest.date.isoformat(), missing))
    counts = await tools.offload_disk(partial(store.ledger.counts, harvest, is_plan_only=True))
    if counts[JobState.PENDING]:
        counters = CounterBook(store.database, store.ledger.run_id)
        await tools.offload_disk(partial(counters.renew, harvest, is_all=selection.is_refresh))
        await tools.offload_disk(partial(_withdraw, store, tools, harvest, output))
    else:
        await _leave_to_others(bench, harvest)
    tools.emit(
        HarvestStarted(
            bench.name,
            harvest.date.isoformat(),
            store.ledger.run_id,
            jobs=sum(counts.values()),
            jobs_open=counts[JobState.PENDING],
        )
    )


async def _leave_to_others(bench: AccountBench, harvest: Harvest) -> None:
    """Raise BusyError if the open jobs are in the hands of another run that is at work."""
    jobs = await bench.tools.offload_disk(partial(bench.store.ledger.jobs_of_others, harvest))
    if jobs:
        runs = ", ".join((await bench.tools.offload_disk(bench.others)).values())
        raise BusyError(
            f"{bench.name}: another run ({runs}) is at work on {jobs} open jobs of {harvest.date}.",
            "Nothing is left for this one; harvester status shows how far the other is.",
        )


async def _discover(bench: AccountBench, selection: Selection, harvest: Harvest) -> None:
    """Read the account's listing into the plan; once for a date, so that going on costs no call."""
    ledger, tools = bench.store.ledger, bench.tools
    if harvest.discovery is Discovery.WHOLE and not selection.is_refresh:
        await tools.offload_disk(partial(ledger.plan_again, harvest, selection.actions))
        return
    await tools.offload_disk(partial(ledger.note_discovery, harvest, Discovery.PARTIAL))
    found = 0
    async for page in sent_campaigns(bench.name, bench.caller(CAMPAIGNS), bench.client, bench.backoff, tools):
        campaigns = [Campaign(campaign.key) for campaign in page.campaigns]
        await tools.offload_disk(partial(ledger.plan, harvest, campaigns, selection.actions))
        offsets = {campaign.sent_time_offset_ms for campaign in page.campaigns} - {None}
        for offset_ms in sorted(offset for offset in offsets if offset is not None):
            await tools.offload_disk(partial(bench.store.servers.learn_sent_time_offset, bench.name, offset_ms))
        found += len(campaigns)
        tools.emit(CampaignsDiscovered(bench.name, found))
    if not tools.stop.is_asked:
        await tools.offload_disk(partial(ledger.note_discovery, harvest, Discovery.WHOLE))


def _withdraw(store: Store, tools: Tools, harvest: Harvest, output: Path) -> None:
    with exclusive(store.database.path.parent, MANIFEST_WAIT_S):
        withdraw(output, store.ledger, harvest, _now(tools))


def _now(tools: Tools) -> str:
    return dt.datetime.fromtimestamp(tools.clock.wall_s(), dt.UTC).isoformat(timespec="seconds")


def _close(store: Store, tools: Tools, account: str, date: dt.date, output: Path) -> None:
    """Let unfinished jobs go, write the manifest, and tell how it ended."""
    ledger = store.ledger
    harvest = ledger.open_harvest(account, date)
    ledger.release(harvest)
    with exclusive(store.database.path.parent, MANIFEST_WAIT_S):
        write_manifest(output, ledger, harvest, _now(tools))
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
        )
    )
