"""One account: its campaigns and the truth about their recipients, computed on demand, the same in every process.

Nothing but the present day, and the moves of sets that do not keep still, ever changes.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, overload

from harvester.simulator.ageing import status_at
from harvester.simulator.campaigns import CREATED_AHEAD_MS, DAY_MS, Campaign, Kind, draw_campaigns, halves_of
from harvester.simulator.membership import ACTIONS, Membership
from harvester.simulator.options import FieldNames, Options
from harvester.simulator.present import Present
from harvester.simulator.quirks import Quirks
from harvester.simulator.rows import IDS_PER_SLOT, Contact, json_row
from harvester.simulator.set_options import PagingFault
from harvester.simulator.sets import History, LiveSet, live_set

__all__ = ["ACTIONS", "SENT_PER_S", "Campaign", "Kind", "Recipients", "World"]
"""Whoever asks a world for its truth needs these words."""

SENT_PER_S = 50
"""How many messages of a campaign leave in a second."""

_NEWCOMER_SLOT = 1_000_000
"""First row slot of those who come into a set while it is read; all campaigns together need fewer."""

_NEWCOMER_SLOTS = 1000
"""Row slots for the newcomers of one set: a billion of them."""


@dataclass(frozen=True, slots=True)
class Recipients(Sequence[Contact]):
    """The contacts of one campaign and action, in server order, made when asked for.

    Attributes:
        positions: whose, within the campaign.
        contact: makes the contact at a position.
    """

    positions: Sequence[int]
    contact: Callable[[int], Contact]

    def __len__(self) -> int:
        return len(self.positions)

    @overload
    def __getitem__(self, index: int) -> Contact: ...

    @overload
    def __getitem__(self, index: slice) -> list[Contact]: ...

    def __getitem__(self, index: int | slice) -> Contact | list[Contact]:
        if isinstance(index, slice):
            return [self.contact(position) for position in self.positions[index]]
        return self.contact(self.positions[index])


class World:
    """One account's campaigns, and the truth about their recipients.

    Args:
        options: of the whole simulation; all but the limits, tokens, network and faults matter.
        client_id: of the account: each has a world of its own.
        present: what day it is; left out, the world stays at the day of the options.
    """

    def __init__(self, options: Options, client_id: str, present: Present | None = None) -> None:
        self._options = options
        self._salt = f"{options.seed}/{client_id}"
        self._present = present or Present(options.age)
        self._membership = Membership(self._salt, options.age)
        self._quirks = Quirks(self._salt, options.quirks)
        self._live_sets: dict[tuple[int, str], tuple[float | None, LiveSet | None]] = {}
        self._calls: Counter[tuple[int, str]] = Counter()

    @property
    def day(self) -> float | None:
        """The present, in days since campaign 0 was sent; None in a world that does not age."""
        return self._present.day

    @cached_property
    def campaigns(self) -> tuple[Campaign, ...]:
        """All campaigns, oldest first, those of days to come included; test halves are not among them."""
        return tuple(draw_campaigns(self._options, self._salt))

    @property
    def listed(self) -> Sequence[Campaign]:
        """What recentcampaigns lists at present, oldest first: what has been written, be it sent or not."""
        ahead_days = CREATED_AHEAD_MS / DAY_MS
        return [campaign for campaign in self.campaigns if self.age_days(campaign) >= -ahead_days]

    def age_days(self, campaign: Campaign) -> float:
        """Return how long ago a campaign was sent, below 0 before that; inf in a world that does not age."""
        return math.inf if self.day is None else self.day - campaign.sent_day

    def is_sent(self, campaign: Campaign) -> bool:
        """Return whether a campaign has been sent; a draft never is."""
        return campaign.kind is not Kind.DRAFT and self.age_days(campaign) >= 0

    def changed_on(self, campaign_key: str, action: str, since_day: float) -> bool:
        """Return whether other contacts are in this set at present than on an earlier day.

        Repeated rows and the moves of `ShiftOptions` do not count, nor does what changes within a contact's row.
        KeyError for unknown words.
        """
        if self.day is None:
            return False
        campaign = self.campaign(campaign_key)
        then = self._membership.size(campaign, action, since_day - campaign.sent_day)
        # A set begins empty, and after the sending it only grows or only shrinks: equal sizes are equal sets.
        return then != self._membership.size(campaign, action, self.age_days(campaign))

    @cached_property
    def _by_key(self) -> Mapping[str, Campaign]:
        children = (child for campaign in self.campaigns for child in halves_of(campaign))
        return {campaign.key: campaign for campaign in (*self.campaigns, *children)}

    def find(self, campaign_key: str) -> Campaign | None:
        """Return the campaign or test half of this key, None if there is none."""
        return self._by_key.get(campaign_key)

    def campaign(self, campaign_key: str) -> Campaign:
        """Return the campaign or test half of this key. KeyError if there is none."""
        return self._by_key[campaign_key]

    def recipients(self, campaign: Campaign, action: str) -> Sequence[Contact]:
        """Return the rows of this set as it stands now, in server order; what is not sent has none.

        KeyError for an unknown action.
        """
        live = self._live_set(campaign, action)
        return self._still_set(campaign, action) if live is None else live.rows

    def contact(self, campaign: Campaign, position: int) -> Contact:
        """Return the recipient at this position, from 0, as it is at present; but for its status it never changes."""
        slot = campaign.slot
        status = status_at(self.age_days(campaign), f"{self._salt}/{slot}/{position}", self._options.age)
        sent_ms = campaign.sent_ms + position * 1000 // SENT_PER_S
        return Contact(slot, position, sent_ms, self._quirks.of(slot, position), status=status)

    def newcomer(self, campaign: Campaign, action: str, number: int) -> Contact:
        """Return the n-th contact, from 0, that may come into this set; it is in no other set."""
        set_number = campaign.slot * len(ACTIONS) + ACTIONS.index(action)
        slots, position = divmod(number, IDS_PER_SLOT)
        slot = _NEWCOMER_SLOT + set_number * _NEWCOMER_SLOTS + slots
        return Contact(slot, position, campaign.sent_ms + number * 1000 // SENT_PER_S, self._quirks.of(slot, position))

    def paging_fault(self, campaign: Campaign, action: str) -> PagingFault | None:
        """Return how this set pages wrongly at present, None if it pages rightly."""
        options = self._options.paging
        is_over = options.until_calls is not None and self._calls[campaign.slot, action] >= options.until_calls
        if is_over or not options.kinds:
            return None
        rng = random.Random(f"{self._salt}/{campaign.slot}/{action}/paging")  # noqa: S311  a world, no secret
        return rng.choice(options.kinds) if rng.random() < options.share else None

    @property
    def calls(self) -> int:
        """How many calls have asked for rows of any set."""
        return self._calls.total()

    def answered(self, campaign: Campaign, action: str, contacts: Sequence[Contact], reader: int) -> None:
        """Take note of a call, after which the set may move.

        Args:
            campaign: whose set.
            action: which set.
            contacts: the rows that the call got, maybe none.
            reader: the place in the set, from 0, of the first row after them.
        """
        self._calls[campaign.slot, action] += 1
        live = self._live_set(campaign, action)
        if live is not None and contacts:
            live.page_served(contacts, reader)

    def truth(self, campaign_key: str, action: str) -> Iterator[str]:
        """Give the `contactid` of each contact of this set once, in server order. KeyError for unknown words."""
        return (contact.contact_id for contact in self._contacts(campaign_key, action))

    def rows(self, campaign_key: str, action: str) -> Iterator[dict[str, Any]]:
        """Give the JSON row of each contact of this set once, in server order, but for damaged ones.

        KeyError for unknown words.
        """
        is_live = self.has_live_names(self.campaign(campaign_key))
        contacts = self._contacts(campaign_key, action)
        return (json_row(contact, action, is_live=is_live) for contact in contacts if not contact.is_damaged)

    def damaged(self, campaign_key: str, action: str) -> frozenset[str]:
        """Return the ids of the contacts of this set whose JSON rows are damaged. KeyError for unknown words."""
        return frozenset(contact.contact_id for contact in self._contacts(campaign_key, action) if contact.is_damaged)

    def event_times_ms(self, campaign_key: str, action: str) -> dict[str, tuple[int, ...]]:
        """Return when each contact of this set opened or clicked, in true UTC, by address, since XML has no ids.

        The timeline prints the minute alone. KeyError for unknown words.
        """
        return {contact.email: contact.event_times_ms() for contact in self._contacts(campaign_key, action)}

    def history(self, campaign_key: str, action: str) -> History:
        """Return who was in this set at all times and at some time since `watch`. KeyError for unknown words."""
        live = self._live_set(self.campaign(campaign_key), action)
        if live is not None:
            return live.history
        ids = frozenset(self.truth(campaign_key, action))
        return History(ids, ids)

    def watch(self) -> None:
        """Begin the history of all sets anew, as before another harvest."""
        for _, live in self._live_sets.values():
            if live is not None:
                live.watch()

    def count(self, campaign: Campaign, action: str) -> int:
        """Return how many contacts this set holds now, each counted once. KeyError for an unknown action."""
        live = self._live_set(campaign, action)
        if live is None:
            return self._membership.size(campaign, action, self.age_days(campaign))
        return sum(not contact.is_repeat for contact in live.rows)

    def has_live_names(self, campaign: Campaign) -> bool:
        """Return whether this campaign's rows have the wider, live set of fields."""
        names = self._options.answers.names
        return names is FieldNames.LIVE or (names is FieldNames.MIXED and campaign.index % 2 == 1)

    def _contacts(self, campaign_key: str, action: str) -> Iterator[Contact]:
        rows = self.recipients(self.campaign(campaign_key), action)
        return (contact for contact in rows if not contact.is_repeat)

    def _still_set(self, campaign: Campaign, action: str) -> Recipients:
        positions = self._membership.positions(campaign, action, self.age_days(campaign))
        return Recipients(positions, partial(self.contact, campaign))

    def _live_set(self, campaign: Campaign, action: str) -> LiveSet | None:
        options = self._options
        if not options.shifts.share and not options.repeats.share:
            return None
        key = campaign.slot, action
        drawn = self._live_sets.get(key)
        # On another day the set is another one, and begins to move anew.
        if drawn is None or drawn[0] != self.day:
            salt, newcomer = f"{self._salt}/{campaign.slot}/{action}", partial(self.newcomer, campaign, action)
            drawn = self.day, live_set(self._still_set(campaign, action), options, salt, newcomer)
            self._live_sets[key] = drawn
        return drawn[1]
