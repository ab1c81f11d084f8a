"""One person, as found in what was written, and what is left of it without them (pure)."""

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from harvester.zoho.contacts import SOURCES, line_of
from harvester.zoho.privacy import normalised

ADDRESS_CHARS_MAX = 320
"""64 before the at sign and 255 behind it: RFC 5321, section 4.5.3.1."""

FORGOTTEN = "[forgotten]"
"""What stands where the address stood in the row of somebody else."""

_JSON_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_WORDS = re.compile(r"[a-z0-9]+")


def is_address(text: str) -> bool:
    """Tell whether a text can be the address of somebody: one at sign with something on both sides, and no blank."""
    address = normalised(text)
    before, at, behind = address.rpartition("@")
    is_short = len(address) <= ADDRESS_CHARS_MAX
    return bool(before and at and behind and is_short and address.isprintable() and " " not in address)


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
        left = self._replaced(record)
        return line if left == record else line_of(left)

    def is_in(self, body: bytes) -> bool:
        """Tell whether the address, or a pseudonym, stands anywhere in a text of any form, however it is escaped."""
        text = body.decode("utf-8", "replace")
        plain = _JSON_ESCAPE.sub(lambda found: chr(int(found[1], 16)), html.unescape(text))
        forms = {normalised(form) for form in (text, plain, unquote(plain))}
        return any(name in form for form in forms for name in (self.address, *self.pseudonyms))

    def _may_be_in(self, line: bytes) -> bool:
        """Look quickly, and never say no where it may be yes: for nearly all lines it is no."""
        if b"\\u" in line:
            return True
        text = line.decode("utf-8", "replace").casefold()
        if any(name in text for name in (*self.pseudonyms, *self.contact_ids)):
            return True
        # However the signs between them are escaped, letters and digits stand as they are.
        return all(word in text for word in _WORDS.findall(self.address))

    def _is_told_by(self, columns: Any) -> bool:
        if not isinstance(columns, Mapping):
            return False
        return columns.get("contact_id") in self.contact_ids or self._is_name(columns.get("email"))

    def _is_told_by_row(self, row: Any) -> bool:
        return isinstance(row, Mapping) and any(self._is_name(row.get(key)) for key in SOURCES["email"])

    def _is_name(self, value: Any) -> bool:
        return isinstance(value, str) and (normalised(value) == self.address or value in self.pseudonyms)

    def _replaced(self, value: Any) -> Any:
        """Return a value without the address, or a pseudonym, in any of its texts, keys included."""
        match value:
            case str():
                return self._text_without(value)
            case dict():
                return {self._text_without(key): self._replaced(each) for key, each in value.items()}
            case list():
                return [self._replaced(each) for each in value]
            case _:
                return value

    def _text_without(self, text: str) -> str:
        for pseudonym in self.pseudonyms:
            text = text.replace(pseudonym, FORGOTTEN)
        return _pattern(self.address).sub(FORGOTTEN, text)


@lru_cache
def _pattern(address: str) -> re.Pattern[str]:
    """Return what the address is in a text: in any case, signs plain or percent-encoded; no part of a longer one."""
    letters = "".join(each if each.isalnum() else _plain_or_encoded(each) for each in address)
    return re.compile(rf"(?:(?<![\w.+-])|(?<=%[0-9a-f]{{2}})){letters}(?![\w-])(?!\.\w)", re.IGNORECASE)


def _plain_or_encoded(sign: str) -> str:
    encoded = "".join(f"%{each:02x}" for each in sign.encode())
    full_width = "|\uff20" if sign == "@" else ""
    return f"(?:{re.escape(sign)}|{encoded}{full_width})"
