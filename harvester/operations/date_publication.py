"""One date on its way to an object store: its files, then the manifest that names them, `_SUCCESS` last."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

from harvester.cloud.bucket import PART_BYTES
from harvester.cloud.delivery import Courier
from harvester.cloud.refusals import GO_ON
from harvester.errors import StoppedError, VerificationError
from harvester.events import PublishFinished, PublishStarted, PublishStored
from harvester.operations.destination import Work
from harvester.publication import Deliverable
from harvester.report.publishing import DateLine
from harvester.store.date_files import DateFiles, ManifestFile, content_of
from harvester.store.publications import BATCH_PATHS, Publications

T = TypeVar("T")

Due = list[tuple[Deliverable, bool]]
"""Files that are to be uploaded, each with whether an object may be there."""


@dataclass(frozen=True, slots=True)
class PublishDesk:
    """What publishing an account works with.

    Attributes:
        account: its name.
        output: the output folder.
        lock: the folder to be held by whoever publishes the account.
        book: what the ledger knows of objects.
        courier: brings files to the store.
        concurrency: files under way at once.
        work: what it takes from the run or command that it is part of.
    """

    account: str
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

    def is_known(self, files: DateFiles) -> bool:
        """Tell whether a date was published, or is on its way; reads the ledger."""
        return self.book.word(files.manifest_path) is not None

    async def each(self, items: Sequence[T], do: Callable[[T], Awaitable[None]]) -> None:
        """Do something with each item, with no more than `concurrency` at once."""
        slots = asyncio.Semaphore(self.concurrency)

        async def one(item: T) -> None:
            async with slots:
                self.heed()
                await do(item)

        async with asyncio.TaskGroup() as group:
            for item in items:
                group.create_task(one(item))

    async def doubt(self, paths: Sequence[str]) -> None:
        """Take back what is said of objects, before the store is asked to change them."""
        await self.work.offload_disk(partial(self._doubt, paths))

    def _doubt(self, paths: Sequence[str]) -> None:
        self.book.doubt(paths)
        self.courier.bucket.clear_leftovers(paths)


async def take_back(desk: PublishDesk, files: DateFiles) -> None:
    """Take back the word that a date is whole: first the ledger's, then what readers see."""
    desk.heed()
    names = [files.success.path, files.manifest_path]
    await desk.doubt(names)
    for path in names:
        await desk.courier.remove(path)


async def remove_unnamed(desk: PublishDesk, files: DateFiles, kept: Collection[int]) -> int:
    """Remove the objects of a date but those whose paths hash to a number in `kept`; return how many there were."""
    removed, present = 0, unnamed(desk, files, kept)
    while batch := await desk.work.offload_disk(lambda: list(islice(present, BATCH_PATHS))):
        await desk.doubt(batch)
        await desk.each(batch, desk.courier.remove)
        await desk.work.offload_disk(partial(desk.book.drop, batch))
        removed += len(batch)
    return removed


def unnamed(desk: PublishDesk, files: DateFiles, kept: Collection[int]) -> Iterator[str]:
    """Yield the objects of a date that are not to be kept."""
    present = chain.from_iterable(map(desk.book.below, files.folders))
    return (path for path in present if hash(path) not in kept)


@dataclass(frozen=True, slots=True)
class Survey:
    """What a date needs.

    Attributes:
        files: to be uploaded, beside manifest, `_SUCCESS` and what comes with earlier dates.
        bytes: of these.
        is_changing: whether objects that may be there are to be replaced or removed: other dates may name them.
    """

    files: int
    bytes: int
    is_changing: bool


