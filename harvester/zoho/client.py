"""What the engine talks to: one account's endpoints, each method exactly one call to the API."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from harvester.listing import CampaignPage, Split
from harvester.model import Action, Counters, Failure, FailureKind, Page, PageRequest, ResponseFormat
from harvester.zoho.auth import Tokens, TokenThrottledError
from harvester.zoho.campaigns import CAMPAIGN_RANGE_ROWS, LIST_KEY, campaign_page
from harvester.zoho.codes import Endpoint
from harvester.zoho.lockout import LockoutSigns
from harvester.zoho.redaction import redact
from harvester.zoho.replies import read_listing, read_page
from harvester.zoho.reports import REPORTS_KEY, counters_of
from harvester.zoho.splits import SPLIT_KEY, split_of
from harvester.zoho.wire import HttpReply, Transport, TransportError

RECIPIENTS_PATH = "/api/v1.1/getcampaignrecipientsdata"
CAMPAIGNS_PATH = "/api/v1.1/recentcampaigns"
REPORTS_PATH = "/api/v1.1/campaignreports"
DETAILS_PATH = "/api/v1.1/getcampaigndetails"

_Result = TypeVar("_Result")
_PROOFS_OF_ACCEPTANCE = frozenset(
    {FailureKind.CAMPAIGN, FailureKind.NOT_APPLICABLE, FailureKind.JOB, FailureKind.OVERSIZE}
)
"""Failures about the request itself: the token was taken before it was judged."""

_TIMELINES = {Action.OPENED: "open_timeline", Action.CLICKED: "click_timeline"}
"""The undocumented parameter `type`: each open or click of a contact, where other answers tell the last or none.

