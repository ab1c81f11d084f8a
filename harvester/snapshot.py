"""How a set stood when it was last read whole, and how it is carried over, as frozen values.

Nothing here reads a clock, a file or a socket.
"""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum, auto

from harvester.model import Job, Published


class Carry(StrEnum):
    """How the partition of an unchanged set is found under a later harvest date."""

    REFERENCE = auto()  #: the manifest names the file of the earlier date
    HARDLINK = auto()  #: the file has a second name in the folder of the later date
    COPY = auto()  #: the file is copied


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How a set stood when it was last read whole, or when the server last said that there is nothing to ask for.

    Attributes:
        origin_id: the ledger's number of the job that read it.
        date: the harvest date of that job.
        checked_on: the harvest date on which the set was last known to stand so, by its counter or by reading it.
        counter_rows: what its counter said before it was read; None where that proves nothing.
        partition: what was published, and stands as far as the ledger knows; None where there was nothing to ask for.
    """

    origin_id: int
    date: dt.date
    checked_on: dt.date
    counter_rows: int | None
    partition: Published | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A planned job that may be carried, and how its set stood; `snapshot` is None where it was never read whole."""

    job: Job
    snapshot: Snapshot | None