class DatePublication:
    """One date on its way.

    Args:
        desk: of its account.
        files: of the date.
        manifest: as it lay there at the beginning; if another one comes meanwhile, the publishing ends.
    """

    def __init__(self, desk: PublishDesk, files: DateFiles, manifest: ManifestFile) -> None:
        self._desk = desk
        self._files = files
        self._manifest = manifest
        self._named = set[int]()  # hashes: the paths of 900,000 jobs themselves would weigh 150 MB

    async def survey(self, counted: set[int]) -> Survey:
        """Return what is to be done; `counted` holds hashes of the paths that come with earlier dates, and grows."""
        files, size_bytes, is_replacing = 0, 0, False
        async for due in self._due():
            fresh = [deliverable for deliverable, _ in due if hash(deliverable.path) not in counted]
            counted.update(hash(deliverable.path) for deliverable in fresh)
            files += len(fresh)
            size_bytes += sum(deliverable.bytes for deliverable in fresh)
            is_replacing |= any(is_known for _, is_known in due)
        is_removing = await self._desk.work.offload_disk(self._has_unnamed)
        self._named.clear()
        return Survey(files, size_bytes, is_replacing or is_removing)

    async def publish(self, survey: Survey) -> DateLine:
        """Bring what the store does not have; what is changed by it was taken back before."""
        desk, harvest = self._desk, self._files.harvest
        account, day = harvest.account, harvest.date.isoformat()
        desk.work.emit(PublishStarted(account, day, survey.files, survey.bytes))
        files, size_bytes = 0, 0
        async for due in self._due():
            await desk.doubt([deliverable.path for deliverable, _ in due])
            await desk.each(due, self._upload_named)
            files += len(due)
            size_bytes += sum(deliverable.bytes for deliverable, _ in due)
        kept = await desk.work.offload_disk(self._kept)
        removed = await remove_unnamed(desk, self._files, kept)
        await self._upload_words()
        desk.work.emit(PublishFinished(account, day, files, size_bytes, removed))
        return DateLine(account, day, self._manifest.state, files, size_bytes, removed)

    async def _upload_named(self, each: tuple[Deliverable, bool]) -> None:
        deliverable, is_known = each
        await self._upload(deliverable, is_known=is_known)
        harvest = self._files.harvest
        self._desk.work.emit(
            PublishStored(harvest.account, harvest.date.isoformat(), deliverable.path, deliverable.bytes)
        )

    async def _upload_words(self) -> None:
        """Upload the manifest, and after it `_SUCCESS` where every job of the date is done; else remove that before."""
        desk, success = self._desk, self._files.success
        desk.heed()
        is_complete = self._manifest.state == "complete"
        words = await desk.work.offload_disk(partial(desk.book.words, [success.path, self._files.manifest_path]))
        there = {path for path, word in words.items() if word.sha256 is not None}
        if success.path in words and not is_complete:
            await desk.doubt([success.path])
            await desk.courier.remove(success.path)
            await desk.work.offload_disk(partial(desk.book.drop, [success.path]))
        await desk.doubt([self._files.manifest_path])
        is_known = self._files.manifest_path in there
        await self._upload(self._manifest.deliverable, is_known=is_known, modified_ns=self._manifest.modified_ns)
        if is_complete and success.path not in there:
            await desk.doubt([success.path])
            await self._upload(success, is_known=False)

    async def _due(self) -> AsyncIterator[Due]:
        """Yield the files that the store does not have, in batches, so that the disk serves others in between."""
        named = self._files.deliverables()
        while (due := await self._desk.work.offload_disk(partial(self._next_due, named))) is not None:
            yield due

    def _next_due(self, named: Iterator[Deliverable]) -> Due | None:
        batch = list(islice(named, BATCH_PATHS))
        if self._files.modified_ns() != self._manifest.modified_ns:
            raise self._taken_up()
        if not batch:
            return None
        self._named.update(hash(deliverable.path) for deliverable in batch)
        words = self._desk.book.words([deliverable.path for deliverable in batch])
        return [
            (deliverable, word is not None)
            for deliverable in batch
            if (word := words.get(deliverable.path)) is None or word.sha256 != deliverable.sha256
        ]

    def _kept(self) -> set[int]:
        words = {hash(path) for path in (self._files.manifest_path, self._files.success.path)}
        return self._named | words | {hash(path) for path in self._desk.book.carried(self._files.harvest)}

    def _has_unnamed(self) -> bool:
        return any(True for _ in unnamed(self._desk, self._files, self._kept()))

    async def _upload(self, deliverable: Deliverable, *, is_known: bool, modified_ns: int | None = None) -> None:
        """Bring one file to its key, and only then take the ledger's word for it."""
        desk = self._desk
        content = await desk.work.offload(partial(self._content, deliverable))
        try:
            await desk.courier.deliver(deliverable, content, is_known=is_known)
        finally:
            if isinstance(content, BufferedReader):
                content.close()
        await desk.work.offload_disk(partial(desk.book.note, deliverable, modified_ns))

    def _content(self, deliverable: Deliverable) -> bytes | BufferedReader:
        try:
            return content_of(self._desk.output, deliverable, PART_BYTES)
        except VerificationError as error:
            if self._files.modified_ns() == self._manifest.modified_ns:
                raise
            raise self._taken_up(error.message) from None

    def _taken_up(self, *details: str) -> StoppedError:
        what = f"{self._files.output / self._files.manifest_path}: a run has taken the date up meanwhile."
        return StoppedError(" ".join((*details, what)), GO_ON)
