"""A row of the server to the record that we write: the same columns for every action and for JSON and XML."""

import datetime as dt
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from harvester.model import Action, Row

SOURCES: Mapping[str, tuple[str, ...]] = {
    # Seen live, then documented for JSON, then the XML names. The first that holds something wins.
    "contact_id": ("contactid",),
    "email": ("contactemailaddress", "contact_email"),
    "first_name": ("contactfn", "firstname", "first_name"),
    "last_name": ("contactln", "lastname", "last_name"),
    "company": ("companyname", "company_name"),
    "phone": ("phone",),
    "timezone": ("timezone",),
    "contact_status": ("contactstatus",),
    "sent_time_ms": ("sent_time",),
    # The XML sample prints under added_time what the JSON sample of the same contact prints under sentdate.
    "sent_date": ("sentdate", "added_time"),
    "open_reports": ("openreports",),
    "click_count": ("clickcount",),
    "clicked_urls": ("clickedurls",),
    "click_reports": ("clickreports",),
    # Only the XML names of these two are known; their JSON names are guesses in the same manner.
    "bounced_date": ("bouncedDate", "bounceddate"),
    "opted_out_date": ("optOutTime", "optouttime"),
    # Where a row from XML has its timeline: a list of objects with a `time` each; see `xml_document`.
    "event_times": ("reports",),
}
"""The columns that are filled from a row, each with the row's keys that may fill it."""

COLUMNS: tuple[str, ...] = (
    *("account", "campaign_key", "parent_campaign_key", "action"),
    *("contact_id", "email", "first_name", "last_name", "company", "phone", "timezone", "contact_status"),
    *("sent_time_ms", "sent_date", "sent_at", "harvested_at", "run_id", "position"),
    *("open_reports", "click_count", "clicked_urls", "click_reports", "bounced_date", "opted_out_date"),
    *("event_times", "raw"),
)
"""Every key of a record, in order."""

_INTEGER_MAX = 253_402_300_799_999
"""The last millisecond of the year 9999: beyond it no date can be written, and no count is meant."""

_NULL = "null"
_EMPTY = frozenset({"", _NULL})
"""What the server writes for "nothing"; null in the columns, untouched in `raw`."""

_TIMELINE = "event_times"
"""The one column that is no text of the row."""

_EVENT_TIME = re.compile(r"([A-Z][a-z]{2}) ([0-9]{1,2}), ([0-9]{4}) ([0-9]{1,2}):([0-9]{2}) (AM|PM)")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NOON_HOURS = 12

NOBODY = frozenset({"", _NULL, "0", "-1"})
"""Ids that name nobody."""

_KEY_SETS_MAX = 64
_MOMENTS_MAX = 4_096
"""Sizes of the caches: the rows of a page share their keys, and many of them their sent time."""


@dataclass(frozen=True, slots=True)
class RecordContext:
    """What the records of one job share.

    Attributes:
        account: the account's name in the configuration.
        campaign_key: the campaign asked for; `parent_campaign_key` where it is a test half.
        parent_campaign_key: the A/B campaign that it belongs to, or None.
        action: the action asked for.
        harvested_at: when the page came, ISO 8601 in UTC, ending in "Z".
        run_id: the run that asked.
        sent_time_offset_ms: by how much this account's `sent_time` is ahead of UTC; None where nobody knows.
        has_raw: whether rows are kept beside their columns; if not, they come as `contents`.
    """

    account: str
    campaign_key: str
    parent_campaign_key: str | None
    action: Action
    harvested_at: str
    run_id: str
    sent_time_offset_ms: int | None = None
    has_raw: bool = True


def record(row: Row, position: int, context: RecordContext) -> dict[str, Any]:
    """Return the record of one row; `position` counts the rows of the job's set from 1.

    Text columns hold text or null, `sent_time_ms` and `click_count` whole numbers or null, `event_times` a list of
    texts or null, `raw` the row itself, or null where it is not kept.
    """
    return _filled(_template(context), row, position, context)


def lines(rows: Sequence[Row], positions: Sequence[int], context: RecordContext) -> bytes:
    r"""Return the records of `rows` as UTF-8 JSON, one a line, each ended by "\n".

    Every row that `replies.read_page` accepts can be written. What orjson refuses (integers beyond 64 bits, lone
    surrogates, more than 254 levels) is written as ASCII with escapes and reads back equal with the standard library.

    Args:
        rows: as they came.
        positions: the 1-based place of each of them in the job's set; rows that were left out leave gaps.
        context: what the rows share.
    """
    template = _template(context)
    return b"".join(
        [line_of(_filled(template, row, position, context)) for row, position in zip(rows, positions, strict=True)]
    )


def contents(row: Row) -> dict[str, Any]:
    """Return the columns that are filled from a row, in order; null where it does not say."""
    filled: dict[str, Any] = dict.fromkeys(SOURCES)
    _fill(filled, row)
    return filled


