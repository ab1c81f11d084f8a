"""Answers that carry no data: locked, unauthorized, and spoiled ones. Pure."""

import math
from dataclasses import replace

import orjson

from harvester.simulator.envelopes import Document, Format, Outcome, Page, Refusal, render
from harvester.simulator.options import FaultKind, LockedAnswer, QuotaOptions
from harvester.simulator.wire import Answer, Mishap

HTML_TYPE = "text/html;charset=UTF-8"

_STATUS_OF_FAULT = {FaultKind.HTTP_500: 500, FaultKind.HTTP_502: 502, FaultKind.HTTP_503: 503}
_REFUSAL_OF_FAULT = {
    FaultKind.RETRY_LATER: Refusal("6001", "Error in displaying reports. Please retry after sometime."),
    FaultKind.UNKNOWN_CODE: Refusal("9999", "An answer that no documentation names."),
}
_MISHAP_OF_FAULT = {
    FaultKind.CUT: Mishap.CUT,
    FaultKind.RESET: Mishap.RESET,
    FaultKind.HANG: Mishap.HANG,
    FaultKind.DRIP: Mishap.DRIP,
}


def unauthorized(uri: str) -> Answer:
    """Answer a call without a good token: HTTP 401 and JSON with capital keys, whatever format was asked for."""
    body = {"message": "Unauthorized request.", "version": "1.1", "URI": uri, "Code": "1007", "status": "error"}
    return Answer(401, orjson.dumps(body))


def locked(style: LockedAnswer, quota: QuotaOptions, left_s: float, form: Format, uri: str) -> Answer:
    """Answer a locked call; `left_s` is the rest of the lock in the client's seconds.

    The minutes in a text are whole ones, rounded up: with a fast clock they say more than is left.
    """
    minutes = math.ceil(left_s / 60)
    match style:
        case LockedAnswer.RETRY_AFTER:
            body = orjson.dumps({"status": "error", "message": "Too many requests."})
            return Answer(429, body, headers={"Retry-After": str(math.ceil(left_s))})
        case LockedAnswer.BARE:
            return Answer(429, b"")
        case LockedAnswer.THROTTLE:
            return _throttled(quota, minutes)
        case LockedAnswer.ENVELOPE:
            message = f"Calls limit exceeded. Permitted calls per {quota.period_s:g} seconds: {quota.calls}"
            return render(Refusal("2008", message), form, uri)
        case LockedAnswer.HTML:
            return _html(200, f"Too many requests. Try again after {minutes} minutes.")
        case LockedAnswer.UNKNOWN:
            return Answer(403, orjson.dumps({"status": "error", "code": "9403", "message": "Not now."}))


def _throttled(quota: QuotaOptions, minutes: int) -> Answer:
    # The form of the throttle that Zoho's products share, as seen in a sister product.
    message = (
        f"Cannot execute more than {quota.calls} requests per API in {math.ceil(quota.period_s / 60)} minutes. "
        f"Try again after {minutes} minutes."
    )
    error = {"status_code": 400, "title": "URL_ROLLING_THROTTLES_LIMIT_EXCEEDED", "details": {"message": message}}
    return Answer(400, orjson.dumps({"error": error}))


def spoil_outcome(fault: FaultKind, outcome: Outcome) -> Outcome:
    """Take the list out of a good outcome where the fault is that; else return it as it is."""
    match outcome:
        case Page() if fault is FaultKind.NO_LIST:
            return replace(outcome, contacts=None)
        case Document(fields) if fault is FaultKind.NO_LIST:
            return Document({key: value for key, value in fields.items() if not isinstance(value, list)})
        case _:
            return outcome


def spoil_answer(fault: FaultKind, answer: Answer, form: Format, uri: str) -> Answer:
    """Replace or maltreat a good answer as the fault demands."""
    if fault in _STATUS_OF_FAULT:
        return _html(_STATUS_OF_FAULT[fault], "The server has run into a problem.")
    if fault in _REFUSAL_OF_FAULT:
        return render(_REFUSAL_OF_FAULT[fault], form, uri)
    if fault in _MISHAP_OF_FAULT:
        return replace(answer, mishap=_MISHAP_OF_FAULT[fault])
    others = {
        FaultKind.HTML: _html(200, "Please sign in."),
        FaultKind.EMPTY_BODY: replace(answer, body=b""),
        FaultKind.UNAUTHORIZED: unauthorized(uri),
    }
    return others.get(fault, answer)


def _html(status: int, text: str) -> Answer:
    body = f"<!DOCTYPE html><html><head><title>Zoho</title></head><body><p>{text}</p></body></html>"
    return Answer(status, body.encode(), HTML_TYPE)
