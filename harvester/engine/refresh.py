"""Which sets a run reads again, and why (pure).

Calls are saved in two steps: by age, as old campaigns are hardly opened any more; and by the campaign's counters, which
cost one call on another budget for all of its actions. A set is carried over only on a counter that was told before the
set was last read whole: whatever came after that moved it.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Protocol
from zlib import crc32

from harvester.model import Action, Job
from harvester.snapshot import Snapshot

NEVER_READ = "never read whole before"
NO_COUNTER = "no counter tells whether it changed"
DAY_MS = 86_400_000
SPREAD_PARTS = 3


class Decision(StrEnum):
    """What becomes of a planned job before its first call."""

    HARVEST = auto()  #: its set is read
    ASK = auto()  #: its set is read if its counter moved
    CARRY = auto()  #: its set stands as it was last read
    LEAVE_OUT = auto()  #: it is no job of this run: never read, and too old to begin with


class Rules(Protocol):
    """By which a command settles what is read."""

    def decide(self, job: Job, snapshot: Snapshot | None) -> Decision:
        """Return what becomes of a job, before its counter is known."""

    def why_read(self, job: Job, snapshot: Snapshot | None, counter_rows: int | None) -> str | None:
        """Return why the set of a job is read, now that its counter is known or not to be had; None to carry it."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Until a campaign is `to_day` days old, counted from the day of sending as 0: a look every so many days."""

    to_day: int
    every_days: int


@dataclass(frozen=True, slots=True)
class RefreshRules:
    """What a nightly run reads again.

    Attributes:
        intervals: for each action, by ascending age; beyond the last one a set is frozen.
        full_refresh_days: a set that is looked at is read after so many days at the latest, whatever its counter says:
            columns of rows may change where no counter does. Each campaign takes up to a third less, so that those
            which were first read on one night do not all come back on one night.
    """

    intervals: Mapping[Action, Sequence[Interval]]
    full_refresh_days: int

    def every_days(self, job: Job) -> int | None:
        """Return how often a job's set is looked at, in days; None if it is frozen.

        A campaign whose time of sending is not known counts as sent today.
        """
        age_days = _age_days(job)
        fitting = (each.every_days for each in self.intervals[job.action] if age_days <= each.to_day)
        return next(fitting, None)

    def decide(self, job: Job, snapshot: Snapshot | None) -> Decision:
        """Return what becomes of a job, before its counter is known."""
        every_days = self.every_days(job)
        if snapshot is None:
            return Decision.LEAVE_OUT if every_days is None else Decision.HARVEST
        # A look for a later date says nothing of this one: the counter does.
        if every_days is None or 0 <= (job.date - snapshot.checked_on).days < every_days:
            return Decision.CARRY
        return Decision.HARVEST if self._is_stale(job, snapshot) else Decision.ASK

    def why_read(self, job: Job, snapshot: Snapshot | None, counter_rows: int | None) -> str | None:
        """Return why the set of a job is read; None if it is carried."""
        if snapshot is None:
            return NEVER_READ
        if self._is_stale(job, snapshot):
            return f"not read for {(job.date - snapshot.date).days} days"
        if counter_rows is None or snapshot.counter_rows is None:
            return NO_COUNTER
        if counter_rows == snapshot.counter_rows:
            return None
        return f"its counter moved from {snapshot.counter_rows} to {counter_rows}"

    def next_look(self, job: Job, snapshot: Snapshot) -> dt.date | None:
        """Return the first date from the job's own on at which its set is looked at; None if it is frozen."""
        every_days = self.every_days(job)
        if every_days is None:
            return None
        is_looked_at = self.decide(job, snapshot) is not Decision.CARRY
        return job.date if is_looked_at else snapshot.checked_on + dt.timedelta(days=every_days)

    def _is_stale(self, job: Job, snapshot: Snapshot) -> bool:
        spread_days = self.full_refresh_days // SPREAD_PARTS + 1
        early_days = crc32(job.campaign.key.encode()) % spread_days
        return (job.date - snapshot.date).days >= self.full_refresh_days - early_days


@dataclass(frozen=True, slots=True)
class FillRules:
    """What a backfill reads: each set that was never read whole, for whichever date."""

    def decide(self, _job: Job, snapshot: Snapshot | None) -> Decision:
        """Return what becomes of a job."""
        return Decision.HARVEST if snapshot is None else Decision.CARRY

    def why_read(self, _job: Job, snapshot: Snapshot | None, _counter_rows: int | None) -> str | None:
        """Return why the set of a job is read; None if it was read meanwhile."""
        return NEVER_READ if snapshot is None else None


def _age_days(job: Job) -> int:
    if job.campaign.sent_at_ms is None:
        return 0
    sent_on = dt.datetime.fromtimestamp(job.campaign.sent_at_ms / 1000, dt.UTC).date()
    return max(0, (job.date - sent_on).days)