def contact_identity(row: Row) -> str:
    """Return by what the same contact is known again, in this process; empty if it has neither id nor address.

    Both must be the same: an id that two addresses share is a placeholder, and each of them is somebody. Addresses are
    compared in lower case and never returned themselves. Two rows that name nobody may be two contacts whose data were
    erased, however alike they look.
    """
    contact_id = row.get("contactid")
    if type(contact_id) is not str:  # nearly always one; this runs for every row
        contact_id = _text(contact_id)
    for name in SOURCES["email"]:
        address = row.get(name)
        if type(address) is not str:
            address = _text(address)
        if address and address != _NULL:
            return _identity(contact_id, address)
    return _identity(contact_id, None)


def identity_of_record(record: Mapping[str, Any]) -> str:
    """Return the identity of the contact of a record, or of a row's `contents`: the same as that of its row.

    So it needs no `raw`; where a pseudonym stands in the place of the address, contacts are told apart by that.
    """
    return _identity(record["contact_id"], record["email"])


def _identity(contact_id: str | None, address: str | None) -> str:
    is_named = contact_id is not None and contact_id.strip() not in NOBODY
    if address is None:
        return f"{contact_id}:" if is_named else ""
    known = address.strip().lower()
    # Beside an id 64 bits tell two addresses apart; alone they must tell millions.
    return f"{contact_id}:{hash(known)}" if is_named else f"mail:{_digest(known)}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _template(context: RecordContext) -> dict[str, Any]:
    known = {
        "account": context.account,
        "campaign_key": context.campaign_key,
        "parent_campaign_key": context.parent_campaign_key,
        "action": context.action.value,
        "harvested_at": context.harvested_at,
        "run_id": context.run_id,
    }
    return {column: known.get(column) for column in COLUMNS}


def _filled(template: dict[str, Any], row: Row, position: int, context: RecordContext) -> dict[str, Any]:
    filled = template.copy()
    if context.has_raw:
        _fill(filled, row)
        filled["raw"] = row
    else:
        filled.update(row)
    if filled["sent_time_ms"] is not None:
        filled["sent_at"] = _sent_at(filled["sent_time_ms"], context.sent_time_offset_ms)
    filled["position"] = position
    return filled


def _fill(filled: dict[str, Any], row: Row) -> None:
    for column, name in _columns_of(tuple(row)):
        value = row[name]
        if type(value) is not str:
            value = _text(value)
        if value and value != _NULL:  # `in _EMPTY` would hash every value, and most are seen once
            filled[column] = value
    if filled["click_count"] is not None:
        filled["click_count"] = _integer(filled["click_count"])
    if filled["sent_time_ms"] is not None:
        filled["sent_time_ms"] = _integer(filled["sent_time_ms"])
    for name in SOURCES[_TIMELINE]:
        if name in row:
            filled[_TIMELINE] = _event_times(row[name])


@lru_cache(maxsize=_KEY_SETS_MAX)
def _columns_of(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return (column, name) for the names that matter, the weaker first, so that the stronger overwrite them."""
    texts = ((column, known) for column, known in SOURCES.items() if column != _TIMELINE)
    return tuple((column, name) for column, known in texts for name in reversed(known) if name in names)


def _text(value: Any) -> str | None:
    """Return a value as the text of its column; what is no text is written as JSON."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return None if text in _EMPTY else text


def _integer(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(_INTEGER_MAX))):
        return None
    value = int(text)
    return value if value <= _INTEGER_MAX else None


@lru_cache(maxsize=_MOMENTS_MAX)
def _sent_at(sent_time_ms: int, offset_ms: int | None) -> str | None:
    """Return `sent_time` as a moment in UTC where the account's offset is known.

    Source: in every live pair `sent_time` is 8 h ahead of `sent_time_gmt`, so it is never taken for UTC itself.
    """
    if offset_ms is None or not 0 <= sent_time_ms - offset_ms <= _INTEGER_MAX:
        return None
    moment = dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(milliseconds=sent_time_ms - offset_ms)
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def _event_times(reports: Any) -> list[str] | None:
    """Return the moments of a timeline in the server's order; None where there are none, or it is none.

    A custom field may be called `reports` too.
    """
    if not isinstance(reports, list):
        return None
    times = [report.get("time") for report in reports if isinstance(report, dict)]
    return [_local_time(time) for time in times if isinstance(time, str) and time not in _EMPTY] or None


@lru_cache(maxsize=_MOMENTS_MAX)
def _local_time(text: str) -> str:
    """Return "Feb 12, 2026 12:08 PM" as "2026-02-12T12:08", and what has another form as it came.

    The time is the account's own, to the minute; no zone is known, so none is written.

    Source: a public client that asks in XML for `open_timeline` and `click_timeline`.
    """
    match = _EVENT_TIME.fullmatch(text)
    if match is None or match[1] not in _MONTHS or not 1 <= int(match[4]) <= _NOON_HOURS:
        return text
    hour = int(match[4]) % _NOON_HOURS + (_NOON_HOURS if match[6] == "PM" else 0)
    try:
        moment = dt.datetime(int(match[3]), _MONTHS.index(match[1]) + 1, int(match[2]), hour, int(match[5]))  # noqa: DTZ001
    except ValueError:
        return text
    return moment.isoformat(timespec="minutes")


def line_of(filled: Mapping[str, Any]) -> bytes:
    r"""Return a record as a line, with its "\n"; see `lines`."""
    try:
        return orjson.dumps(filled, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:
        return json.dumps(filled, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
