"""What can end a run early, as one tree; each leaf is an exit code and a remedy.

HarvestError
├── ConfigError        2   the operator's: configuration, arguments, key lists; no call was made
├── CredentialsError   4   a person must act: credentials, scope, data centre, privileges
├── BusyError          5   another run holds the state
├── VerificationError  6   files, manifest and ledger disagree
├── DiskError          7   the disk refuses: full, read-only, broken
└── StoppedError      75   resumable: network, deadline, a lockout longer than allowed

A failed *call* is no exception: it is a value, `model.Failure`, and `engine.retry` judges it.
"""

from typing import ClassVar


class HarvestError(Exception):
    """Base of all that a run can end with.

    Args:
        message: what happened and where, in one sentence, without secrets or addresses.
        remedy: what the reader can do about it, in one sentence.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class ConfigError(HarvestError):
    """Configuration, arguments or a key list are not usable; raised before the first call."""

    exit_code = 2


class CredentialsError(HarvestError):
    """The account refuses us until a person acts; never retried within a run."""

    exit_code = 4


class BusyError(HarvestError):
    """Another run holds the state directory."""

    exit_code = 5


class VerificationError(HarvestError):
    """Ledger, manifest and files disagree; nothing is overwritten."""

    exit_code = 6


class DiskError(HarvestError):
    """The disk refused a write; what was committed before is safe."""

    exit_code = 7


class StoppedError(HarvestError):
    """The run stopped before its end and the same command goes on.

    Args:
        message, remedy: as in `HarvestError`.
        resume_at: before when going on is useless, ISO 8601; None if at once.
    """

    exit_code = 75

    def __init__(self, message: str, remedy: str = "", resume_at: str | None = None) -> None:
        super().__init__(message, remedy)
        self.resume_at = resume_at


URGENCY = (DiskError, VerificationError, CredentialsError, ConfigError, BusyError, StoppedError, HarvestError)
"""Which of several troubles is told, and gives the exit code: the one that most needs a person."""
