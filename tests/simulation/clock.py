"""The clocks of a simulated machine: boots, suspends and set wall clocks included."""

import asyncio

BOOT_TAKES_S = 20.0
"""The boot clock's first value that a process ever reads."""


class SimClock:
    """A machine's clocks above a virtual loop.

    The server lives in `true_s`. A suspend lets it pass without the loop noticing, as timers on CLOCK_MONOTONIC do.

    Args:
        loop: gives the time that is awake.
        wall_start_s: the wall clock at the start, seconds since the epoch.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, wall_start_s: float) -> None:
        self._loop = loop
        self._suspended_s = 0.0
        self._slept_before_boot_s = 0.0
        self._booted_at_s = -1_000.0
        self._wall_ahead_s = wall_start_s
        self._boots = 1

    @property
    def boot_id(self) -> str:
        return f"boot-{self._boots}"

    def true_s(self) -> float:
        """Return the seconds since the start of the night, which nothing can bend."""
        return self._loop.time() + self._suspended_s

    def now_s(self) -> float:
        return self.true_s() - self._booted_at_s

    def asleep_s(self) -> float:
        return self._suspended_s - self._slept_before_boot_s

    def wall_s(self) -> float:
        return self.true_s() + self._wall_ahead_s

    def suspend(self, length_s: float) -> None:
        """Let time pass that no timer of the loop sees."""
        self._suspended_s += length_s

    def set_wall(self, by_s: float) -> None:
        """Move the wall clock forward, or back."""
        self._wall_ahead_s += by_s

    def reboot(self) -> None:
        """Start the boot clock anew, under another id."""
        self._boots += 1
        self._booted_at_s = self.true_s() - BOOT_TAKES_S
        self._slept_before_boot_s = self._suspended_s
