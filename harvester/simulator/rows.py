"""Contacts and their fields: what one recipient looks like in JSON and in XML. Pure and computed, nothing is stored.

Field names: the documentation's sample for DOCUMENTED, what users of the live service report for LIVE.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from harvester.simulator.quirks import FIRST_IDS, ODD_NAMES, Quirk, odd_row, xml_values
from harvester.simulator.set_options import Damage

NULL = "null"
"""The API writes a missing value as this text, not as JSON null."""

ACTIVE = "active"
"""The status of a contact. Source: the documented sample."""

ACCOUNT_ZONE = dt.timezone(dt.timedelta(hours=5, minutes=30))
ACCOUNT_ZONE_NAME = "Asia/Kolkata"
SENT_TIME_SHIFT_MS = 8 * 3600 * 1000
"""`sent_time` runs this far ahead of UTC; `sent_time_gmt` is true. Source: eight live pairs of public reports."""

IDS_PER_SLOT = 1_000_000
"""A contact id is slot * this + position; `options.RECIPIENTS_MAX` keeps positions below it."""

FIRST_CONTACT_ID = 303_000_000_000_000
DATES_CACHED = 4096

FIRST_NAMES = (
    "meganath.v",
    "Zoë",
    "Łukasz",
    "李雷",
    "O'Brien",
    'Bo "the boss"',
    "🙂 Kim",
    "محمد",
    NULL,
    "",
    "a<b>&c",
    "Anna",
)
LAST_NAMES = ("", "Müller", "D'Angelo", "de la Cruz", "Ünal", NULL, "王", "Smith\\Jones", "🚀", "Ng", "O\u2028Neil")
COUNTRIES = ("India", "Germany", "Côte d'Ivoire", NULL)

_WIDE_ROW: Mapping[str, Any] = dict.fromkeys(
    (
        "contactid", "contactemailaddress", "contactfn", "contactln", "contactstatus", "companyname", "jobtitle",
        "title", "phone", "mobile", "secondary_email", "address", "city", "state", "country", "zipcode", "timezone",
        "website", "note", "facebook_handle", "linkedin_handle", "twitter_handle", "rtbf", "sent_time", "sentdate",
    ),
    NULL,
)  # fmt: skip
_DOCUMENTED_ROW: Mapping[str, Any] = dict.fromkeys(
    (
        "phone", "timezone", "contactstatus", "contactemailaddress", "sent_time", "lastname", "sentdate", "firstname",
        "contactid", "companyname",
    ),
    NULL,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Contact:
    """One recipient of one campaign.

    Attributes:
        slot: which rows these are within the account; makes ids unique over campaigns.
        position: of the recipient in its campaign, from 0.
        sent_ms: when the message left, true UTC.
        quirk: what is odd about it, None for most.
        is_repeat: whether this is the contact's second row in the same set.
        status: what the service says of the contact at present.
    """

    slot: int
    position: int
    sent_ms: int
    quirk: Quirk | None = None
    is_repeat: bool = False
    status: str = ACTIVE

    @property
    def contact_id(self) -> str:
        """The API's `contactid`: at least 15 digits, unique in the account."""
        return str(FIRST_IDS.get(self.quirk, FIRST_CONTACT_ID) + self.slot * IDS_PER_SLOT + self.position)

    @property
    def is_damaged(self) -> bool:
        """Whether its JSON row cannot be read or written again as JSON."""
        return isinstance(self.quirk, Damage)

    @property
    def email(self) -> str:
        """A made-up address on a domain that can never exist."""
        return f"r{self.position}.c{self.slot}@recipients.example"

    @property
    def first_name(self) -> str:
        """One of a few names that have broken parsers before."""
        return ODD_NAMES.get(self.quirk) or FIRST_NAMES[(self.position * 7 + self.slot) % len(FIRST_NAMES)]

    @property
    def last_name(self) -> str:
        """Likewise."""
        return LAST_NAMES[(self.position * 5 + self.slot) % len(LAST_NAMES)]

    def event_times_ms(self) -> tuple[int, ...]:
        """Return the moments, true UTC, of this recipient's one to three opens or clicks."""
        return tuple(self.sent_ms + hours * 3_600_000 for hours in range(1, 2 + self.position % 3))


@lru_cache(maxsize=DATES_CACHED)
def _date_of_minute(minute: int) -> str:
    return dt.datetime.fromtimestamp(minute * 60, ACCOUNT_ZONE).strftime("%d %b %Y, %I:%M %p")


def date_text(time_ms: int) -> str:
    """Return a true UTC time as the API prints dates: "02 Aug 2013, 12:39 PM" in the account's zone."""
    return _date_of_minute(time_ms // 60_000)


def timeline_text(time_ms: int) -> str:
    """Return a true UTC time as the XML reports print it: "Feb 12, 2026 12:08 PM" in the account's zone."""
    return dt.datetime.fromtimestamp(time_ms / 1000, ACCOUNT_ZONE).strftime("%b %d, %Y %I:%M %p")


def json_row(contact: Contact, action: str, *, is_live: bool) -> dict[str, Any]:
    """Return one element of `list_of_details`; all values are strings, but for `urlclicks` and odd ones."""
    row = dict(_WIDE_ROW if is_live else _DOCUMENTED_ROW)
    row["contactid"] = contact.contact_id
    row["contactemailaddress"] = contact.email
    row["contactstatus"] = contact.status
    row["contactfn" if is_live else "firstname"] = contact.first_name
    row["contactln" if is_live else "lastname"] = contact.last_name
    row["sent_time"] = str(contact.sent_ms + SENT_TIME_SHIFT_MS)
    row["sentdate"] = date_text(contact.sent_ms)
    if is_live:
        row["country"] = COUNTRIES[contact.position % len(COUNTRIES)]
        row["rtbf"] = "0"
    extra = _EXTRAS.get(action)
    if extra is not None:
        row.update(extra(contact))
    return odd_row(row, contact.quirk)


def _open_fields(contact: Contact) -> dict[str, Any]:
    opens = ", ".join(f"m{n}={date_text(time)}" for n, time in enumerate(contact.event_times_ms(), start=1))
    return {"openreports": f"{{{opens}}}"}


def _click_fields(contact: Contact) -> dict[str, Any]:
    clicks = len(contact.event_times_ms())
    url = f"https://shop.example/item?c={contact.slot}&p={contact.position}"
    return {
        "clickcount": str(clicks),
        "clickedurls": f"[{url}]",
        "clickreports": f"{{{url}={clicks}}}",
        "urlclicks": [{"url": url, "count": str(clicks)}],
    }


_EXTRAS: Mapping[str, Callable[[Contact], dict[str, Any]]] = {
    "openedcontacts": _open_fields,
    "clickedcontacts": _click_fields,
}

_XML_TIME_FIELDS: Mapping[str, str] = {
    "senthardbounce": "bouncedDate",
    "sentsoftbounce": "bouncedDate",
    "optoutcontacts": "optOutTime",
}


def xml_fields(contact: Contact, action: str) -> dict[str, str]:
    """Return the `<fl>` values of one `<contact>`: other names than JSON, and no id."""
    fields = {
        "added_time": date_text(contact.sent_ms),
        "first_name": contact.first_name,
        "last_name": contact.last_name,
        "company_name": "",
        "phone": "",
        "contact_email": contact.email,
    }
    if action in _XML_TIME_FIELDS:
        fields[_XML_TIME_FIELDS[action]] = date_text(contact.event_times_ms()[0])
    return xml_values(fields, contact.quirk)
