"""Which campaigns a plan looks over: those that the run would list, read without taking any into the ledger's plan."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

from harvester.engine.discovery import ListingDesk, sent_campaigns
from harvester.listing import CampaignType, SentCampaign, Split
from harvester.model import Campaign, Harvest
from harvester.operations.listing import filter_of
from harvester.operations.selection import Selection
from harvester.operations.workshop import CAMPAIGNS, AccountBench
from harvester.store.listing_files import ListingFiles
from harvester.store.splits import Splits

BATCH_CAMPAIGNS = 100
"""Campaigns looked over at a time, as many as a page of the listing has: keeps memory flat."""

Prospects = Sequence[tuple[Campaign, str]]
"""Campaigns, each with the name that its owner gave it; empty where that is not known."""


async def prospects(bench: AccountBench, selection: Selection) -> AsyncIterator[Prospects]:
    """Yield the campaigns that a run would harvest, some at a time; ends early if the account's stop is asked.

    The listing file of the date is read if it is there, else the listing is asked for, and not kept: campaigns that are
    sent before the run begins must not be missing there.

    Raises:
        ConfigError: the list of named campaigns is bad.
        CredentialsError, StoppedError: the listing could not be read.
    """
    if selection.keys is not None:
        named = selection.campaigns()
        while batch := list(islice(named, BATCH_CAMPAIGNS)):
            yield [(campaign, "") for campaign in batch]
        return
    filters = (selection.campaign_filter, filter_of(bench.settings.discovery))
    seen: set[str] = set()
    async for listed in _listed(bench, selection):
        meant = [campaign for campaign in listed if all(each.lets_through(campaign) for each in filters)]
        splits = await _splits_of(bench, meant)
        new = {each.key: each for each in _with_halves(meant, splits) if each.key not in seen}
        seen.update(new)
        yield [(each.campaign, each.name) for each in new.values()]


async def _listed(bench: AccountBench, selection: Selection) -> AsyncIterator[Sequence[SentCampaign]]:
    """Yield the account's sent campaigns, from the file of the date or from the server."""
    offload_disk, store = bench.tools.offload_disk, bench.store
    harvest = await offload_disk(partial(_harvest_of, bench, selection))
    files = ListingFiles(bench.settings.output, store.database)
    if harvest is None or selection.is_refresh or not await offload_disk(partial(files.is_whole, harvest)):
        desk = ListingDesk(bench.name, bench.caller(CAMPAIGNS), bench.client, bench.backoff, bench.tools)
        async for page in sent_campaigns(desk):
            yield page
        return
    campaigns = files.campaigns_of(harvest)
    while batch := await offload_disk(lambda: list(islice(campaigns, BATCH_CAMPAIGNS))):
        yield batch


def _harvest_of(bench: AccountBench, selection: Selection) -> Harvest | None:
    """Return the harvest that is planned, if any run has begun it."""
    harvests = bench.store.ledger.harvests()
    return next((each for each in harvests if (each.account, each.date) == (bench.name, selection.date)), None)


async def _splits_of(bench: AccountBench, campaigns: Sequence[SentCampaign]) -> Mapping[str, Split]:
    """Return the test halves of A/B campaigns; unknown ones are asked for, and are known from then on."""
    parents = [each.key for each in campaigns if each.type is CampaignType.ABTESTING and each.parent_key is None]
    known: dict[str, Split] = {}
    if parents:
        splits = Splits(bench.store.database)
        known = await bench.tools.offload_disk(partial(splits.of, bench.name))
        if unknown := [key for key in parents if key not in known]:
            await bench.splitting().run(unknown)
            known = await bench.tools.offload_disk(partial(splits.of, bench.name))
    return known


def _with_halves(campaigns: Sequence[SentCampaign], splits: Mapping[str, Split]) -> Iterator[SentCampaign]:
    """Yield campaigns, each with its test halves behind it, which have its facts."""
    for campaign in campaigns:
        yield campaign
        if campaign.key in splits:
            for key in splits[campaign.key].child_keys.values():
                yield replace(campaign, key=key, parent_key=campaign.key)
