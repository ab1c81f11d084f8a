"""Is the endpoint locked, and for how long? Nobody has published how Zoho says so; this is the widest guess.

Sources: Zoho Projects' throttle filter, seen live, answers 400 with URL_ROLLING_THROTTLES_LIMIT_EXCEEDED and
"Try again after 22 minutes"; Marketing Automation documents code 2008, the Email API 409909.
"""

import datetime as dt
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from harvester.zoho.envelopes import bare
from harvester.zoho.wire import HttpReply

RETRY_AFTER_S_MAX = 86_400
"""The longest wait that is believed: a day, 48 times the documented lock."""

EXAMINED_BYTES = 4_096
"""How much of a body is searched for signs; a throttle notice is short."""

THROTTLE = re.compile(r"throttl|too many|limit\s*exceed|calls limit|try again after|(?<!un)locked", re.IGNORECASE)
_AFTER_MINUTES = re.compile(r"after\s+(\d{1,6})\s*min", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LockoutSigns:
    """What the operator adds to the built-in signs: codes of the API, and a pattern for the text of an answer."""

    codes: frozenset[str] = frozenset()
    pattern: re.Pattern[str] | None = None

    def is_in(self, text: str) -> bool:
        """Tell whether `text`, which must not be the rows of a page, speaks of a lock."""
        return bool(THROTTLE.search(text) or (self.pattern and self.pattern.search(text)))


def retry_after_s(reply: HttpReply, text: str = "") -> float | None:
    """Return how long the server asks to wait, 0 to 86,400 s, or None where it does not say.

    The header counts as seconds or as a date against the moment of receipt; garbage counts as absent. Where
    `text` names minutes too, the longer wait wins.
    """
    waits_s = [_header_s(reply.headers.get("Retry-After", "").strip(), reply.received_at_s)]
    minutes = _AFTER_MINUTES.search(text)
    waits_s.append(float(minutes[1]) * 60 if minutes else None)
    known_s = [min(max(wait_s, 0.0), RETRY_AFTER_S_MAX) for wait_s in waits_s if wait_s is not None]
    return max(known_s, default=None)


def _header_s(value: str, now_s: float | None) -> float | None:
    # A float holds 308 digits; who writes more does not mean a time.
    if re.fullmatch(r"[+-]?[0-9]{1,300}", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    if now_s is None:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return moment.timestamp() - now_s


def is_examined_as_text(reply: HttpReply) -> bool:
    """Tell whether a body that is no document may be searched for signs.

    A cut page is no document either, and its rows may hold any word; but a page comes with status 200 and
    starts like one.
    """
    start = bare(reply.body[:EXAMINED_BYTES])
    return reply.status != HTTPStatus.OK or not start.startswith((b"{", b"[", b"<?xml", b"<response"))


def examined_text(reply: HttpReply) -> str:
    """Return the start of the body as text, for `LockoutSigns.is_in`; never to be logged."""
    return reply.body[:EXAMINED_BYTES].decode(errors="replace")
