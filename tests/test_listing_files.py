"""The listing file of a date: whole or not there, and the ledger's word for it."""

import json
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from factories import DATE, no_umask

from harvester.errors import DiskError, VerificationError
from harvester.flaws import FlawKind
from harvester.listing import CampaignType, SentCampaign, Split
from harvester.model import Discovery, Harvest
from harvester.store.database import Database
from harvester.store.ledger import Ledger
from harvester.store.listing_files import ListingFiles, listing_flaws, listing_of
from harvester.store.splits import Splits

MANY = 100_000


class KilledError(BaseException):
    """The process died here."""


class MortalDatabase(Database):
    """A ledger that dies before its next transaction, once it is told to."""

    is_dying = False

    @contextmanager
    def writing(self, connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        if self.is_dying:
            raise KilledError
        with super().writing(connection) as open_connection:
            yield open_connection


@pytest.fixture
def database(tmp_path: Path) -> Iterator[MortalDatabase]:
    with closing(MortalDatabase(tmp_path / "state" / "ledger.sqlite")) as opened:
        yield opened


@pytest.fixture
def files(tmp_path: Path, database: Database) -> ListingFiles:
    return ListingFiles(tmp_path / "data", database)


def harvest_of(database: Database) -> Harvest:
    return Ledger(database, "run-1").open_harvest("acme", DATE)


def line(key: str, **changes: object) -> bytes:
    plain = {"campaign_key": key, "parent_campaign_key": None, "name": "N", "type": "normal", "sent_at": None}
    return json.dumps(plain | changes).encode() + b"\n"


def test_a_listing_is_published_with_its_size_and_hash(tmp_path: Path, database: Database, files: ListingFiles) -> None:
    """The ledger knows the file to the byte, and that the listing was read to its end."""
    with no_umask():
        listing = files.publish(harvest_of(database), [line("3za"), line("3zb")], 1)

    path = tmp_path / "data" / "campaigns" / "account=acme" / f"dt={DATE}" / "campaigns.jsonl"
    assert path.read_bytes() == line("3za") + line("3zb")
    assert (listing.campaigns, listing.bytes, listing.children_missing) == (2, path.stat().st_size, 1)
    assert listing_of(database, harvest_of(database)) == listing
    assert harvest_of(database).discovery is Discovery.WHOLE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["campaigns.jsonl"]
    assert files.is_whole(harvest_of(database))
    assert list(listing_flaws(tmp_path / "data", listing)) == []


def test_L_03_a_kill_between_rename_and_ledger_leaves_a_listing_to_be_read_again(
    database: MortalDatabase, files: ListingFiles
) -> None:
    """The file stands, but nobody took the word for it: neither a first nor a later one counts."""
    harvest = harvest_of(database)
    database.is_dying = True
    with pytest.raises(KilledError):
        files.publish(harvest, [line("3za")], 0)
    database.is_dying = False

    assert listing_of(database, harvest) is None
    assert not files.is_whole(harvest_of(database))
    files.publish(harvest, [line("3za")], 0)
    database.is_dying = True
    with pytest.raises(KilledError):
        files.publish(harvest, [line("3za"), line("3zb")], 0)
    assert not files.is_whole(harvest_of(database))


def test_a_kill_while_it_is_written_leaves_the_old_file(database: Database, files: ListingFiles) -> None:
    """A draft that was cut off is thrown away by the next one."""
    files.publish(harvest_of(database), [line("3za")], 0)

    def dying() -> Iterator[bytes]:
        yield line("3zb")
        raise KilledError

    with pytest.raises(KilledError):
        files.publish(harvest_of(database), dying(), 0)

    assert files.is_whole(harvest_of(database))
    assert [campaign.key for campaign in files.campaigns_of(harvest_of(database))] == ["3za"]
    files.publish(harvest_of(database), [line("3zc")], 0)
    assert [campaign.key for campaign in files.campaigns_of(harvest_of(database))] == ["3zc"]


def _cut(path: Path) -> None:
    os.truncate(path, 5)


def _as_link(path: Path) -> None:
    path.rename(path.with_suffix(".moved"))
    path.symlink_to(path.with_suffix(".moved"))


@pytest.mark.parametrize("damage", [Path.unlink, _cut, _as_link])
def test_a_listing_that_is_gone_or_of_another_size_is_not_whole(
    damage: Callable[[Path], None], tmp_path: Path, database: Database, files: ListingFiles
) -> None:
    """It is listed again, and verification finds it."""
    listing = files.publish(harvest_of(database), [line("3za")], 0)

    damage(tmp_path / "data" / listing.path)

    assert not files.is_whole(harvest_of(database))
    (flaw,) = listing_flaws(tmp_path / "data", listing)
    assert flaw.kind is FlawKind.LISTING


def test_a_listing_with_other_bytes_of_the_same_size_is_changed(
    tmp_path: Path, database: Database, files: ListingFiles
) -> None:
    """Verification holds the bytes against the hash; one that cannot be read at all says which line."""
    listing = files.publish(harvest_of(database), [line("3za")], 0)

    (tmp_path / "data" / listing.path).write_bytes(b"x" * listing.bytes)

    assert [flaw.kind for flaw in listing_flaws(tmp_path / "data", listing)] == [FlawKind.LISTING]
    with pytest.raises(VerificationError, match="line 1"):
        list(files.campaigns_of(harvest_of(database)))


def test_a_listing_of_a_cut_off_discovery_is_not_whole(database: Database, files: ListingFiles) -> None:
    """A refresh that was cut off leaves the old file, which counts no more."""
    files.publish(harvest_of(database), [line("3za")], 0)
    Ledger(database, "run-2").note_discovery(harvest_of(database), Discovery.PARTIAL)

    assert not files.is_whole(harvest_of(database))


def test_campaigns_come_back_as_the_plan_needs_them(database: Database, files: ListingFiles) -> None:
    """Key, parent, moment of sending to the millisecond, name and type; odd texts as well."""
    half = line("3zb", parent_campaign_key="3za", type="abtesting", sent_at="2026-03-08T20:00:00.123Z", name="\ud800")
    files.publish(harvest_of(database), [line("3za", name=None), half], 0)

    assert list(files.campaigns_of(harvest_of(database))) == [
        SentCampaign("3za", None, None),
        SentCampaign("3zb", 1_773_000_000_123, None, "\ud800", CampaignType.ABTESTING, "3za"),
    ]


def test_a_disk_that_refuses_is_told(tmp_path: Path, database: Database, files: ListingFiles) -> None:
    """A file in the place of the folder is an error that names the place."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "campaigns").write_bytes(b"")

    with pytest.raises(DiskError, match="campaigns"):
        files.publish(harvest_of(database), [], 0)
    with pytest.raises(DiskError, match="campaigns"):
        files.draft(harvest_of(database))


def test_a_draft_keeps_its_lines_and_leaves_no_name(tmp_path: Path, database: Database, files: ListingFiles) -> None:
    """Its lines can be read more than once, and grow in between."""
    with files.draft(harvest_of(database)) as draft:
        draft.append(b"a\nb\n")
        first = list(draft.lines())
        draft.append(b"c\n")

        assert (first, list(draft.lines())) == ([b"a\n", b"b\n"], [b"a\n", b"b\n", b"c\n"])
        assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == []


def test_splits_outlive_harvests_and_belong_to_an_account(database: Database) -> None:
    """The newest word counts; no halves is a word too."""
    splits = Splits(database)
    splits.note("acme", "p", Split({}))
    splits.note("acme", "p", Split({"a": "pa", "b": "pb"}))
    splits.note("other", "q", Split({}))

    assert splits.of("acme") == {"p": Split({"a": "pa", "b": "pb"})}
    assert splits.of("other") == {"q": Split({})}


def test_a_hundred_thousand_campaigns_come_one_at_a_time(database: Database, files: ListingFiles) -> None:
    """The file is read as a stream: what was read is not kept."""
    files.publish(harvest_of(database), (line(f"k{number}") for number in range(MANY)), 0)

    assert sum(1 for _ in files.campaigns_of(harvest_of(database))) == MANY
