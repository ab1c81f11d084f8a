"""Which campaigns and recipients an account has: drawn from a seed, computed on demand, the same in every process.

Half a million recipients cost no memory: membership of an action is decided by the recipient's position modulo 100,
so that the k-th member is arithmetic.
"""

import hashlib
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from functools import cached_property, lru_cache, partial
from typing import Any, overload

from harvester.simulator.options import FieldNames, Options, WorldOptions
from harvester.simulator.quirks import Quirks
from harvester.simulator.rows import IDS_PER_SLOT, Contact, json_row
from harvester.simulator.set_options import PagingFault
from harvester.simulator.sets import History, LiveSet, live_set

BLOCK = 100
"""Every so many recipients the pattern of who opened, clicked and bounced repeats."""

UNSENT_EVERY = 50
"""For so many sent messages one more could not be sent."""

AB_SENDABLE = 4
"""An A/B campaign needs this many recipients. Source: code 6601 of the documentation."""

TEST_PHASE_PART = 10
"""Each half of an A/B test goes to the share 1/10 of the final send, at least one."""

SENT_MS = 1_760_000_000_000
"""When the first campaign was sent, true UTC; each further one a day later."""

DAY_MS = 86_400_000
SENT_PER_S = 50

BLOCKS_CACHED = 512
"""Patterns kept at hand: more than a client reads at the same time."""

_SLOTS_PER_CAMPAIGN = 3
"""Row slots that a campaign takes: itself and two test halves."""

_NEWCOMER_SLOT = 1_000_000
"""First row slot of those who come into a set while it is read; all campaigns together need fewer."""

_NEWCOMER_SLOTS = 1000
"""Row slots for the newcomers of one set: a billion of them."""

# The share of each action in percent of the sent ones, as ranges of a shuffled 0..99. From them follows:
# clicked is within opened, opened and unopened make up what was delivered, the two bounces exclude each other.
_PERCENTILES: Mapping[str, range] = {
    "sentcontacts": range(100),
    "senthardbounce": range(3),
    "sentsoftbounce": range(3, 7),
    "openedcontacts": range(7, 45),
    "clickedcontacts": range(7, 19),
    "optoutcontacts": range(18, 21),
    "spamcontacts": range(21, 22),
    "unopenedcontacts": range(45, 100),
}
UNSENT = "unsentcontacts"
ACTIONS = (*_PERCENTILES, UNSENT)
"""The nine values of the parameter `action`."""


