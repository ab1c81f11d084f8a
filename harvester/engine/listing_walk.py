"""One reading of a listing that may move meanwhile (pure): which row comes next, where it ends, whether it held still.

Pages overlap by one row: the first row of a page must be the last of the one before. If it is not, campaigns were sent
or deleted meanwhile, and rows may have slipped past.
"""

from harvester.listing import CampaignPage

REPEATS_MAX = 3
"""The same page so often in a row is no listing that moves: short pages may repeat once where campaigns are sent."""


class ListingWalk:
    """The way through a listing, page by page.

    Attributes:
        from_index: where the next page begins, from 1.
        is_over: whether the last page was the end.
        is_circling: whether the server repeats a page, so that no end will come.
    """

    def __init__(self) -> None:
        self.from_index = 1
        self.is_over = False
        self.is_circling = False
        self._repeats = 0
        self._before: tuple[str, ...] = ()
        self._is_overlapping = False
        self._is_moved = False
        self._rows = 0
        self._total: int | None = None

    def take(self, page: CampaignPage) -> None:
        """Take the page that begins at `from_index`, and set what comes after it."""
        keys, last = page.keys, self._before[-1:]
        self._total = self._total if page.total is None else page.total
        self._is_moved |= self._is_overlapping and keys[:1] != last
        if not keys or keys == last:  # nothing, or the overlap alone, follows what was read
            self.is_over = True
        else:
            self._repeats = self._repeats + 1 if keys == self._before else 0
            self.is_circling = self._repeats >= REPEATS_MAX
            self._rows = self.from_index - 1 + len(keys)
            self._is_overlapping = len(keys) > 1
            self.from_index += len(keys) - self._is_overlapping
            self._before = keys

    @property
    def doubt(self) -> str:
        """Why campaigns may be missing; empty where nothing speaks for that."""
        if self._is_moved:
            return "campaigns came or went while it was read"
        if self._total is not None and self._total != self._rows:
            return f"the server counts {self._total:,} and gave {self._rows:,}"
        return ""
