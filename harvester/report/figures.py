"""Numbers as people read them (pure)."""

import datetime as dt
import math

KEY_SHOWN_CHARS = 12
"""Real campaign keys have 66 characters; the first 12 (`3z` and 40 bits) tell those of one account apart."""

_SIZE_UNITS = ("kB", "MB", "GB", "TB", "PB")
_SIZE_STEP = 1000
_DURATION_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, an English plural in `s`: `1 row`, `1,234 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(size_bytes: int) -> str:
    """Return a size in decimal units with one digit after the point: `812 B`, `3.4 MB`."""
    if size_bytes < _SIZE_STEP:
        return f"{size_bytes} B"
    amount = float(size_bytes)
    for unit in _SIZE_UNITS:
        amount /= _SIZE_STEP
        if round(amount, 1) < _SIZE_STEP or unit == _SIZE_UNITS[-1]:
            break
    return f"{amount:.1f} {unit}"


def duration(duration_s: float) -> str:
    """Return a duration in its two largest units: `0.4 s`, `12 s`, `2 min 5 s`, `1 h 3 min`, `2 d 4 h`.

    Whole seconds from 1 s on, rounded; negative is `0 s`, and what is not finite is `unknown`.
    """
    if not math.isfinite(duration_s):
        return "unknown"
    tenths = round(max(0.0, duration_s), 1)
    if 0 < tenths < 1:
        return f"{tenths} s"
    rest_s = round(max(0.0, duration_s))
    for index, (unit_s, unit) in enumerate(_DURATION_UNITS[:-1]):
        if rest_s >= unit_s:
            smaller_s, smaller = _DURATION_UNITS[index + 1]
            lesser = rest_s % unit_s // smaller_s
            return f"{rest_s // unit_s} {unit}" + (f" {lesser} {smaller}" if lesser else "")
    return f"{rest_s} s"


def countdown(duration_s: float) -> str:
    """Return how long is still to wait, rounded up to whole seconds, so that it never says 0 while one waits."""
    return duration(math.ceil(duration_s)) if math.isfinite(duration_s) else duration(duration_s)


def percent(part: int, whole: int) -> str:
    """Return the share in whole percent, rounded down, so that `100 %` means all of it; of nothing it is `0 %`."""
    return f"{100 * part // whole if whole > 0 else 0} %"


def clock_time(moment: str) -> str:
    """Return the hour and minute of an ISO 8601 moment, in UTC: `14:05 UTC`; any other text comes back unchanged."""
    try:
        parsed = dt.datetime.fromisoformat(moment)
    except ValueError:
        return moment
    if parsed.tzinfo is None:  # nothing says which zone: claim none
        return f"{parsed:%H:%M}"
    try:
        return f"{parsed.astimezone(dt.UTC):%H:%M} UTC"
    except OverflowError:  # year 1 or 9999, beyond the calendar once moved to UTC
        return moment


def short_key(campaign_key: str) -> str:
    """Return a campaign key, cut to `KEY_SHOWN_CHARS` characters and an ellipsis where it is longer."""
    return campaign_key if len(campaign_key) <= KEY_SHOWN_CHARS else f"{campaign_key[:KEY_SHOWN_CHARS]}…"