class Kind(StrEnum):
    """What a campaign is."""

    NORMAL = auto()
    AB = auto()
    TINY_AB = auto()  #: fewer recipients than an A/B test needs: 6601
    DRAFT = auto()  #: never sent: 6002
    FORBIDDEN = auto()  #: not for this account: 6607
    CHILD = auto()  #: one half of an A/B test; in no listing


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign; `index` is its place in the listing, newest last, `recipients` its rows of sentcontacts."""

    key: str
    index: int
    slot: int
    kind: Kind
    recipients: int
    child_keys: tuple[str, ...] = ()

    @property
    def sent_ms(self) -> int:
        """When it was sent, true UTC."""
        return SENT_MS + self.index * DAY_MS

    @property
    def name(self) -> str:
        """What its owner calls it."""
        return f"Zoho Survey {self.index} „été“"

    @property
    def is_ab(self) -> bool:
        """Whether it tests two variants."""
        return self.kind in (Kind.AB, Kind.TINY_AB)


@dataclass(frozen=True, slots=True)
class Recipients(Sequence[Contact]):
    """The contacts of one campaign and action, in server order, computed when asked for.

    Attributes:
        campaign: whose recipients.
        total: how many positions there are.
        residues: which positions modulo BLOCK belong to the action, ascending.
        quirks: says which of them are odd.
        first: added to every position.
    """

    campaign: Campaign
    total: int
    residues: tuple[int, ...]
    quirks: Quirks
    first: int = 0

    def __len__(self) -> int:
        blocks, rest = divmod(self.total, BLOCK)
        return blocks * len(self.residues) + bisect_left(self.residues, rest)

    @overload
    def __getitem__(self, index: int) -> Contact: ...

    @overload
    def __getitem__(self, index: slice) -> list[Contact]: ...

    def __getitem__(self, index: int | slice) -> Contact | list[Contact]:
        if isinstance(index, slice):
            return [self._contact(i) for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"recipient {index}: expected 0..{len(self) - 1}")
        return self._contact(index)

    def _contact(self, index: int) -> Contact:
        block, member = divmod(index, len(self.residues))
        position = self.first + block * BLOCK + self.residues[member]
        sent_ms = self.campaign.sent_ms + position * 1000 // SENT_PER_S
        return Contact(self.campaign.slot, position, sent_ms, self.quirks.of(self.campaign.slot, position))


class World:
    """One account's campaigns, and the truth about their recipients.

    Args:
        options: of the whole simulation; all but the limits, tokens, network and faults matter.
        client_id: of the account: each has a world of its own.
    """

    def __init__(self, options: Options, client_id: str) -> None:
        self._options = options
        self._salt = f"{options.seed}/{client_id}"
        self._quirks = Quirks(self._salt, options.quirks)
        self._live_sets: dict[tuple[int, str], LiveSet | None] = {}
        self._calls: Counter[tuple[int, str]] = Counter()

    @cached_property
    def campaigns(self) -> tuple[Campaign, ...]:
        """What recentcampaigns lists, oldest first; test halves are not among them."""
        rng = random.Random(f"{self._salt}/campaigns")  # noqa: S311  a world, no secret
        return tuple(self._campaign(index, rng) for index in range(self._options.world.campaigns))

    @cached_property
    def _by_key(self) -> Mapping[str, Campaign]:
        children = (child for campaign in self.campaigns for child in self._children(campaign))
        return {campaign.key: campaign for campaign in (*self.campaigns, *children)}

    def find(self, campaign_key: str) -> Campaign | None:
        """Return the campaign or test half of this key, None if there is none."""
        return self._by_key.get(campaign_key)

    def campaign(self, campaign_key: str) -> Campaign:
        """Return the campaign or test half of this key. KeyError if there is none."""
        return self._by_key[campaign_key]

    def recipients(self, campaign: Campaign, action: str) -> Sequence[Contact]:
        """Return the rows of this set as it stands now, in server order; drafts have none.

        KeyError for an unknown action.
        """
        live = self._live_set(campaign, action)
        return self._still_set(campaign, action) if live is None else live.rows

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
        for live in self._live_sets.values():
            if live is not None:
                live.watch()

    def count(self, campaign: Campaign, action: str) -> int:
        """Return how many contacts this set holds now, each counted once. KeyError for an unknown action."""
        live = self._live_set(campaign, action)
        still = self._still_set(campaign, action)
        return len(still) if live is None else sum(not contact.is_repeat for contact in live.rows)

    def has_live_names(self, campaign: Campaign) -> bool:
        """Return whether this campaign's rows have the wider, live set of fields."""
        names = self._options.answers.names
        return names is FieldNames.LIVE or (names is FieldNames.MIXED and campaign.index % 2 == 1)

    def _campaign(self, index: int, rng: random.Random) -> Campaign:
        kind = _draw_kind(self._options.world, rng)
        recipients = _draw_recipients(self._options.world, rng)
        if kind is Kind.TINY_AB:
            recipients = AB_SENDABLE - 1
        children = tuple(self._key(f"{index}/{half}") for half in "ab") if kind is Kind.AB else ()
        return Campaign(self._key(str(index)), index, index * _SLOTS_PER_CAMPAIGN, kind, recipients, children)

    def _children(self, parent: Campaign) -> Iterator[Campaign]:
        recipients = max(1, parent.recipients // TEST_PHASE_PART)
        for half, key in enumerate(parent.child_keys, start=1):
            yield Campaign(key, parent.index, parent.slot + half, Kind.CHILD, recipients)

    def _key(self, name: str) -> str:
        # "3z" and 64 lower-case hex digits: the form that users of the live service report.
        return "3z" + hashlib.blake2b(f"{self._salt}/{name}".encode(), digest_size=32).hexdigest()

    def _contacts(self, campaign_key: str, action: str) -> Iterator[Contact]:
        rows = self.recipients(self.campaign(campaign_key), action)
        return (contact for contact in rows if not contact.is_repeat)

    def _still_set(self, campaign: Campaign, action: str) -> Recipients:
        total, every = campaign.recipients, tuple(range(BLOCK))
        if campaign.kind is Kind.DRAFT:
            return Recipients(campaign, 0, (0,), self._quirks)
        if action == UNSENT:
            return Recipients(campaign, total // UNSENT_EVERY, every, self._quirks, first=total)
        return Recipients(campaign, total, self._residues(campaign, action), self._quirks)

    def _live_set(self, campaign: Campaign, action: str) -> LiveSet | None:
        options, key = self._options, (campaign.slot, action)
        if not options.shifts.share and not options.repeats.share:
            return None
        if key not in self._live_sets:
            salt, newcomer = f"{self._salt}/{campaign.slot}/{action}", partial(self.newcomer, campaign, action)
            self._live_sets[key] = live_set(self._still_set(campaign, action), options, salt, newcomer)
        return self._live_sets[key]

    def _residues(self, campaign: Campaign, action: str) -> tuple[int, ...]:
        shuffled = _shuffled_block(f"{self._salt}/{campaign.slot}")
        return tuple(sorted(shuffled[percentile] for percentile in _PERCENTILES[action]))


@lru_cache(maxsize=BLOCKS_CACHED)
def _shuffled_block(seed: str) -> tuple[int, ...]:
    positions = list(range(BLOCK))
    random.Random(seed).shuffle(positions)  # noqa: S311  a world, no secret
    return tuple(positions)


def _draw_kind(options: WorldOptions, rng: random.Random) -> Kind:
    shares = {
        Kind.DRAFT: options.drafts_share,
        Kind.AB: options.ab_share,
        Kind.TINY_AB: options.tiny_ab_share,
        Kind.FORBIDDEN: options.forbidden_share,
    }
    drawn = rng.random()
    for kind, share in shares.items():
        drawn -= share
        if drawn < 0:
            return kind
    return Kind.NORMAL


def _draw_recipients(options: WorldOptions, rng: random.Random) -> int:
    # Log-uniform: most campaigns are small, some reach the maximum. Drawn in any case, so that fixing the size of
    # the campaigns changes nothing else about them.
    drawn = int((options.recipients_max + 1) ** rng.random()) - 1
    return drawn if options.recipients is None else options.recipients
