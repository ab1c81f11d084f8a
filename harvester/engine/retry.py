"""What follows from a failed call: again, later, or never (pure).

A retry is a decision that the ledger stores, not a worker that sleeps: the job goes back to pending with the moment
from which it may be tried again, so that a restart keeps the decision and the worker takes up other work.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from random import Random

from harvester.model import Failure, FailureKind

ATTEMPTS_MAX = 5
"""Tries of one page; with the waits below the last comes some 30 s after the first, past most hiccups."""

UNKNOWN_ATTEMPTS_MAX = 2
"""An unknown code is asked about once more, then shown as it came: it may mean that a person must act."""

TOKEN_ATTEMPTS_MAX = 2
"""A fresh token that is refused as well is no accident: scope, data centre or grant are wrong."""


class Scope(StrEnum):
    """How far a final failure reaches."""

    JOB = auto()
    CAMPAIGN = auto()
    ACCOUNT = auto()


@dataclass(frozen=True, slots=True)
class AskAgain:
    """The same request again as soon as the way is free: the lock or the token stood in it, not the request."""


@dataclass(frozen=True, slots=True)
class AskForLess:
    """The same rows again, fewer at once: page or range were too large."""


@dataclass(frozen=True, slots=True)
class Later:
    """Back to pending; the next attempt is due in `after_s` seconds. `costs_attempt`: whether it counts as a try."""

    after_s: float
    costs_attempt: bool = True


@dataclass(frozen=True, slots=True)
class Never:
    """Given up: for this job, for all of its campaign, or for the whole account until a person acts."""

    scope: Scope
    reason: str
    is_error: bool = True


Decision = AskAgain | AskForLess | Later | Never


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double from `base_s` to at most `cap_s` seconds, each drawn between half and the whole of that."""

    base_s: float = 1.0
    cap_s: float = 60.0

    def after_s(self, attempts: int, rng: Random) -> float:
        """Return the wait after the `attempts`-th try (from 1), in seconds; jittered so that workers spread out."""
        ceiling_s = min(self.cap_s, self.base_s * 2 ** min(attempts - 1, 30))
        return rng.uniform(ceiling_s / 2, ceiling_s)


ATTEMPTS: Mapping[FailureKind, int] = {
    FailureKind.LOST: ATTEMPTS_MAX,
    FailureKind.TRANSIENT: ATTEMPTS_MAX,
    FailureKind.MALFORMED: ATTEMPTS_MAX,
    FailureKind.UNKNOWN: UNKNOWN_ATTEMPTS_MAX,
}
"""Failures that another try may mend, and how many tries they are worth."""

REACH: Mapping[FailureKind, Scope] = {
    FailureKind.TOKEN: Scope.ACCOUNT,
    FailureKind.ACCOUNT: Scope.ACCOUNT,
    FailureKind.CAMPAIGN: Scope.CAMPAIGN,
    FailureKind.NOT_APPLICABLE: Scope.CAMPAIGN,
    FailureKind.JOB: Scope.JOB,
}
"""Failures that no other try will mend, and how far they reach."""


def decide(failure: Failure, attempts: int, backoff: Backoff, rng: Random) -> Decision:
    """Say what follows from a failed call.

    Args:
        failure: what came instead of a page.
        attempts: tries of this very page that counted, this one included (from 1).
        backoff: the waits between tries.
        rng: draws the jitter.
    """
    kind = failure.kind
    is_stale_token = kind is FailureKind.TOKEN and attempts < TOKEN_ATTEMPTS_MAX
    if is_stale_token or kind in {FailureKind.LOCKED, FailureKind.NO_TOKEN}:
        return AskAgain()
    if kind is FailureKind.OVERSIZE:
        return AskForLess()
    if kind is FailureKind.UNREACHED:
        return Later(failure.retry_after_s or backoff.after_s(attempts, rng), costs_attempt=False)
    if kind in REACH:
        return Never(REACH[kind], failure.message, is_error=kind is not FailureKind.NOT_APPLICABLE)
    if attempts >= ATTEMPTS[kind]:
        return Never(Scope.JOB, f"given up after {attempts} attempts: {failure.message}")
    return Later(max(backoff.after_s(attempts, rng), failure.retry_after_s or 0.0))
