"""What the ledger knows of published objects: never more than is true."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harvester.publication import Deliverable
from harvester.store.database import Database
from harvester.store.publications import Publications, Word

HOME = "recipients/account=acme"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path / "ledger.sqlite")) as database:
        yield database


def noted(book: Publications, path: str, sha256: str = "a1") -> None:
    book.note(Deliverable(path, 7, sha256), 5)


def test_what_is_noted_is_known_and_replaced(database: Database) -> None:
    """The last word counts."""
    book = Publications(database, "s3://lake")
    noted(book, "a", "a1")
    noted(book, "a", "a2")

    assert book.word("a") == Word("a2", 5)
    assert book.words(["a", "b"]) == {"a": Word("a2", 5)}
    assert book.word("b") is None


def test_what_is_doubted_may_be_there(database: Database) -> None:
    """Before an object is replaced or removed nothing is said of it, but that it may be there."""
    book = Publications(database, "s3://lake")
    noted(book, "a")

    book.doubt(["a", "b"])

    assert [book.words(["a", "b"])[path].sha256 for path in ("a", "b")] == [None, None]
    book.drop(["a", "b"])
    assert book.words(["a", "b"]) == {}


def test_each_prefix_has_its_own(database: Database) -> None:
    """What is in one bucket says nothing of another."""
    noted(Publications(database, "s3://lake"), "a")

    assert Publications(database, "s3://pond").word("a") is None


def test_the_objects_of_a_folder_are_listed_in_batches(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """All below the folder and no neighbour, also where some are dropped on the way."""
    monkeypatch.setattr("harvester.store.publications.BATCH_PATHS", 2)
    book = Publications(database, "s3://lake")
    paths = [f"{HOME}/dt=2026-01-15/k{number}" for number in range(5)]
    for path in (*paths, f"{HOME}/dt=2026-01-150/k", f"{HOME}/dt=2026-01-16/k", f"{HOME}2/dt=2026-01-15/k"):
        noted(book, path)

    seen = []
    for path in book.below(f"{HOME}/dt=2026-01-15"):
        seen.append(path)
        book.drop([path])

    assert seen == paths
    noted(book, "changes/account=acme/dt=2026-01-14/k")
    assert book.dates("acme") == ["2026-01-14", "2026-01-150", "2026-01-16"]
    assert book.dates("acme2") == ["2026-01-15"]
    assert book.accounts() == ["acme", "acme2"]
