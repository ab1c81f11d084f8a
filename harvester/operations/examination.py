"""The calls of `harvester doctor`: at most five for an account, each by a lease of its budget, none tried again."""

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

from harvester.engine import lockout as breaker
from harvester.engine.admission import next_start_s
from harvester.engine.diagnosis import HOST_TROUBLES, AccountSeen
from harvester.engine.probing import PROBED, Answer, Probe, Sample, Withheld, follow_up
from harvester.errors import HarvestError
from harvester.listing import CampaignPage
from harvester.model import Failure, FailureKind, Page, PageRequest
from harvester.operations.workshop import (
    CAMPAIGNS,
    RECIPIENTS,
    REPORTS,
    AccountBench,
    credentials_of,
    quota_of,
    token_settings_of,
)
from harvester.report.figures import duration
from harvester.store.account_history import AccountHistory
from harvester.store.calls import CallBook, Window
from harvester.zoho.auth import Tokens, TokenThrottledError
from harvester.zoho.redaction import redact
from harvester.zoho.wire import HttpReply, Transport, TransportError

CALLS_MAX = 5
"""Calls to all hosts for one account: a hundredth of what an endpoint gives in 5 minutes."""

SLOT_WAIT_S_MAX = 5.0
"""Longest wait for a slot of the budget: an examination takes none from a run that waits for it."""

Seen = TypeVar("Seen")


class Wire:
    """The hosts of one account, as a transport that counts calls and notes what answers say beside their bodies.

    Args:
        http: how hosts are reached.

    Attributes:
        calls: made so far.
        is_used_up: whether one more was wanted.
        skews_s: by how many seconds our clock was ahead of the answers'.
        xml_paths: of answers in XML to calls that asked for JSON.
    """

    def __init__(self, http: Transport) -> None:
        self._http = http
        self.calls = 0
        self.is_used_up = False
        self.skews_s: list[float] = []
        self.xml_paths: list[str] = []

    async def post(
        self,
        url: str,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        timeout_s: float,
        form: Mapping[str, str] | None = None,
    ) -> HttpReply:
        """Send one POST, as `Transport.post`; the sixth is refused."""
        if self.calls >= CALLS_MAX:
            self.is_used_up = True
            raise TransportError(FailureKind.UNREACHED, f"{CALLS_MAX} calls were made, and no more are", is_sent=False)
        self.calls += 1
        reply = await self._http.post(url, params, headers, timeout_s, form)
        if (skew_s := _skew_s(reply)) is not None:
            self.skews_s.append(skew_s)
        if params.get("resfmt") == "JSON" and reply.body.lstrip().startswith((b"<?xml", b"<response")):
            self.xml_paths.append(urlsplit(url).path)
        return reply


def _skew_s(reply: HttpReply) -> float | None:
    """Return by how many seconds the moment of receipt is ahead of the answer's `Date`; None without a usable one."""
    try:
        sent_s = parsedate_to_datetime(reply.headers["Date"]).timestamp()
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    return None if reply.received_at_s is None else reply.received_at_s - sent_s


