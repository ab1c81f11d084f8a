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
    REPORTS = auto()  #: campaignreports
    DETAILS = auto()  #: getcampaigndetails


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
    Endpoint.REPORTS: frozenset({"0", "200"}),
    Endpoint.DETAILS: frozenset({"0", "200"}),
}
"""The codes that announce rows."""

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
_REPORT = "Report it with the code and its message."
_FEWER = "Lower page_size."

UNKNOWN = Meaning(FailureKind.UNKNOWN, "a code that no documentation names", _REPORT)

_ELSEWHERE = (
    "910 914 916 991 994 995 996 2001 2002 2003 2020 2021 2102 2103 2202 2203 2204 2205 2301 2302 2401 2501 2602 2603 "
    "2604 2701 2704 2706 6101 6600 6603 6604 6606 6609 7001 7003"
)
_SISTERS = "900 917 919 928 980 2004 2006 2007 2009 2010 2011 3000 3002 3003 3004 3005 3006 3007 3008 3009"


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
            "409903": "invalid token",
            "409907": "expired token",
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
        },
    ),
    **_rows(
        FailureKind.OVERSIZE,
        _FEWER,
        {"6502": "more rows asked than the maximum"},
    ),
    **_rows(
        FailureKind.ACCOUNT,
        _TOKEN,
        {"INVALID_SCOPE": "the token lacks the scope", "OAUTH_SCOPE_MISMATCH": "the token lacks the scope"},
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
        {
            "6601": "insufficient privileges",
            "6607": "insufficient privileges, or no content for this campaign",
        },
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
    **_rows(FailureKind.JOB, _LISTS, dict.fromkeys(_ELSEWHERE.split(), "belongs to another call")),
    **_rows(FailureKind.UNKNOWN, _REPORT, dict.fromkeys(("3023", "6201"), "success, but of another call")),
    # Named by the list of a sister product, or seen in a sample, and nobody says what they mean here.
    **_rows(FailureKind.UNKNOWN, _REPORT, dict.fromkeys(_SISTERS.split(), "known from sister products alone")),
}
"""Code to meaning; `DIFFERENCES` overrides it for an endpoint, and `meaning_of` where the message decides."""

DIFFERENCES: Mapping[Endpoint, Mapping[str, Meaning]] = {
    Endpoint.RECIPIENTS: {},
    Endpoint.CAMPAIGNS: {
        "6101": Meaning(None, "no campaign in this view", _NO_ROWS),
        "6601": Meaning(FailureKind.ACCOUNT, "insufficient privileges to list campaigns", _RIGHTS),
        "6607": Meaning(FailureKind.ACCOUNT, "insufficient privileges to list campaigns", _RIGHTS),
    },
    Endpoint.REPORTS: {
        "6101": Meaning(None, "no campaign was sent", _NO_ROWS),
    },
    # What ends a set of contacts does not say that an A/B campaign has no halves.
    Endpoint.DETAILS: {
        "6302": Meaning(FailureKind.CAMPAIGN, "no details of this campaign", _REPORT),
        **_rows(FailureKind.JOB, _REPORT, dict.fromkeys(("6303", "6501", "992", "993"), "says nothing of details")),
    },
}
TOO_FEW_FOR_AB = Meaning(FailureKind.NOT_APPLICABLE, "an A/B campaign with fewer than 4 recipients", _NO_ROWS)
_AB_CODE = "6601"
_AB_MESSAGE = re.compile(r"\bA/?B\b.*recipient|less than 4", re.IGNORECASE)


def meaning_of(code: str, message: str = "", endpoint: Endpoint = Endpoint.RECIPIENTS) -> Meaning:
    """Return what `code` says; `UNKNOWN` for a code that no documentation names.

    6601 means two things: only a message that speaks of A/B recipients makes it harmless, anything else counts as
    missing privileges, which is reported and not skipped.
    """
    code = code.upper()
    if code in DIFFERENCES[endpoint]:
        return DIFFERENCES[endpoint][code]
    if code == _AB_CODE and _AB_MESSAGE.search(message):
        return TOO_FEW_FOR_AB
    return TABLE.get(code, UNKNOWN)
