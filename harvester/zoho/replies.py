"""From the bytes of an answer to a page, a listing, a token, or the failure that it means.

Body *and* status decide: most errors come with HTTP 200, and at least one, 1007, with a real 401. Only an empty list
or a code that says so means "no rows"; anything unclear is a failure, or a job would end with rows missing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum, auto
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from harvester.model import Echo, Failure, FailureKind, Page, PageRequest, ResponseFormat, Row
from harvester.zoho.codes import SUCCESS, Endpoint, Meaning, meaning_of
from harvester.zoho.envelopes import checked_rows, read_document
from harvester.zoho.lockout import LockoutSigns, examined_text, is_examined_as_text, retry_after_s
from harvester.zoho.redaction import redact
from harvester.zoho.salvage import salvage
from harvester.zoho.wire import HttpReply, OversizeError, UnreadableError

LIFE_S_DEFAULT = 3_600
LIFE_S_MAX = 86_400
"""Bounds of a token's life: an hour is documented; what claims more than a day is a unit mistaken."""

_CODE = re.compile(r"[0-9]{1,9}|[A-Z][A-Z0-9_]{1,31}")
"""The shapes of the API's codes; what else stands there is not believed, nor repeated."""

_LIST_KEY = "list_of_details"
_MAP_PAIR = re.compile(r"\b(\w++)\s*+=\s*+([^,}]*+)")
_MAP_CHARS_MAX = 4_000
"""Longest text of a map that is read: an echo has three short entries. A longer one is none, for if it were cut, half
a number could pass for a whole one."""

_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")
_NO_SIGNS = LockoutSigns()
_REMEDIES = {
    FailureKind.LOCKED: meaning_of("2008").remedy,
    FailureKind.TOKEN: meaning_of("1007").remedy,
}
"""What helps however these two were said, by a code, a status or a few words."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a listing endpoint; `total` rows where the server names it."""

    rows: tuple[Row, ...]
    total: int | None = None


@dataclass(frozen=True, slots=True)
class _Envelope:
    """What every readable answer has in common; parts None where it does not say."""

    document: Mapping[str, Any]
    list_key: str
    code: str | None
    status: str | None
    message: str

    @property
    def has_rows(self) -> bool:
        return isinstance(rows := self.document.get(self.list_key), list) and bool(rows)


def read_page(
    reply: HttpReply, request: PageRequest, fmt: ResponseFormat, signs: LockoutSigns = _NO_SIGNS
) -> Page | Failure:
    """Read an answer of getcampaignrecipientsdata.

    Args:
        reply: the answer; body JSON or XML, whatever was asked.
        request: the call that it answers; an echo of another action or index makes it MALFORMED. An echoed range
            that differs is a clamp and no failure.
        fmt: the format that was asked for; only error messages speak of it.
        signs: what else the operator takes for a lockout.

    Returns:
        The rows, none of them where the server says so; otherwise why there are none. Rows that cannot be written as
        they came are left out, and the page then says where they stood and holds the body.

    Source: the endpoint's page in the developer help; `codes` for the codes.
    """
    found = _rows(reply, _LIST_KEY, Endpoint.RECIPIENTS, signs)
    if isinstance(found, Failure):
        if found.kind is not FailureKind.MALFORMED:
            return found
        return _salvaged(reply, request, fmt, signs) or _asked_as(found, fmt)
    envelope, rows = found
    if contradiction := _contradiction(echo := _echo(envelope.document), request):
        return _malformed(reply, f"the answer belongs to another request: {contradiction}")
    return Page(rows, echo, envelope.code or "0", _details(envelope.document))


def _salvaged(reply: HttpReply, request: PageRequest, fmt: ResponseFormat, signs: LockoutSigns) -> Page | None:
    """Return the page of an answer some of whose rows are broken; None where more is broken than rows.

    What is left without the rows is judged like any other answer, and must be the envelope of a success.
    """
    try:
        parts = salvage(reply.body, _LIST_KEY)
    except UnreadableError:
        return None
    rest = read_page(replace(reply, body=parts.envelope), request, fmt, signs)
    if isinstance(rest, Failure) or rest.rows or rest.code not in SUCCESS[Endpoint.RECIPIENTS]:
        return None
    body = reply.body if parts.unreadable else b""
    return replace(rest, rows=parts.rows, unreadable=parts.unreadable, body=body)


