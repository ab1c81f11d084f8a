"""An event loop without waiting: where a real one sleeps until its next timer, this one moves its clock past it.

So a night takes seconds, and always takes the same course. Two endings that a test would otherwise sit out are
errors: nothing is ready and no timer is set, or the loop turns for ever without any time passing.
"""

import asyncio
import math
import selectors

TURNS_MAX = 1_000_000
"""Turns of the loop without a moment passing; a burst of 500 calls takes some ten thousand."""

US_PER_S = 1_000_000

TURNS_PER_US = 1_000
"""Far more than a real loop makes: no order of events depends on it."""


class DeadlockError(Exception):
    """Everybody waits for somebody else, for ever."""


class LivelockError(Exception):
    """Everybody is busy, and time stands still."""


class _Leap(selectors.SelectSelector):
    """Waits for nothing: time passes at once. No socket, signal or thread is heard."""

    def __init__(self) -> None:
        super().__init__()
        self.now_us = 0
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise DeadlockError("nothing is ready and no timer is set")
        self._turns = self._turns + 1 if timeout <= 0 else 0
        if self._turns % TURNS_PER_US == TURNS_PER_US - 1:
            self.now_us += 1  # a turn of a real loop takes time too, and aiolimiter may wait for a float's last digit
        if self._turns > TURNS_MAX:
            self._turns = 0
            raise LivelockError(f"{TURNS_MAX} turns without a moment passing")
        if timeout > 0:
            # Past the timer, never onto it: a float's last digit decides there, and aiolimiter armed the same
            # instant for ever.
            self.now_us += math.ceil(timeout * US_PER_S) + 1
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose `time()` begins at 0 and passes only where nothing is left to do."""

    def __init__(self) -> None:
        self._leap = _Leap()
        super().__init__(self._leap)

    def time(self) -> float:
        return self._leap.now_us / US_PER_S
