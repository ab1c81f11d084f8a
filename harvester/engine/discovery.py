"""Which campaigns there are: the account's listing, page by page, on its own endpoint's budget."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from harvester.engine import retry
from harvester.engine.caller import Caller
from harvester.engine.harvest import Tools
from harvester.engine.ports import CampaignListing
from harvester.engine.retry import AskAgain, Backoff, Later, Scope
from harvester.errors import CredentialsError, StoppedError
from harvester.model import CampaignPage, Failure, FailureKind

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
    """Return one page of the listing, tried as often as its failures deserve; None if the run is asked to stop."""
    attempts = tokens_refused = 0
    while (answer := await caller.ask(ask)) is not None:
        if isinstance(answer, CampaignPage):
            return answer
        tokens_refused += answer.kind is FailureKind.TOKEN
        tries = tokens_refused if answer.kind is FailureKind.TOKEN else attempts + 1
        match retry.decide(answer, tries, backoff, tools.rng):
            case AskAgain():
                continue
            case Later() as later:
                attempts += later.costs_attempt
                await tools.stop.pause(later.after_s)
            case never:
                problem = f"{account}: the listing of campaigns: {never.reason}"
                raise (CredentialsError if never.scope is Scope.ACCOUNT else StoppedError)(problem, answer.remedy)
    return None