def read_listing(
    reply: HttpReply, list_key: str, endpoint: Endpoint, signs: LockoutSigns = _NO_SIGNS
) -> Listing | Failure:
    """Read an answer of one of the other endpoints, whose rows stand under `list_key`; one odd row costs it all."""
    found = _rows(reply, list_key, endpoint, signs)
    if isinstance(found, Failure):
        return found
    envelope, rows = found
    return Listing(rows, _whole_number(envelope.document.get("total_record_count")))


def _rows(
    reply: HttpReply, list_key: str, endpoint: Endpoint, signs: LockoutSigns
) -> tuple[_Envelope, tuple[Row, ...]] | Failure:
    try:
        envelope = _envelope(read_document(reply.body), list_key)
    except UnreadableError as error:
        unread = _without_envelope(reply, str(error), signs)
        is_oversize = isinstance(error, OversizeError) and unread.kind is FailureKind.MALFORMED
        return replace(unread, kind=FailureKind.OVERSIZE) if is_oversize else unread
    if _is_success(reply, envelope, endpoint):
        try:
            return envelope, checked_rows(envelope.document.get(list_key), reply.body)
        except UnreadableError as error:
            return _malformed(reply, f"success, but {error} under {list_key!r}")
    if envelope.code is None:
        return _without_envelope(reply, "an answer without a code", signs, envelope)
    meaning = meaning_of(envelope.code, envelope.message, endpoint)
    failure = _failure(reply, envelope, meaning, signs)
    if failure is None:
        return envelope, ()
    return replace(failure, remedy=meaning.remedy) if failure.kind is meaning.kind else failure


def _is_success(reply: HttpReply, envelope: _Envelope, endpoint: Endpoint) -> bool:
    return (
        reply.status == HTTPStatus.OK
        and envelope.code in SUCCESS[endpoint]
        # recentsentcampaigns sends none, so the code alone must do; what is there may not contradict it.
        and envelope.status in {None, "success"}
    )


def _failure(reply: HttpReply, envelope: _Envelope, meaning: Meaning, signs: LockoutSigns) -> Failure | None:
    """Judge an envelope that is no success; None means "no rows"."""
    code, status = envelope.code or "", reply.status
    said = envelope.message or meaning.text
    text = _signs_text(reply, envelope)
    if (
        status == HTTPStatus.TOO_MANY_REQUESTS
        or meaning.kind is FailureKind.LOCKED
        or code in signs.codes
        or (meaning.kind is not FailureKind.TOKEN and signs.is_in(text))
    ):
        return _fail(reply, FailureKind.LOCKED, f"locked: {said}", code, text)
    if status == HTTPStatus.UNAUTHORIZED or meaning.kind is FailureKind.TOKEN:
        return _fail(reply, FailureKind.TOKEN, f"token refused: {said}", code)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _fail(reply, FailureKind.TRANSIENT, f"HTTP {status}: {said}", code)
    if meaning.kind is None and status == HTTPStatus.OK and not envelope.has_rows:
        return None
    if meaning.kind is None or code == "0":
        # Rows beside "no rows", code 0 beside "error", or either beside an HTTP error: which one is true?
        return _fail(reply, FailureKind.MALFORMED, f"the answer contradicts itself: HTTP {status}, {said}", code)
    return _fail(reply, meaning.kind, f"{said} ({meaning.text})" if envelope.message else said, code)


def _without_envelope(reply: HttpReply, reason: str, signs: LockoutSigns, envelope: _Envelope | None = None) -> Failure:
    """Judge an answer without a code of the API, for which only the status and a few words speak."""
    if envelope is not None:
        text = _signs_text(reply, envelope)
    else:
        text = examined_text(reply) if is_examined_as_text(reply) else ""
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS or (reply.status != HTTPStatus.UNAUTHORIZED and signs.is_in(text)):
        return _fail(reply, FailureKind.LOCKED, f"locked: HTTP {reply.status}", None, text)
    if reply.status == HTTPStatus.OK:
        kind_of_body = redact(reply.content_type.partition(";")[0]) or "no content type"
        return _malformed(reply, f"{reason} ({kind_of_body}, {len(reply.body)} bytes)")
    return _fail(reply, *_by_status(reply))


