"""Which campaigns there are: the account's listing, page by page, on its own endpoint's budget."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial

from harvester.engine.asking import Refusal, answer_to
from harvester.engine.caller import Caller
from harvester.engine.listing_walk import ListingWalk
from harvester.engine.ports import CampaignListing
from harvester.engine.retry import Backoff, Scope
from harvester.engine.tools import Tools
from harvester.errors import CredentialsError, StoppedError
from harvester.events import CampaignsUnsteady
from harvester.listing import CampaignPage, SentCampaign

PAGES_MAX = 10_000
"""A million campaigns at 100 a page; beyond it the listing is taken to page in circles."""

READINGS_MAX = 2
"""A listing that moved is read once more: a few calls. If it moves again, what both gave must do."""


@dataclass(frozen=True, slots=True)
class ListingDesk:
    """Whose listing is read, and how.

    Attributes:
        account: whose.
        caller: the way to the endpoint of the listing.
        listing: what is asked there.
        backoff: the waits between attempts.
        tools: those of the account.
    """

    account: str
    caller: Caller
    listing: CampaignListing
    backoff: Backoff
    tools: Tools


async def sent_campaigns(desk: ListingDesk) -> AsyncIterator[tuple[SentCampaign, ...]]:
    """Yield the sent campaigns of an account, a page at a time, each campaign once.

    Ends early, and is not whole, if the run is asked to stop. A listing that moved, or that the server counts otherwise
    than it gave it, is read once more; then the campaigns of both readings are taken, and an event tells of it.

    Raises:
        CredentialsError: the account refuses the listing.
        StoppedError: the listing could not be read to its end; nothing is harvested on half a list.
    """
    known: set[str] = set()
    doubt = ""
    for _ in range(READINGS_MAX):
        walk = ListingWalk()
        async for page in _pages(desk, walk):
            yield tuple(_new(page, known))
        doubt = walk.doubt if walk.is_over else ""
        if not doubt:
            return
    desk.tools.emit(CampaignsUnsteady(desk.account, doubt))


def _new(page: CampaignPage, known: set[str]) -> Iterator[SentCampaign]:
    """Yield the campaigns of a page that are not known, and make them known."""
    for campaign in page.campaigns:
        if campaign.key not in known:
            known.add(campaign.key)
            yield campaign


async def _pages(desk: ListingDesk, walk: ListingWalk) -> AsyncIterator[CampaignPage]:
    """Yield the pages of one reading."""
    for _ in range(PAGES_MAX):
        page = await _page(desk, walk.from_index)
        if page is None:
            return
        walk.take(page)
        if walk.is_over:
            return
        if walk.is_circling:
            break
        yield page
    raise StoppedError(
        f"{desk.account}: the listing of campaigns repeats itself.", "Name the campaigns in the configuration."
    )


async def _page(desk: ListingDesk, from_index: int) -> CampaignPage | None:
    """Return one page of the listing; None if the run is asked to stop."""
    ask = partial(desk.listing.campaign_page, from_index)
    answer = await answer_to(ask, desk.caller, desk.backoff, desk.tools)
    if isinstance(answer, Refusal):
        problem = f"{desk.account}: the listing of campaigns: {answer.reason}"
        raise (CredentialsError if answer.scope is Scope.ACCOUNT else StoppedError)(problem, answer.failure.remedy)
    return answer
