"""A scripted server of pages, and a reader that pages through it as the engine does."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from factories import request, rows

from harvester.engine.errand import progress_after
from harvester.engine.marks import mark
from harvester.engine.paging import Back, Broken, Finished, PageFacts, Progress, Trust, facts_of, judge
from harvester.model import Echo, Page, PageRequest, Row, StoredPage

RANGE_ROWS = 500
CALLS_MAX = 5_000
"""A reader that needs more is endless."""


def contact(row: Row) -> str:
    """By what the contact of a row is known again; the rest of a row is its own."""
    identity: str = row.get("contactid", "")
    return identity


@dataclass(frozen=True, slots=True)
class Server:
    """A set of rows, and how it is given out.

    `rows` may be changed between calls. `clamp_rows` is the longest page; `end_code` what comes beyond the end.
    """

    rows: Sequence[Row]
    clamp_rows: int = 650
    is_echoing: bool = False
    end_code: str = "0"

    def answer(self, asked: PageRequest) -> Page:
        granted_rows = min(asked.range_rows, self.clamp_rows)
        first = asked.from_index - 1
        given = tuple(self.rows[first : first + granted_rows])
        return Page(given, Echo(granted_rows if self.is_echoing else None), "0" if given else self.end_code)


def server(total_rows: int, clamp_rows: int = 650, *, is_echoing: bool = False, end_code: str = "0") -> Server:
    return Server(rows(1, total_rows), clamp_rows, is_echoing, end_code)


@dataclass(slots=True)
class Harvested:
    """What a job came to; `longest_rows` is what the account knows afterwards."""

    longest_rows: int = 0
    rows: list[Row] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    asked: list[PageRequest] = field(default_factory=list)
    pages: list[PageFacts] = field(default_factory=list)
    verdict: Finished | Broken | None = None

    @property
    def calls(self) -> int:
        return len(self.asked)

    @property
    def duplicates(self) -> int:
        return sum(page.duplicates for page in self.pages)

    @property
    def is_shifted(self) -> bool:
        return any(page.is_shifted for page in self.pages)


@dataclass(frozen=True, slots=True)
class Reader:
    """Asks for `range_rows` at once; is killed and taken up again after the stored pages of these numbers."""

    range_rows: int = RANGE_ROWS
    killed_after: Collection[int] = ()
    is_doubted: bool = False

    def read(self, answer: Callable[[PageRequest], Page], longest_rows: int = 0) -> Harvested:
        """Page through a set to its end, or to the reader's."""
        progress, seen, told = Progress(), set[str](), Harvested(longest_rows)
        while told.verdict is None and told.calls < CALLS_MAX:
            asked = request(progress.from_index, self.range_rows)
            told.asked.append(asked)
            page = answer(asked)
            facts, chosen = facts_of(page, asked, progress, seen, contact)
            verdict = judge(progress, asked, facts, Trust(told.longest_rows, self.is_doubted))
            if isinstance(verdict, Broken):
                told.verdict = verdict
                break
            told.longest_rows = max(told.longest_rows, facts.received_rows)
            progress = verdict.progress
            if isinstance(verdict, Back):
                continue
            told.rows.extend(row for place, row in zip(page.places, page.rows, strict=True) if place in chosen)
            told.positions.extend(asked.from_index + place for place in chosen)
            told.pages.append(facts)
            seen |= {identity for identity in chosen.values() if identity}
            if isinstance(verdict, Finished):
                told.verdict = verdict
            elif progress.pages in self.killed_after:
                progress = _taken_up(asked, facts, progress, told)
        return told


def _taken_up(asked: PageRequest, facts: PageFacts, progress: Progress, told: Harvested) -> Progress:
    """Return where a job stands after a restart: what the ledger and the part tell."""
    page = StoredPage(
        number=progress.pages,
        from_index=asked.from_index,
        received_rows=facts.received_rows,
        rows=facts.new_rows,
        duplicates=facts.duplicates,
        unreadable_rows=facts.unreadable_rows,
        is_shifted=facts.is_shifted,
        end_bytes=0,
        sha256=b"",
        digest=facts.digest,
    )
    if not told.rows:
        return progress_after(page, "", 0)
    return progress_after(page, mark(told.rows[-1], contact(told.rows[-1])), told.positions[-1])
