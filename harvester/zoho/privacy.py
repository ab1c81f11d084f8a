"""What of a contact may be kept: applied to a row as soon as it is read, before anything of it reaches a disk (pure).

Everything behind works on the rows as they may be kept: contacts are told apart by what will stand in the records, so
that a restart, which reads the records back, knows them again.
"""

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache, partial
from typing import Any

import orjson

from harvester.model import Page, Row
from harvester.zoho.contacts import SOURCES, contents, line_of
from harvester.zoho.spelling import finds, has_at_sign

RAW = "raw."
"""Begins the name of a key of the server's rows in a list of fields; a name without it is that of a column."""

KEY_BYTES = 32
"""As long as the digest: a longer key adds nothing (RFC 2104, section 3)."""

KEY_ID_CHARS = 16
"""64 bits tell the few keys apart that one installation ever has."""

PSEUDONYM = re.compile(r"[0-9a-f]{64}")
"""HMAC-SHA256 in hex: what stands in the place of an address."""

REDACTED = "[e-mail]"
"""What stands where an address stood within another text."""

_AROUND = r"\s\"<>(),:;?&=/\\|\[\]{}\u2018\u201c-\u201e\u00ab\u00bb"
"""What commonly stands around an address in a text or a URL, and hardly ever in one."""
_QUOTE = r"'*\u2019"
"""What may stand in an address, but not at its begin or end."""
_BEGIN = rf"(?:(?<![^{_AROUND}])(?![{_QUOTE}])|(?<=[{_QUOTE}])(?<![^{_AROUND}].))"
"""Where a word begins, so that a long word without an at sign is looked through once."""
_HOST = rf"(?:\[(?:ipv6:)?[0-9a-f.:]+\]|[^{_AROUND}]*[^{_AROUND}{_QUOTE}.!])"
"""A name, or a number in brackets: RFC 5321, section 4.1.3."""
_ADDRESS = re.compile(rf"(?:{_BEGIN}[^{_AROUND}]+?|[{_AROUND}{_QUOTE}])@{_HOST}")
"""Of texts as `spelling.folded` returns them."""
_AT_SIGN = re.compile(r"@|%40|\uff20")

_KEY_SETS_MAX = 64
"""Size of a cache: the rows of a page share their keys."""


class EmailPolicy(StrEnum):
    """What becomes of addresses."""

    KEEP = "keep"  #: they stand as given
    HMAC = "hmac"  #: a keyed hash stands in their place: pseudonymous, not anonymous
    DROP = "drop"  #: nothing of them is kept


