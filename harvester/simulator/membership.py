"""Who is in which set: decided by the recipient's position, and by the age of the campaign where the world ages. Pure.

Half a million recipients cost no memory: in the end, membership of an action depends on the position modulo 100, so
that the k-th member is arithmetic. Only the sets of a campaign that still ages are lists.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import overload

from harvester.simulator.age_options import AgeOptions
from harvester.simulator.ageing import AgingSet, aging_sets
from harvester.simulator.campaigns import Campaign, Kind

BLOCK = 100
"""Every so many recipients the pattern of who opened, clicked and bounced repeats."""

UNSENT_EVERY = 50
"""For so many sent messages one more could not be sent."""

BLOCKS_CACHED = 512
"""Patterns kept at hand: more than a client reads at the same time."""

AGING_CACHED = 512
"""Campaigns whose delays are kept at hand: those of some nights; about 200 kB for one of 5,000 recipients."""

SETS_CACHED = 512
"""Sets of the present kept at hand: more than a client reads at the same time."""

SENT = "sentcontacts"
UNSENT = "unsentcontacts"

# The share of each action in percent of the sent ones, as ranges of a shuffled 0..99. From them follows:
# clicked is within opened, opened and unopened make up what was delivered, the two bounces exclude each other.
_PERCENTILES: Mapping[str, range] = {
    SENT: range(100),
    "senthardbounce": range(3),
    "sentsoftbounce": range(3, 7),
    "openedcontacts": range(7, 45),
    "clickedcontacts": range(7, 19),
    "optoutcontacts": range(18, 21),
    "spamcontacts": range(21, 22),
    "unopenedcontacts": range(45, 100),
}
ACTIONS = (*_PERCENTILES, UNSENT)
"""The nine values of the parameter `action`."""


@dataclass(frozen=True, slots=True)
class Pattern(Sequence[int]):
    """Positions that repeat, computed when asked for.

    Attributes:
        total: how many positions there are.
        residues: which positions modulo BLOCK are in, ascending.
        first: added to every position.
    """

    total: int
    residues: tuple[int, ...]
    first: int = 0

    def __len__(self) -> int:
        blocks, rest = divmod(self.total, BLOCK)
        return blocks * len(self.residues) + bisect_left(self.residues, rest)

    @overload
    def __getitem__(self, index: int) -> int: ...

    @overload
    def __getitem__(self, index: slice) -> list[int]: ...

    def __getitem__(self, index: int | slice) -> int | list[int]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"position {index}: expected 0..{len(self) - 1}")
        block, member = divmod(index, len(self.residues))
        return self.first + block * BLOCK + self.residues[member]


class Membership:
    """The sets of one account's campaigns, as positions in server order.

    Args:
        salt: of the draws.
        options: how campaigns age.
    """

    def __init__(self, salt: str, options: AgeOptions) -> None:
        self._salt = salt
        self._options = options
        self._aging_sets = lru_cache(AGING_CACHED)(self._draw)
        self._members = lru_cache(SETS_CACHED)(self._members_at)

    def positions(self, campaign: Campaign, action: str, age_days: float) -> Sequence[int]:
        """Return who is in a set at this age of its campaign, in days after the sending: nobody before it.

        KeyError for an unknown action.
        """
        still = self._still(campaign, action, age_days)
        return self._members(campaign, action, age_days) if still is None else still

    def size(self, campaign: Campaign, action: str, age_days: float) -> int:
        """Return how many are in a set at this age of its campaign. KeyError for an unknown action."""
        still = self._still(campaign, action, age_days)
        return self._aging_sets(campaign)[action].size_at(age_days) if still is None else len(still)

    def _still(self, campaign: Campaign, action: str, age_days: float) -> Pattern | None:
        """Return a set that stands still at this age; None for one that changes."""
        if campaign.kind is Kind.DRAFT or age_days < 0:
            return Pattern(0, (0,))
        if action == UNSENT:
            return Pattern(campaign.recipients // UNSENT_EVERY, tuple(range(BLOCK)), first=campaign.recipients)
        if action == SENT or age_days >= self._options.late_max_days:
            return self._final(campaign, action)
        return None

    def _final(self, campaign: Campaign, action: str) -> Pattern:
        shuffled = _shuffled_block(f"{self._salt}/{campaign.slot}")
        return Pattern(campaign.recipients, tuple(sorted(shuffled[percentile] for percentile in _PERCENTILES[action])))

    def _members_at(self, campaign: Campaign, action: str, age_days: float) -> list[int]:
        return self._aging_sets(campaign)[action].at(age_days)

    def _draw(self, campaign: Campaign) -> Mapping[str, AgingSet]:
        finals = {action: self._final(campaign, action) for action in _PERCENTILES}
        rng = Random(f"{self._salt}/{campaign.slot}/ageing")  # noqa: S311  a world, no secret
        return aging_sets(campaign.recipients, finals, rng, self._options)


@lru_cache(maxsize=BLOCKS_CACHED)
def _shuffled_block(seed: str) -> tuple[int, ...]:
    positions = list(range(BLOCK))
    Random(seed).shuffle(positions)  # noqa: S311  a world, no secret
    return tuple(positions)
