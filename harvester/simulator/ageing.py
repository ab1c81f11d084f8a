"""When people act after a campaign was sent, and what that makes of its sets from day to day. Pure.

No figures of the real service are public: delays are exponential, with a few late ones, as mailings are known to go.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from random import Random

from harvester.simulator.age_options import AgeOptions
from harvester.simulator.rows import ACTIVE

FOLLOW_MEAN_DAYS = 0.1
"""How long after the opening people click, opt out or complain, on average: a few hours."""

RESTLESS_DAYS = (1.0, 30.0)
"""The status of a restless contact changes between these ages of its campaign."""

CHANGED_STATUS = "unsubscribed"
"""What the status of a restless contact becomes; which other texts the service knows is not documented."""

UNOPENED = "unopenedcontacts"
_LEAVE_UNOPENED = ("senthardbounce", "sentsoftbounce", "openedcontacts")


@dataclass(frozen=True)
class AgingSet:
    """A set that contacts come into, or leave, as its campaign ages; never both.

    Attributes:
        positions: of the contacts that come or may leave, ascending.
        days: at which age of the campaign each of them does, inf for never.
        is_shrinking: whether they leave.
    """

    positions: Sequence[int]
    days: Sequence[float]
    is_shrinking: bool = False

    def at(self, age_days: float) -> list[int]:
        """Return the positions of those who are in the set at this age, ascending."""
        dated = zip(self.positions, self.days, strict=True)
        return [position for position, day in dated if (day > age_days) is self.is_shrinking]

    def size_at(self, age_days: float) -> int:
        """Return how many are in the set at this age."""
        acted = bisect_right(self._sorted_days, age_days)
        return len(self.days) - acted if self.is_shrinking else acted

    @cached_property
    def _sorted_days(self) -> Sequence[float]:
        return sorted(self.days)


def aging_sets(
    total: int, members: Mapping[str, Sequence[int]], rng: Random, options: AgeOptions
) -> dict[str, AgingSet]:
    """Draw when the recipients of one campaign act.

    A contact that has neither bounced nor opened yet stands in `unopenedcontacts`, so that at every age opened and
    unopened together are what was delivered.

    Args:
        total: how many recipients it has.
        members: positions of those whom each set holds in the end.
        rng: of the draws.
        options: how long people take.

    Returns:
        The sets that change with age, by action.
    """
    bounced = [rng.uniform(0, options.bounce_max_days) for _ in range(total)]
    opened = [_open_days(rng, options) for _ in range(total)]
    followed = [min(day + rng.expovariate(1 / FOLLOW_MEAN_DAYS), options.late_max_days) for day in opened]
    days_of = {
        **dict.fromkeys(("senthardbounce", "sentsoftbounce"), bounced),
        "openedcontacts": opened,
        **dict.fromkeys(("clickedcontacts", "optoutcontacts", "spamcontacts"), followed),
    }
    sets = {
        action: AgingSet(members[action], [days[position] for position in members[action]])
        for action, days in days_of.items()
    }
    left = [math.inf] * total
    for action in _LEAVE_UNOPENED:
        for position, day in zip(sets[action].positions, sets[action].days, strict=True):
            left[position] = day
    return sets | {UNOPENED: AgingSet(range(total), left, is_shrinking=True)}


def status_at(age_days: float, contact: str, options: AgeOptions) -> str:
    """Return the status of a contact at this age of its campaign; `contact` names it within the simulation."""
    if not options.restless_share:
        return ACTIVE
    first, last = RESTLESS_DAYS
    is_restless = _drawn(f"{contact}/restless") < options.restless_share
    is_changed = is_restless and age_days >= first + (last - first) * _drawn(f"{contact}/restless-day")
    return CHANGED_STATUS if is_changed else ACTIVE


def _open_days(rng: Random, options: AgeOptions) -> float:
    if rng.random() < options.late_share:
        return rng.uniform(options.open_max_days, options.late_max_days)
    # The exponential distribution, cut off at the longest delay and spread over what is left.
    within = -math.expm1(-options.open_max_days / options.open_mean_days)
    return -options.open_mean_days * math.log1p(-rng.random() * within)


def _drawn(name: str) -> float:
    """Return a number in [0, 1) that depends on the name alone; far quicker than to seed a generator for each row."""
    return int.from_bytes(blake2b(name.encode(), digest_size=6).digest()) / 2**48
