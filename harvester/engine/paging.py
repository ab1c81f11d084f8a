"""The page loop as a state machine (pure).

The API counts rows from 1 (`fromindex`), clamps `range` without saying so, gives no total, and ends a set either with
an empty page or with an error code. So the loop advances by rows received, and a short page ends a set only where
this account's server has been seen to give longer ones; else one confirming call asks what comes after it.

Source: docs/api.md, sections on pages and ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from harvester.model import Echo, Job, Page, PageRequest, Row

PAGES_MAX = 50_000
"""A set of 25 million rows at 500 a page; beyond it a server is taken to page in circles."""

DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job has come; the ledger can rebuild it from the committed pages.

    Attributes:
        next_index: the 1-based index of the next row wanted.
        pages: pages stored so far.
        digest: of the last page stored, to notice a server that repeats itself; empty before the first.
    """

    next_index: int = 1
    pages: int = 0
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What is to be known of a page to judge it: all but its rows.

    Attributes:
        rows: how many it holds; none means that the server said so.
        digest: of them, to notice a server that repeats itself; empty where there are none.
        echo: what the server says it was asked.
        code: of the reply.
    """

    rows: int
    digest: bytes
    echo: Echo
    code: str


@dataclass(frozen=True, slots=True)
class Continue:
    """Store the page; more may follow."""

    progress: Progress


@dataclass(frozen=True, slots=True)
class Finished:
    """Store the page, if it has rows; the set ends here.

    `ending` says how that was proven, for the manifest.
    """

    progress: Progress
    ending: str


@dataclass(frozen=True, slots=True)
class Broken:
    """The server's pages make no sense; nothing of this page is stored."""

    reason: str


Verdict = Continue | Finished | Broken


def next_request(job: Job, progress: Progress, range_rows: int) -> PageRequest:
    """Return the next call of the job, for `range_rows` rows."""
    return PageRequest(job.campaign.key, job.action, progress.next_index, range_rows)


def facts_of(page: Page) -> PageFacts:
    """Return what is to be known of a page."""
    digest = rows_digest(page.rows) if page.rows else b""
    return PageFacts(len(page.rows), digest, page.echo, page.code)


def judge(progress: Progress, request: PageRequest, page: PageFacts, longest_rows: int) -> Verdict:
    """Say what a good reply means for its job.

    Args:
        progress: where the job stood when it asked.
        request: what was asked.
        page: what came.
        longest_rows: the longest page, in rows, that this account's server has ever given.
    """
    if not page.rows:
        return Finished(progress, "empty page" if page.code == "0" else f"code {page.code}")
    if page.digest == progress.digest:
        return Broken(f"the server repeats the page before row {progress.next_index}")
    if progress.pages >= PAGES_MAX:
        return Broken(f"no end after {PAGES_MAX} pages")
    after = Progress(progress.next_index + page.rows, progress.pages + 1, page.digest)
    if _proves_end(request, page, longest_rows):
        return Finished(after, "short page")
    return Continue(after)


def _proves_end(request: PageRequest, page: PageFacts, longest_rows: int) -> bool:
    """Tell whether a page is short of its own accord: less than asked, than an echoed clamp, and than others were."""
    granted_rows = request.range_rows if page.echo.range_rows is None else page.echo.range_rows
    return page.rows < min(request.range_rows, granted_rows, longest_rows)


def rows_digest(rows: Sequence[Row]) -> bytes:
    """Return a digest by which a repeated page is known: of the number of rows, and of the first and the last."""
    told = repr((len(rows), dict(rows[0]), dict(rows[-1])))
    return blake2b(told.encode("utf-8", "backslashreplace"), digest_size=DIGEST_BYTES).digest()
