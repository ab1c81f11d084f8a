"""The two clocks of a run: one for waiting and counting, one for writing dates."""

import time
from pathlib import Path
from typing import Protocol

BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """Where everybody gets the time from; tests and the simulation bring their own."""

    @property
    def boot_id(self) -> str:
        """Which boot `now_s` counts from; values of two boots cannot be compared."""

    def now_s(self) -> float:
        """Seconds since boot, suspended time included; never set back, never stepped."""

    def asleep_s(self) -> float:
        """Seconds of `now_s` that the machine spent suspended: no program ran, no call ended."""

    def wall_s(self) -> float:
        """Seconds since the Unix epoch; may jump, so nothing that must hold depends on it."""


class SystemClock:
    """The machine's own clocks.

    Waiting and counting use CLOCK_BOOTTIME: it goes on during a suspend, as the server's clock does,
    and no administrator or NTP step moves it. Where there is none (macOS), CLOCK_MONOTONIC is its nearest equal.
    """

    def __init__(self) -> None:
        self._source = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        self.boot_id = BOOT_ID_FILE.read_text().strip() if BOOT_ID_FILE.exists() else "unknown"

    def now_s(self) -> float:
        """Return the seconds since boot."""
        return time.clock_gettime(self._source)

    def asleep_s(self) -> float:
        """Return the seconds suspended since boot."""
        return max(0.0, self.now_s() - time.clock_gettime(time.CLOCK_MONOTONIC))

    def wall_s(self) -> float:
        """Return the seconds since the Unix epoch."""
        return time.time()
