"""How two commands share one budget (pure).

A budget has two sides: the backfill, and everything else. While only one of them waits for slots, all of the budget is
its own. While both wait, each holds at most its share of the tokens: a quota of its own, by the plain window rule. The
two shares add up to the tokens, so whenever the budget has a slot, one of the two may take it.

A share only ever makes a caller wait longer than the budget asks for: what holds of the budget (docs/budget.md) holds
of both sides together. Nobody is told of the end of a process that was killed, so a side that waits says so for a
while only, again and again.
"""

from dataclasses import dataclass, replace
from math import floor

from harvester.engine.admission import Admission, Quota, next_start_s
from harvester.leases import Standing
from harvester.model import Command

DEMAND_LIFE_LOOKS = 2
"""A demand stands for twice the longest time between two looks, and is made anew at half its life: it never lapses
while somebody waits, and that of a killed process is gone after 1/30 of the period."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a run may hold of a budget while the other side waits as well.

    Attributes:
        command: what the run is for; it tells the side.
        backfill_share: of the tokens, that a backfill keeps; above 0 and below 1.
    """

    command: Command = Command.RUN
    backfill_share: float = 0.2

    def of(self, tokens: int) -> int:
        """Return the tokens of this side: at least one, and with those of the other side all of them.

        A single token cannot be shared: each side may use it.
        """
        if tokens == 1:
            return 1
        backfill_tokens = max(1, floor(tokens * self.backfill_share))
        return backfill_tokens if self.command is Command.BACKFILL else tokens - backfill_tokens


def shared_start_s(share: Share, quota: Quota, standing: Standing) -> float:
    """Return the earliest moment, from the present on, at which the share lets one more call start."""
    if standing.rival_until_s <= standing.now_s:
        return standing.now_s
    own = replace(quota, tokens=share.of(quota.tokens), admission=Admission.WINDOW)
    return next_start_s(own, standing.side_stamps, standing.now_s)


def demand_until_s(standing: Standing, look_s: float, *, is_waiting: bool) -> float:
    """Return until when other processes are to know that this command waits; 0 if it does not.

    Args:
        standing: the present.
        look_s: the longest time between two looks of one that waits, in seconds.
        is_waiting: whether anybody of this process waits.
    """
    if not is_waiting:
        return 0.0
    if standing.demand_until_s >= standing.now_s + look_s:
        return standing.demand_until_s
    return standing.now_s + DEMAND_LIFE_LOOKS * look_s
