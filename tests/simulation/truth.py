"""What the truth asks of the rows of one job: all of them, each once, as they came; or as its set lets it be."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from simulation.night import Night

from harvester.engine.paging import OVERLAP_PAGE_ROWS_MIN
from harvester.model import ResponseFormat
from harvester.simulator.options import EchoStyle
from harvester.simulator.quirks import DEEP_LEVELS, Quirk
from harvester.simulator.rows import FIRST_CONTACT_ID, IDS_PER_SLOT, Contact, json_row
from harvester.simulator.set_options import Damage, Shift
from harvester.simulator.sets import History
from harvester.simulator.world import SENT_PER_S, World

FORGIVEN: Mapping[Quirk | None, Any] = {
    Damage.RAW_CONTROL: "a\x01b",
    Damage.DEEP: json.loads("[" * DEEP_LEVELS + "]" * DEEP_LEVELS),
}
"""What no JSON should hold, and our files can nevertheless: the company of such a row."""

UNREADABLE: Mapping[ResponseFormat, frozenset[Damage]] = {
    ResponseFormat.JSON: frozenset(Damage) - FORGIVEN.keys(),
    ResponseFormat.XML: frozenset({Damage.INVALID_UTF8, Damage.RAW_CONTROL}),
}
"""XML has two of the damages only."""

ODD_ID_MIN = 2**53
"""Ids from here on are odd, and their rows are not damaged."""

_ADDRESS = re.compile(r"r([0-9]+)\.c([0-9]+)@")


class ViolationError(Exception):
    """An invariant does not hold."""


def require(is_kept: object, what: str) -> None:
    """Raise unless the invariant holds."""
    if not is_kept:
        raise ViolationError(what)


def world_of(night: Night, account: str) -> World:
    """Return the world that an account of the night sees."""
    return night.wire.zoho.world(night.settings.accounts[account].client_id)


def pages_overlap(night: Night) -> bool:
    """Whether all full pages of the night are so long that the next one overlaps them."""
    answers = night.scenario.server.answers
    lengths = (night.settings.harvest.page_size, answers.clamp_rows, answers.later_clamp_rows)
    return min(length for length in lengths if length is not None) >= OVERLAP_PAGE_ROWS_MIN


def may_be_cut(night: Night) -> bool:
    """Whether the server gives shorter pages in the middle of the night and does not say so."""
    answers = night.scenario.server.answers
    is_xml = night.settings.harvest.response_format is ResponseFormat.XML
    is_told = answers.is_clamp_echoed and (is_xml or answers.echo is not EchoStyle.ABSENT)
    return answers.later_clamp_rows is not None and not is_told


@dataclass(frozen=True)
class Truth:
    """The set of one campaign and action, and what it asks of a harvest.

    Attributes:
        night: what the reader had to do with.
        world: of the account.
        campaign_key, action: which set.
    """

    night: Night
    world: World
    campaign_key: str
    action: str

    @cached_property
    def history(self) -> History:
        """Who was in the set all the time, and at some time."""
        return self.world.history(self.campaign_key, self.action)

    @property
    def is_still(self) -> bool:
        """Whether nobody came and nobody left."""
        return self.history.throughout == self.history.ever

    @cached_property
    def rows(self) -> Sequence[Contact]:
        """All rows as they stand now, repeated and unreadable ones included."""
        return list(self.world.recipients(self.world.campaign(self.campaign_key), self.action))

    @cached_property
    def places(self) -> Sequence[tuple[int, Contact]]:
        """The rows to be written of a set that keeps still, each with its place from 1."""
        numbered = enumerate(self.rows, start=1)
        return [(place, row) for place, row in numbered if not (row.is_repeat or self.is_unreadable(row))]

    @property
    def unreadable_rows(self) -> int:
        """How many rows cannot be read."""
        return sum(map(self.is_unreadable, self.rows))

    @property
    def repeats(self) -> int:
        """How many rows are a contact's second one."""
        return sum(row.is_repeat and not self.is_unreadable(row) for row in self.rows)

    def is_unreadable(self, contact: Contact) -> bool:
        """Tell whether a row cannot be read in the night's format."""
        return contact.quirk in UNREADABLE[self.night.settings.harvest.response_format]

    def check(self, name: str, records: Sequence[Mapping[str, Any]]) -> None:
        """See that the records of a finished job are the right ones.

        Raises:
            ViolationError: they are not.
        """
        contacts = [self.contact_of(record) for record in records]
        require(len({contact.contact_id for contact in contacts}) == len(contacts), f"P2: {name}: a contact twice")
        if self.night.settings.harvest.response_format is ResponseFormat.JSON:
            is_verbatim = all(record["raw"] == self._raw(row) for record, row in zip(records, contacts, strict=True))
            require(is_verbatim, f"P2: {name}: a row is not the server's")
        if self.is_still:
            self._check_still(name, [(record["position"], row) for record, row in zip(records, contacts, strict=True)])
        else:
            self._check_moved(name, {contact.contact_id for contact in contacts})

    def _check_still(self, name: str, told: Sequence[tuple[int, Contact]]) -> None:
        places = self.places[: len(told)] if may_be_cut(self.night) else self.places
        require(len(told) == len(places), f"P2: {name}: {len(told)} rows, the server has {len(places)}")
        wrong = next((ours for ours, theirs in zip(told, places, strict=True) if ours != theirs), None)
        require(wrong is None, f"P2: {name}: row {wrong and wrong[0]} is not the server's")

    def _check_moved(self, name: str, ids: set[str]) -> None:
        """See that who was there all the time was not missed; whoever left may have been seen, whoever came as well."""
        require(ids <= self.history.ever, f"P2: {name}: {len(ids - self.history.ever)} rows that never were the set's")
        is_seamless = pages_overlap(self.night) or Shift.REMOVED not in self.night.scenario.server.shifts.kinds
        if is_seamless and not may_be_cut(self.night):
            missed = {one for one in self.history.throughout - ids if not self._is_unreadable_id(one)}
            require(not missed, f"P2: {name}: {len(missed)} rows missed that were there all the time")

    def missed_newcomers(self, ids: set[str], last_index: int) -> int:
        """Return how many contacts a harvest lacks that were there when its last page was made, and still are.

        Args:
            ids: of the contacts that it has.
            last_index: the 1-based index at which its last page begins.
        """
        population = self.night.wire.populations.get((self.campaign_key, self.action, last_index), frozenset())
        there = {row.contact_id for row in self.rows if not self.is_unreadable(row)}
        return len(population & there - ids)

    def contact_of(self, record: Mapping[str, Any]) -> Contact:
        """Return the contact whose record this is, by its address, which both formats have."""
        match = _ADDRESS.match(record["email"])
        require(match, "P2: a row without an address")
        return self._contact_at(int(match[2]), int(match[1])) if match else self.rows[0]

    def _contact_at(self, slot: int, position: int) -> Contact:
        sent_ms = self.world.campaign(self.campaign_key).sent_ms + position * 1000 // SENT_PER_S
        return Contact(slot, position, sent_ms, self.world._quirks.of(slot, position))

    def _raw(self, contact: Contact) -> dict[str, Any]:
        is_live = self.world.has_live_names(self.world.campaign(self.campaign_key))
        row = json_row(contact, self.action, is_live=is_live)
        return row | {"companyname": FORGIVEN[contact.quirk]} if contact.quirk in FORGIVEN else row

    def _is_unreadable_id(self, contact_id: str) -> bool:
        number = int(contact_id)
        return number < ODD_ID_MIN and self.is_unreadable(
            self._contact_at(*divmod(number - FIRST_CONTACT_ID, IDS_PER_SLOT))
        )
