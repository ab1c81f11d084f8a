"""Which files the manifests name, and of which set each of them is a reading (pure)."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_FILE = re.compile(
    r"(?:recipients|changes)/account=[^/]+/dt=\d{4}-\d\d-\d\d/action=[a-z]+/[^/]+\.jsonl(?:\.gz|\.zst)?"
    r"|campaigns/account=[^/]+/dt=\d{4}-\d\d-\d\d/campaigns\.jsonl"
)
"""The paths that we give: a manifest that somebody changed shall not lead us elsewhere."""

_READ = frozenset({"done", "partial"})
_WHOLE = frozenset({"done", "carried"})
"""States of a job in a manifest: its partition is what this date read; its set is known whole."""


class StrangePathError(ValueError):
    """A manifest names a file where none of ours lies; the message is the path."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One set as it was read on a date: the partition that holds it.

    Attributes:
        account: the account's name.
        date: the harvest date of the reading, ISO 8601.
        action: the action.
        path: of the partition, below the output folder.
        rows: in it.
        bytes: its size.
        sha256: of its bytes, in hex.
    """

    account: str
    date: str
    action: str
    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(slots=True)
class Holdings:
    """All that a number of manifests name; they are added one by one, the oldest date first.

    Attributes:
        readings: every set that was read, once for each date on which it was.
        listings: paths of the listings.
        changes: paths of the change files.
    """

    readings: list[Reading] = field(default_factory=list)
    listings: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    _newest: dict[tuple[str, str, str], str | None] = field(default_factory=dict)

    @property
    def current(self) -> list[str]:
        """The partitions that hold each set as it was last known whole; none where that was empty."""
        return sorted({path for path in self._newest.values() if path is not None})

    def add(self, manifest: Iterable[Mapping[str, Any]]) -> None:
        """Take in a manifest: what it says of its date, then its jobs.

        Raises:
            StrangePathError: it names a file that is none of ours.
        """
        told = iter(manifest)
        head = next(told)
        account, date = head["account"], head["date"]
        if head.get("listing"):
            self.listings.append(_own(head["listing"]["path"]))
        for job in told:
            if job["state"] in _READ and job["path"] and job["rows"]:
                place = (account, date, job["action"], _own(job["path"]))
                self.readings.append(Reading(*place, job["rows"], job["bytes"], job["sha256"]))
            if job["state"] in _WHOLE:
                is_empty = not (job["path"] and job["rows"])
                self._newest[account, job["campaign_key"], job["action"]] = None if is_empty else _own(job["path"])
            if job.get("changes") and job["changes"]["path"]:
                self.changes.append(_own(job["changes"]["path"]))


def paths_of(readings: Iterable[Reading]) -> Iterator[str]:
    """Yield where readings lie."""
    return (reading.path for reading in readings)


def _own(path: str) -> str:
    if not _FILE.fullmatch(path):
        raise StrangePathError(path)
    return path
