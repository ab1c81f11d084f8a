import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from test_zoho_loopback import TIMEOUT_S, Scripted, answer, pass_time, scripted

from harvester.clock import SystemClock
from harvester.errors import CredentialsError
from harvester.listing import CampaignPage, SentCampaign
from harvester.model import Action, Counters, Failure, FailureKind, Page, PageRequest, ResponseFormat
from harvester.zoho.api import Http
from harvester.zoho.auth import Credentials, Tokens, TokenSettings
from harvester.zoho.client import ClientSettings, ZohoClient
from harvester.zoho.wire import HttpReply, TransportError

REQUEST = PageRequest("3zabc", Action.OPENED, 101, 100)
TOKEN, SECRET, ADDRESS = "1000.hushtoken.x", "hushsecret", "hush@example.com"
GRANT = answer(json.dumps({"access_token": TOKEN, "expires_in": 3_600}).encode())
ROW = {"contactid": "1", "contactemailaddress": ADDRESS}


def whole(page: Page) -> Page:
    return page


def said(document: Any, status: str = "200 OK", *headers: str) -> bytes:
    return answer(json.dumps(document).encode(), status, *headers)


GOOD = said({"status": "success", "code": "0", "list_of_details": [ROW]})
DEAD_TOKEN = said({"Code": "1007", "status": "error", "message": "Unauthorized request."}, "401 Unauthorized")


@dataclass
class Zoho:
    """The client of one account between two scripted hosts."""

    client: ZohoClient
    api: Scripted
    accounts: Scripted

    async def recipients(self) -> Page | Failure:
        return await self.client.recipients(REQUEST, whole)

    async def failure(self) -> Failure:
        outcome = await self.recipients()
        assert isinstance(outcome, Failure)
        return outcome


@asynccontextmanager
async def zoho(
    state: Path, *answers: bytes | None, accounts: tuple[bytes | None, ...] = (GRANT,)
) -> AsyncIterator[Zoho]:
    async with scripted(*answers) as api_host, scripted(*accounts) as accounts_host, Http() as http:
        credentials = Credentials("1000.client", SECRET, "1000.hushrefresh")
        tokens = Tokens(http, credentials, TokenSettings("acme", accounts_host.url, state, TIMEOUT_S), SystemClock())
        where = ClientSettings(api_host.url, ResponseFormat.JSON, TIMEOUT_S)
        yield Zoho(ZohoClient(http, tokens, where), api_host, accounts_host)


async def test_a_page_is_one_call_with_all_its_parameters(tmp_path: Path) -> None:
    """Index and range always go along: without them 20 rows come silently."""
    async with zoho(tmp_path, GOOD) as place:
        page = await place.recipients()

    assert isinstance(page, Page)
    assert page.rows == (ROW,)
    assert len(place.api.requests) == 1
    head = place.api.requests[0].decode()
    query = "resfmt=JSON&campaignkey=3zabc&action=openedcontacts&fromindex=101&range=100"
    assert head.startswith(f"POST /api/v1.1/getcampaignrecipientsdata?{query} HTTP/1.1")
    assert f"Authorization: Zoho-oauthtoken {TOKEN}\r\n" in head


async def test_H_22_a_refused_token_is_dropped_and_renewed_by_the_next_call(tmp_path: Path) -> None:
    """A 401 makes one failure, and the call after it brings a new token."""
    second = answer(b'{"access_token": "1000.second"}')
    async with zoho(tmp_path, DEAD_TOKEN, GOOD, accounts=(GRANT, second)) as place:
        failure = await place.failure()
        page = await place.recipients()

    assert (failure.kind, failure.is_sent, failure.code) == (FailureKind.TOKEN, True, "1007")
    assert isinstance(page, Page)
    assert b"1000.second" in place.api.requests[1]


async def test_U_12_a_401_for_ever_ends_with_the_scope(tmp_path: Path) -> None:
    """Two calls are spent, then a person is asked."""
    second = answer(b'{"access_token": "1000.second"}')
    async with zoho(tmp_path, DEAD_TOKEN, accounts=(GRANT, second)) as place:
        for _ in range(2):
            await place.failure()
        with pytest.raises(CredentialsError, match="scope"):
            await place.recipients()

    assert len(place.api.requests) == 2


async def test_H_03_a_silent_server_is_lost(tmp_path: Path) -> None:
    """The call may have counted, so it is said to have been sent."""
    async with zoho(tmp_path, None) as place:
        place.api.on_request = pass_time
        failure = await place.failure()

    assert (failure.kind, failure.is_sent) == (FailureKind.LOST, True)


