"""One call from start to end: wait for the slot, send, settle; and what all jobs of an account learn from it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random
from typing import TypeVar

from harvester.clock import Clock
from harvester.engine.allowance import Allowance
from harvester.engine.budget import Budget
from harvester.engine.framing import FramedPage
from harvester.engine.outage import Outage
from harvester.engine.retry import Backoff
from harvester.engine.stop import Stop
from harvester.engine.suspicion import Suspicion
from harvester.errors import StoppedError
from harvester.events import BudgetHeld, Emit, OutageClosed, OutageOpened
from harvester.leases import Lease
from harvester.model import Failure, FailureKind, Job, Page

Answer = TypeVar("Answer")

TOKEN_HOLDS_MAX = 3
"""Throttled again after so many waits of 10 minutes each, somebody else uses up the tokens."""

TOKEN_ENDPOINT = "token"  # noqa: S105  a name


class Weather:
    """Whether an account's server can be reached at all, as its calls find out; shared by its endpoints.

    Args:
        account: whose.
        patience_s: how long an outage may last before the run stops, in seconds.
        backoff: the waits between single calls during an outage.
        clock: the time.
        rng: draws the jitter.
        emit: takes the events.
    """

    def __init__(
        self, account: str, patience_s: float, backoff: Backoff, clock: Clock, rng: Random, emit: Emit
    ) -> None:
        self._account = account
        self._outage = Outage(patience_s)
        self._backoff = backoff
        self._clock = clock
        self._rng = rng
        self._emit = emit
        self._no_token_until_s = 0.0
        self._token_holds = 0
        self.single_file = asyncio.Lock()

    @property
    def is_bad(self) -> bool:
        """Whether only one call at a time may try."""
        return self._outage.is_open

    def no_token_for_s(self) -> float:
        """Return how long no token is to be had, in seconds; no call can be sent before."""
        return self._no_token_until_s - self._clock.now_s()

    def probe_after_s(self) -> float:
        """Return how long the next single call waits, in seconds."""
        return self._outage.probe_after_s(self._backoff, self._rng)

    def note(self, failure: Failure | None) -> None:
        """Take the outcome of a call.

        Raises:
            StoppedError: patience is at its end.
        """
        now_s = self._clock.now_s()
        if failure is not None and failure.kind is FailureKind.NO_TOKEN:
            self._hold(now_s, failure.retry_after_s or self.probe_after_s())
            return
        self._token_holds = 0
        was_open = self._outage.is_open
        self._outage = self._outage.after(failure, now_s)
        if self._outage.is_open and not was_open and failure is not None:
            self._emit(OutageOpened(self._account, failure.message))
        elif was_open and not self._outage.is_open:
            self._emit(OutageClosed(self._account))
        if failure is not None and self._outage.is_hopeless(now_s):
            raise StoppedError(
                f"{self._account}: {self._outage.failures} calls in a row found no working server"
                f" (last: {failure.message}).",
                failure.remedy or "Check the network and the service, then run the same command again.",
            )

    def _hold(self, now_s: float, wait_s: float) -> None:
        """Keep every endpoint of the account waiting; told once, and not for ever."""
        if self.no_token_for_s() <= 0:
            self._token_holds += 1
            if self._token_holds > TOKEN_HOLDS_MAX:
                raise StoppedError(
                    f"{self._account}: the accounts host has refused a token {TOKEN_HOLDS_MAX} times in a row.",
                    "See what else asks for tokens with this refresh token, then run the same command again.",
                )
            self._emit(BudgetHeld(self._account, TOKEN_ENDPOINT, wait_s))
        self._no_token_until_s = max(self._no_token_until_s, now_s + wait_s)


class Caller:
    """The way to one endpoint of one account.

    Args:
        budget: grants the slots.
        weather: shared by the account's endpoints.
        stop: asked when no call may start any more.
        allowance: how many calls the run may make here; any number if left out.
    """

    def __init__(self, budget: Budget, weather: Weather, stop: Stop, allowance: Allowance | None = None) -> None:
        self._budget = budget
        self._allowance = allowance or Allowance()
        self._weather = weather
        self._stop = stop
        self._suspicion = Suspicion()

    async def ask(
        self, send: Callable[[], Awaitable[Answer | Failure]], job: Job | None = None
    ) -> Answer | Failure | None:
        """Send one call as soon as the budget allows it; None if the run stops first.

        Args:
            send: sends exactly one call and returns its answer or a `Failure`.
            job: the job that pays for it, if any.

        Raises:
            StoppedError: nothing has worked for too long.
        """
        while (wait_s := self._weather.no_token_for_s()) > 0 and not self._stop.is_asked:
            await self._stop.pause(wait_s)
        if not self._weather.is_bad:
            return await self._send(send, job)
        async with self._weather.single_file:
            if self._weather.is_bad:
                await self._stop.pause(self._weather.probe_after_s())
                return await self._send(send, job)
        return await self._send(send, job)

    async def _send(self, send: Callable[[], Awaitable[Answer | Failure]], job: Job | None) -> Answer | Failure | None:
        lease = await self._lease(job)
        if lease is None:
            return None
        answer = self._judged(await self._sent(send), job.campaign.key if job else "", is_probe=lease.is_probe)
        failure = answer if isinstance(answer, Failure) else None
        await self._budget.settle(lease, failure, _code(answer))
        self._weather.note(failure)
        if self._suspicion.is_confirmed and failure is not None:
            raise StoppedError(
                f"Every call is refused in the same way ({failure.message}), also after two pauses.",
                "If this is how a lockout reads, name it in budget.lockout_codes or lockout_pattern.",
            )
        return answer

    async def _lease(self, job: Job | None) -> Lease | None:
        """Wait for a place and a slot; whoever gets no slot gives the place back."""
        if not await self._allowance.take():
            return None
        lease = None
        try:
            lease = await self._budget.lease(job.id if job else None)
        finally:
            if lease is None:
                self._allowance.settle(is_used=False)
        return lease

    async def _sent(self, send: Callable[[], Awaitable[Answer | Failure]]) -> Answer | Failure:
        """Send, and use up the place unless no byte left."""
        is_used = True
        try:
            answer = await send()
            is_used = not isinstance(answer, Failure) or answer.is_sent
        finally:
            self._allowance.settle(is_used=is_used)
        return answer

    def _judged(self, answer: Answer | Failure, campaign_key: str, *, is_probe: bool) -> Answer | Failure:
        """Return the answer, or a lockout in the place of one strange refusal too many."""
        failure = answer if isinstance(answer, Failure) else None
        self._suspicion = self._suspicion.after(failure, campaign_key, is_probe=is_probe)
        if failure is None or not self._suspicion.is_lockout:
            return answer
        return replace(failure, kind=FailureKind.LOCKED, message=f"perhaps locked: {failure.message}")


def _code(answer: object) -> str:
    """Return the short name under which a job counts this answer."""
    match answer:
        case Failure():
            return answer.signature
        case FramedPage():
            return answer.facts.code
        case Page():
            return answer.code
        case _:
            return "0"
