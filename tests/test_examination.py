"""The doctor's transport: it counts, it stops at five, and it notes what answers say beside their bodies."""

import pytest
from test_zoho_loopback import TIMEOUT_S, answer, scripted

from harvester.operations.examination import CALLS_MAX, Wire
from harvester.zoho.api import Http
from harvester.zoho.wire import TransportError

JSON_PARAMS = {"resfmt": "JSON"}


async def noted(reply: bytes, params: dict[str, str]) -> Wire:
    """Return what a wire notes of one answer."""
    async with scripted(reply) as server, Http() as http:
        wire = Wire(http)
        await wire.post(f"{server.url}/api", params, {}, TIMEOUT_S)
    return wire


async def test_the_sixth_call_is_never_sent() -> None:
    """Five calls for an account are the most, whatever asks for a sixth."""
    async with scripted(answer(b"{}")) as server, Http() as http:
        wire = Wire(http)
        for _ in range(CALLS_MAX):
            await wire.post(server.url, {}, {}, TIMEOUT_S)

        with pytest.raises(TransportError) as caught:
            await wire.post(server.url, {}, {}, TIMEOUT_S)

    assert not caught.value.is_sent
    assert (wire.calls, len(server.requests)) == (5, 5)


async def test_a_call_that_fails_counts() -> None:
    """What was sent was sent, whether an answer came or not."""
    async with Http() as http:
        wire = Wire(http)
        with pytest.raises(TransportError):
            await wire.post("http://127.0.0.1:9", {}, {}, TIMEOUT_S)

    assert wire.calls == 1


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Jan 2015 00:00:00 GMT", "1" * 400])
async def test_a_date_that_is_none_tells_no_time(date: str) -> None:
    """Whatever stands in the header, the clock is unknown and nothing breaks."""
    wire = await noted(answer(b"{}", "200 OK", f"Date: {date}"), {})

    assert wire.skews_s == []


async def test_a_date_tells_how_far_the_clock_is_ahead() -> None:
    """The moment of receipt minus the answer's Date."""
    wire = await noted(answer(b"{}", "200 OK", "Date: Thu, 01 Jan 1970 00:00:10 GMT"), {})

    assert wire.skews_s[0] > 1.7e9


@pytest.mark.parametrize(
    ("body", "params", "is_told"),
    [
        (b"<response/>", JSON_PARAMS, True),
        (b' \n<?xml version="1.0"?><response/>', JSON_PARAMS, True),
        (b"<html></html>", JSON_PARAMS, False),  # a page for people: the call itself fails
        (b"{}", JSON_PARAMS, False),
        (b"<response/>", {"resfmt": "XML"}, False),
    ],
)
async def test_H_14_xml_is_noted_where_json_was_asked_for(
    body: bytes, params: dict[str, str], *, is_told: bool
) -> None:
    """Only the API's own XML, and only in answer to a call that asked for JSON."""
    wire = await noted(answer(body), params)

    assert wire.xml_paths == (["/api"] if is_told else [])
