"""Brings finished dates to an object store: data first, then the manifest that names it, `_SUCCESS` last.

Before anything of a date is replaced, its `_SUCCESS` and manifest are taken back there: a reader of the store finds a
date whole, or without a manifest. Whoever is killed in between goes on from what ledger and store tell.
"""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from itertools import chain, islice
from pathlib import Path

from harvester.clock import SystemClock
from harvester.cloud.bucket import PART_BYTES
from harvester.cloud.delivery import Courier
from harvester.cloud.refusals import GO_ON
from harvester.errors import BusyError, StoppedError, VerificationError
from harvester.events import PublishFinished, PublishLeftOut, PublishStarted, PublishStored
from harvester.model import Discovery, Harvest
from harvester.operations.destination import Work, open_courier
from harvester.publication import Deliverable
from harvester.report.publishing import DateLine
from harvester.settings import Settings
from harvester.store.date_files import FOLDERS, DateFiles, ManifestFile, content_of, is_published
from harvester.store.ledger import Ledger
from harvester.store.lock import exclusive
from harvester.store.publications import BATCH_PATHS, Publications

LOCK_WAIT_S = 600.0
"""How long one run waits for another that publishes the same account: the rest of a night's files."""

LOCK_LOOK_S = 0.5

UNFINISHED = "its run has not come to its end"

Due = list[tuple[Deliverable, bool]]
"""Files that are to be uploaded, each with whether an object is probably there."""


@dataclass(frozen=True, slots=True)
class PublishDesk:
    """What publishing an account works with.

    Attributes:
        output: the output folder.
        lock: the folder to be held by whoever publishes the account.
        book: what the ledger knows of objects.
        courier: brings files to the store.
        concurrency: files under way at once.
        work: what it takes from the run or command that it is part of.
    """

    output: Path
    lock: Path
    book: Publications
    courier: Courier
    concurrency: int
    work: Work

    def heed(self) -> None:
        """Raise StoppedError if the run is asked to end."""
        stop = self.work.stop
        if stop.is_asked:
            raise StoppedError(f"{self.courier.bucket.url}: publishing was stopped ({stop.reason}).", GO_ON)


def desk_of(settings: Settings, account: str, work: Work) -> PublishDesk:
    """Return what publishes an account to `publish.url`; errors as `open_courier`."""
    publish = settings.publish
    book = Publications(work.database, publish.url or "")
    lock = settings.state / "publish" / account
    return PublishDesk(settings.output, lock, book, open_courier(settings), publish.concurrency, work)


async def publish_harvest(settings: Settings, harvest: Harvest, work: Work) -> None:
    """Publish what a run has harvested; errors as `publish`.

    Raises:
        StoppedError: its date cannot be published yet.
    """
    ledger = Ledger(work.database, "")
    known = [each for each in await work.offload_disk(ledger.harvests) if each.account == harvest.account]
    lines = await publish(desk_of(settings, harvest.account, work), [harvest], known)
    for line in lines:
        if line.left_out is not None and line.date == harvest.date.isoformat():
            raise StoppedError(f"{line.account} {line.date} is not published: {line.left_out}.", GO_ON)


@dataclass(frozen=True, slots=True)
class DueDate:
    """A date whose objects are not what lies in its folder; `manifest` is None where there is none."""

    harvest: Harvest
    files: DateFiles
    manifest: ManifestFile | None

    @property
    def is_over(self) -> bool:
        """Whether its run has come to its end, so that its files stand as the manifest says."""
        return self.manifest is not None and self.manifest.state != "running"


async def publish(desk: PublishDesk, chosen: Sequence[Harvest], known: Sequence[Harvest]) -> list[DateLine]:
    """Bring the chosen dates of one account to the store, and those published before that have changed since.

    Args:
        desk: of the account.
        chosen: dates.
        known: all dates of the account, the chosen ones among them.

    Returns:
        What was done, the oldest date first; what was there before is passed over.

    Raises:
        HarvestError: it could not be done; alone or in a group.
    """
    async with _held(desk):
        due = await desk.work.offload_disk(partial(_due_dates, desk, chosen, known))
        gone = await desk.work.offload_disk(partial(_gone_dates, desk, known))
        for files in (*gone, *(date.files for date in due)):
            await _take_back(desk, files)
        removed = [await _remove_date(desk, files) for files in gone]
        return removed + [await _publish_date(desk, date) for date in due]


