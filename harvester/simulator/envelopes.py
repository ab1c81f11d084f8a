"""Outcomes as bytes: the JSON and XML envelopes of the documentation. Pure.

Source: the documented samples of getcampaignrecipientsdata; error forms as users of the live service saw them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from html import escape
from typing import Any

import orjson

from harvester.simulator.campaigns import Campaign
from harvester.simulator.options import EchoStyle
from harvester.simulator.quirks import json_element
from harvester.simulator.rows import Contact, json_row, timeline_text, xml_fields
from harvester.simulator.wire import Answer

XML_TYPE = "text/xml;charset=UTF-8"
VERSION = "1.1"
ZUID = "4179027"
LISTING = "recent_campaigns"
"""The one list whose elements XML numbers."""


class Format(StrEnum):
    """How a client asked to be answered."""

    JSON = auto()
    XML = auto()


def format_of(params: Mapping[str, str]) -> Format:
    """Read `resfmt`; without it the live service answers XML."""
    return Format.JSON if params.get("resfmt", "").lower() == "json" else Format.XML


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error envelope; `is_capital` for the form with capital `Code` and `Message` and no status."""

    code: str
    message: str
    is_capital: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Recipients of one campaign and action.

    Attributes:
        campaign: whose.
        action: which.
        contacts: the rows, None to leave the list out of the envelope.
        first: the place of the first row in its set, from 0; of a wrong page, another one than was asked.
        is_last: whether no row of the set follows.
        from_index: as the envelope echoes it, from 1.
        range_rows: as the envelope echoes it.
        echo: how JSON echoes the request.
        is_live: which JSON field names.
        has_timeline: whether XML lists the moments of opens or clicks.
    """

    campaign: Campaign
    action: str
    contacts: list[Contact] | None
    first: int
    is_last: bool
    from_index: int
    range_rows: int
    echo: EchoStyle
    is_live: bool
    has_timeline: bool


@dataclass(frozen=True, slots=True)
class Document:
    """A neighbour's answer: its own keys, to be put between status and version."""

    fields: Mapping[str, Any]


Outcome = Refusal | Page | Document


def render(outcome: Outcome, form: Format, uri: str) -> Answer:
    """Write an outcome in the format the client asked for; always HTTP 200, as the service does."""
    if form is Format.JSON:
        return Answer(200, orjson.dumps(_json(outcome, uri)))
    # A surrogate stands for a byte that is no UTF-8: that is how a damaged row is written.
    return Answer(200, "".join(_xml(outcome, uri)).encode(errors="surrogateescape"), XML_TYPE)


def _json(outcome: Outcome, uri: str) -> dict[str, Any]:
    match outcome:
        case Refusal(code, message, is_capital=True):
            return {"Code": int(code), "Message": message}
        case Refusal(code, message):
            return {"status": "error", "code": code, "message": message}
        case Document(fields):
            return {"status": "success", **fields, "code": "0", "uri": uri, "version": VERSION}
        case Page():
            return _json_page(outcome, uri)


def _json_page(page: Page, uri: str) -> dict[str, Any]:
    envelope: dict[str, Any] = {}
    if page.echo is EchoStyle.OBJECT:
        envelope["requestdetails"] = {"range": page.range_rows, "action": page.action, "fromindex": page.from_index}
    if page.echo is EchoStyle.TEXT:
        text = f"{{range={page.range_rows}, action={page.action}, fromindex={page.from_index}}}"
        envelope["requestdetails"] = text
    envelope["status"] = "success"
    if page.contacts is not None:
        envelope["list_of_details"] = [
            json_element(json_row(contact, page.action, is_live=page.is_live), contact.quirk)
            for contact in page.contacts
        ]
    return envelope | {"code": "0", "uri": uri, "version": VERSION}


def _xml(outcome: Outcome, uri: str) -> Iterator[str]:
    version = "1" if isinstance(outcome, Refusal) and outcome.is_capital else VERSION
    yield f'<response uri="{escape(uri)}" version="{version}">'
    match outcome:
        case Refusal(code, message, is_capital):
            status = "" if is_capital else "<status>error</status>"
            yield f"{status}<code>{code}</code><message>{escape(message, quote=False)}</message>"
        case Document(fields):
            yield "<status>success</status><code>0</code>"
            yield from _xml_document(fields)
        case Page():
            yield "<status>success</status><code>0</code>"
            yield from _xml_page(outcome)
    yield "</response>"


def _xml_page(page: Page) -> Iterator[str]:
    if page.echo is not EchoStyle.ABSENT:
        yield f"<range>{page.range_rows}</range><action>{page.action}</action><fromindex>{page.from_index}</fromindex>"
    yield "<campaign_details>"
    names = {"campaign_name": page.campaign.name, "email_subject": page.campaign.subject}
    yield from _xml_values({"email_status": "Sent", "zuid": ZUID} | names)
    yield "</campaign_details>"
    if page.contacts is None:
        return
    yield "<contacts>"
    for contact in page.contacts:
        yield "<contact>"
        yield from _xml_values(xml_fields(contact, page.action))
        if page.has_timeline:
            yield from _xml_timeline(contact)
        yield "</contact>"
    yield "</contacts>"


def _xml_timeline(contact: Contact) -> Iterator[str]:
    yield "<reports>"
    for time_ms in contact.event_times_ms():
        yield f'<report><fl val="time">{timeline_text(time_ms)}</fl></report>'
    yield "</reports>"


def _xml_document(fields: Mapping[str, Any]) -> Iterator[str]:
    for key, value in fields.items():
        yield f"<{key}>"
        if isinstance(value, list):
            yield from _xml_listing(value) if key == LISTING else _xml_sections(value)
        else:
            yield escape(str(value), quote=False)
        yield f"</{key}>"


def _xml_listing(elements: list[dict[str, str]]) -> Iterator[str]:
    for number, element in enumerate(elements, start=1):
        yield f'<campaign no="{number}">'
        yield from _xml_values(element)
        yield "</campaign>"


def _xml_sections(elements: list[dict[str, str]]) -> Iterator[str]:
    # The reports' lists have one element each, and in XML its values stand right under the name of the list.
    for element in elements:
        yield from _xml_values(element)


def _xml_values(values: Mapping[str, str]) -> Iterator[str]:
    for key, value in values.items():
        name = escape(key)
        yield f'<fl val="{name}">{escape(value, quote=False)}</fl>' if value else f'<fl val="{name}"/>'
