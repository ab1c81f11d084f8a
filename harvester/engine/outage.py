"""When the server or the network is down for everybody, one call at a time tries, and patience has an end (pure)."""

from dataclasses import dataclass, replace
from random import Random

from harvester.engine.retry import Backoff
from harvester.model import Failure, FailureKind

FAILURES_TO_OPEN = 5
"""So many failures in a row, over all jobs, are no accident of one job; fewer would open on a single bad page."""

FIRST_PATIENCE_SHARE = 1 / 40
"""Before anything has ever worked, the cause is probably here (name, route, proxy): give up after this share."""

OUTAGE_KINDS = frozenset({FailureKind.UNREACHED, FailureKind.LOST, FailureKind.TRANSIENT, FailureKind.MALFORMED})


@dataclass(frozen=True, slots=True)
class Outage:
    """The failures in a row of one account, over all its jobs.

    Attributes:
        patience_s: how long an outage may last before the run stops, in seconds, once something has worked.
        failures: failures in a row.
        since_s: when the first of them was seen.
        has_worked: whether any call of this run was ever answered well.
    """

    patience_s: float
    failures: int = 0
    since_s: float = 0.0
    has_worked: bool = False

    @property
    def is_open(self) -> bool:
        """Whether only one call at a time may try."""
        return self.failures >= FAILURES_TO_OPEN

    def after(self, failure: Failure | None, now_s: float) -> "Outage":
        """Return the state after one more call: `failure` None means that it worked."""
        if failure is None:
            return replace(self, failures=0, has_worked=True)
        if failure.kind not in OUTAGE_KINDS:
            return replace(self, failures=0)
        return replace(self, failures=self.failures + 1, since_s=self.since_s if self.failures else now_s)

    def is_hopeless(self, now_s: float) -> bool:
        """Whether patience is at its end."""
        patience_s = self.patience_s * (1 if self.has_worked else FIRST_PATIENCE_SHARE)
        return self.is_open and now_s - self.since_s > patience_s

    def probe_after_s(self, backoff: Backoff, rng: Random) -> float:
        """Return how long the next single call waits, in seconds."""
        return backoff.after_s(self.failures - FAILURES_TO_OPEN + 1, rng)
