"""What is forgotten of jobs that are sent back to pending: one place for all who send them."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from harvester.model import TRANSITIONS, JobState


class Cause(Enum):
    """Why jobs start again from their first row."""

    ASKED = auto()  #: a run asks for them once more; a partition that stands stays until a new one takes its place
    DOUBTED = auto()  #: likewise, because they lack rows that were counted: no end is taken on trust any more
    FILE_GONE = auto()  #: their partition is not there, or not what was published


@dataclass(frozen=True, slots=True)
class Chosen:
    """The jobs of some states that meet a condition in SQL on the table `jobs`, with the values of its marks."""

    states: tuple[JobState, ...]
    condition: str
    values: tuple[object, ...]

    def __post_init__(self) -> None:
        """Refuse states that no job leaves for pending."""
        for state in self.states:
            if JobState.PENDING not in TRANSITIONS[state]:
                raise ValueError(f"a job cannot go from {state} to pending")

    @property
    def where(self) -> str:
        """The whole condition, in parentheses."""
        return f"(state IN ({', '.join(repr(state.value) for state in self.states)}) AND {self.condition})"


WAITING = "state = 'pending', attempts = 0, not_before_s = 0, code = NULL, reason = NULL, remedy = NULL"

SPENT = "calls = 0, codes = '{}', retries = 0, waited_s = 0"
"""What the rows cost that are given up; a doubted job stays in the run that spent it."""

UNDOUBTED = "is_doubted = is_doubted AND state IN ('partial', 'failed')"
"""A doubt lasts until the set was read to its end again, all rows of it: to such jobs short pages prove nothing yet."""

FILE = "path = NULL, rows = NULL, bytes = NULL, sha256 = NULL, finished_s = NULL, quarantine = '[]'"

ALSO: Mapping[Cause, str] = {
    Cause.ASKED: f"{SPENT}, {UNDOUBTED}",
    Cause.DOUBTED: "is_doubted = 1",
    Cause.FILE_GONE: f"{SPENT}, is_doubted = 0, {FILE}",
}


def start_anew(connection: sqlite3.Connection, jobs: Chosen, cause: Cause) -> int:
    """Send jobs back to their first row: pages, ending and verdict go, and what else the cause makes untrue.

    Args:
        connection: in a transaction.
        jobs: which.
        cause: why.

    Returns:
        How many jobs that were.
    """
    connection.execute(f"DELETE FROM pages WHERE job_id IN (SELECT id FROM jobs WHERE {jobs.where})", jobs.values)
    changes = f"{WAITING}, started_s = NULL, ending = NULL, verdict = NULL, changes = NULL, {ALSO[cause]}"
    return connection.execute(f"UPDATE jobs SET {changes} WHERE {jobs.where}", jobs.values).rowcount


def go_on(connection: sqlite3.Connection, jobs: Chosen) -> None:
    """Send jobs back with their pages, to be carried on after the last of them; in a transaction."""
    connection.execute(f"UPDATE jobs SET {WAITING} WHERE {jobs.where}", jobs.values)


def begin_again(connection: sqlite3.Connection, condition: str, *values: object) -> int:
    """Forget the pages of unfinished jobs, in a transaction; their parts are emptied as they are taken up again.

    Args:
        connection: in a transaction.
        condition: in SQL on the table `jobs`.
        values: of its marks.

    Returns:
        How many jobs that were.
    """
    chosen = connection.execute(f"SELECT id FROM jobs WHERE {condition}", values).fetchall()
    for row in chosen:
        connection.execute("DELETE FROM pages WHERE job_id = ?", (row["id"],))
        connection.execute("UPDATE jobs SET ending = NULL, started_s = NULL WHERE id = ?", (row["id"],))
    return len(chosen)
