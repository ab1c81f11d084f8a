"""What is to be known of a harvest beside its jobs' states, as sentences (pure); none names a contact."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from heapq import nlargest

from harvester.report.figures import counted, short_key

EXAMPLES_MAX = 3
"""Jobs named in a sentence; the manifest names all."""


class Topic(StrEnum):
    """What a remark is about; programs may tell remarks apart by it."""

    UNREADABLE = auto()  #: rows that lie in quarantine
    SHORT = auto()  #: jobs with fewer rows than were counted
    MISFIT = auto()  #: a counter that cannot count what a set lists
    LAW = auto()  #: contacts that are in two sets, or in one alone, against the sense of the words
    CHILDREN = auto()  #: A/B campaigns whose test halves are not known
    UNCHECKED = auto()  #: campaigns whose sets were not held against each other


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to be known; `sentence` is without full stop."""

    topic: Topic
    sentence: str


@dataclass(frozen=True, slots=True)
class ShortJob:
    """A job that lacks `rows` rows of those counted; `is_doubted`: it was harvested twice."""

    campaign_key: str
    action: str
    rows: int
    is_doubted: bool

    def __str__(self) -> str:
        return f"{short_key(self.campaign_key)} {self.action} by {self.rows:,}"


def told_findings(findings: Mapping[str, int]) -> str:
    """Return how many jobs there are of each finding: `1,204 proven, 3 short`; empty where there are none."""
    return ", ".join(f"{jobs:,} {finding}" for finding, jobs in findings.items() if jobs)


def unreadable(jobs: int, rows: int, folder: str) -> Remark:
    """Tell of rows that could not be read; `folder` is where the answers lie that hold them."""
    sentence = f"{counted(jobs, 'job')}, {counted(rows, 'row')} that could not be read: the answers lie in {folder}"
    return Remark(Topic.UNREADABLE, sentence)


def short(jobs: Iterable[ShortJob]) -> Remark | None:
    """Tell of jobs with fewer rows than were counted, naming the largest shortfalls; None if there is no such job."""
    count = rows = twice = 0
    largest: list[ShortJob] = []
    for job in jobs:
        count, rows, twice = count + 1, rows + job.rows, twice + job.is_doubted
        largest = nlargest(EXAMPLES_MAX, [*largest, job], key=lambda each: each.rows)
    if not count:
        return None
    named = ", ".join(map(str, largest)) + (", ..." if count > EXAMPLES_MAX else "")
    again = f", {twice:,} of them harvested twice" if twice else ""
    lacking = f"{counted(count, 'job')} short of the server's counters by {counted(rows, 'row')}"
    return Remark(Topic.SHORT, f"{lacking}{again}: {named}")


def misfit(action: str, counters: Sequence[str], direction: str, jobs: int) -> Remark:
    """Tell of an action of which nearly all sets are off in the same way; `counters` are the fields of the report."""
    fields = " and ".join(counters)
    sentence = f"{action} does not list what {fields} counts: {counted(jobs, 'set')} {direction}, nearly all"
    return Remark(Topic.MISFIT, sentence)


def broken_law(law: str, campaigns: int, contacts: int) -> Remark:
    """Tell of a law of the sets that contacts of some campaigns break."""
    who = f"{counted(contacts, 'contact')} of {counted(campaigns, 'campaign')}"
    return Remark(Topic.LAW, f"not {law}: {who}; sets are read one after another")


def children_missing(campaigns: int) -> Remark:
    """Tell of A/B campaigns in the listing whose test halves are not known."""
    sentence = f"{counted(campaigns, 'A/B campaign')} without known test halves: who was in the test is missing"
    return Remark(Topic.CHILDREN, sentence)


def unchecked(campaigns: int) -> Remark:
    """Tell of campaigns whose sets were not held against each other."""
    sentence = f"{counted(campaigns, 'campaign')} whose sets were not held against each other: the manifest says why"
    return Remark(Topic.UNCHECKED, sentence)
