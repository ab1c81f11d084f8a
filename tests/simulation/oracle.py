"""What a harvester that knew what changed would do: which sets it would look at, read, and at what price (pure).

It reads the same schedule as the product and shares no line with it, or the two would agree in their mistakes.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from zlib import crc32

from harvester.simulator.world import Campaign, Kind, World

Set = tuple[str, str]
"""Campaign key and action."""

Ages = Sequence[tuple[int, int]]
"""Until a campaign is so many days old, the day of sending being 0: a look every so many days."""

READABLE = frozenset({Kind.NORMAL, Kind.AB, Kind.CHILD})
REFUSING = frozenset({Kind.TINY_AB, Kind.FORBIDDEN})
FOREVER: Ages = ((3650, 1),)
USUAL: Ages = ((7, 1), (60, 7), (365, 30))
"""The default of `nightly.refresh`."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a set stands in the newest snapshot, if everything goes as it should.

    Attributes:
        read_on: the night on which it was read.
        read_day: the world's day then.
        looked_on: the last night on which its counter was looked at, or it was read.
    """

    read_on: dt.date
    read_day: float
    looked_on: dt.date


@dataclass(slots=True)
class Wish:
    """What one night would cost at the least.

    Attributes:
        calls: to the recipients endpoint.
        read: the sets that are read.
        looked_at: the campaigns of which any set is looked at.
        refused: the campaigns that refuse, whatever is asked.
    """

    calls: int = 0
    read: set[Set] = field(default_factory=set)
    looked_at: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)


class Oracle:
    """Knows which sets of an account changed since they were last read.

    Args:
        world: of the account.
        actions: that are harvested.
        page_rows: rows asked for in one call.
        ages: how often a set is looked at.
        full_refresh_days: a set that is looked at is read after so many days in any case, or up to a third less.

    Attributes:
        readings: the sets of the newest snapshot.
    """

    def __init__(
        self, world: World, actions: Sequence[str], page_rows: int, ages: Ages = FOREVER, full_refresh_days: int = 400
    ) -> None:
        self._world = world
        self._actions = actions
        self._page_rows = page_rows
        self._ages = ages
        self._full_refresh_days = full_refresh_days
        self.readings: dict[Set, Reading] = {}

    def night(self, date: dt.date) -> Wish:
        """Look and read as is due in the night of a date, with the world as it stands now."""
        wish = Wish()
        for campaign in sent_campaigns(self._world):
            every_days = self._every_days(campaign, date)
            if every_days is None:
                continue
            if campaign.kind in REFUSING:
                wish.refused.add(campaign.key)
                continue
            for action in self._actions:
                self._take(wish, campaign, action, date, every_days)
        return wish

    def _take(self, wish: Wish, campaign: Campaign, action: str, date: dt.date, every_days: int) -> None:
        known = self.readings.get((campaign.key, action))
        if known is not None and (date - known.looked_on).days < every_days:
            return
        wish.looked_at.add(campaign.key)
        if known is not None and not self._is_to_be_read(campaign, action, known, date):
            self.readings[campaign.key, action] = Reading(known.read_on, known.read_day, date)
            return
        wish.read.add((campaign.key, action))
        wish.calls += fewest_calls(self._world.count(campaign, action), self._page_rows)
        self.readings[campaign.key, action] = Reading(date, self._world.day or 0.0, date)

    def _is_to_be_read(self, campaign: Campaign, action: str, known: Reading, date: dt.date) -> bool:
        # By the rule of docs/configuration.md: each campaign takes up to a third less.
        early_days = crc32(campaign.key.encode()) % (self._full_refresh_days // 3 + 1)
        is_stale = (date - known.read_on).days >= self._full_refresh_days - early_days
        return is_stale or self._world.changed_on(campaign.key, action, known.read_day)

    def _every_days(self, campaign: Campaign, date: dt.date) -> int | None:
        sent_on = dt.datetime.fromtimestamp(campaign.sent_ms / 1000, dt.UTC).date()
        age_days = (date - sent_on).days
        return next((every_days for to_day, every_days in self._ages if age_days <= to_day), None)


def fewest_calls(rows: int, page_rows: int) -> int:
    """Return the calls for pages that overlap by one row, of which the last is short; an empty set takes one."""
    return 1 if rows < page_rows else (rows - 1) // (page_rows - 1) + 1


def sent_campaigns(world: World) -> Iterator[Campaign]:
    """Yield what has been sent by now, each A/B campaign before its test halves."""
    for campaign in world.listed:
        if world.is_sent(campaign):
            yield campaign
            yield from map(world.campaign, campaign.child_keys)
