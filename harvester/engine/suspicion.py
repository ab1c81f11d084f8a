"""The same strange refusal again and again, whatever was asked: a lockout that nobody has described yet (pure)."""

from dataclasses import dataclass, replace

from harvester.model import Failure, FailureKind

CAMPAIGNS_TO_SUSPECT = 5
"""So many campaigns refused in the same way, one after the other, are no accident of one of them."""

CONFIRMED = 3
"""Refused in the same way after two pauses, the second twice as long: waiting longer is for a person to decide."""

STRANGE_KINDS = frozenset({FailureKind.UNKNOWN, FailureKind.MALFORMED})

USUAL_STATUS = 200
"""The API tells its own errors with this status: an unknown code in such an answer is about what was asked."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What the refusals of one endpoint look like.

    Attributes:
        signature: of the last strange refusal; empty if the last answer was none.
        campaigns: whose calls were refused so, one after the other; more than `CAMPAIGNS_TO_SUSPECT` are not counted.
        lockouts: how many times in a row they were taken for a lockout, without a good answer in between.
    """

    signature: str = ""
    campaigns: frozenset[str] = frozenset()
    lockouts: int = 0

    @property
    def is_lockout(self) -> bool:
        """Whether the last refusal is to be taken for a lockout."""
        return len(self.campaigns) >= CAMPAIGNS_TO_SUSPECT

    @property
    def is_confirmed(self) -> bool:
        """Whether the pause did not help either."""
        return self.lockouts >= CONFIRMED

    def after(self, failure: Failure | None, campaign_key: str, *, is_probe: bool) -> "Suspicion":
        """Return the state after one more answer.

        Args:
            failure: None for a good answer.
            campaign_key: whose call it was.
            is_probe: whether it was the probe of a lockout, which needs no row of its own to speak.
        """
        if failure is None:
            return Suspicion()
        if failure.kind not in STRANGE_KINDS or failure.status in {None, USUAL_STATUS}:
            return replace(self, signature="", campaigns=frozenset())
        is_same = failure.signature == self.signature
        was_lockout = is_same and self.is_lockout
        before = self.campaigns if is_same else frozenset[str]()
        after = Suspicion(failure.signature, before if was_lockout else before | {campaign_key}, self.lockouts)
        is_one_more = after.is_lockout and (is_probe or not was_lockout)
        return replace(after, lockouts=self.lockouts + is_one_more)