@pytest.mark.parametrize("accounts", [answer(b"", "503 Busy"), b"", None])
async def test_U_02_without_a_token_no_call_is_made(tmp_path: Path, accounts: bytes | None) -> None:
    """Trouble at the accounts host costs the endpoint's budget nothing."""
    async with zoho(tmp_path, GOOD, accounts=(accounts,)) as place:
        if accounts is None:
            place.accounts.on_request = pass_time
        failure = await place.failure()

    assert (failure.kind, failure.is_sent) == (FailureKind.UNREACHED, False)
    assert place.api.requests == []


async def test_U_03_a_throttled_token_says_how_long_to_wait(tmp_path: Path) -> None:
    """The wait is part of the failure, and nothing was sent."""
    denied = said({"error": "Access Denied"}, "400 Bad Request")
    async with zoho(tmp_path, GOOD, accounts=(denied,)) as place:
        failure = await place.failure()

    assert (failure.kind, failure.is_sent, failure.retry_after_s) == (FailureKind.NO_TOKEN, False, 600)
    assert place.api.requests == []


async def test_U_02_refused_credentials_are_raised(tmp_path: Path) -> None:
    """Only a person can go on from here."""
    async with zoho(tmp_path, GOOD, accounts=(said({"error": "invalid_code"}),)) as place:
        with pytest.raises(CredentialsError):
            await place.recipients()


async def test_campaigns_advance_by_rows_and_keep_the_sent_ones(tmp_path: Path) -> None:
    """A draft among the rows is left out and still counted."""
    rows = [{"campaign_key": "3za", "campaign_status": "Draft"}, {"campaign_key": "3zb", "campaign_status": "Sent"}]
    listing = said({"status": "success", "code": "0", "recent_campaigns": rows})
    end = said({"status": "error", "code": "6101", "message": "No campaign available in this view."})
    async with zoho(tmp_path, listing, end, said({"code": "6601", "status": "error"})) as place:
        page = await place.client.campaign_page(1)
        last = await place.client.campaign_page(3)
        refused = await place.client.campaign_page(1)

    assert page == CampaignPage((SentCampaign("3zb", None, None, row=rows[1]),), ("3za", "3zb"))
    assert last == CampaignPage((), ())
    assert isinstance(refused, Failure)
    assert b"/api/v1.1/recentcampaigns?resfmt=JSON&status=sent&fromindex=3&range=100" in place.api.requests[1]


async def test_A_27_pages_are_read_away_from_the_event_loop(tmp_path: Path) -> None:
    """Parsing runs where the client is told to run it."""
    threads = []

    async def offload(function: Any, /) -> Any:
        threads.append(threading.get_ident())
        return await asyncio.to_thread(function)

    async with zoho(tmp_path, GOOD) as place:
        place.client._offload = offload
        await place.recipients()

    assert len(threads) == 1


async def test_only_what_is_made_of_a_page_comes_back(tmp_path: Path) -> None:
    """The page is turned into what the caller wants in the thread that read it, and a failure stays a failure."""

    def made(page: Page) -> tuple[int, bool]:
        return len(page.rows), threading.current_thread() is threading.main_thread()

    async with zoho(tmp_path, GOOD, DEAD_TOKEN) as place:
        outcome = await place.client.recipients(REQUEST, made)
        refused = await place.client.recipients(REQUEST, made)

    assert outcome == (1, False)
    assert isinstance(refused, Failure)


async def test_another_transport_can_take_the_place_of_http(tmp_path: Path) -> None:
    """The one method of the protocol is all that the client needs."""

    class Canned:
        async def post(
            self,
            url: str,
            params: Mapping[str, str],
            headers: Mapping[str, str],
            timeout_s: float,
            form: Mapping[str, str] | None = None,
        ) -> HttpReply:
            assert url
            assert timeout_s
            assert headers is not None
            body = b'{"access_token":"1000.x"}' if form else b'{"status":"error","code":6303}'
            return HttpReply(200, "application/json", {}, body) if params or form else HttpReply(500, "", {}, b"")

    http = Canned()
    tokens = Tokens(http, Credentials("i", "s", "r"), TokenSettings("a", "http://x", tmp_path), SystemClock())
    client = ZohoClient(http, tokens, ClientSettings("http://y", ResponseFormat.XML, 5))

    assert await client.recipients(REQUEST, whole) == Page((), code="6303")


