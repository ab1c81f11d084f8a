"""By what rows and pages are known again where two pages meet, over restarts as well (pure)."""

from collections.abc import Sequence
from hashlib import blake2b

from harvester.model import Page, Row

DIGEST_BYTES = 16


def mark(row: Row, identity: str) -> str:
    """Return by what a row is known again: its identity, else a digest of all that it says."""
    return identity or rows_digest([row]).hex()


def page_digest(page: Page) -> bytes:
    """Return a digest by which a repeated page is known: of its rows, else of the reply that nobody could read.

    Empty where the page has no rows at all.
    """
    if page.rows:
        return rows_digest(page.rows)
    return blake2b(page.body, digest_size=DIGEST_BYTES).digest() if page.unreadable else b""


def rows_digest(rows: Sequence[Row]) -> bytes:
    """Return a digest of the number of rows, and of the first and the last; there is at least one."""
    told = repr((len(rows), dict(rows[0]), dict(rows[-1])))
    return blake2b(told.encode("utf-8", "backslashreplace"), digest_size=DIGEST_BYTES).digest()
