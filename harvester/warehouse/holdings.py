"""Which files the manifests name, and of which set each of them is a reading (pure)."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harvester.publication import is_finished_file

_COUNTS = ("rows", "bytes")

_CARRIED = "carried"
_PARTIAL = "partial"
_WHOLE = frozenset({"done", _CARRIED})
"""States of a job in a manifest: its partition was read on another date; its set is known whole."""


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
        states: of each account and ISO date what its manifest says of it: "complete", "partial", "running".
        listings: paths of the listings, each with its size in bytes.
        changes: paths of the change files, likewise.
    """

    states: dict[tuple[str, str], str] = field(default_factory=dict)
    listings: dict[str, int] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)
    _read: list[Reading] = field(default_factory=list)
    _carried: dict[str, Reading] = field(default_factory=dict)
    _newest: dict[tuple[str, str, str], tuple[str, int] | None] = field(default_factory=dict)

    @property
    def readings(self) -> list[Reading]:
        """Every set that was read, once for each date on which it was.

        What a date without a manifest read, and later ones carry, is a reading of its date as before.
        """
        kept = [each for each in self._carried.values() if (each.account, each.date) not in self.states]
        return [*self._read, *kept]

    @property
    def current(self) -> dict[str, int]:
        """The partitions that hold each set as it was last known whole, each with its size in bytes; no empty ones."""
        return dict(sorted(file for file in self._newest.values() if file is not None))

    @property
    def sizes(self) -> dict[str, int]:
        """The size in bytes of every file that is a reading, current, a listing or a change file."""
        read = {reading.path: reading.bytes for reading in self.readings}
        return {**read, **self.current, **self.listings, **self.changes}

    def add(self, manifest: Iterable[Mapping[str, Any]]) -> None:
        """Take in a manifest: what it says of its date, then its jobs.

        A job that is to be read again, or was in vain, has the file of the harvest before until a new one takes its
        place. That is a reading like others, and whole if no answer lies in quarantine beside it.

        Raises:
            StrangePathError: it names a file that is none of ours.
            KeyError, TypeError: it is no manifest of this version.
        """
        told = iter(manifest)
        head = next(told)
        account, date = head["account"], head["date"]
        self.states[account, date] = head["state"]
        if head.get("listing"):
            self.listings.update([_sized(head["listing"])])
        for job in told:
            file = _sized(job) if job["path"] and job["rows"] else None
            if file is not None and (origin := _date_of(file[0])) != date:
                self._carried[file[0]] = _reading(account, origin, job)
            elif file is not None and job["state"] != _CARRIED:
                self._read.append(_reading(account, date, job))
            if job["state"] in _WHOLE or _was_whole(job):
                self._newest[account, job["campaign_key"], job["action"]] = file
            if job.get("changes") and job["changes"]["path"]:
                self.changes.update([_sized(job["changes"])])


def _was_whole(job: Mapping[str, Any]) -> bool:
    """Tell whether a job that waits, or was in vain, has a file of the harvest before that holds all of its set."""
    return job["path"] is not None and job["state"] != _PARTIAL and not job["quarantine"]


def paths_of(readings: Iterable[Reading]) -> Iterator[str]:
    """Yield where readings lie."""
    return (reading.path for reading in readings)


def _reading(account: str, date: str, job: Mapping[str, Any]) -> Reading:
    return Reading(account, date, job["action"], job["path"], job["rows"], job["bytes"], job["sha256"])


def _sized(told: Mapping[str, Any]) -> tuple[str, int]:
    """Return path and size of a file of ours."""
    path: str = told["path"]
    if not is_finished_file(path):
        raise StrangePathError(path)
    try:
        dt.date.fromisoformat(_date_of(path))
    except ValueError:
        raise StrangePathError(path) from None
    if not all(isinstance(told.get(count, 0), int) for count in _COUNTS):
        raise TypeError(path)
    return path, told["bytes"]


def _date_of(path: str) -> str:
    """Return the ISO date in the name of the folder where one of our files lies."""
    return path.partition("/dt=")[2].partition("/")[0]