CANARIES = [
    said({"status": "error", "code": "4711", "message": f"{ADDRESS} {TOKEN} client_secret={SECRET}"}),
    said({"status": "error", "code": ADDRESS, "message": ADDRESS}),
    said({"status": "error", "code": TOKEN.replace(".", "_"), "list_of_details": [ROW]}),
    said({"status": "success", "code": "0", "requestdetails": {"action": ADDRESS}, "list_of_details": [ROW]}),
    said({"status": "success", "code": "0", "list_of_details": [ADDRESS]}),
    said({"status": "success", "code": "0", "list_of_details": {"x": ADDRESS}}),
    answer(f'{{"list_of_details":[{{"contactemailaddress":"{ADDRESS}"'.encode()),
    answer(f"<html>{ADDRESS} {TOKEN}</html>".encode(), content_type=f"text/{ADDRESS}"),
    answer(f"<response><code>9</code><message>{ADDRESS}</message></response>".encode()),
    answer(b"", "302 Moved", f"Location: https://{SECRET}:{SECRET}@other.example/{ADDRESS}?x={TOKEN}"),
    answer(b"", "307 Moved", f"Location: https://[{SECRET}"),
    answer(f"Try again after 5 minutes {ADDRESS}".encode(), "403 Forbidden"),
    f"HTTP/1.1 {ADDRESS} {TOKEN}\r\n\r\n".encode(),
    f"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{ADDRESS}".encode(),
    b"",
    DEAD_TOKEN,
]


@pytest.mark.parametrize("canary", CANARIES, ids=range(len(CANARIES)))
async def test_S_01_S_02_S_15_no_failure_tells_a_secret_or_an_address(tmp_path: Path, canary: bytes) -> None:
    """Whatever the hosts say, values and errors of this package stay silent about it."""
    async with zoho(tmp_path, canary) as place:
        outcome = await place.failure()
    async with zoho(tmp_path / "second", GOOD, accounts=(canary,)) as place:
        try:
            spoken = repr(await place.recipients())
        except (CredentialsError, TransportError) as error:
            spoken = f"{error} {error!r} {error.__cause__!r} {error.__context__!r}"

    text = f"{outcome!r} {outcome.signature} {spoken}"
    assert "hush" not in text
    assert "example.com" not in text


async def test_the_counters_are_one_call_in_json(tmp_path: Path) -> None:
    """Whatever format the rows are asked in, the report is asked in the one that we can read."""
    report = said(
        {"status": "success", "code": "0", "campaign-reports": [{"emails_sent_count": "7", "opens_count": "-1"}]}
    )
    async with zoho(tmp_path, report) as place:
        counters = await place.client.counters("3zabc")

    assert counters == Counters({Action.SENT: 7})
    head = place.api.requests[0].decode()
    assert head.startswith("POST /api/v1.1/campaignreports?resfmt=JSON&campaignkey=3zabc HTTP/1.1")


@pytest.mark.parametrize("code", ["6302", "6303", "6101"])
async def test_A_03_no_report_is_no_counter(tmp_path: Path, code: str) -> None:
    """Nothing here is an answer, and it is not the answer zero."""
    async with zoho(tmp_path, said({"status": "error", "code": code, "message": "No contacts found."})) as place:
        assert await place.client.counters("3zabc") == Counters({})


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"status": "error", "code": "6001"}, FailureKind.TRANSIENT),
        ({"status": "error", "code": "6301"}, FailureKind.CAMPAIGN),
        ({"status": "success", "code": "0"}, FailureKind.MALFORMED),
        ({"status": "success", "code": "0", "campaign-reports": ["x"]}, FailureKind.MALFORMED),
        ({"status": "error", "code": "2008"}, FailureKind.LOCKED),
    ],
)
async def test_A_06_counters_that_did_not_come_are_a_failure(
    tmp_path: Path, document: dict[str, Any], kind: FailureKind
) -> None:
    """An error is never read as a report without numbers."""
    async with zoho(tmp_path, said(document)) as place:
        outcome = await place.client.counters("3zabc")

    assert isinstance(outcome, Failure)
    assert outcome.kind is kind


@pytest.mark.parametrize(
    ("action", "kind"), [(Action.OPENED, "open_timeline"), (Action.CLICKED, "click_timeline"), (Action.SENT, None)]
)
async def test_a_timeline_is_asked_for_where_there_is_one(tmp_path: Path, action: Action, kind: str | None) -> None:
    """The undocumented parameter goes only along with the actions that it belongs to."""
    async with zoho(tmp_path, GOOD) as place:
        place.client._settings = replace(place.client._settings, response_format=ResponseFormat.XML, is_timeline=True)
        await place.client.recipients(replace(REQUEST, action=action), whole)

    query = place.api.requests[0].decode().split()[1]
    assert query.partition("&type=")[2] == (kind or "")


async def test_6502_proves_that_the_token_was_taken(tmp_path: Path) -> None:
    """Who is told to ask for fewer rows was let in."""
    oversize = said({"status": "error", "code": "6502", "message": "Limit given is more than the maximum."})
    second = answer(b'{"access_token": "1000.second"}')
    async with zoho(tmp_path, DEAD_TOKEN, oversize, DEAD_TOKEN, GOOD, accounts=(GRANT, second)) as place:
        outcomes = [await place.recipients() for _ in range(4)]

    kinds = [outcome.kind if isinstance(outcome, Failure) else None for outcome in outcomes]
    assert kinds == [FailureKind.TOKEN, FailureKind.OVERSIZE, FailureKind.TOKEN, None]
