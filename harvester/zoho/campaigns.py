"""Which campaigns an account has sent, and by how much its `sent_time` runs ahead of UTC (pure)."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from heapq import nlargest
from typing import Any

from harvester.listing import CampaignPage, CampaignType, SentCampaign
from harvester.model import Failure, FailureKind, Row

LIST_KEY = "recent_campaigns"
CAMPAIGN_RANGE_ROWS = 100
"""Campaigns asked for in one call; the largest range that several public clients use."""

OFFSET_MS_MAX = 26 * 3_600_000
"""Time zones span 26 hours; a larger difference between two times of one campaign is no offset."""

OFFSET_SAMPLE = 100
"""Campaigns that tell the offset, those sent last: an account may have changed its zone since the older ones."""

MILLISECONDS_MAX = 253_402_300_799_999
"""The last millisecond of the year 9999: beyond it no date can be written."""

_SENT = "sent"

_AB = re.compile(r"ab(split)?(test(s|ing|ed)?)?(campaigns?)?")
_BETWEEN = re.compile(r"[\s/_-]+")


def campaign_page(rows: Sequence[Row], total: int | None = None) -> CampaignPage | Failure:
    """Return a page of the listing; MALFORMED as in `sent_campaigns`."""
    campaigns = sent_campaigns(rows)
    if isinstance(campaigns, Failure):
        return campaigns
    return CampaignPage(campaigns, tuple(_key(row) or "" for row in rows), total)


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
        key = _key(row)
        if key is None:
            return Failure(FailureKind.MALFORMED, f"campaign {number} of the listing has no campaign_key")
        sent.append(_sent_campaign(key, row))
    return tuple(sent)


def campaign_type(text: Any) -> CampaignType:
    """Return what kind of campaign `campaigntype` names; whatever does not say A/B is a normal one.

    Source: "normal" was seen live; for A/B campaigns only the request's own word "abtesting" is documented, so every
    way to write "A/B test" is taken: "AB", "A/B Testing", "ab-split test".
    """
    bare = _BETWEEN.sub("", text).casefold() if isinstance(text, str) else ""
    return CampaignType.ABTESTING if _AB.fullmatch(bare) else CampaignType.NORMAL


def usual_offset(offsets: Iterable[tuple[int, int]]) -> tuple[int, int] | None:
    """Return the offset that most of the newest campaigns show, and how many of these show another one.

    Args:
        offsets: of each campaign, when it was sent and its offset, both in milliseconds.

    Returns:
        None where no campaign shows one; of two that are as frequent, that of the newest campaign.
    """
    newest = nlargest(OFFSET_SAMPLE, offsets)
    if not newest:
        return None
    (offset_ms, showing), *_ = Counter(offset_ms for _, offset_ms in newest).most_common(1)
    return offset_ms, len(newest) - showing


def milliseconds(value: Any) -> int | None:
    """Return a moment as the server writes it, a number or the text of one, in 1970 to 9999; else None."""
    if isinstance(value, str):
        text = value.strip()
        value = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(MILLISECONDS_MAX)) else None
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 < value <= MILLISECONDS_MAX else None


def _sent_campaign(key: str, row: Row) -> SentCampaign:
    sent_at_ms, name = milliseconds(row.get("sent_time_gmt")), row.get("campaign_name")
    return SentCampaign(
        key=key,
        sent_at_ms=sent_at_ms,
        sent_time_offset_ms=_offset_ms(row.get("sent_time"), sent_at_ms),
        name=name if isinstance(name, str) else "",
        type=campaign_type(row.get("campaigntype")),
        row=row,
    )


def _key(row: Row) -> str | None:
    """Return the key of a campaign; None where there is none, or nothing that could be asked for."""
    key = row.get("campaign_key")
    text = key.strip() if isinstance(key, str) else ""
    return text if text and text.isprintable() else None


def _offset_ms(sent_time: Any, sent_at_ms: int | None) -> int | None:
    sent_time_ms = milliseconds(sent_time)
    if sent_time_ms is None or sent_at_ms is None:
        return None
    offset_ms = sent_time_ms - sent_at_ms
    return offset_ms if abs(offset_ms) <= OFFSET_MS_MAX else None
