"""The test halves of an A/B campaign, out of an answer of getcampaigndetails (pure)."""

from collections.abc import Sequence
from typing import Any

from harvester.listing import Split
from harvester.model import Row

SPLIT_KEY = "AB-split-details"
VARIANTS = ("a", "b")

_NO_KEY = frozenset({"", "null", "0", "-1"})
"""What the server writes where there is nothing."""


def split_of(rows: Sequence[Row], campaign_key: str) -> Split:
    """Return the test halves that are named.

    Args:
        rows: of `AB-split-details`; only the first says something, and no row at all means that there are no halves.
        campaign_key: of the campaign itself, which is no half of its own.

    Source: a public client that was checked against a live account in July 2026; it reads `a_child_campaignkey` and
    `b_child_campaignkey` of the first element.
    """
    named: dict[str, str] = {}
    for variant in VARIANTS:
        key = _key(rows[0].get(f"{variant}_child_campaignkey")) if rows else None
        if key is not None and key != campaign_key and key not in named.values():
            named[variant] = key
    return Split(named)


def _key(value: Any) -> str | None:
    text = value.strip() if isinstance(value, str) else ""
    return text if text.lower() not in _NO_KEY and text.isprintable() else None
