"""Which campaigns there are: the account's listing, page by page, on its own endpoint's budget."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from harvester.engine.asking import Refusal, answer_to
from harvester.engine.caller import Caller
from harvester.engine.ports import CampaignListing
from harvester.engine.retry import Backoff, Scope
from harvester.engine.tools import Tools
from harvester.errors import CredentialsError, StoppedError
from harvester.model import CampaignPage, Failure

PAGES_MAX = 10_000
"""A million campaigns at 100 a page; beyond it the listing is taken to page in circles."""


async def sent_campaigns(
    account: str, caller: Caller, listing: CampaignListing, backoff: Backoff, tools: Tools
) -> AsyncIterator[CampaignPage]:
    """Yield the pages of the listing until one is empty; ends early, and is not whole, if the run is asked to stop.

    Raises:
        CredentialsError: the account refuses the listing.
        StoppedError: the listing could not be read to its end; nothing is harvested on half a list.
    """
    from_index, before = 1, None
    for _ in range(PAGES_MAX):
        page = await _page(account, caller, partial(listing.campaign_page, from_index), backoff, tools)
        if page is None or not page.rows_received:
            return
        if page.campaigns and page == before:
            break
        yield page
        from_index, before = from_index + page.rows_received, page
    raise StoppedError(
        f"{account}: the listing of campaigns repeats itself.", "Name the campaigns in the configuration."
    )


async def _page(
    account: str, caller: Caller, ask: Callable[[], Awaitable[CampaignPage | Failure]], backoff: Backoff, tools: Tools
) -> CampaignPage | None:
    """Return one page of the listing; None if the run is asked to stop."""
    answer = await answer_to(ask, caller, backoff, tools)
    if isinstance(answer, Refusal):
        problem = f"{account}: the listing of campaigns: {answer.reason}"
        raise (CredentialsError if answer.scope is Scope.ACCOUNT else StoppedError)(problem, answer.failure.remedy)
    return answer
