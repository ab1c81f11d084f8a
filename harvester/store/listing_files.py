"""The file of a harvest date with all sent campaigns of the account, and the ledger's word for it.

It is written beside its place and moved there whole; only then does the ledger take the word for it, and for the
listing having been read to its end. It holds the addresses of senders, as partitions do those of recipients.
"""

import datetime as dt
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any, Self

import orjson

from harvester.errors import VerificationError
from harvester.flaws import Flaw, FlawKind
from harvester.listing import CampaignType, Listing, SentCampaign
from harvester.model import Discovery, Harvest
from harvester.store.database import Database
from harvester.store.disk import disk_errors, make_folder, open_file, sync_folder

FOLDER = "campaigns"
NAME = "campaigns.jsonl"

EPOCH = dt.datetime.fromtimestamp(0, dt.UTC)

LIST_AGAIN = "List the campaigns again with --refresh."


class Draft:
    """The lines of a listing while its pages come; the system forgets it with the process, however that ends.

    Args:
        folder: on whose disk it lies; it has no name there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with disk_errors(folder):
            make_folder(folder)
            self._file = TemporaryFile(dir=folder)  # noqa: SIM115  it is a context itself

    def __enter__(self) -> Self:
        """Return the draft."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Give its space back."""
        self._file.close()

    def append(self, lines: bytes) -> None:
        """Take the lines of one more page."""
        with disk_errors(self._folder):
            self._file.seek(0, os.SEEK_END)
            self._file.write(lines)
            self._file.flush()  # what is closed later, by another thread, has nothing left to write

    def lines(self) -> Iterator[bytes]:
        """Yield all lines from the first."""
        self._file.seek(0)
        yield from self._file


class ListingFiles:
    """The listing files below one output folder.

    Args:
        output: the folder.
        database: the open ledger.
    """

    def __init__(self, output: Path, database: Database) -> None:
        self._output = output
        self._database = database

    def draft(self, harvest: Harvest) -> Draft:
        """Return an empty draft on the disk of the harvest's listing file."""
        return Draft(self._path(harvest).parent)

    def is_whole(self, harvest: Harvest) -> bool:
        """Tell whether the listing of a harvest was read to its end, and its file lies in its place.

        An empty one is asked for again: that costs one call, and to believe it by mistake all of a date.
        """
        listing = listing_of(self._database, harvest)
        if listing is None or not listing.campaigns or harvest.discovery is not Discovery.WHOLE:
            return False
        path = self._output / listing.path
        return path.is_file() and not path.is_symlink() and path.stat().st_size == listing.bytes

    def is_there(self, harvest: Harvest) -> bool:
        """Tell whether a harvest has a listing file."""
        return self._path(harvest).is_file()

    def lines(self, harvest: Harvest) -> Iterator[bytes]:
        """Yield the lines of a harvest's listing file."""
        path = self._path(harvest)
        with disk_errors(path), path.open("rb") as file:
            yield from file

    def campaigns_of(self, harvest: Harvest) -> Iterator[SentCampaign]:
        """Yield the sent campaigns of a harvest, each test half right behind its parent; memory stays flat.

        Raises:
            VerificationError: a line is no record of ours.
        """
        for number, line in enumerate(self.lines(harvest), start=1):
            try:
                yield _campaign_of(_read(line))
            except (ValueError, KeyError, TypeError):
                where = f"{self._path(harvest)}, line {number}"
                raise VerificationError(f"{where}: no record of a campaign.", LIST_AGAIN) from None

    def publish(self, harvest: Harvest, lines: Iterable[bytes], children_missing: int) -> Listing:
        """Put a whole listing in its place, and then tell the ledger that it is read to its end.

        Two runs must not do so at once: hold the state folder.

        Args:
            harvest: whose.
            lines: of the file; may be read from the file that is replaced.
            children_missing: A/B campaigns in it whose test halves are not known.
        """
        path = self._path(harvest)
        with disk_errors(path):
            campaigns, size_bytes, sha256 = _written(path, lines)
        listing = Listing(str(path.relative_to(self._output)), campaigns, size_bytes, sha256, children_missing)
        with self._database.writing(self._database.durable) as connection:
            connection.execute(
                "UPDATE harvests SET listing = ?, discovery = ? WHERE id = ?",
                (orjson.dumps(asdict(listing)).decode(), Discovery.WHOLE, harvest.id),
            )
        return listing

    def _path(self, harvest: Harvest) -> Path:
        return self._output / FOLDER / f"account={harvest.account}" / f"dt={harvest.date.isoformat()}" / NAME


def listing_of(database: Database, harvest: Harvest) -> Listing | None:
    """Return what the ledger knows of a harvest's listing file; None where there is none."""
    row = database.durable.execute("SELECT listing FROM harvests WHERE id = ?", (harvest.id,)).fetchone()
    return Listing(**orjson.loads(row["listing"])) if row and row["listing"] else None


def listing_flaws(output: Path, listing: Listing) -> Iterator[Flaw]:
    """Yield what is wrong with a listing file: gone, or other bytes than the ledger took its word for."""
    path = output / listing.path
    if path.is_symlink() or not path.is_file():
        yield Flaw(FlawKind.LISTING, listing.path, "the listing is not in its place")
        return
    with disk_errors(path), path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != listing.sha256:
        yield Flaw(FlawKind.LISTING, listing.path, "it has other bytes than were published")


def _written(path: Path, lines: Iterable[bytes]) -> tuple[int, int, str]:
    """Replace a file as a whole, durably, and return its lines, bytes and SHA-256."""
    campaigns, size_bytes, sha256 = 0, 0, hashlib.sha256()
    make_folder(path.parent)
    draft = path.with_name(f".{path.name}.draft")
    with _open_new(draft) as file:
        for line in lines:
            file.write(line)
            campaigns, size_bytes = campaigns + 1, size_bytes + len(line)
            sha256.update(line)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    sync_folder(path.parent)
    return campaigns, size_bytes, sha256.hexdigest()


@contextmanager
def _open_new(path: Path) -> Iterator[Any]:
    path.unlink(missing_ok=True)
    with open(open_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:  # noqa: PTH123  a path cannot be opened with a mode
        yield file


def _read(line: bytes) -> dict[str, Any]:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:  # a lone surrogate, which the standard library reads
        record = json.loads(line)
    return dict(record)


def _campaign_of(record: dict[str, Any]) -> SentCampaign:
    sent_at = record["sent_at"]
    return SentCampaign(
        key=record["campaign_key"],
        sent_at_ms=None if sent_at is None else _milliseconds(sent_at),
        sent_time_offset_ms=None,
        name=record["name"] or "",
        type=CampaignType(record["type"]),
        parent_key=record["parent_campaign_key"],
    )


def _milliseconds(moment: str) -> int:
    return (dt.datetime.fromisoformat(moment) - EPOCH) // dt.timedelta(milliseconds=1)
