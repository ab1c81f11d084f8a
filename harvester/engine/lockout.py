"""The lockout as a state machine (pure): one per account and endpoint, shared by all processes of a state folder.

    CLOSED --locked--> DRAIN --last answer in--> OPEN --until--> HALF_OPEN --probe answered--> RAMP --> CLOSED
                         ^------------------- probe locked: a longer pause -------------'

A server may extend its lock with every call made into it, so the pause runs from the *last* answer, and then exactly
one probe goes ahead of the others. Measured reasons: docs/budget.md.
"""

from dataclasses import replace

from harvester.leases import Lockout, LockoutPhase, Standing

MARGIN_SHARE = 1 / 360
"""Added to the lock period: 5 s on 30 minutes, for a server that counts from a moment that we cannot see."""

LEVEL_MAX = 4
"""Locked again and again, the pause doubles up to eight lock periods: four hours."""

ASKED_WAIT_MAX_SHARE = 4.0
"""A server that asks for a longer wait than its documented lock is believed up to this many lock periods."""

PROBE_PAUSE_SHARE = 1 / 60
"""After a probe without a clear answer the next one follows after this share of the lock: 30 s of 30 minutes."""


def aged(standing: Standing, lock_s: float) -> Lockout:
    """Return the lockout as time alone has made it.

    Args:
        standing: the present.
        lock_s: the documented lock period, in seconds.
    """
    state, now_s = standing.lockout, standing.now_s
    if state.phase is LockoutPhase.DRAIN and not standing.calls_out:
        # A call given up may have been counted, and may have extended the lock, as late as its stamp says.
        ends_s = [stamp_s + lock_s * (1 + MARGIN_SHARE) for stamp_s in standing.stamps[-1:]]
        until_s = max((state.until_s, *ends_s))
        state = replace(state, phase=LockoutPhase.OPEN, until_s=until_s)
    if state.phase is LockoutPhase.OPEN and now_s >= state.until_s:
        return replace(state, phase=LockoutPhase.HALF_OPEN, probe_until_s=0.0)
    if state.phase is LockoutPhase.RAMP and now_s >= state.until_s:
        return Lockout()
    return state


def opens_s(state: Lockout, standing: Standing, even_gap_s: float) -> float:
    """Return the earliest moment at which the lockout lets a call start: a probe, a paced one, or any.

    Args:
        state: as `aged` gives it.
        standing: the present.
        even_gap_s: the distance of calls during RAMP, in seconds.
    """
    match state.phase:
        case LockoutPhase.CLOSED:
            return standing.now_s
        case LockoutPhase.RAMP:
            return max(standing.now_s, standing.last_start_s + even_gap_s)
        case LockoutPhase.HALF_OPEN:
            return max(standing.now_s, state.probe_until_s)
        case LockoutPhase.DRAIN | LockoutPhase.OPEN:
            still_out = standing.stamps[-1:] if state.phase is LockoutPhase.DRAIN else ()
            return max(standing.now_s, state.until_s, *still_out)


def probing(state: Lockout, probe_until_s: float) -> Lockout:
    """Return the state once a call has started: in HALF_OPEN it is the probe, and others wait for its lease."""
    return replace(state, probe_until_s=probe_until_s) if state.phase is LockoutPhase.HALF_OPEN else state


def locked(standing: Standing, lock_s: float, asked_s: float | None) -> Lockout:
    """Return the state after a locked answer.

    Args:
        standing: the present, without the call that was answered.
        lock_s: the documented lock period, in seconds.
        asked_s: the wait that the answer asks for, if any; it may lengthen the pause, never shorten it.
    """
    before = standing.lockout
    is_new = not before.is_draining
    level = min(LEVEL_MAX, before.level + 1) if is_new else before.level
    pause_s = max(lock_s * (1 + MARGIN_SHARE), min(asked_s or 0.0, lock_s * ASKED_WAIT_MAX_SHARE))
    until_s = standing.now_s + pause_s * 2 ** (level - 1)
    return Lockout(LockoutPhase.DRAIN, max(until_s, 0.0 if is_new else before.until_s), level)


def answered(standing: Standing, lock_s: float, period_s: float, *, is_probe: bool, is_good: bool) -> Lockout:
    """Return the state after any answer but a locked one, or after a call was given up.

    Args:
        standing: the present, without the call that ended.
        lock_s: the documented lock period, in seconds.
        period_s: how long calls are spaced evenly after a lockout, in seconds.
        is_probe: whether the call was the probe.
        is_good: whether the answer shows that the endpoint works.
    """
    state, now_s = standing.lockout, standing.now_s
    if state.phase is LockoutPhase.HALF_OPEN and is_probe:
        if is_good:
            return replace(state, phase=LockoutPhase.RAMP, until_s=now_s + period_s, probe_until_s=0.0)
        return replace(state, phase=LockoutPhase.OPEN, until_s=now_s + lock_s * PROBE_PAUSE_SHARE, probe_until_s=0.0)
    if state.is_draining:
        until_s = max(state.until_s, now_s + lock_s * (1 + MARGIN_SHARE))
        return aged(replace(standing, lockout=replace(state, until_s=until_s)), lock_s)
    return state
