"""The campaigns of an account: keys, kinds, sizes, names and sending times, drawn from a seed. Pure."""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum, auto

from harvester.simulator.options import Options, WorldOptions

AB_SENDABLE = 4
"""An A/B campaign needs this many recipients. Source: code 6601 of the documentation."""

TEST_PHASE_PART = 10
"""Each half of an A/B test goes to the share 1/10 of the final send, at least one."""

SENT_MS = 1_760_000_000_000
"""When campaign 0 was sent, true UTC: day 0.0 of the world, 2025-10-09 08:53:20."""

DAY_MS = 86_400_000

CREATED_AHEAD_MS = 3_600_000
"""A campaign is written so long before it is sent."""

_SLOTS_PER_CAMPAIGN = 3
"""Row slots that a campaign takes: itself and two test halves."""

SERIES = ("Newsletter", "Welcome", "Zoho Survey „été“", "Newsletter Übersee", "Spring Sale", "Survey", "招待状")
"""What campaigns are called, in turn, each with its number."""

SUBJECTS = ("What is new, part {}", "Hello and welcome", "Two minutes for us? “{}”", "-20 % & more 🌷", "Re: <{}>")
"""In turn; their number and that of the series share no factor."""


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
    """One campaign.

    Attributes:
        key: "3z" and 64 hex digits.
        index: its place in the listing, newest last; a test half has that of its parent.
        slot: of its rows, within the account.
        kind: what it is.
        recipients: its rows of sentcontacts.
        sent_day: when it is sent, in days after SENT_MS; a test half goes with its parent.
        child_keys: of its test halves.
    """

    key: str
    index: int
    slot: int
    kind: Kind
    recipients: int
    sent_day: float
    child_keys: tuple[str, ...] = ()

    @property
    def sent_ms(self) -> int:
        """When it is sent, true UTC."""
        return SENT_MS + round(self.sent_day * DAY_MS)

    @property
    def created_ms(self) -> int:
        """When it was written, true UTC."""
        return self.sent_ms - CREATED_AHEAD_MS

    @property
    def name(self) -> str:
        """What its owner calls it."""
        return f"{SERIES[self.index % len(SERIES)]} {self.index}"

    @property
    def subject(self) -> str:
        """The subject of its messages; several campaigns may have the same."""
        return SUBJECTS[self.index % len(SUBJECTS)].format(self.index)

    @property
    def is_ab(self) -> bool:
        """Whether it tests two variants."""
        return self.kind in (Kind.AB, Kind.TINY_AB)


def draw_campaigns(options: Options, salt: str) -> Iterator[Campaign]:
    """Yield the campaigns of an account, oldest first, without test halves."""
    rng = random.Random(f"{salt}/campaigns")  # noqa: S311  a world, no secret
    for index in range(options.world.campaigns):
        kind, recipients = _draw_kind(options.world, rng), _draw_recipients(options.world, rng)
        yield Campaign(
            key=_key(salt, str(index)),
            index=index,
            slot=index * _SLOTS_PER_CAMPAIGN,
            kind=kind,
            recipients=AB_SENDABLE - 1 if kind is Kind.TINY_AB else recipients,
            sent_day=index / options.age.campaigns_per_day,
            child_keys=tuple(_key(salt, f"{index}/{half}") for half in "ab") if kind is Kind.AB else (),
        )


def halves_of(parent: Campaign) -> Iterator[Campaign]:
    """Yield the test halves of a campaign; one that is no A/B campaign has none."""
    recipients = max(1, parent.recipients // TEST_PHASE_PART)
    for half, key in enumerate(parent.child_keys, start=1):
        yield Campaign(key, parent.index, parent.slot + half, Kind.CHILD, recipients, parent.sent_day)


def _key(salt: str, name: str) -> str:
    # "3z" and 64 lower-case hex digits: the form that users of the live service report.
    return "3z" + hashlib.blake2b(f"{salt}/{name}".encode(), digest_size=32).hexdigest()


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
