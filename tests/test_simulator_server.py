"""The server over real sockets: what the model cannot know."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest
from test_zoho_loopback import TIMEOUT_S, pass_time

from harvester.simulator.options import (
    CountedAt,
    FaultKind,
    FaultOptions,
    NetworkOptions,
    Options,
    QuotaOptions,
    TokenOptions,
    WorldOptions,
)
from harvester.simulator.server import Server, serve_forever
from harvester.simulator.wire import Delay

CLIENT = "acme-client"
RECIPIENTS = "/api/v1.1/getcampaignrecipientsdata"
CREDENTIALS = {
    "grant_type": "refresh_token",
    "client_id": CLIENT,
    "client_secret": "made-up",
    "refresh_token": "made-up",
}


class Visitor:
    """A client of one server, with a token of its own."""

    def __init__(self, server: Server, http: aiohttp.ClientSession) -> None:
        self.server = server
        self.http = http
        self.key = server.zoho.world(CLIENT).campaigns[0].key

    async def login(self) -> "Visitor":
        async with self.http.post("/oauth/v2/token", data=CREDENTIALS) as reply:
            token = (await reply.json())["access_token"]
        self.http.headers["Authorization"] = f"Zoho-oauthtoken {token}"
        return self

    async def page(self, range_rows: int = 20) -> bytes:
        form = {"resfmt": "JSON", "campaignkey": self.key, "action": "sentcontacts", "range": str(range_rows)}
        async with self.http.post(RECIPIENTS, data=form) as reply:
            return await reply.read()

    async def calls_seen(self) -> int:
        async with self.http.get("/_referee") as reply:
            endpoints = (await reply.json())["accounts"].get(CLIENT, {})
        return int(endpoints.get("getcampaignrecipientsdata", {}).get("calls", 0))


@contextlib.asynccontextmanager
async def _visit(**options: Any) -> AsyncIterator[Visitor]:
    server = Server(Options(**({"world": WorldOptions(campaigns=1, recipients=600)} | options)))
    async with (
        server.running() as base_url,
        aiohttp.ClientSession(base_url, timeout=aiohttp.ClientTimeout(TIMEOUT_S)) as http,
    ):
        yield await Visitor(server, http).login()


def _only(fault: FaultKind, **network: float) -> dict[str, Any]:
    return {"faults": FaultOptions(share=1.0, kinds=(fault,)), "network": NetworkOptions(**network)}  # type: ignore[arg-type]


async def test_a_page_is_the_truth_over_a_socket() -> None:
    """Parameters of the form reach the model, and its rows reach the client."""
    async with _visit() as visitor:
        rows = orjson.loads(await visitor.page(500))["list_of_details"]

    truth = list(visitor.server.zoho.world(CLIENT).truth(visitor.key, "sentcontacts"))
    assert [row["contactid"] for row in rows] == truth[:500]


async def test_parameters_may_stand_in_the_query() -> None:
    """A GET with a query is answered like a POST with a form."""
    async with _visit() as visitor:
        params = {"resfmt": "JSON", "campaignkey": visitor.key, "action": "sentcontacts", "range": "20"}
        async with visitor.http.get(RECIPIENTS, params=params) as reply:
            by_query = await reply.read()

        assert by_query == await visitor.page()


async def test_the_referee_answers_and_is_reset_over_http() -> None:
    """GET /_referee gives the sheets as JSON; after POST /_referee/reset they are empty."""
    async with _visit() as visitor:
        await visitor.page()
        before = await visitor.calls_seen()
        async with visitor.http.post("/_referee/reset"):
            pass

        assert (before, await visitor.calls_seen()) == (1, 0)


@pytest.mark.parametrize(
    ("fault", "error"),
    [(FaultKind.CUT, aiohttp.ClientPayloadError), (FaultKind.RESET, aiohttp.ClientOSError)],
)
async def test_H_01_H_05_a_broken_answer_breaks_the_connection(fault: FaultKind, error: type[Exception]) -> None:
    """A cut body is a payload error and a reset a lost connection; both calls were counted."""
    async with _visit(**_only(fault)) as visitor:
        with pytest.raises(error):
            await visitor.page()

        assert await visitor.calls_seen() == 1


@pytest.mark.parametrize("fault", [FaultKind.HANG, FaultKind.DRIP])
async def test_H_03_H_04_an_endless_answer_meets_the_clients_timeout(fault: FaultKind) -> None:
    """A hanging and a dripping answer both outlast a client that gives up; the server stops all the same."""
    async with _visit(**_only(fault)) as visitor:
        page = asyncio.create_task(visitor.page())
        while await visitor.calls_seen() == 0:
            pass
        pass_time()
        with pytest.raises(TimeoutError):
            await page

        assert await visitor.calls_seen() == 1


async def test_H_04_a_drip_that_is_waited_for_is_whole() -> None:
    """The dripping answer is slow, not wrong."""
    async with _visit(**_only(FaultKind.DRIP, drip_s=0.1)) as visitor:
        assert len(orjson.loads(await visitor.page())["list_of_details"]) == 20


async def test_R_03_a_call_that_its_client_gave_up_is_counted_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call under way reaches the counter although its client has gone."""
    async with _visit(network=NetworkOptions(latency_s=0.2, counted_at=CountedAt.END)) as visitor:
        draw, is_under_way = visitor.server.zoho.delay, asyncio.Event()

        def drawn() -> Delay:
            is_under_way.set()
            return draw()

        monkeypatch.setattr(visitor.server.zoho, "delay", drawn)
        page = asyncio.create_task(visitor.page())
        await is_under_way.wait()
        page.cancel()
        with pytest.raises(asyncio.CancelledError):
            await page

        async with asyncio.timeout(TIMEOUT_S):
            while await visitor.calls_seen() == 0:
                pass


async def test_the_clock_runs_at_its_scale() -> None:
    """A lock of 1800 s at 100,000 times the speed ends after 18 ms."""
    quota = QuotaOptions(calls=1, lock_s=1800.0)
    async with (
        _visit(quota=quota, tokens=TokenOptions(life_s=1e9), time_scale=100_000.0) as visitor,
        asyncio.timeout(TIMEOUT_S),
    ):
        pages = [await visitor.page() for _ in range(2)]
        while b"list_of_details" not in (page := await visitor.page()):
            pages.append(page)

    assert b"list_of_details" in pages[0]


async def test_serve_forever_announces_its_address_and_stops_when_cancelled() -> None:
    """The command line learns the base URL, and cancelling frees the port."""
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve_forever(Options(), port=0, announce=address.set_result))
    base_url = await address

    async with aiohttp.ClientSession(base_url) as http, http.get("/_referee") as reply:
        assert reply.status == 200
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async with aiohttp.ClientSession(base_url) as http:
        with pytest.raises(aiohttp.ClientConnectorError):
            await http.get("/_referee")
