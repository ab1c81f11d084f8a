"""What an account's server has shown of its pages, for all jobs of a harvest."""

import datetime as dt
from collections import Counter
from functools import partial

from harvester.engine.ports import Offload, ServerNotes

REFUSALS_MIN = 2
"""So often is a range refused before all jobs ask for less."""


class Lessons:
    """How long this server's pages are.

    The longest page is remembered for the harvest date only: a server that clamps shorter pages from one night to the
    next without saying so would otherwise end every set at its first page. It costs each date a few confirming calls.

    Args:
        account: whose server.
        date: of the harvest.
        range_rows: rows to ask for in one call.
        servers: remembers over restarts.
        offload_disk: runs its reading and writing.
    """

    def __init__(
        self, account: str, date: dt.date, range_rows: int, servers: ServerNotes, offload_disk: Offload
    ) -> None:
        self._account = account
        self._date = date
        self._servers = servers
        self._offload_disk = offload_disk
        self._refusals: Counter[int] = Counter()
        self.range_rows = range_rows
        self.longest_rows = 0

    async def recall(self) -> None:
        """Take up what earlier runs of this date have learned."""
        known = partial(self._servers.longest_page_rows, self._account, self._date)
        self.longest_rows = await self._offload_disk(known)

    async def learn(self, rows: int) -> None:
        """Remember the longest page: it proves what this server can give."""
        if rows > self.longest_rows:
            self.longest_rows = rows
            await self._offload_disk(partial(self._servers.learn_page_rows, self._account, self._date, rows))

    def refused(self, range_rows: int) -> None:
        """Ask for no more than half of a range that the server refused twice: once may be a whim."""
        self._refusals[range_rows] += 1
        if self._refusals[range_rows] >= REFUSALS_MIN:
            self.range_rows = min(self.range_rows, max(1, range_rows // 2))