@dataclass(frozen=True, slots=True)
class Privacy:
    """What is kept of the contacts of a run.

    Attributes:
        email: what becomes of addresses, wherever in a row they stand.
        key: of the keyed hash, `KEY_BYTES` long; empty unless addresses are hashed.
        allow_fields: the only columns, and keys of rows as "raw.<key>", that are kept; all where it is empty.
        deny_fields: those that are not kept; it wins over `allow_fields`.
        has_raw: whether the row is kept beside its columns.
    """

    email: EmailPolicy = EmailPolicy.KEEP
    key: bytes = field(default=b"", repr=False)
    allow_fields: tuple[str, ...] = ()
    deny_fields: tuple[str, ...] = ()
    has_raw: bool = True

    @property
    def keeps_all(self) -> bool:
        """Whether rows are kept as they came."""
        keeps_fields = not (self.allow_fields or self.deny_fields)
        return self.email is EmailPolicy.KEEP and keeps_fields and self.has_raw

    def told(self) -> dict[str, Any]:
        """Return what a manifest says of it; equal `key_id` means that pseudonyms can be compared."""
        return {
            "email": self.email.value,
            "key_id": key_id(self.key) if self.email is EmailPolicy.HMAC else None,
            "raw": self.has_raw,
            "allow_fields": list(self.allow_fields),
            "deny_fields": list(self.deny_fields),
        }

    def page(self, page: Page) -> Page:
        """Return a page with its rows as they may be kept."""
        return page if self.keeps_all else replace(page, rows=tuple(map(self.row, page.rows)))

    def row(self, row: Row) -> Row:
        """Return a row as it may be kept; without `raw` it is its columns alone, as `contacts.contents` has them.

        A row with `raw` that went through here once comes through unchanged.
        """
        kept = self._kept(row)
        return kept if self.has_raw else contents(kept)

    def record(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a record as it would stand if these rules had been in force when it was written.

        What was not kept then does not come back.
        """
        if self.keeps_all:
            return record
        columns = {name: self._column(name, record[name]) for name in SOURCES}
        raw = self._kept(record["raw"]) if self.has_raw and record["raw"] is not None else None
        sent_at = None if columns["sent_time_ms"] is None else record["sent_at"]
        return {**record, **columns, "sent_at": sent_at, "raw": raw}

    def line(self, line: bytes) -> bytes:
        """Return the line of a record as it would stand under these rules, likewise."""
        # The standard library reads integers beyond 64 bits back exactly.
        return line if self.keeps_all else line_of(self.record(json.loads(line)))

    def listed(self, row: Row) -> Row:
        """Return a campaign's row of the listing as it may be kept: it names senders, and fields of no contact."""
        return row if self.email is EmailPolicy.KEEP else self._redacted(row)

    def reply(self, body: bytes) -> bytes:
        """Return what is put into quarantine for a reply with rows that could not be read.

        Where anything is not to be kept it is a note alone: nobody can tell what stands in a row that nobody can read.
        """
        return body if self.keeps_all else note_instead(len(body))

    def _kept(self, row: Row) -> dict[str, Any]:
        left_out = _keys_left_out(tuple(row), self.allow_fields, self.deny_fields)
        kept = {key: value for key, value in row.items() if key not in left_out}
        if self.email is EmailPolicy.KEEP:
            return kept
        addresses = {key: kept.pop(key) for key in SOURCES["email"] if key in kept}
        redacted: dict[str, Any] = self._redacted(kept)
        if self.email is EmailPolicy.HMAC:
            redacted |= {key: self._hashed(value) for key, value in addresses.items()}
        return redacted

    def _column(self, name: str, value: Any) -> Any:
        if not _is_column_kept(name, self.allow_fields, self.deny_fields):
            return None
        if self.email is EmailPolicy.KEEP:
            return value
        if name != "email":
            return self._redacted(value)
        return self._hashed(value) if self.email is EmailPolicy.HMAC else None

    def _hashed(self, value: Any) -> Any:
        """Return the pseudonym of the value of an address field; what says "nothing", and a pseudonym, stays."""
        if value is None or value in ("", "null"):
            return value
        text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
        return text if PSEUDONYM.fullmatch(text) else pseudonym(self.key, text)

    def _redacted(self, value: Any) -> Any:
        """Return a value with all addresses in its texts, keys included, replaced."""
        match value:
            case str():
                return self._text_redacted(value) if has_at_sign(value) else value
            case dict():
                return {self._redacted(key): self._redacted(each) for key, each in value.items()}
            case list():
                return [self._redacted(each) for each in value]
            case _:
                return value

    def _text_redacted(self, text: str) -> str:
        for found in reversed(finds(text, _ADDRESS)):
            instead = pseudonym(self.key, found.read) if self.email is EmailPolicy.HMAC else REDACTED
            text = f"{text[: found.begin]}{instead}{text[found.end :]}"
        return text


KEEP_ALL = Privacy()


def normalised(address: str) -> str:
    """Return an address as it is compared and hashed: trimmed, case-folded, with a plain at sign."""
    return _AT_SIGN.sub("@", address.strip()).casefold()


def pseudonym(key: bytes, address: str) -> str:
    """Return the HMAC-SHA256 of a normalised address in hex, 64 characters.

    Whoever has the key can try addresses: this is a pseudonym in the sense of the GDPR (article 4, 5), no anonymity.
    """
    return hmac.digest(key, normalised(address).encode("utf-8", "surrogatepass"), "sha256").hex()


def key_id(key: bytes) -> str:
    """Return by what a key is known again without being told."""
    return hmac.digest(key, b"harvester key id", "sha256").hex()[:KEY_ID_CHARS]


def note_instead(size_bytes: int) -> bytes:
    """Return what lies in quarantine in the place of a reply of so many bytes that may not be kept."""
    return b"%s\n" % orjson.dumps(
        {"not_kept": "personal data: see [privacy] and harvester forget", "bytes": size_bytes}
    )


@lru_cache(maxsize=_KEY_SETS_MAX)
def _keys_left_out(keys: tuple[str, ...], allow: tuple[str, ...], deny: tuple[str, ...]) -> frozenset[str]:
    return frozenset(filter(partial(_is_key_left_out, allow=allow, deny=deny), keys))


def _is_key_left_out(key: str, allow: tuple[str, ...], deny: tuple[str, ...]) -> bool:
    """Tell whether a key of a row is left out: by its own name, or by that of the column that it fills."""
    names = {f"{RAW}{key}", *(column for column, sources in SOURCES.items() if key in sources)}
    return bool(names & set(deny)) or (bool(allow) and not names & set(allow))


def _is_column_kept(name: str, allow: tuple[str, ...], deny: tuple[str, ...]) -> bool:
    return not all(_is_key_left_out(source, allow, deny) for source in SOURCES[name])
