"""From the rows of a page to the frame that is stored, and the few facts that the page loop judges (pure).

This is done in the thread that read the reply: a page is some 12,000 values, and the event loop would pay for them even
where it only lets go of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from harvester.engine.paging import PageFacts, facts_of
from harvester.engine.ports import Render
from harvester.model import Job, Page, PageRequest


@dataclass(frozen=True, slots=True)
class FramedPage:
    """What is left of a page when its rows are gone; `frame` is as `Parts.append` takes it, empty without rows."""

    facts: PageFacts
    frame: bytes


@dataclass(frozen=True, slots=True)
class Framing:
    """How pages become frames.

    Attributes:
        render: makes lines of rows.
        compress: makes a frame of lines.
    """

    render: Render
    compress: Callable[[bytes], bytes]

    def framed(self, page: Page, job: Job, request: PageRequest) -> FramedPage:
        """Return the page's facts and frame; its rows stand in the set as `request` asked for them."""
        facts = facts_of(page)
        frame = self.compress(self.render(job, page.rows, request.from_index)) if page.rows else b""
        return FramedPage(facts, frame)