@asynccontextmanager
async def _held(desk: PublishDesk) -> AsyncIterator[None]:
    """Hold the lock of the account; no thread waits for it."""
    with ExitStack() as stack:
        tries = int(LOCK_WAIT_S / LOCK_LOOK_S)
        while True:
            desk.heed()
            try:
                await desk.work.offload_disk(partial(stack.enter_context, exclusive(desk.lock)))
                break
            except BusyError:
                tries -= 1
                if not tries:
                    raise BusyError("Another process publishes this account.", GO_ON) from None
            await desk.work.stop.pause(LOCK_LOOK_S)
        yield


def _due_dates(desk: PublishDesk, chosen: Sequence[Harvest], known: Sequence[Harvest]) -> list[DueDate]:
    """Return the dates to publish, the oldest first: later ones name its files."""
    chosen_ids = {harvest.id for harvest in chosen}
    due = []
    for harvest in sorted(known, key=lambda each: each.date):
        files = DateFiles(desk.output, harvest)
        is_meant = harvest.id in chosen_ids or desk.book.word(files.manifest_path) is not None
        if is_meant and not is_published(files, desk.book):
            due.append(DueDate(harvest, files, files.manifest()))
    return due


def _gone_dates(desk: PublishDesk, known: Sequence[Harvest]) -> list[DateFiles]:
    """Return the dates that were published and purged since, as far as there are objects to remove."""
    account = known[0].account
    here = {harvest.date.isoformat() for harvest in known}
    dates = {date for folder in FOLDERS for date in desk.book.dates(f"{folder}/account={account}")} - here
    harvests = (Harvest(0, account, dt.date.fromisoformat(date), Discovery.NONE) for date in sorted(dates))
    gone = (DateFiles(desk.output, harvest) for harvest in harvests)
    return [files for files in gone if any(not (desk.output / path).exists() for path in _objects(desk, files))]


def _objects(desk: PublishDesk, files: DateFiles) -> Iterator[str]:
    """Yield the objects of a date that the ledger knows of."""
    return chain.from_iterable(map(desk.book.below, files.folders))


async def _remove_date(desk: PublishDesk, files: DateFiles) -> DateLine:
    """Remove the objects of a purged date, but those whose files are still there, since later dates refer to them."""
    harvest = files.harvest
    removed = await _remove(desk, files, lambda path: (desk.output / path).exists())
    account, day = harvest.account, harvest.date.isoformat()
    desk.work.emit(PublishFinished(account, day, 0, 0, removed))
    return DateLine(account, day, "purged", removed=removed)


async def _remove(desk: PublishDesk, files: DateFiles, is_kept: Callable[[str], bool]) -> int:
    """Remove the objects of a date, but those that are kept; return how many there were."""
    removed, present = 0, _objects(desk, files)
    while (path := await desk.work.offload_disk(partial(next, present, None))) is not None:
        if is_kept(path):
            continue
        desk.heed()
        await desk.work.offload_disk(partial(desk.book.doubt, [path]))
        await desk.courier.remove(path)
        await desk.work.offload_disk(partial(desk.book.drop, path))
        removed += 1
    return removed


async def _take_back(desk: PublishDesk, files: DateFiles) -> None:
    """Take back the word that a date is whole: first the ledger's, then what readers see."""
    desk.heed()
    names = [files.success.path, files.manifest_path]
    await desk.work.offload_disk(partial(desk.book.doubt, names))
    for path in names:
        await desk.courier.remove(path)


async def _publish_date(desk: PublishDesk, date: DueDate) -> DateLine:
    account, day = date.harvest.account, date.harvest.date.isoformat()
    if date.manifest is None or not date.is_over:
        desk.work.emit(PublishLeftOut(account, day, UNFINISHED))
        return DateLine(account, day, state="running", left_out=UNFINISHED)
    publication = DatePublication(desk, date.files, date.manifest)
    files, size_bytes = await publication.survey()
    desk.work.emit(PublishStarted(account, day, files, size_bytes))
    await publication.upload_named(partial(_tell, desk, account, day))
    removed = await publication.remove_unnamed()
    await publication.upload_words()
    desk.work.emit(PublishFinished(account, day, files, size_bytes, removed))
    return DateLine(account, day, date.manifest.state, files, size_bytes, removed)


