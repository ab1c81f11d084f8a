"""What an account's listing says of its campaigns, as frozen values.

Nothing here reads a clock, a file or a socket.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, auto
from fnmatch import fnmatchcase

from harvester.model import Campaign, Row


class CampaignType(StrEnum):
    """What kind of campaign it is, by the words that getcampaigndetails takes."""

    NORMAL = auto()
    ABTESTING = auto()


@dataclass(frozen=True, slots=True)
class SentCampaign:
    """A campaign that was sent, as the account's listing shows it.

    Attributes:
        key: its campaign key, for the recipients endpoint.
        sent_at_ms: when it was sent, UTC, milliseconds since the epoch; None where the server does not say.
        sent_time_offset_ms: by how much the account's `sent_time` runs ahead of UTC; None if unknown.
        name: what its owner calls it; empty where the server does not say.
        type: what kind it is.
        parent_key: of the A/B campaign that it is a test half of, where that is known.
        row: of the listing, verbatim; empty where it was read back from a file. It holds the sender's addresses.
    """

    key: str
    sent_at_ms: int | None
    sent_time_offset_ms: int | None
    name: str = ""
    type: CampaignType = CampaignType.NORMAL
    parent_key: str | None = None
    row: Row = field(default_factory=dict, repr=False)

    @property
    def campaign(self) -> Campaign:
        """What the plan has to know of it."""
        return Campaign(self.key, self.parent_key, self.sent_at_ms)

    @property
    def sent_on(self) -> dt.date | None:
        """The day on which it was sent, UTC."""
        return None if self.sent_at_ms is None else _day_of(self.sent_at_ms)


@dataclass(frozen=True, slots=True)
class CampaignPage:
    """One page of the campaign listing; no rows at all mean the end.

    Attributes:
        campaigns: the sent ones.
        keys: of all rows, sent or not, in their order; by them pages are joined.
        total: how many rows the listing has, where the server says so.
    """

    campaigns: tuple[SentCampaign, ...]
    keys: tuple[str, ...]
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """The test halves of an A/B campaign: the variant, "a" or "b", to the campaign key; empty where it has none."""

    child_keys: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Listing:
    """The file with an account's sent campaigns on one harvest date.

    Attributes:
        path: where it lies, below the output folder.
        campaigns: how many it holds, test halves included.
        bytes: its size.
        sha256: of its bytes, in hex.
        children_missing: A/B campaigns in it whose test halves are not known, and so not in it.
    """

    path: str
    campaigns: int
    bytes: int
    sha256: str
    children_missing: int = 0


@dataclass(frozen=True, slots=True)
class CampaignFilter:
    """Which sent campaigns are meant; what is left out lets all of them through.

    Attributes:
        sent_since: the first day of sending, UTC.
        sent_until: the last day of sending, UTC.
        names: patterns, of which one must fit the campaign's name; `*` stands for anything, case does not matter.
        types: the types that are meant.
    """

    sent_since: dt.date | None = None
    sent_until: dt.date | None = None
    names: tuple[str, ...] = ()
    types: tuple[CampaignType, ...] = ()

    def lets_through(self, campaign: SentCampaign) -> bool:
        """Tell whether a campaign is meant; one whose time of sending is unknown lies in no span of days."""
        return self._is_in_time(campaign.sent_on) and self._is_named(campaign.name) and self._is_of_type(campaign.type)

    def _is_in_time(self, sent_on: dt.date | None) -> bool:
        if self.sent_since is None and self.sent_until is None:
            return True
        return sent_on is not None and (self.sent_since or sent_on) <= sent_on <= (self.sent_until or sent_on)

    def _is_named(self, name: str) -> bool:
        return not self.names or any(fnmatchcase(name.casefold(), pattern.casefold()) for pattern in self.names)

    def _is_of_type(self, of_type: CampaignType) -> bool:
        return not self.types or of_type in self.types


def _day_of(moment_ms: int) -> dt.date:
    return dt.datetime.fromtimestamp(moment_ms / 1000, dt.UTC).date()
