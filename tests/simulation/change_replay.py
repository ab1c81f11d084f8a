"""Rebuilds an account's sets from its change files alone, night after night."""

from collections import Counter, defaultdict
from pathlib import Path

from nights import apply, substances
from simulation.night import Night
from simulation.oracle import Set
from simulation.truth import require

from harvester.store.manifest_reading import read_manifest
from harvester.store.reading import lines_of

Rows = Counter[str]
"""The records of a set, without what differs in every harvest."""


class ChangeReplay:
    """Begins with the snapshot of the first night and never looks at another, until the last.

    Attributes:
        sets: as the changes have made them.
        files: how many change files were applied.
    """

    def __init__(self, account: str = "acme") -> None:
        self._account = account
        self.sets: defaultdict[Set, Rows] = defaultdict(Counter)
        self.files = 0

    def look(self, night: Night, number: int) -> None:
        """Take in a night: its snapshot if it is the first one, its changes if not."""
        if number == 0:
            self.sets.update(self.snapshot_of(night))
            return
        for one, path in self._paths(night, "changes").items():
            self.sets[one] = apply(list(lines_of(path)), self.sets[one])
            self.files += 1

    def check(self, night: Night) -> None:
        """See that the changes have led to the snapshot of a night.

        Raises:
            ViolationError: they have not.
        """
        snapshot = self.snapshot_of(night)
        wrong = [one for one, rows in snapshot.items() if rows != self.sets[one]]
        require(not wrong, f"changes: {len(wrong)} sets are not what the change files say: {wrong[:2]}")
        strangers = [one for one, rows in self.sets.items() if rows and one not in snapshot]
        require(not strangers, f"changes: {len(strangers)} sets are in no snapshot")

    def snapshot_of(self, night: Night) -> dict[Set, Rows]:
        """Return the rows of all sets, read through the night's manifest."""
        return {one: substances(lines_of(path)) for one, path in self._paths(night).items()}

    def _paths(self, night: Night, part: str | None = None) -> dict[Set, Path]:
        """Return where each job's partition lies, or what another part of its entry points to."""
        date = f"account={self._account}/dt={night.date.isoformat()}"
        manifest = read_manifest(night.settings.output / "recipients" / date / "_manifest.json")
        next(manifest)
        entries = ((job, job if part is None else job[part] or {}) for job in manifest)
        return {
            (job["campaign_key"], job["action"]): night.settings.output / entry["path"]
            for job, entry in entries
            if entry.get("path")
        }
