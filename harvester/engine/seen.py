"""The contacts that a job has written, remembered exactly and in little memory (pure)."""

from collections.abc import Container, Iterable

BUCKETS = 32_768
"""Keeps the buckets of a million contacts as short as 30 each; a set without any costs 8 bytes a bucket."""

SEPARATOR = b"\xff"
"""Occurs in no UTF-8: whatever an identity holds, it is never taken for a part of another one."""


class Seen(Container[str]):
    """The identities of all rows that a job has written, of any form and length.

    A job may hold a million of them. As Python strings in a set they took 115 bytes each (20 characters); here each
    takes its UTF-8, one byte, and a share of its bucket: 30 bytes.
    """

    def __init__(self) -> None:
        self._buckets = [SEPARATOR] * BUCKETS

    def __contains__(self, identity: object) -> bool:
        """Tell whether the identity was added; nothing but text ever is."""
        return isinstance(identity, str) and SEPARATOR + _entry(identity) in self._buckets[hash(identity) % BUCKETS]

    def update(self, identities: Iterable[str]) -> None:
        """Add identities; each that is new costs memory, and so does each that was added before."""
        buckets = self._buckets
        for identity in identities:
            buckets[hash(identity) % BUCKETS] += _entry(identity)


def _entry(identity: str) -> bytes:
    # A lone surrogate, which JSON can hold, is kept as it is.
    return identity.encode("utf-8", "surrogatepass") + SEPARATOR