# Path, verb and content type are the same for every job: what is wrong for one is wrong for all.
_NOT_THE_API = (FailureKind.ACCOUNT, "this is not the API; check base_url and the data centre")
_BY_STATUS: Mapping[int, tuple[FailureKind, str]] = {
    HTTPStatus.UNAUTHORIZED: (FailureKind.TOKEN, "token refused"),
    HTTPStatus.REQUEST_TIMEOUT: (FailureKind.TRANSIENT, "the server waited too long"),
    HTTPStatus.TOO_EARLY: (FailureKind.TRANSIENT, "too early"),
    HTTPStatus.NOT_FOUND: _NOT_THE_API,
    HTTPStatus.METHOD_NOT_ALLOWED: _NOT_THE_API,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: _NOT_THE_API,
}


def _by_status(reply: HttpReply) -> tuple[FailureKind, str]:
    """Judge a status other than 200 that comes without an envelope."""
    status = reply.status
    if status in _BY_STATUS:
        kind, text = _BY_STATUS[status]
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind, text = FailureKind.TRANSIENT, "the server failed"
    elif status >= HTTPStatus.BAD_REQUEST:
        # 400, 403 and the rest may be due to this one key or action, or be a lock that nobody has described.
        kind, text = FailureKind.UNKNOWN, "the request was refused"
    elif status >= HTTPStatus.MULTIPLE_CHOICES:
        kind, text = FailureKind.ACCOUNT, f"a redirect to {_location_host(reply)}, not followed: check base_url"
    else:
        kind, text = FailureKind.MALFORMED, "not the 200 of an answer"
    return kind, f"HTTP {status}: {text}"


def _location_host(reply: HttpReply) -> str:
    """Return the host of a redirect and nothing more: a query may hold what we sent."""
    try:
        return redact(urlsplit(reply.headers.get("Location", "")).hostname or "the same host")
    except ValueError:
        return "an unreadable address"


def _envelope(document: Mapping[str, Any], list_key: str) -> _Envelope:
    status, message = _first(document, "status", "Status"), _first(document, "message", "Message")
    return _Envelope(
        document=document,
        list_key=list_key,
        code=_code(_first(document, "code", "Code")),
        status=status.strip().lower() if isinstance(status, str) else None if status is None else "unreadable",
        message=redact(message) if isinstance(message, str) else "",
    )


def _first(document: Mapping[str, Any], *names: str) -> Any:
    return next((document[name] for name in names if document.get(name) is not None), None)


