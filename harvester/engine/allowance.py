"""How many calls a run may make (`--max-calls`), whatever the budget would allow."""

import asyncio
from collections.abc import Callable


class Allowance:
    """Places for calls, shared by all accounts of a run; retries take places too.

    A place is taken before the wait for a slot begins, and comes back if no byte of the call left. So who finds none
    waits for the calls under way: only when each of them has used its place, nothing is left.

    Args:
        calls_max: how many calls may be made; None for any number.
        used_up: called when a call is wanted and no place will come back any more; maybe more than once.
    """

    def __init__(self, calls_max: int | None = None, used_up: Callable[[], None] = lambda: None) -> None:
        self._free_places = calls_max
        self._used_up = used_up
        self._calls_under_way = 0
        self._changed = asyncio.Event()

    async def take(self) -> bool:
        """Take a place, which must be settled; False if all are used."""
        while self._free_places == 0:
            if not self._calls_under_way:
                self._used_up()
                return False
            self._changed.clear()
            await self._changed.wait()
        self._calls_under_way += 1
        if self._free_places is not None:
            self._free_places -= 1
        return True

    def settle(self, *, is_used: bool) -> None:
        """End a call that has a place; `is_used` is False only where it is certain that no byte left."""
        self._calls_under_way -= 1
        if self._free_places is not None and not is_used:
            self._free_places += 1
        self._changed.set()
