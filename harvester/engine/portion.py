"""How many rows a job asks for where pages were too large to be had at once (pure)."""

from dataclasses import dataclass, replace

PATIENCE_PAGES = 8
"""So many smaller pages are taken before more is tried: what was too large may be one row that lies behind."""


@dataclass(frozen=True, slots=True)
class Portion:
    """What one call asks for.

    Attributes:
        rows: at most; None where nothing was too large, or no more is.
        patience_pages: how many pages are taken before twice as much is tried.
        pages: taken since the last change.
        has_grown: whether the last change was for more.
    """

    rows: int | None = None
    patience_pages: int = PATIENCE_PAGES
    pages: int = 0
    has_grown: bool = False

    def within(self, usual_rows: int) -> int:
        """Return how many rows to ask for where `usual_rows` is the rule."""
        return usual_rows if self.rows is None else min(self.rows, usual_rows)

    def after_refusal(self, asked_rows: int) -> "Portion":
        """Half of what was asked; where it was tried in vain to ask for more, the next try waits twice as long."""
        patience_pages = self.patience_pages * 2 if self.has_grown else self.patience_pages
        return Portion(max(1, asked_rows // 2), patience_pages)

    def after_page(self) -> "Portion":
        """The same again; after enough pages twice as much."""
        if self.rows is None or self.pages + 1 < self.patience_pages:
            return replace(self, pages=self.pages + 1)
        return Portion(self.rows * 2, self.patience_pages, has_grown=True)
