"""Several harvests of the same sets, as runs leave them: real ledger, real partitions; and what changed read back."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from factories import DATE, HandClock, inline, stored_page

from harvester.engine.stop import Stop
from harvester.events import Event
from harvester.model import Action, Campaign, Contents, Harvest, Job, JobState, Row
from harvester.operations.changing import write_changes
from harvester.snapshot import Carry
from harvester.store.carrier import Carrier
from harvester.store.change_book import ChangeBook, JobChanges
from harvester.store.database import Database
from harvester.store.ledger import Ledger
from harvester.store.partitions import Compression, Partitions
from harvester.store.reading import lines_of
from harvester.store.snapshots import Snapshots
from harvester.zoho.contacts import RecordContext, lines
from harvester.zoho.privacy import Privacy

HEAD = ("change", "changed_columns", "before")
NOT_COMPARED = ("harvested_at", "run_id", "position")


@dataclass
class Nights:
    """One account whose sets are harvested on several dates; `events` are those of its runs."""

    folder: Path
    database: Database
    compression: Compression = Compression.GZIP
    events: list[Event] = field(default_factory=list)
    stop: Stop = field(default_factory=Stop)
    privacy: Privacy = field(default_factory=Privacy)
    carry: Carry = Carry.REFERENCE

    @property
    def output(self) -> Path:
        return self.folder / "data"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.database, "run-1")

    @property
    def book(self) -> ChangeBook:
        return ChangeBook(self.database)

    def date(self, night: int) -> dt.date:
        return DATE + dt.timedelta(days=night)

    def of(self, night: int) -> Harvest:
        return self.ledger.open_harvest("acme", self.date(night))

    def harvested(self, night: int, rows: Sequence[Row], key: str = "k1", action: Action = Action.SENT) -> Job:
        """Read a set whole, for the first time on a date or again."""
        ledger, harvest = self.ledger, self.of(night)
        ledger.plan(harvest, [Campaign(key)], [action])
        parts = Partitions(self.output, self.compression)
        (claimed,) = ledger.claim(harvest, 1, now_s=0.0)
        context = RecordContext("acme", key, None, action, f"{self.date(night)}T02:00:00.000Z", f"run-{night}")
        content = parts.frame(lines(rows, range(1, len(rows) + 1), context)) if rows else b""
        parts.cut(claimed.job, 0, b"")
        parts.append(claimed.job, content)
        page = stored_page(count=max(1, len(rows)), content=content)
        ledger.commit([(claimed.job, page)], [(claimed.job, "short page")], [], wall_s=0.0)
        ledger.commit([], [], [(claimed.job, parts.publish([Contents(claimed.job, len(rows))])[0])], wall_s=1.0)
        parts.close_all()
        return claimed.job

    def sent_back(self, night: int) -> None:
        """Let the sets of a date be harvested again, as `--refresh` does."""
        self.ledger.requeue(self.of(night), [JobState.DONE])

    def carried(self, night: int, key: str = "k1") -> Job:
        """Let the set stand on a date as it was read before."""
        ledger, harvest = self.ledger, self.of(night)
        ledger.plan(harvest, [Campaign(key)], [Action.SENT])
        (claimed,) = ledger.claim(harvest, 1, now_s=0.0)
        carrier = Carrier(self.output, Partitions(self.output, self.compression), self.carry)
        snapshots = Snapshots(self.database, "run-1", carrier)
        snapshot = snapshots.of(claimed.job)
        assert snapshot is not None
        assert snapshots.carry([(claimed.job, snapshot, harvest.date)]) == 1
        return claimed.job

    async def compared(self, night: int, emit: Callable[[Event], None] | None = None) -> None:
        """Write the changes of a date as a run does."""
        emit = emit or self.events.append
        tools = SimpleNamespace(stop=self.stop, offload_disk=inline, offload=inline, emit=emit, clock=HandClock())
        settings = SimpleNamespace(state=self.state, harvest=SimpleNamespace(compression=self.compression.value))
        bench: Any = SimpleNamespace(
            name="acme",
            tools=tools,
            settings=settings,
            store=SimpleNamespace(database=self.database, ledger=self.ledger),
            privacy=self.privacy,
        )
        await write_changes(bench, self.of(night), self.output)

    def changes_of(self, job: Job) -> JobChanges:
        changes = self.book.changes_of(job)
        assert changes is not None
        return changes

    def change_lines(self, job: Job) -> list[bytes]:
        path = self.changes_of(job).path
        return [] if path is None else list(lines_of(self.output / path))

    def partition_lines(self, job: Job) -> Iterator[bytes]:
        path = self.database.durable.execute("SELECT path FROM jobs WHERE id = ?", (job.id,)).fetchone()["path"]
        return lines_of(self.output / path)


def substance(record: Mapping[str, Any]) -> str:
    """A record without what differs in every harvest, as text that is the same for equal values."""
    told = {name: value for name, value in record.items() if name not in NOT_COMPARED}
    return json.dumps(told, sort_keys=True)


def substances(partition: Iterator[bytes]) -> Counter[str]:
    return Counter(substance(json.loads(line)) for line in partition)


def apply(changes: Sequence[bytes], to: Counter[str]) -> Counter[str]:
    """Return what a multiset of records becomes; each record that goes away must have been there."""
    result = to.copy()
    for line in changes:
        record = json.loads(line)
        kind, columns, before = (record.pop(name) for name in HEAD)
        if kind == "changed":
            assert columns == sorted(before)
            assert columns
            gone = substance(record | before)
        else:
            assert (columns, before) == (None, None)
            gone = substance(record)
        if kind != "added":
            assert result[gone] > 0
            result[gone] -= 1
        if kind != "removed":
            result[substance(record)] += 1
    return +result
