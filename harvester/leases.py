"""The right to call, as frozen values: leases of single calls, and the lockout of an endpoint.

Nothing here reads a clock, a file or a socket.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, auto


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to send one call, written down.

    `stamp_s` is the latest moment at which the server can count the call if its outcome is never seen; `is_probe`
    marks the one call that finds out whether a lockout is over.
    """

    id: int
    job_id: int | None
    stamp_s: float
    is_probe: bool = False


class LockoutPhase(StrEnum):
    """Where the lockout of an endpoint stands."""

    CLOSED = auto()  #: calls go out
    DRAIN = auto()  #: a locked answer came; no call starts, those under way are awaited
    OPEN = auto()  #: nothing is under way; the pause runs
    HALF_OPEN = auto()  #: one probe is under way or about to be
    RAMP = auto()  #: the probe was answered; calls go out evenly spaced for one period


@dataclass(frozen=True, slots=True)
class Lockout:
    """The lockout of one account and endpoint; `engine.lockout` moves it.

    Attributes:
        phase: where it stands.
        until_s: DRAIN and OPEN: when the pause ends; RAMP: when even spacing ends; on the clock of `Clock.now_s`.
        level: how many times in a row the lock was met; 0 when clean.
        probe_until_s: HALF_OPEN: until when the lease of a probe under way is respected; 0 if there is none.
    """

    phase: LockoutPhase = LockoutPhase.CLOSED
    until_s: float = 0.0
    level: int = 0
    probe_until_s: float = 0.0

    @property
    def is_draining(self) -> bool:
        """Whether the pause runs: every answer that still comes lengthens it."""
        return self.phase in {LockoutPhase.DRAIN, LockoutPhase.OPEN}

    @property
    def is_shut(self) -> bool:
        """Whether no ordinary call may start."""
        return self.is_draining or self.phase is LockoutPhase.HALF_OPEN


@dataclass(frozen=True, slots=True)
class Standing:
    """How the calls of one account and endpoint stand, over all processes.

    Attributes:
        now_s: the present, on the clock of `Clock.now_s`.
        stamps: of all calls that still matter, ascending: the latest moment at which each can have been counted.
        lockout: as it was last written down.
        last_start_s: when the last call started; 0 and unused while the lockout is CLOSED.
        calls_out: calls whose outcome is not seen and that may still arrive; 0 and unused while CLOSED.
        demand_until_s: until when others know that this command waits for a slot; 0 if they do not.
        rival_until_s: until when the other side of the budget is known to wait; 0 if it is not.
        side_stamps: those of `stamps` that are of this side; empty and unused while the other does not wait.
    """

    now_s: float
    stamps: Sequence[float]
    lockout: Lockout
    last_start_s: float = 0.0
    calls_out: int = 0
    demand_until_s: float = 0.0
    rival_until_s: float = 0.0
    side_stamps: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Slot:
    """When the next call may start, and what that leaves behind.

    Attributes:
        start_s: the moment; not later than the present if it may start now.
        lockout: as this leaves it.
        is_probe: as in `Lease`.
        demand_until_s: as in `Standing`, as this leaves it.
    """

    start_s: float
    lockout: Lockout
    is_probe: bool = False
    demand_until_s: float = 0.0


@dataclass(frozen=True, slots=True)
class LockoutRecord:
    """What was known when an endpoint locked.

    Attributes:
        seen_wall_s: when, seconds since the epoch.
        until_wall_s: how long the pause was to last, likewise.
        level: as in `Lockout`.
        code: the API's code, or the short name of the answer.
        message: of the answer, redacted.
        calls_in_window: our own calls of the period before; far below the limit, somebody else uses the account.
    """

    seen_wall_s: float
    until_wall_s: float
    level: int
    code: str
    message: str
    calls_in_window: int
