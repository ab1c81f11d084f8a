"""The same strange refusal again and again, whatever was asked: a lockout that nobody has described yet (pure)."""

from dataclasses import dataclass, replace

from harvester.model import Failure, FailureKind

REFUSALS_TO_SUSPECT = 5
"""So many identical refusals in a row, over different jobs, are no accident of one of them."""

CONFIRMED = 3
"""Refused in the same way after two pauses, the second twice as long: waiting longer is for a person to decide."""

STRANGE_KINDS = frozenset({FailureKind.UNKNOWN, FailureKind.MALFORMED})


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What the refusals of one endpoint look like.

    Attributes:
        signature: of the last strange refusal; empty if the last answer was none.
        refusals: how many of them came in a row.
        lockouts: how many times in a row they were taken for a lockout, without a good answer in between.
    """

    signature: str = ""
    refusals: int = 0
    lockouts: int = 0

    @property
    def is_lockout(self) -> bool:
        """Whether the last refusal is to be taken for a lockout."""
        return self.refusals >= REFUSALS_TO_SUSPECT

    @property
    def is_confirmed(self) -> bool:
        """Whether the pause did not help either."""
        return self.lockouts >= CONFIRMED

    def after(self, failure: Failure | None, *, is_probe: bool) -> "Suspicion":
        """Return the state after one more answer; None means a good one. A probe needs no row of its own to speak."""
        if failure is None:
            return Suspicion()
        if failure.kind not in STRANGE_KINDS:
            return replace(self, signature="", refusals=0)
        is_same = failure.signature == self.signature
        refusals = self.refusals + 1 if is_same else 1
        is_new = refusals == REFUSALS_TO_SUSPECT or (is_same and is_probe and self.lockouts > 0)
        return Suspicion(failure.signature, refusals, self.lockouts + is_new)