Source: a public client that sends it, with XML; whether JSON heeds it is not known."""


class Offload(Protocol):
    """Runs a function that computes away from the event loop; `asyncio.to_thread` is the real one."""

    def __call__(self, function: Callable[[], _Result], /) -> Awaitable[_Result]:
        """Return what `function` returns."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How one account's API is called.

    Attributes:
        api_url: the data centre's API host, without a path.
        response_format: asked of the recipients endpoint; listings are always asked as JSON.
        call_timeout_s: bound of one call, from the token to the last byte.
        lockout_signs: what else to take for a lockout.
        is_timeline: whether to ask for every open and click; for XML only.
    """

    api_url: str
    response_format: ResponseFormat
    call_timeout_s: float
    lockout_signs: LockoutSigns = field(default_factory=LockoutSigns)
    is_timeline: bool = False


class ZohoClient:
    """One account of Zoho Campaigns.

    Every method makes one call, or none where no token is to be had (`Failure.is_sent` is False then), and raises
    nothing for a call that failed: CredentialsError, ConfigError, DiskError and cancellation are all that comes out.
    """

    def __init__(
        self, http: Transport, tokens: Tokens, settings: ClientSettings, offload: Offload = asyncio.to_thread
    ) -> None:
        self._http = http
        self._tokens = tokens
        self._settings = settings
        self._offload = offload

    async def recipients(self, request: PageRequest, make: Callable[[Page], _Result]) -> _Result | Failure:
        """Ask for one page of recipients and return what `make` makes of it.

        `make` runs where the answer is read, away from the event loop, and the rows do not come back from there.
        `fromindex` and `range` are undocumented, and without them 20 rows come silently; `resfmt` decides the
        format of errors too.
        """
        params = {
            "resfmt": self._settings.response_format.upper(),
            "campaignkey": request.campaign_key,
            "action": request.action.value,
            "fromindex": str(request.from_index),
            "range": str(request.range_rows),
        }
        if self._settings.is_timeline and request.action in _TIMELINES:
            params["type"] = _TIMELINES[request.action]

        def read(reply: HttpReply) -> _Result | Failure:
            page = read_page(reply, request, self._settings.response_format, self._settings.lockout_signs)
            return page if isinstance(page, Failure) else make(page)

        return await self._call(RECIPIENTS_PATH, params, read)

    async def campaign_page(self, from_index: int) -> CampaignPage | Failure:
        """Ask for one page of sent campaigns, from row `from_index`, counted from 1."""
        params = {
            "resfmt": "JSON",
            "status": "sent",
            "fromindex": str(from_index),
            "range": str(CAMPAIGN_RANGE_ROWS),
        }
        return await self._call(CAMPAIGNS_PATH, params, self._read_campaigns)

    def _read_campaigns(self, reply: HttpReply) -> CampaignPage | Failure:
        listing = read_listing(reply, LIST_KEY, Endpoint.CAMPAIGNS, self._settings.lockout_signs)
        if isinstance(listing, Failure):
            return listing
        return campaign_page(listing.rows, listing.total)

    async def counters(self, campaign_key: str) -> Counters | Failure:
        """Ask for the counters of one campaign's report; none at all where the server has no report of it."""
        return await self._call(REPORTS_PATH, {"resfmt": "JSON", "campaignkey": campaign_key}, self._read_counters)

    def _read_counters(self, reply: HttpReply) -> Counters | Failure:
        listing = read_listing(reply, REPORTS_KEY, Endpoint.REPORTS, self._settings.lockout_signs)
        return listing if isinstance(listing, Failure) else counters_of(listing.rows)

    async def split(self, campaign_key: str) -> Split | Failure:
        """Ask for the test halves of an A/B campaign; asked as another type, the server does not name them."""
        params = {"resfmt": "JSON", "campaignkey": campaign_key, "campaigntype": "abtesting"}
        return await self._call(DETAILS_PATH, params, lambda reply: self._read_split(reply, campaign_key))

    def _read_split(self, reply: HttpReply, campaign_key: str) -> Split | Failure:
        details = read_listing(reply, SPLIT_KEY, Endpoint.DETAILS, self._settings.lockout_signs)
        return details if isinstance(details, Failure) else split_of(details.rows, campaign_key)

    async def _call(
        self, path: str, params: dict[str, str], read: Callable[[HttpReply], _Result | Failure]
    ) -> _Result | Failure:
        """Send one request and read its answer; the answer in hand is read even if time is up by then."""
        token, timeout_s = "", self._settings.call_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                token = await self._tokens.token()
                reply = await self._http.post(
                    f"{self._settings.api_url}{path}",
                    params=params,
                    headers={"Authorization": f"Zoho-oauthtoken {token}"},
                    timeout_s=timeout_s,
                )
        except TokenThrottledError as error:
            return Failure(FailureKind.NO_TOKEN, redact(str(error)), retry_after_s=error.wait_s, is_sent=False)
        except TransportError as error:
            return _failed(error) if token else _unsent(error.message, error.kind)
        except TimeoutError:
            # The token endpoint's delay is no word about the API: nothing left for it.
            return _late(timeout_s) if token else _unsent("no access token in time")
        outcome = await self._offload(lambda: read(reply))
        self._tell_tokens(token, outcome)
        return outcome

    def _tell_tokens(self, token: str, outcome: object) -> None:
        kind = outcome.kind if isinstance(outcome, Failure) else None
        if kind is FailureKind.TOKEN:
            self._tokens.reject(token)
        elif kind is None or kind in _PROOFS_OF_ACCEPTANCE:
            self._tokens.accept(token)


def _failed(error: TransportError) -> Failure:
    return Failure(error.kind, redact(error.message), is_sent=error.is_sent)


def _unsent(reason: str, kind: FailureKind = FailureKind.UNREACHED) -> Failure:
    """Name trouble on the way to a token; for the API's endpoint it is all the same, unless a person must act."""
    seen = FailureKind.ACCOUNT if kind is FailureKind.ACCOUNT else FailureKind.UNREACHED
    return Failure(seen, redact(reason), is_sent=False)


def _late(timeout_s: float) -> Failure:
    return Failure(FailureKind.LOST, f"no whole answer within {timeout_s:g} s")
