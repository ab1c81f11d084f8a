"""From the rows of a page to the frame that is stored, and the few facts that the page loop judges (pure).

This is done in the thread that read the reply: a page is some 12,000 values, and the event loop would pay for them even
where it only lets go of them.
"""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import Any

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
        reply: the answer as it came, where rows could not be read; else empty. Holds personal data.
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

        Args:
            page: as it came.
            job: whose.
            request: what was asked.
            progress: where the job stood when it asked.
            seen: the identities of all rows written so far; is not changed meanwhile.
        """
        facts, chosen = facts_of(page, request, progress, seen, self.records.identity)
        rows = [row for place, row in zip(page.places, page.rows, strict=True) if place in chosen]
        positions = [request.from_index + place for place in chosen]
        return FramedPage(
            facts=facts,
            frame=self.compress(self.records.render(job, rows, positions)) if rows else b"",
            identities=frozenset(chosen.values()) - {""},
            reply=page.body if facts.unreadable_rows else b"",
            campaign_details=page.campaign_details,
        )
