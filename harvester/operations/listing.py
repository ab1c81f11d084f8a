"""Which campaigns a run harvests: the account's listing, kept in a file of the date, and the filters upon it."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from harvester.engine.discovery import ListingDesk, sent_campaigns
from harvester.engine.gate import Gate
from harvester.events import CampaignsDiscovered, JobsLeftOut, OffsetsDiffer
from harvester.listing import CampaignFilter, CampaignType, SentCampaign
from harvester.model import Action, Campaign, Discovery, Harvest
from harvester.operations.selection import Selection
from harvester.operations.workshop import CAMPAIGNS, AccountBench
from harvester.settings import DiscoverySettings
from harvester.store.listing_files import ListingFiles
from harvester.store.lock import exclusive
from harvester.store.plans import known_campaigns
from harvester.store.splits import Splits
from harvester.zoho.campaign_records import ListingContext, completed, lines, surveyed
from harvester.zoho.campaigns import usual_offset

LOCK_WAIT_S = 60.0
"""How long to wait for another run that is putting its listing or manifest in place: seconds at most."""

CHILDLESS_AGAIN_DAYS = 7
"""So long after its sending an A/B campaign without test halves is asked about again, on each later date."""


async def list_campaigns(bench: AccountBench, selection: Selection, harvest: Harvest, gate: Gate | None) -> None:
    """Take the account's sent campaigns into the plan: those that filters and settings both let through.

    The listing is read once for a date, so that going on costs no call; again if its file is not as it was, or on
    demand. A run that is asked to stop before the listing is whole plans nothing. What the gate does not want is left
    out.

    Raises:
        CredentialsError, StoppedError: the listing could not be read; what is missing of test halves is only told.
    """
    await _AccountListing(bench, selection, harvest).plan(gate)


def keep_unlisted(bench: AccountBench, selection: Selection, harvest: Harvest, gate: Gate) -> frozenset[str]:
    """Take sets into the plan whose campaigns the account does not list any more, and return the campaigns' keys.

    What was read of them is no less true for it; and a listing that comes out short by mistake costs the date nothing.
    """
    store = bench.store
    files = ListingFiles(bench.settings.output, store.database)
    listed = {campaign.key for campaign in files.campaigns_of(harvest)} if files.is_there(harvest) else set()
    unlisted = [each for each in known_campaigns(store.database, harvest) if each.key not in listed]
    store.ledger.plan(harvest, unlisted, selection.actions, partial(gate.is_wanted, harvest))
    return frozenset(campaign.key for campaign in unlisted)


def filter_of(discovery: DiscoverySettings) -> CampaignFilter:
    """Return which campaigns the settings let through."""
    types = tuple(map(CampaignType, discovery.types))
    return CampaignFilter(discovery.sent_since, discovery.sent_until, discovery.names, types)


class _AccountListing:
    """The listing of one account and date, as one run comes by it."""

    def __init__(self, bench: AccountBench, selection: Selection, harvest: Harvest) -> None:
        self._bench = bench
        self._tools = bench.tools
        self._selection = selection
        self._harvest = harvest
        self._files = ListingFiles(bench.settings.output, bench.store.database)
        self._splits = Splits(bench.store.database)
        self._filters = (selection.campaign_filter, filter_of(bench.settings.discovery))

    async def plan(self, gate: Gate | None) -> None:
        """See that the listing is whole, that test halves are known where they can be, and that the plan stands."""
        is_new = self._selection.is_refresh or not await self._tools.offload_disk(self._is_whole)
        if is_new and not await self._read():
            return
        to_ask, is_behind = await self._tools.offload_disk(partial(self._halves, is_new=is_new))
        answered = await self._bench.splitting().run(to_ask)
        if answered or is_behind:
            await self._tools.offload_disk(partial(self._publish, partial(self._files.lines, self._harvest)))
        left_out = await self._tools.offload_disk(partial(self._take_into_plan, gate))
        if left_out:
            self._tools.emit(JobsLeftOut(self._harvest.account, left_out))

    async def _read(self) -> bool:
        """Ask for the listing and put it in its place, unless the run is asked to stop; tell whether it is there.

        Once it is there the plan must follow, even if the run is asked to stop by then: a date whose listing is whole
        and that has no jobs would pass for complete.
        """
        bench, tools, ledger = self._bench, self._tools, self._bench.store.ledger
        await tools.offload_disk(partial(ledger.note_discovery, self._harvest, Discovery.PARTIAL))
        desk = ListingDesk(bench.name, bench.caller(CAMPAIGNS), bench.client, bench.backoff, tools)
        found, offsets = 0, list[tuple[int, int]]()
        with await tools.offload_disk(partial(self._files.draft, self._harvest)) as draft:
            async for campaigns in sent_campaigns(desk):
                await tools.offload_disk(partial(draft.append, lines(campaigns, self._context())))
                offsets += _offsets(campaigns)
                found += len(campaigns)
                tools.emit(CampaignsDiscovered(bench.name, found))
            if tools.stop.is_asked:
                return False
            await self._learn_offset(offsets)
            await tools.offload_disk(partial(self._publish, draft.lines))
        return True

    def _context(self) -> ListingContext:
        listed_at = dt.datetime.fromtimestamp(self._tools.clock.wall_s(), dt.UTC).isoformat(timespec="milliseconds")
        return ListingContext(
            self._bench.name, listed_at.replace("+00:00", "Z"), self._bench.store.ledger.run_id, self._bench.privacy
        )

    async def _learn_offset(self, offsets: Iterable[tuple[int, int]]) -> None:
        """Remember by how much the account's `sent_time` runs ahead of UTC; tell of campaigns that disagree."""
        if (usual := usual_offset(offsets)) is None:
            return
        offset_ms, others = usual
        servers = self._bench.store.servers
        await self._tools.offload_disk(partial(servers.learn_sent_time_offset, self._bench.name, offset_ms))
        if others:
            self._tools.emit(OffsetsDiffer(self._bench.name, offset_ms, others))

    # --- with the disk ----------------------------------------------------------------------------------------------

    def _is_whole(self) -> bool:
        return self._files.is_whole(self._harvest)

    def _halves(self, *, is_new: bool) -> tuple[list[str], bool]:
        """Return the A/B campaigns of the plan to be asked about, and whether halves are known that the file lacks."""
        known = self._splits.of(self._harvest.account)
        to_ask, told, there = list[str](), set[str](), set[str]()
        for campaign in self._files.campaigns_of(self._harvest):
            split = known.get(campaign.key)
            if campaign.parent_key is not None:
                there.add(campaign.key)
            elif split is not None and split.child_keys:
                told.update(split.child_keys.values())
            elif campaign.type is CampaignType.ABTESTING and (split is None or (is_new and self._is_young(campaign))):
                to_ask += [campaign.key] * self._is_wanted(campaign)
        return to_ask, not told <= there

    def _is_young(self, campaign: SentCampaign) -> bool:
        sent_on = campaign.sent_on
        return sent_on is None or (self._harvest.date - sent_on).days < CHILDLESS_AGAIN_DAYS

    def _publish(self, records: Callable[[], Iterator[bytes]]) -> None:
        """Put the listing in its place, with all that is known of test halves; `records` begins anew each time."""
        store, account = self._bench.store, self._harvest.account
        with exclusive(store.database.path.parent, LOCK_WAIT_S):
            survey = surveyed(records(), self._splits.of(account))
            whole = completed(records(), survey, store.servers.sent_time_offset_ms(account))
            self._files.publish(self._harvest, whole, len(survey.unsplit))

    def _take_into_plan(self, gate: Gate | None) -> int:
        """Plan what is to be planned; return how many jobs are not, being of campaigns too old to begin with."""
        left_out = 0

        def is_wanted(campaign: Campaign, action: Action) -> bool:
            nonlocal left_out
            is_job = gate is None or gate.is_wanted(self._harvest, campaign, action)
            left_out += not is_job
            return is_job

        campaigns = (campaign.campaign for campaign in self._wanted())
        self._bench.store.ledger.plan(self._harvest, campaigns, self._selection.actions, is_wanted)
        return left_out

    def _wanted(self) -> Iterator[SentCampaign]:
        """Yield the campaigns that all filters let through; a test half, which has its parent's facts, goes with it."""
        for campaign in self._files.campaigns_of(self._harvest):
            if self._is_wanted(campaign):
                yield campaign

    def _is_wanted(self, campaign: SentCampaign) -> bool:
        return all(each.lets_through(campaign) for each in self._filters)


def _offsets(campaigns: Iterable[SentCampaign]) -> Iterator[tuple[int, int]]:
    for campaign in campaigns:
        if campaign.sent_at_ms is not None and campaign.sent_time_offset_ms is not None:
            yield campaign.sent_at_ms, campaign.sent_time_offset_ms
