"""Brings finished dates to an object store, and keeps there what they name and nothing else.

A reader of the store finds a date whole, or without a manifest: before any object is replaced or removed, `_SUCCESS`
and manifest of every date that has changed are taken back there, since what they say may be of it. Where nothing but
new files comes, a date stays as it is until its new manifest takes the place of the old one. A date of which a file is
damaged keeps no other date from the store. Whoever is killed in between goes on from what ledger and store tell.
"""

import datetime as dt
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from harvester.cloud.refusals import GO_ON
from harvester.errors import BusyError, StoppedError, VerificationError
from harvester.events import PublishFinished, PublishLeftOut
from harvester.model import Discovery, Harvest
from harvester.operations.date_publication import (
    DatePublication,
    PublishDesk,
    Survey,
    remove_unnamed,
    take_back,
    unnamed,
)
from harvester.operations.destination import Work, open_courier, publish_lock
from harvester.report.publishing import DateLine
from harvester.settings import Settings
from harvester.store.date_files import DateFiles, ManifestFile, is_published
from harvester.store.erasure import open_erasures, refuse_unsettled
from harvester.store.ledger import Ledger
from harvester.store.lock import exclusive
from harvester.store.manifest import mistold
from harvester.store.publications import Publications

LOCK_WAIT_S = 600.0
"""How long one run waits for another that publishes the same account, or changes its files: the rest of a night's."""

LOCK_LOOK_S = 0.5

PURGED, UNPUBLISHED = "purged", "unpublished"
"""Dates that the ledger knows no more; dates of which others carry files, or did."""

UNFINISHED = "its run has not come to its end"
FORGETTING = "harvester forget was cut off: give it again"
"""Why a date is left out: its manifest is yet to be written, by a run or by an erasure."""


async def desk_of(settings: Settings, account: str, work: Work) -> PublishDesk:
    """Return what publishes an account to `publish.url`; errors as `open_courier`."""

    async def pause(wait_s: float) -> None:
        await work.stop.pause(wait_s)
        desk.heed()

    courier = await work.offload(partial(open_courier, settings, pause))
    book = Publications(work.database, courier.bucket.url)
    lock = publish_lock(settings.state, account)
    desk = PublishDesk(account, settings.output, lock, book, courier, settings.publish.concurrency, work)
    return desk


async def publish_harvest(settings: Settings, harvest: Harvest, work: Work) -> None:
    """Publish what a run has harvested; errors as `publish`.

    Raises:
        StoppedError: its date cannot be published yet.
    """
    lines = await publish(await desk_of(settings, harvest.account, work), [harvest])
    for line in lines:
        if line.left_out is not None and line.date == harvest.date.isoformat():
            raise StoppedError(f"{line.account} {line.date} is not published: {line.left_out}.", GO_ON)