def _tell(desk: PublishDesk, account: str, day: str, deliverable: Deliverable) -> None:
    desk.work.emit(PublishStored(account, day, deliverable.path, deliverable.bytes))


class DatePublication:
    """One date on its way, whose manifest was read and is taken back in the store.

    Args:
        desk: of its account.
        files: of the date.
        manifest: as it lay there at the beginning; if another one comes meanwhile, the publishing ends.
    """

    def __init__(self, desk: PublishDesk, files: DateFiles, manifest: ManifestFile) -> None:
        self._desk = desk
        self._files = files
        self._manifest = manifest
        self._named: set[int] = set()  # hashes: the paths of 900,000 jobs themselves would weigh 150 MB

    async def survey(self) -> tuple[int, int]:
        """Return how many files, of how many bytes together, are to be uploaded."""
        files = size_bytes = 0
        async for due in self._due():
            files += len(due)
            size_bytes += sum(deliverable.bytes for deliverable, _ in due)
        return files, size_bytes

    async def upload_named(self, told: Callable[[Deliverable], None]) -> None:
        """Upload the files that the manifest names and the store does not have; `told` hears of each."""
        slots = asyncio.Semaphore(self._desk.concurrency)

        async def one(deliverable: Deliverable, is_known: bool) -> None:  # noqa: FBT001  it comes from a pair
            async with slots:
                await self._upload(deliverable, is_known=is_known)
                told(deliverable)

        async for due in self._due():
            async with asyncio.TaskGroup() as group:
                for deliverable, is_known in due:
                    group.create_task(one(deliverable, is_known))

    async def remove_unnamed(self) -> int:
        """Remove the date's own objects that its manifest names no more; return how many there were."""
        words = {self._files.manifest_path, self._files.success.path}
        return await _remove(self._desk, self._files, lambda path: hash(path) in self._named or path in words)

    async def upload_words(self) -> None:
        """Upload the manifest, and after it `_SUCCESS` where every job of the date is done."""
        desk, success = self._desk, self._files.success
        await self._upload(self._manifest.deliverable, is_known=False, modified_ns=self._manifest.modified_ns)
        if self._manifest.state == "complete":
            await self._upload(success, is_known=False)
        else:
            await desk.work.offload_disk(partial(desk.book.drop, success.path))

    async def _due(self) -> AsyncIterator[Due]:
        """Yield the files that the store does not have, in batches, so that the disk serves others in between."""
        named = self._files.deliverables()
        while (due := await self._desk.work.offload_disk(partial(self._next_due, named))) is not None:
            yield due

    def _next_due(self, named: Iterator[Deliverable]) -> Due | None:
        batch = list(islice(named, BATCH_PATHS))
        if not batch:
            return None
        self._named.update(hash(deliverable.path) for deliverable in batch)
        words = self._desk.book.words([deliverable.path for deliverable in batch])
        return [
            (deliverable, word is not None)
            for deliverable in batch
            if (word := words.get(deliverable.path)) is None or word.sha256 != deliverable.sha256
        ]

    async def _upload(self, deliverable: Deliverable, *, is_known: bool, modified_ns: int | None = None) -> None:
        """Bring one file to its key, and only then take the ledger's word for it."""
        desk = self._desk
        desk.heed()
        content = await self._content(deliverable)
        try:
            if is_known:
                await desk.work.offload_disk(partial(desk.book.doubt, [deliverable.path]))
            stored = await desk.courier.deliver(deliverable, content, is_known=is_known)
        finally:
            if isinstance(content, BufferedReader):
                content.close()
        await desk.work.offload_disk(
            partial(desk.book.note, deliverable, stored.etag, SystemClock().wall_s(), modified_ns)
        )

    async def _content(self, deliverable: Deliverable) -> bytes | BufferedReader:
        try:
            return await self._desk.work.offload(partial(content_of, self._desk.output, deliverable, PART_BYTES))
        except VerificationError as error:
            if self._files.modified_ns() == self._manifest.modified_ns:
                raise
            raise StoppedError(f"{error.message} A run has taken the date up meanwhile.", GO_ON) from None
