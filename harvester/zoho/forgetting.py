"""One person, as found in what was written, and what is left of it without them (pure)."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from harvester.zoho.contacts import NOBODY, SOURCES, line_of
from harvester.zoho.privacy import normalised
from harvester.zoho.spelling import Find, finds, folded, forms, is_whole

ADDRESS_CHARS_MAX = 320
"""64 before the at sign and 255 behind it: RFC 5321, section 4.5.3.1."""

FORGOTTEN = "[forgotten]"
"""What stands where the address stood in the row of somebody else."""


_NO_PART = frozenset('<>"(),:; ')
"""Signs of what is no address alone: one with a name, a link, several."""

_ADDRESS_FIELDS = frozenset({"email", *SOURCES["email"]})
_AROUND_FIELD = r"\s<>\"(),;:\[\]"
"""What may stand around an address in a field that is there for one."""


def is_address(text: str) -> bool:
    """Tell whether a text can be the address of somebody, and of one alone."""
    address = normalised(text)
    before, at, behind = address.partition("@")
    is_one = bool(before and at and behind) and "@" not in behind and not behind.endswith(".")
    return is_one and len(address) <= ADDRESS_CHARS_MAX and address.isprintable() and not _NO_PART & set(address)


def is_contact_id(text: str) -> bool:
    """Tell whether a text can be the id of somebody: placeholders are that of many."""
    return text.strip() == text and text not in NOBODY


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is to be forgotten.

    Attributes:
        address: normalised (`privacy.normalised`).
        pseudonyms: that stand for the address where it was hashed.
        contact_ids: Zoho's ids of the person: where addresses were dropped nothing else tells.
    """

    address: str = field(repr=False)
    pseudonyms: tuple[str, ...] = field(default=(), repr=False)
    contact_ids: tuple[str, ...] = field(default=(), repr=False)

    def without(self, line: bytes) -> bytes | None:
        """Return what is left of a line: of a partition, a change file or a listing.

        A row of the person's own goes as a whole: None. Elsewhere the address alone is replaced. A line that says
        nothing of them comes back as it is.

        Raises:
            ValueError: the line is no JSON object.
        """
        if not self._may_be_in(line):
            return line
        record = json.loads(line)
        if not isinstance(record, dict):
            raise ValueError("a line that is no object")  # noqa: TRY004  a reader's trouble like the others
        columns = (record, record.get("before"))
        if any(map(self._is_told_by, columns)) or self._is_told_by_row(record.get("raw")):
            return None
        left = self._replaced(record, _mention(self.address))
        return line if left == record else line_of(left)

    def is_in(self, body: bytes) -> bool:
        """Tell whether the address, or a pseudonym, stands anywhere in a text of any form, however it is escaped."""
        wanted = _mention(self.address)
        return any(
            _is_found(form, wanted) or any(map(form.__contains__, self.pseudonyms)) for form in _folded_forms(body)
        )

    def _may_be_in(self, line: bytes) -> bool:
        """Look quickly, and never say no where it may be yes: for nearly all lines it is no."""
        names = (self.address, *self.pseudonyms)
        return any(contact_id.encode() in line for contact_id in self.contact_ids) or any(
            name in form for form in _folded_forms(line) for name in names
        )

    def _is_told_by(self, columns: Any) -> bool:
        if not isinstance(columns, Mapping):
            return False
        return columns.get("contact_id") in self.contact_ids or self._is_named_in(columns.get("email"))

    def _is_told_by_row(self, row: Any) -> bool:
        return isinstance(row, Mapping) and any(self._is_named_in(row.get(key)) for key in SOURCES["email"])

    def _is_named_in(self, field_value: Any) -> bool:
        """Tell whether a field that is there for an address names them, alone or among others."""
        left = self._replaced(field_value, _field(self.address))
        return bool(left != field_value)

    def _replaced(self, value: Any, wanted: re.Pattern[str]) -> Any:
        """Return a value without the address, or a pseudonym, in any of its texts, keys included."""
        match value:
            case str():
                return self._text_without(value, wanted)
            case dict():
                return {
                    self._text_without(key, wanted): self._replaced(
                        each, _field(self.address) if key in _ADDRESS_FIELDS else wanted
                    )
                    for key, each in value.items()
                }
            case list():
                return [self._replaced(each, wanted) for each in value]
            case _:
                return value

    def _text_without(self, text: str, wanted: re.Pattern[str]) -> str:
        for pseudonym in self.pseudonyms:
            text = text.replace(pseudonym, FORGOTTEN)
        for found in [each for each in reversed(finds(text, wanted)) if is_whole(text, each, wanted)]:
            text = f"{text[: found.begin]}{FORGOTTEN}{text[found.end :]}"
        return text


def _folded_forms(body: bytes) -> Iterator[str]:
    return map(folded, forms(body.decode("utf-8", "replace")))


def _is_found(form: str, wanted: re.Pattern[str]) -> bool:
    return any(is_whole(form, Find(*found.span(), found[0]), wanted) for found in wanted.finditer(form))


@lru_cache
def _mention(address: str) -> re.Pattern[str]:
    """Return what the address is in a folded text of any kind: no part of a longer one.

    Nearly every sign may stand in an address, and nearly every one also stands before it in texts and links. So only
    those count that addresses really have; and an apostrophe behind a letter. Escapes beside it are `is_whole`'s.
    """
    return re.compile(rf"(?<![\w.+-])(?<!\w['\u2019]){re.escape(address)}(?![\w-]|\.\w)")


@lru_cache
def _field(address: str) -> re.Pattern[str]:
    """Return what the address is in a folded field of addresses: others differ from it in any sign."""
    return re.compile(rf"(?<![^{_AROUND_FIELD}]){re.escape(address)}(?![^{_AROUND_FIELD}])")
