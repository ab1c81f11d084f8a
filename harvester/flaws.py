"""What `harvester verify` can find: each flaw says what is wrong, where, and what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto


class FlawKind(StrEnum):
    """In what way files, manifest and ledger disagree."""

    LEDGER = auto()  #: an entry of the ledger contradicts itself
    MISSING = auto()  #: a partition is not in its place
    CHANGED = auto()  #: a partition has other bytes than were published
    DAMAGED = auto()  #: a partition cannot be read, or its records are not those of its job
    QUARANTINE = auto()  #: an answer that the ledger lists in quarantine is not there
    MANIFEST = auto()  #: the manifest is missing, cannot be read, or tells something else than the ledger
    SUCCESS = auto()  #: `_SUCCESS` stands where jobs are left to do, or is missing where none are
    LISTING = auto()  #: the listing of campaigns is missing or has other bytes than were published
    STRANGER = auto()  #: a file that no entry of the ledger accounts for
    CHANGES = auto()  #: a change file is missing, or has other bytes than were written
    LEFTOVER = auto()  #: a part that no job needs any more
    ERASURE = auto()  #: somebody is to be forgotten, and is not yet everywhere


_HARVEST_AGAIN = "harvester verify --repair has it harvested again."
_WRITE_AGAIN = "harvester verify --repair puts it right."
_REMOVE = "No run reads or replaces it: find out where it comes from, then remove it."

REMEDIES: Mapping[FlawKind, str] = {
    FlawKind.LEDGER: "Restore the ledger from a backup, or harvest the date again with harvester run --refresh.",
    FlawKind.MISSING: _HARVEST_AGAIN,
    FlawKind.CHANGED: _HARVEST_AGAIN,
    FlawKind.DAMAGED: _HARVEST_AGAIN,
    FlawKind.QUARANTINE: _HARVEST_AGAIN,
    FlawKind.MANIFEST: _WRITE_AGAIN,
    FlawKind.SUCCESS: _WRITE_AGAIN,
    FlawKind.LISTING: "Remove what is left of it: the next run of its date lists the campaigns again.",
    FlawKind.STRANGER: _REMOVE,
    FlawKind.CHANGES: "Remove it if it is there, and harvester changes --as-of its date writes it again.",
    FlawKind.LEFTOVER: "No job needs it: remove it.",
    FlawKind.ERASURE: "Run harvester forget again with the same address, and --contact-id as before.",
}


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that is wrong.

    Attributes:
        kind: in what way.
        path: of the file or folder, below the output folder; it names account, date and action. Of an erasure its id.
        what: what is wrong with it, without a value of any row.
        dates: the other harvest dates, ISO, whose manifests name the same file.
    """

    kind: FlawKind
    path: str
    what: str
    dates: tuple[str, ...] = ()

    @property
    def remedy(self) -> str:
        """What a person can do about it, one sentence."""
        return REMEDIES[self.kind]
