"""Finished dates as fewer and larger files; behind `harvester export` and `harvester compact`."""

import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

import orjson

from harvester.errors import ConfigError, StoppedError, VerificationError
from harvester.flaws import REMEDIES, FlawKind
from harvester.operations.choosing import Choice, chosen_harvests
from harvester.operations.holding import CHANGED, holdings_of, manifest_of, manifests_of
from harvester.operations.opening import opened
from harvester.report.figures import counted, duration, size
from harvester.report.printable import printable
from harvester.report.progress import reading_progress
from harvester.report.quiet import quiet
from harvester.report.results import result_stream
from harvester.setting_values import real_path
from harvester.settings import Settings
from harvester.store.change_files import CHANGES
from harvester.store.database import Database
from harvester.store.erasure import open_erasures
from harvester.store.exports import (
    Export,
    ExportedAction,
    ExportedDate,
    ExportedFile,
    concatenate,
    described,
    sources_sha256,
    sweep,
)
from harvester.store.ledger import Ledger
from harvester.store.listing_files import FOLDER as LISTINGS
from harvester.store.lock import exclusive
from harvester.store.partitions import PARTS, QUARANTINE, RECIPIENTS
from harvester.store.purging import refuse_half_purged
from harvester.warehouse.batches import batches, by_action
from harvester.warehouse.holdings import Reading

LOCK = "exports"
"""The folder below the state folder that an export holds while it is at work."""

OWN_FOLDERS = (RECIPIENTS, QUARANTINE, CHANGES, LISTINGS, PARTS)
"""What is the ledger's below the output folder."""

RUNNING = "running"
PURGED = "purged"
"""The states of a date whose run has not come to its end, and of one of which only what later dates carry is left."""

UNFINISHED = "left out, as its run has not come to its end: give the same command after it"


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


@dataclass(frozen=True, slots=True)
class Stock:
    """What there is to export of a date; `state` is its manifest's word, or `PURGED`."""

    account: str
    date: str
    state: str
    readings: Sequence[Reading]

    @property
    def bytes(self) -> int:
        """The size of all readings."""
        return sum(reading.bytes for reading in self.readings)


@dataclass(slots=True)
class Exported:
    """What an export came to.

    Attributes:
        dates: that are other than before.
        unchanged: dates that stood already.
        files: that were written, with their `rows` and `bytes`.
        rows: likewise.
        bytes: likewise.
        left_out: dates that could not be exported yet, a sentence for each.
    """

    dates: int = 0
    unchanged: int = 0
    files: int = 0
    rows: int = 0
    bytes: int = 0
    left_out: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """Of the command."""
        return StoppedError.exit_code if self.left_out else 0


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

    def export(self, stock: Stock) -> None:
        """Export one date: what is there of it already, made of the same sources, stays.

        Raises:
            VerificationError: a partition is not the one that the manifest names.
            DiskError: the disk refuses.
        """
        if stock.state == RUNNING:
            self.exported.left_out.append(f"{stock.account} {stock.date}: {UNFINISHED}")
            return
        files = ExportedDate(self._home, Export(self._maker.form, self._maker.shape, stock.account, stock.date))
        actions = by_action(stock.readings)
        for action, sources in actions.items():
            sha256 = sources_sha256((source.path, source.sha256) for source in sources)
            known = files.actions.get(action)
            if known is None or known.sources_sha256 != sha256:
                self._renew(files, action, sources, sha256)
            self._advance(sum(source.bytes for source in sources))
        is_news = files.finish(list(actions), stock.state)
        self.exported.dates += is_news
        self.exported.unchanged += not is_news

    def _renew(self, files: ExportedDate, action: str, sources: list[Reading], sha256: str) -> None:
        made = [self._made(files, action, number, batch) for number, batch in enumerate(batches(sources))]
        told = ExportedAction(len(sources), sha256, tuple(file for _, file in made))
        files.place(action, told, [draft for draft, _ in made])
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
        VerificationError: a manifest or partition is not as it should be, or forgetting or a purge was cut off.
        DiskError: the disk refuses.
    """
    _check_place(settings, home)
    with opened(settings) as database, exclusive(settings.state / LOCK):
        _refuse_beside_an_erasure(database)
        refuse_half_purged(database)
        sweep(home)
        stocks = _stocks(settings.output, Ledger(database, ""), choice)
        with reading_progress(sys.stderr, "exporting", sum(stock.bytes for stock in stocks)) as advance:
            exporting = Exporting(settings.output, home, maker, advance)
            for stock in stocks:
                exporting.export(stock)
    return exporting.exported


def _refuse_beside_an_erasure(database: Database) -> None:
    """Raise VerificationError where somebody is not forgotten yet: what is copied now may go where nobody erases it."""
    if open_erasures(database):
        what = f"{database.path}: harvester forget was cut off; nothing was exported."
        raise VerificationError(what, REMEDIES[FlawKind.ERASURE])


def _stocks(output: Path, ledger: Ledger, choice: Choice) -> list[Stock]:
    """Return what there is of the chosen dates, the oldest first; of purged ones what manifests of later dates name."""
    chosen, known = chosen_harvests(ledger.harvests(is_purged_too=True), choice), set(ledger.harvests())
    named = {manifest_of(output, each.account, each.date.isoformat()) for each in chosen if each in known}
    manifests = {manifest for manifest in named if manifest.exists()}
    if not known.issuperset(chosen):
        manifests.update(manifests_of(output))
    holdings = holdings_of(sorted(manifests))
    readings = defaultdict[tuple[str, str], list[Reading]](list)
    for reading in holdings.readings:
        readings[reading.account, reading.date].append(reading)
    stocks = []
    for harvest in chosen:
        date = (harvest.account, harvest.date.isoformat())
        state = holdings.states.get(date, RUNNING if harvest in known else PURGED)
        if readings[date] or state != PURGED:
            stocks.append(Stock(*date, state, readings[date]))
    return stocks


def _check_place(settings: Settings, home: Path) -> None:
    """Refuse a home in which exports and what the ledger knows would be taken for each other, or that has no text."""
    if not _is_utf_8(home):
        raise ConfigError(f"{printable(str(home))} is no place for exports: its name is not UTF-8.", "Name another.")
    output, place = real_path(settings.output), real_path(home)
    own = [real_path(settings.state), *(output / folder for folder in OWN_FOLDERS)]
    is_own = place in {output, *output.parents} or any(place == folder or folder in place.parents for folder in own)
    if is_own or any(manifests_of(place)):
        raise ConfigError(f"{home} is no place for exports: harvester keeps its own files there.", "Name another.")


def _is_utf_8(path: Path) -> bool:
    """Tell whether a path can be said in JSON and SQL: bytes that are no UTF-8 come as lone surrogates."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def tell(exported: Exported, home: Path, seconds: float, *, is_json: bool) -> None:
    """Say what an export came to: sentences on standard error, JSON on standard output.

    Raises:
        DiskError: standard output cannot be written.
    """
    written = f"{counted(exported.rows, 'row')} in {counted(exported.files, 'file')} ({size(exported.bytes)})"
    stood = f"; {counted(exported.unchanged, 'date')} stood already" if exported.unchanged else ""
    last = f"exported: {written} to {home} in {duration(seconds)}{stood}"
    quiet(sys.stderr).writelines(f"{line}\n" for line in (*exported.left_out, last))
    if is_json:
        told = {"exit_code": exported.exit_code, **asdict(exported), "home": str(home), "seconds": round(seconds, 3)}
        with result_stream(sys.stdout) as out:
            out.write(orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE).decode())
