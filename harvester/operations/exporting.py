"""Finished dates as fewer and larger files; behind `harvester export` and `harvester compact`."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

import orjson

from harvester.errors import ConfigError, VerificationError
from harvester.model import Harvest
from harvester.operations.choosing import Choice, chosen_harvests
from harvester.operations.holding import holdings_of, manifest_of
from harvester.operations.opening import opened
from harvester.report.figures import counted, duration, size
from harvester.report.progress import reading_progress
from harvester.report.quiet import quiet
from harvester.setting_values import real_path
from harvester.settings import Settings
from harvester.store.change_files import CHANGES
from harvester.store.erasure import refuse_unsettled
from harvester.store.exports import ExportedAction, ExportedDate, ExportedFile, concatenate, described, sweep
from harvester.store.ledger import Ledger
from harvester.store.listing_files import FOLDER as LISTINGS
from harvester.store.lock import exclusive
from harvester.store.partitions import QUARANTINE, RECIPIENTS
from harvester.warehouse.batches import batches, by_action, fingerprint
from harvester.warehouse.holdings import Reading

LOCK = "exports"
"""The folder below the state folder that an export holds while it is at work."""

OWN_FOLDERS = (RECIPIENTS, QUARANTINE, CHANGES, LISTINGS, "_parts")
"""What is the ledger's below the output folder."""

CHANGED = "Where a run was at work give the same command again; else harvester verify tells what is wrong."


class Maker(Protocol):
    """A way to make one file of several partitions.

    Attributes:
        form: as what.
        shape: says in what way, so that another way asks for new files.
    """

    form: str
    shape: str

    def ending(self, sources: Sequence[Reading]) -> str:
        """Return how the name of a file of these sources ends."""

    def make(self, sources: Sequence[Reading], target: Path) -> None:
        """Write the file, and hold it against its sources.

        Raises:
            VerificationError: a source, or the file, is not what it should be.
            DiskError: the disk refuses.
        """


@dataclass(slots=True)
class Exported:
    """What an export came to: dates that are other than before, dates that stood already, and what was written."""

    dates: int = 0
    unchanged: int = 0
    files: int = 0
    rows: int = 0
    bytes: int = 0


class Exporting:
    """Makes the files of one date after another.

    Args:
        output: the output folder.
        home: the folder of the exports.
        maker: makes a file.
        advance: is told of the bytes of the sources that are done with.
    """

    def __init__(self, output: Path, home: Path, maker: Maker, advance: Callable[[int], None]) -> None:
        self._output = output
        self._home = home
        self._maker = maker
        self._advance = advance
        self.exported = Exported()

    def export(self, account: str, date: str, readings: Sequence[Reading]) -> None:
        """Export one date: what is there of it already, made of the same sources, stays.

        Raises:
            VerificationError: a partition is not the one that the manifest names.
            DiskError: the disk refuses.
        """
        files = ExportedDate(self._home, self._maker.form, account, date)
        actions = by_action(readings)
        for action, sources in actions.items():
            sources_sha256 = fingerprint(sources, self._maker.shape)
            known = files.actions.get(action)
            if known is None or known.sources_sha256 != sources_sha256:
                self._publish(files, action, sources, sources_sha256)
            self._advance(sum(source.bytes for source in sources))
        is_news = files.finish(list(actions))
        self.exported.dates += is_news
        self.exported.unchanged += not is_news

    def _publish(self, files: ExportedDate, action: str, sources: list[Reading], sources_sha256: str) -> None:
        made = [self._made(files, action, number, batch) for number, batch in enumerate(batches(sources))]
        told = ExportedAction(len(sources), sources_sha256, tuple(file for _, file in made))
        files.publish(action, told, [draft for draft, _ in made])
        self.exported.files += len(told.files)
        self.exported.rows += sum(file.rows for file in told.files)
        self.exported.bytes += sum(file.bytes for file in told.files)

    def _made(
        self, files: ExportedDate, action: str, number: int, sources: Sequence[Reading]
    ) -> tuple[Path, ExportedFile]:
        draft = files.draft(action, number)
        self._maker.make(sources, draft)
        place = files.path_of(action, number, self._maker.ending(sources))
        return draft, described(draft, place, sum(source.rows for source in sources))


class Joined:
    """Lines as they stand, one partition behind the other: frames need not be taken apart for that.

    Args:
        output: the output folder.
    """

    form = "jsonl"
    shape = "jsonl 1"

    def __init__(self, output: Path) -> None:
        self._output = output

    def ending(self, sources: Sequence[Reading]) -> str:
        """See `Maker`: sources of one batch have one ending."""
        name = PurePosixPath(sources[0].path).name
        return name[name.index(".jsonl") :]

    def make(self, sources: Sequence[Reading], target: Path) -> None:
        """See `Maker`: what was copied are the very bytes that were published."""
        digests = concatenate([self._output / source.path for source in sources], target)
        for source, sha256 in zip(sources, digests, strict=True):
            if sha256 != source.sha256:
                raise changed(self._output / source.path)


def changed(path: Path) -> VerificationError:
    """Return the error that says that a partition is not the one that the manifest names."""
    return VerificationError(f"{path}: it is not the file that the manifest names: its SHA-256 differs.", CHANGED)


def export(settings: Settings, home: Path, maker: Maker, choice: Choice) -> Exported:
    """Export the chosen dates, the oldest first; one process at a time.

    Raises:
        ConfigError: what was named is not there.
        BusyError: another export is at work.
        VerificationError: a manifest or partition is not as it should be, or forgetting was cut off.
        DiskError: the disk refuses.
    """
    _check_place(settings, home)
    with opened(settings) as database:
        harvests = chosen_harvests(Ledger(database, "").harvests(), choice)
        refuse_unsettled(database)
    with exclusive(settings.state / LOCK):
        sweep(home)
        total_bytes = sum(reading.bytes for harvest in harvests for reading in _readings(settings, harvest))
        with reading_progress(sys.stderr, "exporting", total_bytes) as advance:
            exporting = Exporting(settings.output, home, maker, advance)
            for harvest in harvests:
                exporting.export(harvest.account, harvest.date.isoformat(), _readings(settings, harvest))
    return exporting.exported


def _check_place(settings: Settings, home: Path) -> None:
    """Refuse a home in which exports and what the ledger knows would be taken for each other."""
    output, place = real_path(settings.output), real_path(home)
    own = [real_path(settings.state), *(output / folder for folder in OWN_FOLDERS)]
    if place in {output, *output.parents} or any(place == folder or folder in place.parents for folder in own):
        raise ConfigError(f"{home} is no place for exports: harvester keeps its own files there.", "Name another.")


def tell(exported: Exported, home: Path, seconds: float, *, is_json: bool) -> None:
    """Say what an export came to: a sentence on standard error, JSON on standard output."""
    if is_json:
        told = {"exit_code": 0, **asdict(exported), "home": str(home), "seconds": round(seconds, 3)}
        quiet(sys.stdout).write(orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE).decode())
    written = f"{counted(exported.rows, 'row')} in {counted(exported.files, 'file')} ({size(exported.bytes)})"
    stood = f"; {counted(exported.unchanged, 'date')} stood already" if exported.unchanged else ""
    quiet(sys.stderr).write(f"exported: {written} to {home} in {duration(seconds)}{stood}\n")


def _readings(settings: Settings, harvest: Harvest) -> list[Reading]:
    return holdings_of([manifest_of(settings.output, harvest.account, harvest.date.isoformat())]).readings
