"""How fast jobs are closed of late (pure).

A sliding minute would have to remember every closing in it; a count that fades by 1/e a minute says the same, is one
number, and has no edge at which the figure jumps.
"""

import math
from dataclasses import dataclass

MEMORY_S = 60.0
"""Seconds after which a closing counts 1/e: long against one job, short against a night."""

WARM_UP_S = 1.0
"""Seconds of work before a rate is named: the first closings come in one burst and would promise too much."""

WEIGHT_MIN = 0.01
"""Below this the last closing is minutes of work ago (one closing: 4.6 min), and the rate says nothing of the next."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Closings per second of working time.

    Attributes:
        weight: the closings, each faded by its age.
        worked_s: seconds of working time so far; time in which no call may start is left out by the caller.
    """

    weight: float = 0.0
    worked_s: float = 0.0

    def after(self, worked_s: float, closings: int = 0) -> "Rate":
        """Return the rate `worked_s` seconds of work later, with `closings` at that moment."""
        return Rate(self.weight * math.exp(-worked_s / MEMORY_S) + closings, self.worked_s + worked_s)

    @property
    def per_s(self) -> float | None:
        """Closings per second, None while nothing sound can be said.

        A steady rate r weighs r x MEMORY_S x (1 - exp(-worked_s / MEMORY_S)) after `worked_s`; solved for r.
        """
        if self.worked_s < WARM_UP_S or self.weight < WEIGHT_MIN:
            return None
        return self.weight / (MEMORY_S * -math.expm1(-self.worked_s / MEMORY_S))
