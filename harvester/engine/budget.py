"""When the next call may start: the shared budget of one account and endpoint, and its lockout.

Nobody sends without a lease. One waiter at a time asks for it, in the order of arrival; a burst is smoothed by
aiolimiter, which this module alone knows: its bucket refills while it bursts, so it may never guard the quota itself.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from aiolimiter import AsyncLimiter

from harvester.clock import Clock
from harvester.engine import lockout as breaker
from harvester.engine.admission import Quota, free_calls, next_start_s
from harvester.engine.ports import Calls, Offload
from harvester.engine.stop import Stop
from harvester.events import BudgetHeld, BudgetUsed, Emit, LockoutClosed, LockoutOpened
from harvester.model import Failure, FailureKind, Lease, Lockout, LockoutPhase

PROBE_PAUSE_SHARE = 1 / 60
"""After a probe with no clear answer the next one follows after this share of the lock period: 30 s of 30 minutes."""


@dataclass(frozen=True, slots=True)
class BudgetRules:
    """What one account may ask of one endpoint.

    Attributes:
        account: whose calls are counted.
        endpoint: what is called.
        quota: how many calls in which window.
        lock_s: the documented lock period, in seconds.
        hold_s: how long after its start a call given up may still reach the server: its timeout and the grace.
        burst_per_s: calls started in one second at most, so that a burst is no hail.
    """

    account: str
    endpoint: str
    quota: Quota
    lock_s: float
    hold_s: float
    burst_per_s: float

    @property
    def even_gap_s(self) -> float:
        """The distance of calls that are spread evenly over the window, in seconds."""
        return self.quota.window_s / self.quota.tokens


class Budget:
    """Leases for the calls of one account and endpoint.

    Args:
        rules: what is allowed.
        calls: where leases are written down; shared with other processes.
        clock: the time.
        offload: runs the writing.
        emit: takes the events.
        stop: asked when no call may start any more.
    """

    def __init__(
        self, rules: BudgetRules, calls: Calls, clock: Clock, offload: Offload, emit: Emit, stop: Stop
    ) -> None:
        self._rules = rules
        self._calls = calls
        self._clock = clock
        self._offload = offload
        self._emit = emit
        self._stop = stop
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        stop.listen(self._changed.set)
        self._smoother = AsyncLimiter(max(1.0, rules.burst_per_s), max(1.0, 1 / rules.burst_per_s))
        self._lockout = calls.lockout()
        self._in_flight = 0
        self._probe: Lease | None = None
        self._free_calls = rules.quota.tokens
        self._next_even_s = 0.0

    async def lease(self, job_id: int | None = None) -> Lease | None:
        """Wait for the right to send one call; None when the run stops.

        The lease must be given to `settle` when the outcome is seen; one that never is weighs as a call given up.
        """
        async with self._turn:
            while not self._stop.is_asked:
                self._changed.clear()
                wait_s = self._shut_for_s()
                if wait_s is not None:
                    await self._pause(wait_s)
                    continue
                await self._smoother.acquire()
                grant = await self._offload(partial(self._calls.lease, job_id, self._rules.hold_s, self._rule))
                if isinstance(grant, float):
                    await self._held_until(grant)
                elif self._shut_for_s() is not None:
                    await self._offload(partial(self._calls.cancel, grant))
                else:
                    return self._granted(grant)
        return None

    async def settle(self, lease: Lease, failure: Failure | None, code: str) -> None:
        """Take the outcome of a call; a locked answer shuts the endpoint before anybody else can send.

        Args:
            lease: of the call.
            failure: what came instead of a good answer, if so.
            code: under which its job counts it.
        """
        self._in_flight -= 1
        before = self._lockout
        self._lockout = self._after(lease, failure)
        if self._lockout != before:
            await self._offload(partial(self._calls.store_lockout, self._lockout))
            self._tell(before)
        if failure is not None and not failure.is_sent:
            await self._offload(partial(self._calls.cancel, lease))
        else:
            is_seen = failure is None or failure.kind is not FailureKind.LOST
            await self._offload(partial(self._calls.settle, lease, code, is_seen=is_seen))
        self._changed.set()

    # --- the lockout ------------------------------------------------------------------------------------------------

    def _after(self, lease: Lease, failure: Failure | None) -> Lockout:
        """Return the lockout as this outcome leaves it."""
        now_s, is_probe = self._clock.now_s(), lease == self._probe
        if is_probe:
            self._probe = None
        if failure is not None and failure.kind is FailureKind.LOCKED:
            return breaker.locked(self._lockout, now_s, self._rules.lock_s, failure.retry_after_s)
        if is_probe and failure is None:
            self._next_even_s = now_s
            return breaker.probed(self._lockout, now_s, self._rules.quota.period_s)
        if is_probe:
            return Lockout(LockoutPhase.OPEN, now_s + self._rules.lock_s * PROBE_PAUSE_SHARE, self._lockout.level)
        return breaker.resolved(self._lockout, now_s, self._in_flight, self._rules.lock_s)

    def _shut_for_s(self) -> float | None:
        """Return how long no call may start, in seconds, or None if one may; HALF_OPEN lets one probe through."""
        now_s = self._clock.now_s()
        self._lockout = breaker.at(self._lockout, now_s, self._in_flight)
        match self._lockout.phase:
            case LockoutPhase.CLOSED:
                return None
            case LockoutPhase.RAMP:
                return self._next_even_s - now_s if now_s < self._next_even_s else None
            case LockoutPhase.HALF_OPEN:
                return None if self._probe is None else self._rules.hold_s
            case LockoutPhase.DRAIN | LockoutPhase.OPEN:
                return max(0.0, self._lockout.until_s - now_s)

    def _tell(self, before: Lockout) -> None:
        rules, state = self._rules, self._lockout
        if state.is_shut and (not before.is_shut or state.level > before.level):
            wait_s = state.until_s - self._clock.now_s()
            until = datetime.fromtimestamp(self._clock.wall_s() + wait_s, UTC).isoformat(timespec="seconds")
            used_calls = rules.quota.tokens - self._free_calls
            self._emit(LockoutOpened(rules.account, rules.endpoint, wait_s, until, state.level, used_calls))
        elif before.is_shut and not state.is_shut:
            self._emit(LockoutClosed(rules.account, rules.endpoint))

    # --- the window -------------------------------------------------------------------------------------------------

    def _rule(self, stamps: Sequence[float], now_s: float) -> float:
        self._free_calls = free_calls(self._rules.quota, stamps, now_s)
        return next_start_s(self._rules.quota, stamps, now_s)

    def _granted(self, lease: Lease) -> Lease:
        self._in_flight += 1
        if self._lockout.phase is LockoutPhase.HALF_OPEN:
            self._probe = lease
        if self._lockout.phase is LockoutPhase.RAMP:
            self._next_even_s = self._clock.now_s() + self._rules.even_gap_s
        self._emit(BudgetUsed(self._rules.account, self._rules.endpoint, max(0, self._free_calls - 1)))
        return lease

    async def _held_until(self, moment_s: float) -> None:
        wait_s = max(0.0, moment_s - self._clock.now_s())
        self._emit(BudgetHeld(self._rules.account, self._rules.endpoint, wait_s))
        await self._pause(wait_s)

    async def _pause(self, wait_s: float) -> None:
        """Wait, but no longer than until the run stops or an outcome changes things."""
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._changed.wait()