def _code(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    code = value.strip() if isinstance(value, str) else str(min(abs(value), 10**9))  # 10 digits: no code
    return code if _CODE.fullmatch(code) else None


def _signs_text(reply: HttpReply, envelope: _Envelope) -> str:
    """Return what may be searched for signs of a lock: where rows came, the message alone."""
    return envelope.message if envelope.list_key in envelope.document else examined_text(reply)


def _echo(document: Mapping[str, Any]) -> Echo:
    """Read what the server says it was asked: an object, Java's text of a map, or fields at the top level."""
    details = document.get("requestdetails")
    if isinstance(details, str):
        details = dict(_MAP_PAIR.findall(details)) if len(details) <= _MAP_CHARS_MAX else {}
    if not isinstance(details, Mapping):
        details = document
    action = details.get("action")
    return Echo(
        range_rows=_whole_number(details.get("range")),
        action=action.strip() if isinstance(action, str) and action.strip() else None,
        from_index=_whole_number(details.get("fromindex")),
    )


def _whole_number(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,18}\s*", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _contradiction(echo: Echo, request: PageRequest) -> str | None:
    if echo.action is not None and echo.action.casefold() != request.action.value.casefold():
        return f"action {redact(echo.action)!r}"
    if echo.from_index is not None and echo.from_index != request.from_index:
        return f"another fromindex than {request.from_index}"
    return None


def _details(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the flat part of `campaign_details`, redacted: it names senders, and goes into ledger and manifest."""
    details = document.get("campaign_details")
    if not isinstance(details, Mapping):
        return {}
    return {
        redact(name): redact(value) if isinstance(value, str) else value
        for name, value in details.items()
        if isinstance(value, str | bool | None)
    }


def _asked_as(failure: Failure, fmt: ResponseFormat) -> Failure:
    message = redact(f"not {fmt.upper()}: {failure.message}") if failure.code is None else failure.message
    return replace(failure, message=message)


def _malformed(reply: HttpReply, message: str) -> Failure:
    return _fail(reply, FailureKind.MALFORMED, message)


def _fail(reply: HttpReply, kind: FailureKind, message: str, code: str | None = None, text: str = "") -> Failure:
    remedy = _REMEDIES.get(kind, "")
    return Failure(kind, redact(message), code, reply.status, retry_after_s(reply, text), remedy=remedy)


class RefusalReason(StrEnum):
    """Why the accounts host gave no token."""

    REFRESH_TOKEN = auto()  #: wrong, revoked, or of another client
    CLIENT = auto()  #: client id or secret wrong, or the wrong data centre
    THROTTLED = auto()  #: too many tokens asked for
    HOST = auto()  #: not the accounts host: a redirect, or no such path
    UNCLEAR = auto()  #: nothing that we know; may pass


@dataclass(frozen=True, slots=True)
class Grant:
    """An access token and how long it lives from now, in seconds."""

    access_token: str
    life_s: int

    def __repr__(self) -> str:
        return f"Grant(access_token=..., life_s={self.life_s})"


@dataclass(frozen=True, slots=True)
class TokenRefusal:
    """No token, and why; `message` is redacted."""

    reason: RefusalReason
    message: str


_REFUSALS: Mapping[str, RefusalReason] = {
    "invalid_code": RefusalReason.REFRESH_TOKEN,
    "invalid_grant": RefusalReason.REFRESH_TOKEN,
    "invalid_scope": RefusalReason.REFRESH_TOKEN,
    "invalid_client": RefusalReason.CLIENT,
    "invalid_client_secret": RefusalReason.CLIENT,
    "access denied": RefusalReason.THROTTLED,
}


def read_token(reply: HttpReply) -> Grant | TokenRefusal:
    """Read an answer of the token endpoint; it refuses with HTTP 200 as well as with 400.

    `expires_in` is taken as seconds, 3,600 where it is missing or unreadable, within 1 to 86,400. `api_domain` is
    ignored: it names another host than the one of Campaigns, and no answer may redirect the token.
    """
    try:
        document = read_document(reply.body)
    except UnreadableError as error:
        return _token_refusal(reply, None, str(error))
    token = document.get("access_token")
    if reply.status == HTTPStatus.OK and token is not None:
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            return TokenRefusal(RefusalReason.UNCLEAR, "an access token that is no header text")
        return Grant(token, _life_s(document))
    return _token_refusal(reply, document.get("error"), "no access token")


def _life_s(document: Mapping[str, Any]) -> int:
    # An older page shows milliseconds in expires_in, and then the seconds in expires_in_sec.
    life_s = _whole_number(_first(document, "expires_in_sec", "expires_in"))
    return LIFE_S_DEFAULT if life_s is None else min(max(life_s, 1), LIFE_S_MAX)


def _token_refusal(reply: HttpReply, error: Any, reason: str) -> TokenRefusal:
    said = error.strip() if isinstance(error, str) else ""
    if (known := _REFUSALS.get(said.lower())) is not None:
        return TokenRefusal(known, redact(said))
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        return TokenRefusal(RefusalReason.THROTTLED, "HTTP 429")
    if HTTPStatus.MULTIPLE_CHOICES <= reply.status < HTTPStatus.BAD_REQUEST:
        return TokenRefusal(RefusalReason.HOST, f"HTTP {reply.status} to {_location_host(reply)}, not followed")
    if reply.status == HTTPStatus.NOT_FOUND:
        return TokenRefusal(RefusalReason.HOST, "HTTP 404")
    return TokenRefusal(RefusalReason.UNCLEAR, redact(f"HTTP {reply.status}: {said or reason}"))
