"""Compares what was harvested with what was harvested before, and keeps what changed: one job after another."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from harvester.engine.differences import Change, ChangeKind, differences, keyed
from harvester.errors import BusyError, DiskError
from harvester.events import ChangesLeftOut, ChangesWritten, Emit
from harvester.model import Harvest, Published
from harvester.operations.planning import MANIFEST_WAIT_S, now_of
from harvester.operations.proving import UNREADABLE
from harvester.operations.workshop import AccountBench
from harvester.store.change_book import ChangeBook, Comparable, JobChanges
from harvester.store.change_files import ChangeFiles, Drafted, trouble_with
from harvester.store.lock import exclusive
from harvester.store.manifest import write_manifest
from harvester.store.partitions import Compression
from harvester.store.reading import lines_of
from harvester.store.sorting import sorted_lines
from harvester.zoho.contacts import identity_of_record
from harvester.zoho.privacy import KEEP_ALL, Privacy

LOOK_UP_ROWS = 5_000
"""Rows read between two looks at whether to go on: a tenth of a second of work."""

CURE = "harvester verify --repair has it harvested again"

Watch = Callable[[int], None]
"""Is told of bytes that were read; may raise `CutOffError` to end the comparison."""


class CutOffError(Exception):
    """The run is to stop: what was compared so far of this job is given up."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison came to; `changes` lacks its path until the draft is in its place."""

    changes: JobChanges
    drafted: Drafted | None = None


@dataclass(slots=True)
class Told:
    """What was written so far, as the event tells it: `jobs` compared and `left_out`, and contacts."""

    jobs: int = 0
    added: int = 0
    removed: int = 0
    changed: int = 0
    left_out: int = 0

    def add(self, changes: JobChanges) -> None:
        """Take in what one comparison came to."""
        self.jobs += changes.left_out is None
        self.left_out += changes.left_out is not None
        self.added += changes.added
        self.removed += changes.removed
        self.changed += changes.changed


@dataclass(frozen=True, slots=True)
class ChangeDesk:
    """Where the changes of one account are written.

    Attributes:
        book: what the ledger knows of them.
        files: where they go.
        output: the folder that holds what is compared.
        privacy: what is kept of contacts: an older partition is compared as if it had been written under it.
    """

    book: ChangeBook
    files: ChangeFiles
    output: Path
    privacy: Privacy = KEEP_ALL

    def take(self, compared: Comparable, outcome: Compared) -> JobChanges:
        """Put the change file into its place, and only then take the ledger's word for it."""
        changes = replace(outcome.changes, path=self.files.publish(compared.job, outcome.drafted))
        self.book.note(compared, changes)
        return changes


def lock_folder(state: Path, account: str) -> Path:
    """Return the folder to be held by whoever writes the changes of an account."""
    return state / "changes" / account


async def write_changes(bench: AccountBench, harvest: Harvest, output: Path) -> None:
    """Write what changed in each set that was read on a date and is not compared yet, until the run stops.

    First come earlier dates whose runs were stopped before they came to it: all of the files together tell the whole.
    Where another process writes changes of the account, they are left to it and to the next run.

    Args:
        bench: the account.
        harvest: the date.
        output: the output folder.

    Raises:
        DiskError: a change file cannot be put into its place.
    """
    compression = Compression(bench.settings.harvest.compression)
    files = ChangeFiles(output, bench.name, compression)
    desk = ChangeDesk(ChangeBook(bench.store.database), files, output, bench.privacy)
    with ExitStack() as stack:
        held = exclusive(lock_folder(bench.settings.state, bench.name))
        try:
            await bench.tools.offload_disk(partial(stack.enter_context, held))
        except BusyError as busy:
            bench.tools.emit(ChangesLeftOut(bench.name, harvest.date.isoformat(), "", "", busy.message.rstrip(".")))
            return
        for earlier in await bench.tools.offload_disk(partial(desk.book.cut_off, harvest)):
            if await _write_date(bench, earlier, desk):
                await bench.tools.offload_disk(partial(_tell_in_manifest, bench, earlier, output))
        await _write_date(bench, harvest, desk)


async def _write_date(bench: AccountBench, harvest: Harvest, desk: ChangeDesk) -> bool:
    """Write the changes of one date, tell of them, and return whether there were any jobs to be compared."""
    told = await _write_all(bench, harvest, desk)
    if told.jobs or told.left_out:
        bench.tools.emit(ChangesWritten(bench.name, harvest.date.isoformat(), **asdict(told)))
    return bool(told.jobs or told.left_out)


def _tell_in_manifest(bench: AccountBench, harvest: Harvest, output: Path) -> None:
    with exclusive(bench.settings.state, MANIFEST_WAIT_S):
        write_manifest(output, bench.store.ledger, harvest, now_of(bench.tools))


