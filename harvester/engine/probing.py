"""Calls for recipients that find out whether they are given, and in pages as long as they are asked for (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from harvester.errors import HarvestError
from harvester.findings import Finding, Verdict
from harvester.model import Action, Failure, FailureKind, PageRequest

PROBED = Action.SENT
"""The action whose rows are asked for: every campaign that was sent has some."""

COUNTER_SHARE_OFF = 0.01
"""A counter may differ from the rows by so much without meaning that rows were kept back."""

ABOUT_ONE_CAMPAIGN = frozenset({FailureKind.CAMPAIGN, FailureKind.NOT_APPLICABLE})
CLAMP_CURE = "Set harvest.page_size to what comes: plans count calls by it. The harvest itself finds out and goes on."

Seen = TypeVar("Seen")


@dataclass(frozen=True, slots=True)
class Withheld:
    """A call that was not made, and why; `is_locked` where the ledger knows of a lockout."""

    reason: str = "not asked, as another finding makes it pointless"
    is_locked: bool = False


Answer: TypeAlias = Seen | Failure | Withheld | HarvestError
"""What came of one call, or why none was made."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What is kept of a page: how many rows came, and which range the server says it was asked for."""

    received_rows: int
    echo_rows: int | None


@dataclass(frozen=True, slots=True)
class Probe:
    """A call for recipients, and what came of it."""

    request: PageRequest
    answer: Answer[Sample]

    @property
    def clamp_rows(self) -> int | None:
        """The range that the server says it gives instead of the longer one asked for; None if it does not say so."""
        echo_rows = self.answer.echo_rows if isinstance(self.answer, Sample) else None
        return echo_rows if echo_rows is not None and echo_rows < self.request.range_rows else None


def follow_up(first: Probe, counted_rows: int | None, keys: Sequence[str]) -> PageRequest | None:
    """Return the one more call that would settle a doubt about the first probe; None if there is no doubt.

    Args:
        first: asked for a whole page from row 1.
        counted_rows: how many rows its set should have, by the campaign's report; None if unknown.
        keys: of sent campaigns; `first` asked for the first of them.
    """
    if isinstance(first.answer, Failure) and first.answer.kind in ABOUT_ONE_CAMPAIGN:
        # One campaign that cannot be read says little of the others.
        return replace(first.request, campaign_key=keys[1]) if len(keys) > 1 else None
    if not isinstance(first.answer, Sample):
        return None
    rows = first.answer.received_rows
    is_short = 0 < rows < first.request.range_rows
    if not is_short or first.clamp_rows is not None or (counted_rows is not None and _is_whole(rows, counted_rows)):
        return None
    # Whether rows follow a short page tells a clamp from the end of the set.
    return replace(first.request, from_index=1 + rows)


def of_range(probes: Sequence[Probe], counted_rows: int | None) -> Finding:
    """Return whether the server gives pages as long as they are asked for.

    Args:
        probes: the calls for recipients, in their order.
        counted_rows: how many rows the set of the first should have; None if unknown.
    """
    for probe in probes:
        if isinstance(probe.answer, Failure) and probe.answer.kind is FailureKind.OVERSIZE:
            return _clamped(f"{probe.request.range_rows:,} rows at once are refused", "Lower harvest.page_size.")
    sampled = [(probe, probe.answer) for probe in probes if isinstance(probe.answer, Sample)]
    if not sampled:
        return Finding("range", Verdict.UNKNOWN, "no page was seen")
    probe, sample = sampled[0]
    came = f"{probe.request.range_rows:,} rows were asked for, and {sample.received_rows:,} came"
    if sample.received_rows >= probe.request.range_rows:
        return Finding("range", Verdict.OK, came)
    if (sign := _sign_of_clamp(sampled, counted_rows if probe is probes[0] else None)) is not None:
        return _clamped(f"{came}; {sign}", CLAMP_CURE)
    return Finding("range", Verdict.UNKNOWN, f"{came}: the set is too small to show whether longer pages are cut")


def _sign_of_clamp(sampled: Sequence[tuple[Probe, Sample]], counted_rows: int | None) -> str | None:
    """Return what shows that a short page was cut, by the server's word, the rows after it, or a counter."""
    (probe, sample), *later = sampled
    if probe.clamp_rows is not None:
        return f"the server says that it gives {probe.clamp_rows:,}"
    if any(after.received_rows for _, after in later):
        return "more rows follow, and the server does not say that it cut the page"
    if later or counted_rows is None or _is_whole(sample.received_rows, counted_rows):
        return None
    return f"the campaign's report counts {counted_rows:,}, so the page was probably cut"


def _is_whole(rows: int, counted_rows: int) -> bool:
    """Tell whether so many rows are all that the counter counts, near enough."""
    return rows >= counted_rows - max(1.0, COUNTER_SHARE_OFF * counted_rows)


def _clamped(seen: str, cure: str) -> Finding:
    return Finding("range", Verdict.WARNING, seen, cure)
