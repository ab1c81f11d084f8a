"""When the next call may start: the shared budget of one account and endpoint, and its lockout.

Nobody sends without a lease. One waiter at a time asks for it, in the order of arrival; a burst is smoothed by
aiolimiter, which this module alone knows: its bucket refills while it bursts, so it may never guard the quota itself.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from aiolimiter import AsyncLimiter

from harvester.clock import Clock
from harvester.engine import lockout as breaker
from harvester.engine.admission import Quota, free_calls, next_start_s
from harvester.engine.ports import Calls, Offload
from harvester.engine.shares import Share, demand_until_s, shared_start_s
from harvester.engine.stop import PAUSE_MIN_S, Stop
from harvester.errors import HarvestError
from harvester.events import BudgetHeld, BudgetUsed, Emit, LockoutClosed, LockoutOpened
from harvester.leases import Lease, Lockout, LockoutRecord, Slot, Standing
from harvester.model import Failure, FailureKind

TOLD_WAIT_SHARE = 1 / 60
"""Waits shorter than this share of the period (5 s of 300) are the ordinary pace and not worth a word."""

LOOK_AGAIN_SHARE = 1 / 60
"""Another process may free a slot without a word: no wait goes on longer than this share of the period unlooked at."""

GOOD_ANSWERS = frozenset({FailureKind.JOB, FailureKind.CAMPAIGN, FailureKind.NOT_APPLICABLE})
"""Refusals of one request: they show that the endpoint works."""


@dataclass(frozen=True, slots=True)
class BudgetRules:
    """What one account may ask of one endpoint.

    Attributes:
        account: whose calls are counted.
        endpoint: what is called.
        quota: how many calls in which window.
        lock_s: the documented lock period, in seconds.
        call_timeout_s: how long a call may take, from its start.
        late_grace_s: how much later than that a call given up may still reach the server.
        burst_per_s: calls started in one second at most, so that a burst is no hail.
        share: what it may hold of that while others want it as well.
    """

    account: str
    endpoint: str
    quota: Quota
    lock_s: float
    call_timeout_s: float
    late_grace_s: float
    burst_per_s: float
    share: Share = field(default_factory=Share)

    @property
    def look_s(self) -> float:
        """How long one that waits goes without a look at what others have done, at most, in seconds."""
        return self.quota.period_s * LOOK_AGAIN_SHARE

    @property
    def hold_s(self) -> float:
        """How long after its start a call given up may still reach the server, in seconds."""
        return self.call_timeout_s + self.late_grace_s

    def slot(self, standing: Standing) -> Slot:
        """Return when the next call may start, by lockout, window and share, and the lockout as that leaves it."""
        state = breaker.aged(standing, self.lock_s)
        opens_s = breaker.opens_s(state, standing, self.quota.window_s / self.quota.tokens)
        if opens_s > standing.now_s:
            return Slot(opens_s, state)
        after = breaker.probing(state, standing.now_s + self.hold_s)
        is_probe = after != state
        start_s = next_start_s(self.quota, standing.stamps, standing.now_s)
        if not is_probe:  # that one finds the way for both sides
            start_s = max(start_s, shared_start_s(self.share, self.quota, standing))
        return Slot(start_s, after, is_probe) if start_s <= standing.now_s else Slot(start_s, state)

    def lockout_after(self, standing: Standing, lease: Lease, failure: Failure | None) -> Lockout:
        """Return the lockout as the end of a call leaves it."""
        if failure is not None and failure.kind is FailureKind.LOCKED:
            return breaker.locked(standing, self.lock_s, failure.retry_after_s)
        is_good = failure is None or failure.kind in GOOD_ANSWERS
        return breaker.answered(standing, self.lock_s, self.quota.period_s, is_probe=lease.is_probe, is_good=is_good)


class Budget:
    """Leases for the calls of one account and endpoint.

    Args:
        rules: what is allowed.
        calls: where leases are written down; shared with other processes.
        clock: the time.
        offload: runs the writing, one piece after the other.
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
        self._waiting_callers = 0  # the one whose turn it is among them
        self._changed = asyncio.Event()
        stop.listen(self._changed.set)
        self._smoother = AsyncLimiter(max(1.0, rules.burst_per_s), max(1.0, 1 / rules.burst_per_s))
        self._locked_answers = 0  # seen, and not yet written down
        self._told = Lockout()
        self._seen = Lockout()
        self._told_start_s = 0.0
        self._free_calls = rules.quota.tokens

    async def lease(self, job_id: int | None = None) -> Lease | None:
        """Wait for the right to send one call; None when the run stops.

        The lease must be given to `settle` when the outcome is seen; one that never is weighs as a call given up.
        """
        self._waiting_callers += 1
        try:
            async with self._turn:
                lease = await self._granted(job_id)
        finally:
            self._waiting_callers -= 1
        if lease is None and not self._waiting_callers:
            with suppress(HarvestError):  # a demand that stays fades by itself
                await self._offload(self._calls.release_demand)
        return lease

    async def _granted(self, job_id: int | None) -> Lease | None:
        while not self._stop.is_asked:
            self._changed.clear()
            await self._smoother.acquire()
            grant = await self._ask(job_id)
            if isinstance(grant, float):
                await self._wait_until(grant)
            elif self._locked_answers:
                await asyncio.shield(self._offload(partial(self._calls.cancel, grant)))
                await self._changed.wait()
            else:
                self._emit(BudgetUsed(self._rules.account, self._rules.endpoint, max(0, self._free_calls - 1)))
                return grant
        return None

    async def settle(self, lease: Lease, failure: Failure | None, code: str) -> None:
        """Take the outcome of a call; a locked answer shuts the endpoint before anybody else can send.

        Args:
            lease: of the call.
            failure: what came instead of a good answer, if so.
            code: under which its job counts it.
        """
        is_locked = failure is not None and failure.kind is FailureKind.LOCKED
        self._locked_answers += is_locked
        first: list[LockoutRecord] = []

        def turn(standing: Standing) -> Lockout:
            lockout = self._rules.lockout_after(standing, lease, failure)
            if failure is not None and is_locked and not standing.lockout.is_draining:
                first.append(self._record(standing, lockout, failure))
            return lockout

        if failure is not None and not failure.is_sent:
            lockout = await self._offload(partial(self._calls.cancel, lease, turn))
        else:
            is_lost = failure is not None and failure.kind is FailureKind.LOST
            late_s = self._rules.late_grace_s if is_lost else None
            lockout = await self._offload(partial(self._calls.settle, lease, code, turn, late_s))
        for record in first:
            await self._offload(partial(self._calls.record, record))
        self._tell(lockout)
        self._locked_answers -= is_locked
        self._changed.set()

    async def _ask(self, job_id: int | None) -> Lease | float:
        """Ask for a lease; whoever is cancelled meanwhile leaves none behind."""
        written: list[Lease] = []

        def ask() -> Lease | float:
            grant = self._calls.lease(job_id, self._rules.hold_s, self._rule)
            if isinstance(grant, Lease):
                written.append(grant)
            return grant

        def give_back() -> None:
            for lease in written:
                self._calls.cancel(lease, partial(_withdrawn, lease))

        try:
            return await self._offload(ask)
        except asyncio.CancelledError:
            # It runs after `ask`, which was then done or never begun, and shielded even if we are cancelled again.
            await asyncio.shield(self._offload(give_back))
            raise

    def _rule(self, standing: Standing) -> Slot:
        self._free_calls = free_calls(self._rules.quota, standing.stamps, standing.now_s)
        slot = self._rules.slot(standing)
        self._seen = slot.lockout
        is_waiting = slot.start_s > standing.now_s or self._waiting_callers > 1
        return replace(slot, demand_until_s=demand_until_s(standing, self._rules.look_s, is_waiting=is_waiting))

    async def _wait_until(self, moment_s: float) -> None:
        """Wait for a slot, but no longer than until the run stops, an outcome changes things, or it is time to look."""
        self._tell(self._seen)
        wait_s = max(0.0, moment_s - self._clock.now_s())
        told_gap_s = self._rules.quota.period_s * TOLD_WAIT_SHARE
        if not self._seen.is_shut and wait_s > told_gap_s and abs(moment_s - self._told_start_s) > told_gap_s:
            self._told_start_s = moment_s
            self._emit(BudgetHeld(self._rules.account, self._rules.endpoint, wait_s))
        with suppress(TimeoutError):
            async with asyncio.timeout(max(min(wait_s, self._rules.look_s), PAUSE_MIN_S)):
                await self._changed.wait()

    def _tell(self, lockout: Lockout) -> None:
        """Say that the endpoint was locked or is open again: once, whichever process found out."""
        rules, before = self._rules, self._told
        if lockout.is_draining and (not before.is_shut or lockout.level != before.level):
            wait_s = lockout.until_s - self._clock.now_s()
            until = datetime.fromtimestamp(self._clock.wall_s() + wait_s, UTC).isoformat(timespec="seconds")
            used_calls = rules.quota.tokens - self._free_calls
            self._emit(LockoutOpened(rules.account, rules.endpoint, wait_s, until, lockout.level, used_calls))
        elif before.is_shut and not lockout.is_shut:
            self._emit(LockoutClosed(rules.account, rules.endpoint))
        self._told = lockout

    def _record(self, standing: Standing, lockout: Lockout, failure: Failure) -> LockoutRecord:
        """Return what is known at the first locked answer."""
        wall_s, quota = self._clock.wall_s(), self._rules.quota
        return LockoutRecord(
            seen_wall_s=wall_s,
            until_wall_s=wall_s + lockout.until_s - standing.now_s,
            level=lockout.level,
            code=failure.signature,
            message=failure.message,
            calls_in_window=quota.tokens - free_calls(quota, standing.stamps, standing.now_s),
        )


def _withdrawn(lease: Lease, standing: Standing) -> Lockout:
    """Return the lockout without a call that was never sent: if it was the probe, another may go at once."""
    return replace(standing.lockout, probe_until_s=0.0) if lease.is_probe else standing.lockout
