"""What differs between two readings of a set: contacts known again, their rows compared by value (pure).

Both readings come as keyed lines in the order of their bytes, so that one walk along both tells all. Memory holds the
rows of one contact, of which a partition has one.
"""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from hashlib import blake2b
from itertools import groupby
from typing import Any

import orjson

Record = Mapping[str, Any]

NOT_COMPARED = frozenset({"harvested_at", "run_id", "position"})
"""Columns that differ in every harvest and say nothing of the contact."""

DIGEST_BYTES = 16
"""128 bits: among a million rows two that differ share a digest once in 10^26 sets."""

DIGEST_CHARS = 2 * DIGEST_BYTES
KEY_CHARS = 2 * DIGEST_CHARS
"""A keyed line begins with two digests in hex: who the contact is, and what the row says."""


class ChangeKind(StrEnum):
    """What became of a contact between two readings."""

    ADDED = auto()  #: it is in the newer one only
    REMOVED = auto()  #: it is in the older one only
    CHANGED = auto()  #: it is in both, and its rows differ


@dataclass(frozen=True, slots=True)
class Change:
    """One contact that differs.

    Attributes:
        kind: in what way.
        line: the record as it stands in its partition, with the line's end; the newer one if the contact changed.
        before: what stood in the columns that changed, by name; None unless the contact changed.
    """

    kind: ChangeKind
    line: bytes
    before: Record | None = None

    def to_line(self) -> bytes:
        """Return the change as a line: `change`, `changed_columns`, `before`, then the record byte for byte."""
        names = None if self.before is None else sorted(self.before)
        head = {"change": self.kind.value, "changed_columns": names, "before": self.before}
        return _json(head, sort_keys=False)[:-1] + b"," + self.line[1:]


def keyed(line: bytes, identity_of: Callable[[Record], str]) -> bytes:
    """Return a line of a partition behind its key; equal rows have equal keys, those of a contact stand together.

    Args:
        line: a record as JSON, with its end.
        identity_of: by what a contact is known again; empty for a record that names nobody.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, RecursionError: the line is no record.
    """
    record = json.loads(line.decode())  # orjson would round integers beyond 64 bits
    # A column that a harvest did not know yet counts as null.
    told = {name: value for name, value in record.items() if value is not None and name not in NOT_COMPARED}
    return _digest(identity_of(record).encode(errors="surrogatepass")) + _digest(_text_of(told)) + line


def differences(old: Iterable[bytes], new: Iterable[bytes]) -> Iterator[Change]:
    """Yield what turns the old rows into the new ones, both as multisets; in the order of the keys.

    Rows that name nobody are the same only if they say the same. Should a contact stand several times on a side, equal
    rows cancel, the others pair up as changed, and what is left over was added or removed.

    Args:
        old: lines from `keyed`, in the order of their bytes.
        new: likewise.
    """
    for identity, rows in groupby(_unmatched(old, new), key=_identity):
        yield from _changes(rows, is_somebody=identity != NOBODY)


def _digest(text: bytes) -> bytes:
    return blake2b(text, digest_size=DIGEST_BYTES).hexdigest().encode()


NOBODY = _digest(b"")


_Row = tuple[bool, bytes]
"""Whether a row is of the newer reading, and its keyed line."""


def _unmatched(old: Iterable[bytes], new: Iterable[bytes]) -> Iterator[_Row]:
    """Yield the rows that the other side has no equal of, in the order of the keys."""
    olds, news = iter(old), iter(new)
    was, now = next(olds, None), next(news, None)
    while was is not None and now is not None:
        old_key, new_key = was[:KEY_CHARS], now[:KEY_CHARS]
        if old_key < new_key:
            yield False, was
            was = next(olds, None)
        elif new_key < old_key:
            yield True, now
            now = next(news, None)
        else:
            was, now = next(olds, None), next(news, None)
    for is_new, last, rest in ((False, was, olds), (True, now, news)):
        if last is not None:
            yield is_new, last
            yield from ((is_new, line) for line in rest)


def _identity(row: _Row) -> bytes:
    return row[1][:DIGEST_CHARS]


def _changes(rows: Iterable[_Row], *, is_somebody: bool) -> Iterator[Change]:
    """Yield what became of the rows of one contact: an old and a new one pair up as they come; of nobody none do."""
    waiting: deque[_Row] = deque()  # all of one side
    for row in rows:
        if not is_somebody:
            yield _alone(row)
        elif waiting and waiting[0][0] != row[0]:
            (_, was), (_, now) = sorted((waiting.popleft(), row))
            yield Change(ChangeKind.CHANGED, now[KEY_CHARS:], _before(was[KEY_CHARS:], now[KEY_CHARS:]))
        else:
            waiting.append(row)
    yield from map(_alone, waiting)


def _alone(row: _Row) -> Change:
    is_new, line = row
    return Change(ChangeKind.ADDED if is_new else ChangeKind.REMOVED, line[KEY_CHARS:])


def _before(was: bytes, now: bytes) -> Record:
    """Return what stood in the columns whose values differ."""
    old, new = json.loads(was), json.loads(now)
    names = sorted((old.keys() | new.keys()) - NOT_COMPARED)
    # As text, since to Python 1, 1.0 and true are equal.
    return {name: old.get(name) for name in names if _text_of(old.get(name)) != _text_of(new.get(name))}


def _text_of(value: Any) -> bytes:
    """Return a value as JSON that is the same for equal values: the order of an object's keys plays no part."""
    return _json(value, sort_keys=True)


def _json(value: Any, *, sort_keys: bool) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS if sort_keys else 0)
    except orjson.JSONEncodeError:  # integers beyond 64 bits, lone surrogates, deep nesting
        return json.dumps(value, sort_keys=sort_keys, separators=(",", ":")).encode()