class Examination:
    """Asks an account's hosts what a harvest would ask them, and stops where the next call could tell nothing.

    Args:
        bench: of the account, its transport a `Wire`.
        wire: the same one.
    """

    def __init__(self, bench: AccountBench, wire: Wire) -> None:
        self._bench = bench
        self._wire = wire
        account = bench.settings.accounts[bench.name]
        self._has_own_hosts = account.base_url is not None or account.accounts_url is not None

    async def run(self) -> AccountSeen:
        """Make the calls and return what they brought; raises nothing that a run would end with."""
        seen = await self._calls()
        skew_s = min(self._wire.skews_s, key=abs, default=None)
        return replace(seen, skew_s=skew_s, xml_paths=tuple(self._wire.xml_paths))

    async def _calls(self) -> AccountSeen:
        token = await self._token()
        seen = AccountSeen(token, is_token_new=self._wire.calls > 0, has_own_hosts=self._has_own_hosts)
        if token is not None:
            return seen
        seen = await self._listed(seen)
        keys = [campaign.key for campaign in seen.listing.campaigns] if isinstance(seen.listing, CampaignPage) else []
        if not keys:
            return seen
        with suppress(HarvestError):  # any campaign will do; trouble with the ledger is told by the calls
            keys = await self._bench.tools.offload_disk(partial(self._largest_first, keys))
        counters = await self._ask(REPORTS, partial(self._bench.client.counters, keys[0]))
        seen = replace(seen, counters=counters)
        if isinstance(counters, HarvestError) or (isinstance(counters, Failure) and counters.kind in HOST_TROUBLES):
            return seen
        return await self._probed(seen, keys)

    async def _listed(self, seen: AccountSeen) -> AccountSeen:
        ask = partial(self._ask, CAMPAIGNS, partial(self._bench.client.campaign_page, 1))
        listing = await ask()
        if seen.is_token_new or not isinstance(listing, Failure) or listing.kind is not FailureKind.TOKEN:
            return replace(seen, listing=listing)
        # The cached token may only be old: a new one tells that from a wrong data centre or scope.
        return replace(seen, listing=await ask(), is_token_new=True)

    def _largest_first(self, keys: Sequence[str]) -> list[str]:
        """Return the keys by the rows that the ledger knows of, else as they came: a large set shows most of a page."""
        today = dt.datetime.fromtimestamp(self._bench.tools.clock.wall_s(), dt.UTC).date()
        history = AccountHistory(self._bench.store.database, self._bench.name, today, (PROBED,))

        def rows(key: str) -> int:
            known = history.campaign(key).sets.get(PROBED)
            partition = known.snapshot.partition if known and known.snapshot else None
            return partition.rows if partition else 0

        return sorted(keys, key=rows, reverse=True)

    async def _probed(self, seen: AccountSeen, keys: Sequence[str]) -> AccountSeen:
        page_rows = self._bench.settings.harvest.page_size
        first = await self._probe(PageRequest(keys[0], PROBED, 1, page_rows))
        doubt = follow_up(first, seen.counted_rows, keys)
        if doubt is None or self._wire.calls >= CALLS_MAX:
            return replace(seen, probes=(first,))
        return replace(seen, probes=(first, await self._probe(doubt)))

    async def _token(self) -> HarvestError | Failure | None:
        """See that there is an access token, before a lease is taken for what would need it; None if there is one."""
        bench = self._bench
        credentials = credentials_of(bench.settings.accounts[bench.name])
        tokens = Tokens(self._wire, credentials, token_settings_of(bench.name, bench.settings), bench.tools.clock)
        try:
            await tokens.token()
        except HarvestError as error:
            return error
        except TokenThrottledError as error:
            return Failure(FailureKind.NO_TOKEN, redact(str(error)), retry_after_s=error.wait_s, is_sent=False)
        except TransportError as error:
            return Failure(error.kind, redact(error.message), is_sent=error.is_sent)
        return None

    async def _probe(self, request: PageRequest) -> Probe:
        def sample(page: Page) -> Sample:
            return Sample(page.received_rows, page.echo.range_rows)

        return Probe(request, await self._ask(RECIPIENTS, partial(self._bench.client.recipients, request, sample)))

    async def _ask(self, endpoint: str, send: Callable[[], Awaitable[Seen | Failure]]) -> Answer[Seen]:
        """Make one call, unless the ledger says that it must or should not be made now."""
        try:
            reason = await self._bench.tools.offload_disk(partial(self._closed, endpoint))
            if reason is not None:
                return reason
            answer = await self._bench.caller(endpoint).ask(send)
        except HarvestError as error:
            return error
        if self._wire.is_used_up:  # by a second new token: what was refused here is no word of the network
            return Withheld(f"not asked, as {CALLS_MAX} calls were made")
        return Withheld("not asked, as no slot of the budget came in time") if answer is None else answer

    def _closed(self, endpoint: str) -> Withheld | None:
        """Return why no call to an endpoint may start within `SLOT_WAIT_S_MAX`; None if one may."""
        bench = self._bench
        quota, lock_s, clock = quota_of(bench.settings), bench.settings.budget.lock_s, bench.tools.clock
        standing = CallBook(bench.store.database, Window(bench.name, endpoint, quota.memory_s), clock).standing()
        state = breaker.aged(standing, lock_s)
        opens_s = breaker.opens_s(state, standing, quota.window_s / quota.tokens)
        if state.is_draining:
            wait = duration(opens_s - standing.now_s)
            return Withheld(f"locked for {wait} more; no call was made", is_locked=True)
        wait_s = max(opens_s, next_start_s(quota, standing.stamps, standing.now_s)) - standing.now_s
        if wait_s > SLOT_WAIT_S_MAX:
            return Withheld(f"not asked, as the budget is used up for {duration(wait_s)}")
        return None
