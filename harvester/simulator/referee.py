"""The referee: what every account did to every endpoint, counted by the server's own clock. Pure.

It counts all calls that arrive, those into a lock too, in all four ways at once, so that its verdict does not
depend on how the simulated server happens to count.
"""

from bisect import bisect_left, bisect_right
from collections import Counter as Tally
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from harvester.simulator.options import Counting, QuotaOptions
from harvester.simulator.quota import Counter, Verdict, new_counter

FRUITFUL_KINDS = frozenset({"page", "end", "document", "error-6002", "token-issued"})
"""Answers that told the caller something new; each other kind is a wasted call, whoever is to blame."""


@dataclass(frozen=True, slots=True)
class Span:
    """The rows that a call asked for and got: positions [first, end) of a job, from 0; no rows where end == first.

    Of a set that moves they are the positions at the time of the call, and new rows among them are estimated.
    `is_last` tells that no row follows.
    """

    job: str
    first: int
    end: int
    is_last: bool = False

    @property
    def asks_for_end(self) -> bool:
        """Whether the call got the last row alone: pages that overlap by one row find the end of a set like that."""
        return self.is_last and self.end - self.first == 1


@dataclass(frozen=True, slots=True)
class Arrival:
    """One call as the server saw it.

    Attributes:
        account: whose.
        endpoint: the last part of the path.
        now_s: when it was counted, on the server's clock.
        kind: "page", "end", "document", "locked", "unauthorized", "error-<code>", "fault-<kind>" or "token-<kind>".
        verdict: of the limit.
        span: which rows were asked for, if any.
    """

    account: str
    endpoint: str
    now_s: float
    kind: str
    verdict: Verdict = Verdict.GRANTED
    span: Span | None = None


class Coverage:
    """Which rows of one job were served, as disjoint ranges."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._ends: list[int] = []

    def add(self, first: int, end: int) -> int:
        """Take in [first, end) and return how many of its rows are new."""
        low = bisect_left(self._ends, first)
        high = bisect_right(self._firsts, end)
        firsts, ends = self._firsts[low:high], self._ends[low:high]
        merged_first, merged_end = min([first, *firsts]), max([end, *ends])
        self._firsts[low:high], self._ends[low:high] = [merged_first], [merged_end]
        known_rows = sum(e - f for f, e in zip(firsts, ends, strict=True))
        return merged_end - merged_first - known_rows


@dataclass(slots=True)
class _Sheet:
    """What one account did to one endpoint."""

    counters: dict[Counting, Counter]
    worst_calls: dict[Counting, float]
    calls: int = 0
    lockouts: int = 0
    calls_into_lock: int = 0
    rows_served: int = 0
    rows_new: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    kinds: Tally[str] = field(default_factory=Tally)
    wasted: Tally[str] = field(default_factory=Tally)
    coverage: defaultdict[str, Coverage] = field(default_factory=lambda: defaultdict(Coverage))
    questions: set[tuple[str, int]] = field(default_factory=set)


class Referee:
    """Keeps one sheet per account and endpoint.

    Args:
        quota: the limit that the calls are held against; its way of counting does not matter.
    """

    def __init__(self, quota: QuotaOptions) -> None:
        self._quota = quota
        self._sheets: dict[tuple[str, str], _Sheet] = {}

    def reset(self) -> None:
        """Forget everything; the server's locks and counts stay."""
        self._sheets.clear()

    def record(self, arrival: Arrival) -> None:
        """Count one call; times never go back."""
        sheet = self._sheet(arrival)
        for counting, counter in sheet.counters.items():
            sheet.worst_calls[counting] = max(sheet.worst_calls[counting], counter.add(arrival.now_s))
        sheet.calls += 1
        sheet.last_s = arrival.now_s
        sheet.lockouts += arrival.verdict is Verdict.TRIPPED
        sheet.calls_into_lock += arrival.verdict is Verdict.LOCKED
        kind = _judged(sheet, arrival)
        sheet.kinds[kind] += 1
        if kind not in FRUITFUL_KINDS:
            sheet.wasted[kind] += 1

    def report(self) -> dict[str, Any]:
        """Return {"accounts": {account: {endpoint: {...}}}, "totals": {...}}, ready for JSON.

        `worst_calls` holds, for each way of counting, the highest level that the account's calls ever reached;
        "sliding" is the worst count in any window of `period_s`. Times are seconds of the server's clock.
        """
        accounts: dict[str, dict[str, Any]] = {}
        for (account, endpoint), sheet in self._sheets.items():
            accounts.setdefault(account, {})[endpoint] = _as_dict(sheet)
        totals: Tally[str] = Tally()
        for sheet in self._sheets.values():
            totals.update(_totals(sheet))
        return {"accounts": accounts, "totals": {name: totals[name] for name in _totals(self._new_sheet())}}

    def _sheet(self, arrival: Arrival) -> _Sheet:
        key = arrival.account, arrival.endpoint
        if key not in self._sheets:
            self._sheets[key] = self._new_sheet()
            self._sheets[key].first_s = arrival.now_s
        return self._sheets[key]

    def _new_sheet(self) -> _Sheet:
        counters = {counting: new_counter(counting, self._quota) for counting in Counting}
        return _Sheet(counters, dict.fromkeys(Counting, 0.0))


def _judged(sheet: _Sheet, arrival: Arrival) -> str:
    """Return the kind, with "-repeated" if this call told its caller nothing that an earlier one had not."""
    if arrival.span is None or arrival.kind not in FRUITFUL_KINDS:
        return arrival.kind
    span = arrival.span
    if arrival.kind == "page":
        new_rows = sheet.coverage[span.job].add(span.first, span.end)
        sheet.rows_served += span.end - span.first
        sheet.rows_new += new_rows
        if new_rows or not span.asks_for_end:
            return "page" if new_rows else "page-repeated"
    question = span.job, span.end
    if question in sheet.questions:
        return f"{arrival.kind}-repeated"
    sheet.questions.add(question)
    return "end" if arrival.kind == "page" else arrival.kind


def _totals(sheet: _Sheet) -> dict[str, int]:
    return {
        "calls": sheet.calls,
        "lockouts": sheet.lockouts,
        "calls_into_lock": sheet.calls_into_lock,
        "calls_wasted": sheet.wasted.total(),
        "pages_served_twice": sheet.kinds["page-repeated"],
        "unauthorized": sheet.kinds["unauthorized"] + sheet.kinds["fault-unauthorized"],
        "tokens_issued": sheet.kinds["token-issued"],
        "rows_served": sheet.rows_served,
        "rows_new": sheet.rows_new,
    }


def _as_dict(sheet: _Sheet) -> dict[str, Any]:
    return {
        **_totals(sheet),
        "worst_calls": {counting.value: round(worst, 6) for counting, worst in sheet.worst_calls.items()},
        "kinds": dict(sheet.kinds),
        "wasted": dict(sheet.wasted),
        "first_s": sheet.first_s,
        "last_s": sheet.last_s,
    }
