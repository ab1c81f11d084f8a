"""The client against the practised Zoho over HTTP: both formats, the timeline, and the counters."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harvester.clock import SystemClock
from harvester.model import Action, Counters, Failure, FailureKind, Page, PageRequest, ResponseFormat
from harvester.simulator.options import Options, WorldOptions
from harvester.simulator.server import Server
from harvester.simulator.set_options import QuirkOptions
from harvester.zoho.api import Http
from harvester.zoho.auth import Credentials, Tokens, TokenSettings
from harvester.zoho.client import ClientSettings, ZohoClient
from harvester.zoho.contacts import RecordContext, identity_of_record, lines

CLIENT_ID = "1000.client"
SENT = 200
JSON_ALONE = frozenset({"contact_id", "contact_status", "sent_time_ms", "raw"}) | frozenset(
    {"open_reports", "click_count", "clicked_urls", "click_reports"}
)
XML_ALONE = frozenset({"bounced_date", "opted_out_date", "event_times"})


class Account:
    """One account of a practised Zoho, and its clients."""

    def __init__(self, server: Server, url: str, http: Http, state: Path) -> None:
        self.key = server.zoho.world(CLIENT_ID).campaigns[0].key
        credentials = Credentials(CLIENT_ID, "made-up", "made-up")
        self._tokens = Tokens(http, credentials, TokenSettings("acme", url, state), SystemClock())
        self._http = http
        self._settings = ClientSettings(url, ResponseFormat.JSON, 30)

    def client(self, fmt: ResponseFormat, *, is_timeline: bool = False) -> ZohoClient:
        settings = replace(self._settings, response_format=fmt, is_timeline=is_timeline)
        return ZohoClient(self._http, self._tokens, settings)

    async def records(self, client: ZohoClient, action: Action) -> list[dict[str, Any]]:
        page = await client.recipients(PageRequest(self.key, action, 1, SENT), whole)
        assert isinstance(page, Page), page
        context = RecordContext("acme", self.key, None, action, "2026-01-01T00:00:00Z", "r1", None)
        written = lines(page.rows, [place + 1 for place in page.places], context)
        return [json.loads(line) for line in written.split(b"\n")[:-1]]


def whole(page: Page) -> Page:
    return page


@asynccontextmanager
async def account(state: Path, quirks: QuirkOptions | None = None) -> AsyncIterator[Account]:
    world = WorldOptions(campaigns=1, recipients=SENT)
    server = Server(Options(world=world, quirks=quirks or QuirkOptions()))
    async with server.running() as url, Http() as http:
        yield Account(server, url, http, state)


def common(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in JSON_ALONE | XML_ALONE}


@pytest.mark.parametrize("action", Action)
async def test_H_14_json_and_xml_give_the_same_records(tmp_path: Path, action: Action) -> None:
    """Every column that both formats have agrees for every row; the others are null where the format lacks them."""
    async with account(tmp_path) as place:
        by_json = await place.records(place.client(ResponseFormat.JSON), action)
        by_xml = await place.records(place.client(ResponseFormat.XML), action)

    assert by_json
    assert [common(record) for record in by_json] == [common(record) for record in by_xml]
    assert {record[name] for record in by_xml for name in JSON_ALONE - {"raw"}} == {None}
    assert {record[name] for record in by_json for name in XML_ALONE} == {None}
    assert all(identity_of_record(record).startswith("mail:") for record in by_xml)


@pytest.mark.parametrize("action", Action)
async def test_the_timeline_tells_every_open_and_click_and_nothing_else(tmp_path: Path, action: Action) -> None:
    """Two actions have events; for the others nothing undocumented is asked."""
    async with account(tmp_path) as place:
        records = await place.records(place.client(ResponseFormat.XML, is_timeline=True), action)

    if action in {Action.OPENED, Action.CLICKED}:
        assert all(record["event_times"] == sorted(record["event_times"]) for record in records)
        assert {len(record["event_times"]) for record in records} == {1, 2, 3}
        assert all(len(time) == len("2026-02-12T12:08") for record in records for time in record["event_times"])
    else:
        assert {record["event_times"] for record in records} == {None}


async def test_the_details_of_the_campaign_come_with_xml(tmp_path: Path) -> None:
    """What JSON leaves out is there for the manifest."""
    async with account(tmp_path) as place:
        request = PageRequest(place.key, Action.SENT, 1, SENT)
        page = await place.client(ResponseFormat.XML).recipients(request, whole)

    assert isinstance(page, Page)
    assert page.campaign_details["email_status"] == "Sent"


@pytest.mark.parametrize("fmt", ResponseFormat)
async def test_A_25_odd_and_damaged_rows_cost_no_other_row(tmp_path: Path, fmt: ResponseFormat) -> None:
    """Whoever is odd, all others are who they are without them, each in its place."""
    async with account(tmp_path) as place:
        ordinary = await place.records(place.client(fmt), Action.SENT)
    async with account(tmp_path, QuirkOptions(odd_share=0.1, damaged_share=0.1)) as place:
        strange = await place.records(place.client(fmt), Action.SENT)

    by_position = {record["position"]: record for record in ordinary}
    assert SENT * 0.8 < len(strange) < SENT
    assert [record["email"] for record in strange] == [by_position[record["position"]]["email"] for record in strange]


async def test_the_counters_are_the_rows_of_every_action(tmp_path: Path) -> None:
    """One call says how many rows each action should have, and here it has them."""
    async with account(tmp_path) as place:
        client = place.client(ResponseFormat.XML)
        counters = await client.counters(place.key)
        rows = {action: len(await place.records(client, action)) for action in Action}
        unknown = await client.counters("3znobody")

    assert counters == Counters(rows)
    assert isinstance(unknown, Failure)
    assert unknown.kind is FailureKind.CAMPAIGN
