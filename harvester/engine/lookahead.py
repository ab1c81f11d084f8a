"""Calls of one job that are under way before their turn, so that a giant job is not bound by latency."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence

from harvester.model import Failure, Page, PageRequest

Answer = Page | Failure | None
"""What a call comes to; None where the run stopped before it was sent."""

Ask = Callable[[PageRequest, Callable[[], None]], Awaitable[Answer]]
"""Makes one call; the second argument is told when the bytes are about to leave."""


class Lookahead:
    """The answers of one job that came, or will come, before their turn.

    Args:
        ask: makes one call.
        start: begins it as a task of a group that the caller holds open.
    """

    def __init__(self, ask: Ask, start: Callable[[Coroutine[None, None, Answer]], asyncio.Task[Answer]]) -> None:
        self._ask = ask
        self._start = start
        self._calls: dict[PageRequest, asyncio.Task[Answer]] = {}
        self._sent: set[PageRequest] = set()

    def __bool__(self) -> bool:
        """Whether any answer is there or to come."""
        return bool(self._calls)

    def start(self, requests: Sequence[PageRequest]) -> None:
        """Begin the calls for these requests that are not under way."""
        for request in requests:
            if request not in self._calls:
                self._calls[request] = self._start(self._call(request))

    def keep_only(self, requests: Sequence[PageRequest]) -> None:
        """Let go of all other calls: those that have not left are withdrawn, the others come to their end unheard."""
        for request in self._calls.keys() - set(requests):
            call = self._calls.pop(request)
            if request not in self._sent:
                call.cancel()
            self._sent.discard(request)

    async def take(self, request: PageRequest) -> Answer:
        """Wait for the answer to a request that was begun, and hand it over."""
        call = self._calls[request]
        answer = await call
        del self._calls[request]
        self._sent.discard(request)
        return answer

    def __contains__(self, request: PageRequest) -> bool:
        return request in self._calls

    async def _call(self, request: PageRequest) -> Answer:
        return await self._ask(request, lambda: self._sent.add(request))
