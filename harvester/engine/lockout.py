"""The lockout as a state machine (pure): one per account and endpoint.

    CLOSED --locked--> DRAIN --last answer in--> OPEN --until--> HALF_OPEN --probe answered--> RAMP --> CLOSED
                         ^------------------- probe locked: a longer pause -------------'

A server may extend its lock with every call made into it, so the pause runs from the *last* answer, and then exactly
one probe goes ahead of the others. Measured reasons: docs/budget.md.
"""

from dataclasses import replace

from harvester.model import Lockout, LockoutPhase

MARGIN_SHARE = 1 / 360
"""Added to the lock period: 5 s on 30 minutes, for a server that counts from a moment that we cannot see."""

LEVEL_MAX = 4
"""Locked again and again, the pause doubles up to eight lock periods: four hours."""

ASKED_WAIT_MAX_SHARE = 4.0
"""A server that asks for a longer wait than its documented lock is believed up to this many lock periods."""


def locked(state: Lockout, now_s: float, lock_s: float, asked_s: float | None) -> Lockout:
    """Return the state after a locked answer, seen at `now_s`.

    Args:
        state: before the answer.
        now_s: when the answer was seen.
        lock_s: the documented lock period, in seconds.
        asked_s: the wait that the answer asks for, if any; it may lengthen the pause, never shorten it.
    """
    is_again = state.phase in {LockoutPhase.HALF_OPEN, LockoutPhase.RAMP}
    is_first = state.phase is LockoutPhase.CLOSED
    level = min(LEVEL_MAX, state.level + 1) if is_first or is_again else state.level
    pause_s = max(lock_s * (1 + MARGIN_SHARE), min(asked_s or 0.0, lock_s * ASKED_WAIT_MAX_SHARE))
    until_s = now_s + pause_s * 2 ** (level - 1)
    return Lockout(LockoutPhase.DRAIN, max(until_s, state.until_s if state.is_shut else 0.0), level)


def resolved(state: Lockout, seen_s: float, in_flight: int, lock_s: float) -> Lockout:
    """Return the state after any other call under way came to its end at `seen_s`, with `in_flight` still out."""
    if state.phase is not LockoutPhase.DRAIN:
        return state
    until_s = max(state.until_s, seen_s + lock_s * (1 + MARGIN_SHARE))
    return replace(state, phase=LockoutPhase.DRAIN if in_flight else LockoutPhase.OPEN, until_s=until_s)


def probed(state: Lockout, now_s: float, period_s: float) -> Lockout:
    """Return the state after the probe was answered well."""
    return replace(state, phase=LockoutPhase.RAMP, until_s=now_s + period_s)


def at(state: Lockout, now_s: float, in_flight: int) -> Lockout:
    """Return the state as time alone has made it by `now_s`."""
    if state.phase is LockoutPhase.DRAIN and not in_flight:
        state = replace(state, phase=LockoutPhase.OPEN)
    if state.phase is LockoutPhase.OPEN and now_s >= state.until_s:
        return replace(state, phase=LockoutPhase.HALF_OPEN)
    if state.phase is LockoutPhase.RAMP and now_s >= state.until_s:
        return Lockout()
    return state
