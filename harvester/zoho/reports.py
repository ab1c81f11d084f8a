"""How many rows each action of a campaign should have, by the counters of its report (pure)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Any

from harvester.model import Action, Counters, Row

REPORTS_KEY = "campaign-reports"

COUNT_MAX = 10**15
"""No set has so many rows: what is not below it is no count."""


class Confidence(StrEnum):
    """How sure it is that a counter counts the rows of an action; nobody has held the two together in public."""

    SEEN = auto()  #: the field was seen live, and its name speaks for the action
    INFERRED = auto()  #: only the field's name speaks for it
    DOUBTFUL = auto()  #: it may count something else, such as every open instead of every opener


@dataclass(frozen=True, slots=True)
class CounterSource:
    """The field or fields that count the rows of an action: several count only where they agree."""

    fields: tuple[str, ...]
    confidence: Confidence


SOURCES: Mapping[Action, CounterSource] = {
    Action.SENT: CounterSource(("emails_sent_count",), Confidence.SEEN),
    # Unique or total is not known; a total is never less than the rows.
    Action.OPENED: CounterSource(("opens_count",), Confidence.DOUBTFUL),
    Action.UNOPENED: CounterSource(("unopened",), Confidence.INFERRED),
    Action.CLICKED: CounterSource(("unique_clicks_count",), Confidence.SEEN),
    Action.OPTED_OUT: CounterSource(("unsub_count",), Confidence.SEEN),
    # Nobody knows how these two differ, so that only where they agree it does not matter.
    Action.SPAM: CounterSource(("spams_count", "complaints_count"), Confidence.DOUBTFUL),
    Action.HARD_BOUNCE: CounterSource(("hardbounce_count",), Confidence.INFERRED),
    Action.SOFT_BOUNCE: CounterSource(("softbounce_count",), Confidence.INFERRED),
    Action.UNSENT: CounterSource(("unsent_count",), Confidence.INFERRED),
}
"""Which counter belongs to which action: the one place that says so, and nothing of it is documented.

Source: the names of the fields in the sample of campaignreports; a public client reads those that are SEEN, and states
that it checked them against a live account in August 2026. An A/B campaign's report covers its final send alone.
"""


def counters_of(rows: Sequence[Row]) -> Counters:
    """Return the counters of a report.

    Args:
        rows: of `campaign-reports`; the first is the report, and no row at all means that there is none.

    Returns:
        The actions whose counter is a whole number from 0 up, written as text or as a number; all others, blank,
        `"null"`, negative or in disagreement, are left out.

    Source: the page of campaignreports: a list of one object, all of whose values are strings.
    """
    report = rows[0] if rows else {}
    found = {action: _agreed([_count(report.get(name)) for name in SOURCES[action].fields]) for action in Action}
    return Counters({action: count for action, count in found.items() if count is not None})


def _agreed(counts: Sequence[int | None]) -> int | None:
    return counts[0] if len(set(counts)) == 1 else None


def _count(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 0 <= value < COUNT_MAX else None
    text = value.strip() if isinstance(value, str) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < len(str(COUNT_MAX)) else None
