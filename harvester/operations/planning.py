"""One account's plan: which jobs a run has, and which of them are still to be done."""

import datetime as dt
from functools import partial
from pathlib import Path

from harvester.engine.gate import Gate
from harvester.engine.tools import Tools
from harvester.errors import BusyError
from harvester.events import CampaignsUnlisted, HarvestStarted, PartitionsMissing, PrivacyChanged
from harvester.model import Command, Harvest, JobState, Order
from harvester.operations.estimating import calls_expected
from harvester.operations.listing import keep_unlisted, list_campaigns
from harvester.operations.selection import Selection
from harvester.operations.workshop import AccountBench, Store
from harvester.store.counters import CounterBook
from harvester.store.lock import exclusive
from harvester.store.manifest import mark_running, overdue, write_manifest
from harvester.store.privacy_notes import begin_reading
from harvester.store.snapshots import dates_at_stake

MANIFEST_WAIT_S = 60.0
"""How long to wait for another run that is planning or writing its manifest: seconds at most."""

AGAIN = (JobState.FAILED, JobState.PARTIAL)
REFRESHED = (*AGAIN, JobState.DONE, JobState.CARRIED, JobState.SKIPPED)
"""The end states that a run tries again by itself, and those that it does on demand."""


async def plan(bench: AccountBench, selection: Selection, harvest: Harvest, gate: Gate | None, output: Path) -> None:
    """See that the ledger holds this run's plan, and send back what is to be tried again.

    Raises:
        BusyError: all that is left to do is in the hands of another run that is at work.
    """
    store, tools = bench.store, bench.tools
    await tools.offload_disk(partial(store.ledger.release, harvest))
    unlisted: frozenset[str] = frozenset()
    if selection.keys is None:
        await list_campaigns(bench, selection, harvest, gate)
    if gate is not None and selection.keys is None and selection.command is Command.NIGHTLY and not tools.stop.is_asked:
        unlisted = await tools.offload_disk(partial(keep_unlisted, bench, selection, harvest, gate))
        if unlisted:
            tools.emit(CampaignsUnlisted(bench.name, len(unlisted)))
    if selection.command is Command.BACKFILL and bench.settings.backfill.order is Order.NEWEST:
        await tools.offload_disk(partial(store.ledger.rank_newest_first, harvest))
    await tools.offload_disk(partial(store.ledger.requeue, harvest, REFRESHED if selection.is_refresh else AGAIN))
    missing = await tools.offload_disk(partial(store.ledger.requeue_missing, harvest, store.parts.is_there))
    if missing:
        tools.emit(PartitionsMissing(bench.name, harvest.date.isoformat(), missing))
    if gate is not None and selection.is_refresh:
        await tools.offload_disk(partial(gate.read_all, harvest))
    elif gate is not None:
        await gate.sort_out(harvest, unlisted)
    await _begin(bench, selection, harvest, output)


async def _begin(bench: AccountBench, selection: Selection, harvest: Harvest, output: Path) -> None:
    """Let the manifest say that this run is at work on the date if there is something to do, and tell what that is."""
    store, tools = bench.store, bench.tools
    counts = await tools.offload_disk(partial(store.ledger.counts, harvest, is_plan_only=True))
    if counts[JobState.PENDING]:
        again = await tools.offload_disk(partial(begin_reading, store.database, harvest, bench.privacy.told()))
        if again:
            tools.emit(PrivacyChanged(bench.name, harvest.date.isoformat(), again))
        counters = CounterBook(store.database, store.ledger.run_id)
        await tools.offload_disk(partial(counters.renew, harvest, is_all=selection.is_refresh))
        await tools.offload_disk(partial(announce_work, store, tools, harvest, output))
    elif not sum(counts.values()):
        await _leave_to_others(bench, harvest)
    # What a nightly run finds unchanged at the gate would be counted in.
    is_known = selection.command is not Command.NIGHTLY
    calls = await tools.offload_disk(partial(calls_expected, bench, harvest)) if is_known else None
    tools.emit(
        HarvestStarted(
            bench.name,
            harvest.date.isoformat(),
            store.ledger.run_id,
            jobs=sum(counts.values()),
            jobs_open=counts[JobState.PENDING],
            calls_expected=calls,
        )
    )


async def _leave_to_others(bench: AccountBench, harvest: Harvest) -> None:
    """Raise BusyError if all that was asked for is in the hands of another run that is at work."""
    jobs = await bench.tools.offload_disk(partial(bench.store.ledger.jobs_of_others, harvest))
    if jobs:
        runs = ", ".join((await bench.tools.offload_disk(bench.others)).values())
        raise BusyError(
            f"{bench.name}: another run ({runs}) is at work on {jobs} open jobs of {harvest.date}.",
            "Nothing is left for this one; harvester status shows how far the other is.",
        )


def announce_work(store: Store, tools: Tools, harvest: Harvest, output: Path) -> None:
    """Say in the manifest that this run is at work on a date, and that it is complete no more; with the disk.

    So it is with dates that refer to files of this one that are about to be replaced, until the run has ended.
    """
    with exclusive(store.database.path.parent, MANIFEST_WAIT_S):
        mark_running(output, store.ledger, harvest, now_of(tools))
        for date in dates_at_stake(store.database, harvest):
            mark_running(output, store.ledger, store.ledger.open_harvest(harvest.account, date), now_of(tools))


def write_overdue(store: Store, tools: Tools, harvest: Harvest, output: Path) -> None:
    """Write the manifests of an account's other dates that a run left behind, killed or by what it did; with the disk.

    Nobody else would: each run has one date, and tonight's is not that of the run that was killed.
    """
    with exclusive(store.database.path.parent, MANIFEST_WAIT_S):
        for other in overdue(store.ledger, harvest.account):
            if other.id != harvest.id:
                write_manifest(output, store.ledger, other, now_of(tools))


def now_of(tools: Tools) -> str:
    """Return the present as manifests have it: ISO 8601, UTC, to the second."""
    return dt.datetime.fromtimestamp(tools.clock.wall_s(), dt.UTC).isoformat(timespec="seconds")