async def _write_all(bench: AccountBench, harvest: Harvest, desk: ChangeDesk) -> Told:
    tools, told = bench.tools, Told()

    def watch(_bytes: int) -> None:
        if tools.stop.is_asked:
            raise CutOffError

    await tools.offload_disk(desk.files.clear)
    due = desk.book.due(harvest, (), desk.files.is_there)
    with suppress(CutOffError):
        while not tools.stop.is_asked and (job := await tools.offload_disk(partial(next, due, None))) is not None:
            outcome = await tools.offload(partial(_compare_if_there_is_room, job, desk, watch))
            changes = await tools.offload_disk(partial(desk.take, job, outcome))
            told.add(changes)
            _tell_left_out(job, changes, tools.emit)
    return told


def _compare_if_there_is_room(compared: Comparable, desk: ChangeDesk, watch: Watch) -> Compared:
    """Compare, but let no lack of room for what is temporary keep a harvest from its manifest."""
    try:
        return compare(compared, desk, watch)
    except DiskError as error:
        return Compared(JobChanges(left_out=f"{error.message.rstrip('.')}; {error.remedy}".rstrip("; ")))


def _tell_left_out(compared: Comparable, changes: JobChanges, emit: Emit) -> None:
    """Tell of a comparison that was left out; nothing of others."""
    if changes.left_out is not None:
        job = compared.job
        emit(ChangesLeftOut(job.account, job.date.isoformat(), job.campaign.key, job.action, changes.left_out))


def compare(compared: Comparable, desk: ChangeDesk, watch: Watch) -> Compared:
    """Hold a job's partition against the one before, and draft its change file.

    Nothing is compared where one of the two is not what was published: that is said instead.

    Raises:
        CutOffError: `watch` ended it.
        DiskError: the draft, or what does not fit into memory, cannot be written.
    """
    earlier = compared.earlier
    changes = JobChanges()
    if earlier is not None:
        changes = replace(changes, against=earlier.date.isoformat(), against_sha256=earlier.partition.sha256)
    sides = (compared.partition, *([earlier.partition] if earlier else []))
    if trouble := next(filter(None, (_trouble_with(side, desk.output) for side in sides)), ""):
        return Compared(replace(changes, left_out=trouble))
    try:
        return _drafted(compared, changes, desk, watch)
    except UNREADABLE:
        paths = " or ".join(side.path for side in sides)
        return Compared(replace(changes, left_out=f"{paths}: it cannot be read, or a line of it is no record; {CURE}"))


def _trouble_with(partition: Published, output: Path) -> str:
    trouble = trouble_with(output / partition.path, partition.bytes, partition.sha256)
    return trouble and f"{partition.path}: {trouble}; {CURE}"


def _drafted(compared: Comparable, changes: JobChanges, desk: ChangeDesk, watch: Watch) -> Compared:
    parts, counts = desk.files.parts, Counter[ChangeKind]()
    before = _keyed_lines(compared.earlier.partition, desk, watch) if compared.earlier else ()
    now = _keyed_lines(compared.partition, desk, watch)
    with closing(sorted_lines(before, parts)) as old, closing(sorted_lines(now, parts)) as new:
        drafted = desk.files.draft(_lines(differences(old, _watched(new, watch, 0)), counts))
    added, removed, changed = (counts[kind] for kind in ChangeKind)
    changes = replace(changes, added=added, removed=removed, changed=changed)
    if drafted is not None:
        changes = replace(changes, bytes=drafted.bytes, sha256=drafted.sha256)
    return Compared(changes, drafted)


def _keyed_lines(partition: Published, desk: ChangeDesk, watch: Watch) -> Iterator[bytes]:
    """Yield the lines of a partition behind their keys, and tell `watch` of its bytes as they are used up."""
    step_bytes = partition.bytes * LOOK_UP_ROWS // max(1, partition.rows)
    for line in _watched(lines_of(desk.output / partition.path), watch, step_bytes):
        yield keyed(desk.privacy.line(line), identity_of_record)
    watch(partition.bytes - step_bytes * (partition.rows // LOOK_UP_ROWS))


def _watched(lines: Iterable[bytes], watch: Watch, step_bytes: int) -> Iterator[bytes]:
    for number, line in enumerate(lines, start=1):
        yield line
        if number % LOOK_UP_ROWS == 0:
            watch(step_bytes)


def _lines(changes: Iterable[Change], counts: Counter[ChangeKind]) -> Iterator[bytes]:
    """Yield changes as lines, and count them by kind."""
    for change in changes:
        counts[change.kind] += 1
        yield change.to_line()
