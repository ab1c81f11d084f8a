"""Which campaigns an account has sent, and by how much its `sent_time` runs ahead of UTC."""

from collections.abc import Sequence
from typing import Any

from harvester.model import Failure, FailureKind, Row, SentCampaign

LIST_KEY = "recent_campaigns"
CAMPAIGN_RANGE_ROWS = 100
"""Campaigns asked for in one call; the largest range that several public clients use."""

OFFSET_MS_MAX = 26 * 3_600_000
"""Time zones span 26 hours; a larger difference between two times of one campaign is no offset."""

_SENT = "sent"


def sent_campaigns(rows: Sequence[Row]) -> tuple[SentCampaign, ...] | Failure:
    """Return the sent campaigns among `rows`, in their order.

    The offset, `sent_time` minus `sent_time_gmt`, is 28,800,000 ms in every pair that was seen live.
    A row whose status is missing counts as sent: only sent ones were asked for. A sent row without a key is a
    MALFORMED failure, or a campaign would silently be left out.
    """
    sent = []
    for number, row in enumerate(rows, start=1):
        status = row.get("campaign_status")
        if isinstance(status, str) and status.strip().lower() not in {_SENT, ""}:
            continue
        key = row.get("campaign_key")
        if not isinstance(key, str) or not key.strip():
            return Failure(FailureKind.MALFORMED, f"campaign {number} of the listing has no campaign_key")
        sent_at_ms = _milliseconds(row.get("sent_time_gmt"))
        sent.append(SentCampaign(key.strip(), sent_at_ms, _offset_ms(row.get("sent_time"), sent_at_ms)))
    return tuple(sent)


def _offset_ms(sent_time: Any, sent_at_ms: int | None) -> int | None:
    sent_time_ms = _milliseconds(sent_time)
    if sent_time_ms is None or sent_at_ms is None:
        return None
    offset_ms = sent_time_ms - sent_at_ms
    return offset_ms if abs(offset_ms) <= OFFSET_MS_MAX else None


def _milliseconds(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = value.strip() if isinstance(value, str) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None  # noqa: PLR2004  year 33658
