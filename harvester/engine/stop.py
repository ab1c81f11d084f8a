"""The wish to end a run: said once, heard by everybody who waits."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

PAUSE_MIN_S = 0.001
"""A shorter wait may be over before a float can tell that time has passed, and is asked for again and again."""


class Stop:
    """Set by a signal, a deadline or a failure that concerns all; never taken back."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._asked = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []

    @property
    def is_asked(self) -> bool:
        """Whether the run is to end."""
        return self.reason is not None

    def ask(self, reason: str) -> None:
        """End the run: calls under way are finished and stored, no new one starts. The first reason stays."""
        if self.reason is None:
            self.reason = reason
            self._asked.set()
            for listener in self._listeners:
                listener()

    def child(self) -> "Stop":
        """Return a wish that this one implies, and that may be asked for by itself."""
        child = Stop()
        self.listen(lambda: child.ask(self.reason or ""))
        return child

    def listen(self, listener: Callable[[], None]) -> None:
        """Have `listener` called once, when the run is asked to end."""
        self._listeners.append(listener)

    async def pause(self, wait_s: float) -> None:
        """Wait `wait_s` seconds, or until the run is asked to end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(wait_s, PAUSE_MIN_S)):
                await self._asked.wait()
