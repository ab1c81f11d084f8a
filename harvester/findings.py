"""What an examination can find, and what to do about each, as frozen values.

Nothing here reads a clock, a file or a socket.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum, auto

from harvester.errors import URGENCY, HarvestError


class Verdict(StrEnum):
    """How a check came out."""

    OK = auto()  #: as it should be
    WARNING = auto()  #: a harvest works, and something about it is worth knowing
    PROBLEM = auto()  #: a harvest would fail, or harm
    UNKNOWN = auto()  #: it could not be seen


@dataclass(frozen=True, slots=True)
class Finding:
    """How one check came out.

    Attributes:
        check: what was looked at, in a word or two.
        verdict: how it came out.
        seen: what was seen, one clause without secrets and addresses.
        cure: what to do about it, in sentences; empty where nothing is to be done.
        account: whose it is; None for the machine.
        trouble: of a problem: what a run would end with.
    """

    check: str
    verdict: Verdict
    seen: str
    cure: str = ""
    account: str | None = None
    trouble: type[HarvestError] | None = None


def exit_code(findings: Iterable[Finding]) -> int:
    """Return the exit code of the most urgent problem; 0 where there is none."""
    troubles = {finding.trouble for finding in findings if finding.trouble is not None}
    return next((trouble.exit_code for trouble in URGENCY if trouble in troubles), 0)
