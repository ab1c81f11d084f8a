"""What the API's own codes mean: one table for every documented code, with the endpoints' differences.

Sources: the page of getcampaignrecipientsdata, the pages of its neighbours and the general list of v1.1 codes.
The same number has different texts on different pages, so a code is read together with its endpoint and message.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto

from harvester.model import FailureKind


class Endpoint(StrEnum):
    """The endpoints whose codes we read."""

    RECIPIENTS = auto()  #: getcampaignrecipientsdata
    CAMPAIGNS = auto()  #: recentcampaigns


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one code says.

    Attributes:
        kind: how the call failed; None where the code says that there are no (more) rows.
        text: what it means, in a few words.
        remedy: what a person can do, in one sentence.
    """

    kind: FailureKind | None
    text: str
    remedy: str


SUCCESS: Mapping[Endpoint, frozenset[str]] = {
    Endpoint.RECIPIENTS: frozenset({"0"}),
    Endpoint.CAMPAIGNS: frozenset({"0", "200"}),  # some neighbours say 200
}
"""The codes that announce rows. The general list also calls 3023 and 6201 success, for calls that we never make."""

_NO_ROWS = "Nothing to do."
_WAIT = "Wait: the harvest tries again by itself."
_KEY = "Check the campaign key; a draft becomes valid once it is sent."
_GONE = "Take the campaign off the list."
_RIGHTS = "Ask the organisation's administrator for the right to read campaign reports."
_SETUP = "Check the account, its data centre and base_url."
_REQUEST = "Report it with the code: the request itself was not understood."
_TOKEN = "Check the refresh token, its scope ZohoCampaigns.campaign.READ and the data centre."  # noqa: S105  a sentence
_LOCK = "Wait for the end of the lock and let nothing else use this endpoint."
_LISTS = "The code belongs to another part of the API: check base_url."

UNKNOWN = Meaning(FailureKind.UNKNOWN, "a code that no documentation names", "Report it with the code.")
_PRIVILEGES = Meaning(FailureKind.CAMPAIGN, "insufficient privileges", _RIGHTS)
_TOO_FEW_FOR_AB = Meaning(FailureKind.NOT_APPLICABLE, "an A/B campaign with fewer than 4 recipients", _NO_ROWS)

_ELSEWHERE = (
    "910 914 916 991 994 995 996 2001 2002 2003 2020 2021 2102 2103 2202 2203 2204 2205 2301 2302 2401 2501 2602 2603 "
    "2604 2701 2704 2706 6101 6600 6603 6604 6606 6609 7001 7003"
)


def _rows(kind: FailureKind | None, remedy: str, texts: Mapping[str, str]) -> dict[str, Meaning]:
    return {code: Meaning(kind, text, remedy) for code, text in texts.items()}


TABLE: Mapping[str, Meaning] = {
    # Only 6303 was ever seen live (an empty action, and the page after the last); the others are documented so.
    **_rows(
        None,
        _NO_ROWS,
        {
            "6303": "no contacts",
            "6302": "no contacts found",
            "6501": "no contacts for this criterion",
            "993": "no contact",
            "992": "no result",
        },
    ),
    **_rows(
        FailureKind.TOKEN,
        _TOKEN,
        {
            "401": "unauthorized",
            "1007": "unauthorized request",
            "INVALID_TOKEN": "invalid token",
            "INVALID_OAUTHTOKEN": "invalid token",
        },
    ),
    **_rows(
        FailureKind.LOCKED,
        _LOCK,
        {"2008": "calls limit exceeded", "409909": "rate limit exceeded"},
    ),
    **_rows(
        FailureKind.TRANSIENT,
        _WAIT,
        {
            "500": "the server ran into a problem",
            "2101": "retry after some time",
            "2201": "error in displaying",
            "2402": "try again after some time",
            "2502": "try again after some time",
            "2601": "try again after some time",
            "2707": "error in displaying reports",
            "6001": "error in displaying reports",
            "6610": "error in displaying reports",
            "7002": "error in displaying reports",
        },
    ),
    **_rows(
        FailureKind.ACCOUNT,
        _SETUP,
        {
            "901": "the account is not active",
            "902": "no such user account",
            "903": "mandatory fields missing",
            "1002": "extra parameter found",
            "1003": "mandatory fields missing",
            "1004": "wrong URL",
        },
    ),
    **_rows(
        FailureKind.JOB,
        _REQUEST,
        {
            "400": "bad request",
            "404": "no such resource",
            "1001": "a parameter does not fit its pattern",
            "1005": "wrong data type or format",
            "1006": "a key was given more than once",
            "6304": "insufficient privileges",
            "6305": "no link",
            "6306": "insufficient privileges",
            "6307": "no statistics",
            "6502": "more rows asked than the maximum",
        },
    ),
    **_rows(
        FailureKind.CAMPAIGN,
        _KEY,
        {
            "3001": "no sent campaign, or an invalid campaign key",
            "6002": "invalid campaign key, or not yet sent",
            "6301": "invalid campaign key",
            "6605": "the campaign's status changed",
            "6611": "the campaign is not reviewed",
        },
    ),
    **_rows(
        FailureKind.CAMPAIGN,
        _RIGHTS,
        {"6607": "insufficient privileges, or no content for this campaign"},
    ),
    **_rows(
        FailureKind.CAMPAIGN,
        _GONE,
        {
            "2206": "the campaign was deleted",
            "6503": "the campaign was deleted",
            "6608": "the campaign was deleted",
        },
    ),
    # Documented, but for calls that we never make: seen here, they say that we talk to something else.
    **_rows(
        FailureKind.JOB,
        _LISTS,
        dict.fromkeys(
            _ELSEWHERE.split(),
            "belongs to another call",
        ),
    ),
}
"""Code to meaning on the recipients endpoint; `meaning_of` adds what depends on the endpoint or the message."""

_CAMPAIGNS: Mapping[str, Meaning] = {
    "6101": Meaning(None, "no campaign in this view", _NO_ROWS),
    "6601": Meaning(FailureKind.ACCOUNT, "insufficient privileges to list campaigns", _RIGHTS),
    "6607": Meaning(FailureKind.ACCOUNT, "insufficient privileges to list campaigns", _RIGHTS),
}
_AB_MESSAGE = re.compile(r"\bA/?B\b.*recipient|less than 4", re.IGNORECASE)


def meaning_of(code: str, message: str = "", endpoint: Endpoint = Endpoint.RECIPIENTS) -> Meaning:
    """Return what `code` says; `UNKNOWN` for a code that no documentation names.

    6601 means two things on the recipients endpoint: only a message that speaks of A/B recipients makes it
    harmless, anything else counts as missing privileges, which is reported and not skipped.
    """
    code = code.upper()
    if endpoint is Endpoint.CAMPAIGNS and code in _CAMPAIGNS:
        return _CAMPAIGNS[code]
    if code == "6601":
        return _TOO_FEW_FOR_AB if _AB_MESSAGE.search(message) else _PRIVILEGES
    return TABLE.get(code, UNKNOWN)
