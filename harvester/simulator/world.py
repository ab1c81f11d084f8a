"""Which campaigns and recipients an account has: drawn from a seed, computed on demand, the same in every process.

Half a million recipients cost no memory: membership of an action is decided by the recipient's position modulo 100,
so that the k-th member is arithmetic.
"""

import hashlib
import random
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from functools import cached_property, lru_cache
from typing import Any, overload

from harvester.simulator.options import FieldNames, Options, WorldOptions
from harvester.simulator.rows import Contact, json_row

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
        first: added to every position.
    """

    campaign: Campaign
    total: int
    residues: tuple[int, ...]
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
        return Contact(self.campaign.slot, position, self.campaign.sent_ms + position * 1000 // SENT_PER_S)


class World:
    """One account's campaigns, and the truth about their recipients.

    Args:
        options: of the whole simulation; seed, world and field names matter.
        client_id: of the account: each has a world of its own.
    """

    def __init__(self, options: Options, client_id: str) -> None:
        self._options = options
        self._salt = f"{options.seed}/{client_id}"

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

    def recipients(self, campaign: Campaign, action: str) -> Recipients:
        """Return who is in this action, in server order; drafts have nobody. KeyError for an unknown action."""
        if campaign.kind is Kind.DRAFT:
            return Recipients(campaign, 0, (0,))
        if action == UNSENT:
            return Recipients(campaign, campaign.recipients // UNSENT_EVERY, tuple(range(BLOCK)), campaign.recipients)
        return Recipients(campaign, campaign.recipients, self._residues(campaign, action))

    def truth(self, campaign_key: str, action: str) -> Iterator[str]:
        """Give every `contactid` of this campaign and action, in server order. KeyError for unknown words."""
        return (contact.contact_id for contact in self.recipients(self.campaign(campaign_key), action))

    def rows(self, campaign_key: str, action: str) -> Iterator[dict[str, Any]]:
        """Give every JSON row of this campaign and action, in server order. KeyError for unknown words."""
        campaign = self.campaign(campaign_key)
        is_live = self.has_live_names(campaign)
        return (json_row(contact, action, is_live=is_live) for contact in self.recipients(campaign, action))

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