@dataclass(frozen=True, slots=True)
class DueDate:
    """A date whose objects are not what lies in its folder.

    Attributes:
        harvest: the account and date.
        files: of it.
        manifest: as it lies there; None where there is none, or a run has yet to write it.
    """

    harvest: Harvest
    files: DateFiles
    manifest: ManifestFile | None


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Objects of a date that is not published itself; those are to stay whose paths hash to a number in `kept`."""

    files: DateFiles
    state: str
    kept: frozenset[int]


async def publish(desk: PublishDesk, chosen: Sequence[Harvest]) -> list[DateLine]:
    """Bring the chosen dates of one account to the store, and those published before that have changed since.

    What no published date names any more is removed.

    Args:
        desk: of the account.
        chosen: dates of it.

    Returns:
        What was done, the oldest date first; what was there before is passed over.

    Raises:
        HarvestError: it could not be done; alone or in a group.
    """
    async with _held(desk):
        due = await desk.work.offload_disk(partial(_due_dates, desk, chosen))
        return await _publish_due(desk, due) + await _remove_leftovers(desk)


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
                    what = f"Another process publishes {desk.account}, or changes its files (harvester forget, purge)."
                    raise BusyError(what, GO_ON) from None
            await desk.work.stop.pause(LOCK_LOOK_S)
        yield


def _due_dates(desk: PublishDesk, chosen: Sequence[Harvest] = ()) -> list[DueDate]:
    """Return the dates to publish, the oldest first: later ones name its files.

    What the ledger knows better than the manifests is read first: whoever changes a file marks the dates that name it
    before, and writes their manifests after it. So none that is about to change passes for one that has not.
    """
    refuse_unsettled(desk.work.database)
    untold = {harvest.id for harvest in mistold(desk.work.database, desk.account)}
    chosen_ids = {harvest.id for harvest in chosen}
    due = []
    for harvest in reversed(_harvests(desk)):
        files = DateFiles(desk.output, harvest)
        is_meant = harvest.id in chosen_ids or desk.is_known(files)
        if is_meant and (harvest.id in untold or not is_published(files, desk.book)):
            manifest = None if harvest.id in untold else files.manifest()
            is_over = manifest is not None and manifest.state != "running"
            due.append(DueDate(harvest, files, manifest if is_over else None))
    return due


def _harvests(desk: PublishDesk) -> list[Harvest]:
    """Return the dates of the account that the ledger knows, the newest first."""
    return [each for each in Ledger(desk.work.database, "").harvests() if each.account == desk.account]


async def _publish_due(desk: PublishDesk, due: Sequence[DueDate]) -> list[DateLine]:
    """Publish the dates that are over; the others are only taken back, where objects change that they may name."""
    ready = [DatePublication(desk, date.files, date.manifest) for date in due if date.manifest is not None]
    counted = set[int]()
    surveys = [await publication.survey(counted) for publication in ready]
    if any(survey.is_changing for survey in surveys):
        await _take_back_changed(desk)
    for files in await desk.work.offload_disk(partial(_strange, desk, due)):
        await take_back(desk, files)
    left_out = await _leave_out(desk, [date.harvest for date in due if date.manifest is None])
    published = await _publish_each(zip(ready, surveys, strict=True))
    return sorted([*left_out, *published], key=lambda line: line.date)


async def _publish_each(surveyed: Iterable[tuple[DatePublication, Survey]]) -> list[DateLine]:
    """Publish each date; what is damaged is told at the end: a later date that names it fails by itself."""
    lines, troubles = [], []
    for publication, survey in surveyed:
        try:
            lines.append(await publication.publish(survey))
        except* VerificationError as group:
            troubles.append(group)
    if troubles:
        raise ExceptionGroup("files are not what their manifests name", troubles)
    return lines


def _strange(desk: PublishDesk, due: Sequence[DueDate]) -> list[DateFiles]:
    """Return the dates to come of which nothing is known: a ledger that was lost may have published them."""
    return [each.files for each in due if each.manifest is not None and not desk.is_known(each.files)]


async def _take_back_changed(desk: PublishDesk) -> None:
    """Take back all published dates that are not what lies in their folders, before an object changes."""
    for files in await desk.work.offload_disk(partial(_changed, desk)):
        await take_back(desk, files)


def _changed(desk: PublishDesk) -> list[DateFiles]:
    known = {harvest.date.isoformat() for harvest in _harvests(desk)}
    purged = (_files_of(desk, date) for date in desk.book.dates(desk.account) if date not in known)
    return [files for files in purged if desk.is_known(files)] + [date.files for date in _due_dates(desk)]


def _files_of(desk: PublishDesk, date: str) -> DateFiles:
    return DateFiles(desk.output, Harvest(0, desk.account, dt.date.fromisoformat(date), Discovery.NONE))


async def _leave_out(desk: PublishDesk, harvests: Sequence[Harvest]) -> list[DateLine]:
    is_forgetting = await desk.work.offload_disk(partial(open_erasures, desk.work.database))
    why = FORGETTING if is_forgetting else UNFINISHED
    lines = [DateLine(each.account, each.date.isoformat(), state="running", left_out=why) for each in harvests]
    for line in lines:
        desk.work.emit(PublishLeftOut(line.account, line.date, why))
    return lines


async def _remove_leftovers(desk: PublishDesk) -> list[DateLine]:
    """Remove the objects of dates that are not published themselves, but those that published dates carry.

    What is to stay is settled by the ledger, before it is looked which manifests have changed: a run that has begun
    since to change what a date names has marked that date first, so it is taken back.
    """
    leftovers = await desk.work.offload_disk(partial(_leftovers, desk))
    if leftovers:
        await _take_back_changed(desk)
    lines = []
    for each in leftovers:
        removed = await remove_unnamed(desk, each.files, each.kept)
        account, day = desk.account, each.files.harvest.date.isoformat()
        desk.work.emit(PublishFinished(account, day, 0, 0, removed))
        lines.append(DateLine(account, day, each.state, removed=removed))
    return lines


def _leftovers(desk: PublishDesk) -> list[Leftovers]:
    """Return the dates of which objects are to be removed though they are not published, the oldest first."""
    known = {harvest.date.isoformat() for harvest in _harvests(desk)}
    found = []
    for date in desk.book.dates(desk.account):
        files = _files_of(desk, date)
        if date in known and desk.is_known(files):
            continue
        kept = frozenset(map(hash, desk.book.carried(files.harvest)))
        if any(True for _ in unnamed(desk, files, kept)):
            found.append(Leftovers(files, UNPUBLISHED if date in known else PURGED, kept))
    return found
