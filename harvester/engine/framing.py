"""From the rows of a page to the frame that is stored, and the few facts that the page loop judges (pure).

This is done in the thread that read the reply: a page is some 12,000 values, and the event loop would pay for them even
where it only lets go of them.
"""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harvester.engine.marks import page_digest
from harvester.engine.paging import PageFacts, Progress, facts_of
from harvester.engine.ports import Records
from harvester.model import Job, Page, PageRequest


@dataclass(frozen=True, slots=True)
class FramedPage:
    """What is left of a page when its rows are gone.

    Attributes:
        facts: what the page loop judges.
        frame: as `Parts.append` takes it; empty without new rows.
        identities: of the new rows.
        reply: what is kept of the answer, where rows could not be read; else empty. May hold personal data.
        campaign_details: as `Page` has them.
    """

    facts: PageFacts
    frame: bytes = field(repr=False)
    identities: frozenset[str] = field(repr=False)
    reply: bytes = field(repr=False)
    campaign_details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Framing:
    """How pages become frames.

    Attributes:
        records: makes lines of rows, and tells contacts apart.
        compress: makes a frame of lines.
    """

    records: Records
    compress: Callable[[bytes], bytes]

    def framed(
        self, page: Page, job: Job, request: PageRequest, progress: Progress, seen: Container[str]
    ) -> FramedPage:
        """Return the page's facts, and a frame of its new rows; each keeps the place in the set that `request` gave it.

        What may not be kept of a row is taken away first: all that follows is of what will stand in the records.

        Args:
            page: as it came.
            job: whose.
            request: what was asked.
            progress: where the job stood when it asked.
            seen: the identities of all rows written so far; is not changed meanwhile.
        """
        kept = self.records.protect(page)
        facts, chosen = facts_of(kept, request, progress, seen, self.records.identity)
        if kept is not page:  # a page that comes again is known by what came: what is kept of two may be the same
            facts = replace(facts, digest=page_digest(page))
        rows = [row for place, row in zip(kept.places, kept.rows, strict=True) if place in chosen]
        positions = [request.from_index + place for place in chosen]
        return FramedPage(
            facts=facts,
            frame=self.compress(self.records.render(job, rows, positions)) if rows else b"",
            identities=frozenset(chosen.values()) - {""},
            reply=self.records.kept(page.body) if facts.unreadable_rows else b"",
            campaign_details=page.campaign_details,
        )
