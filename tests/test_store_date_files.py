"""The files that a reader of a date needs: those that its manifest names, with the bytes that it names."""

import hashlib
import io
import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from factories import rows
from nights import Nights

from harvester.errors import VerificationError
from harvester.publication import Deliverable
from harvester.store.database import Database
from harvester.store.date_files import DateFiles, content_of
from harvester.store.manifest import write_manifest

NOW = "2026-03-20T02:00:00+00:00"


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Nights]:
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        yield Nights(tmp_path, database)


def files_of(nights: Nights) -> DateFiles:
    write_manifest(nights.output, nights.ledger, nights.of(0), NOW)
    return DateFiles(nights.output, nights.of(0))


def test_the_manifest_is_read_once_with_its_own_hash(nights: Nights) -> None:
    """State and bytes of the manifest are those of one file."""
    nights.harvested(0, rows(1, 3))
    files = files_of(nights)

    manifest = files.manifest()

    assert manifest is not None
    content = (nights.output / files.manifest_path).read_bytes()
    assert manifest.deliverable == Deliverable(files.manifest_path, len(content), hashlib.sha256(content).hexdigest())
    assert (manifest.state, manifest.modified_ns) == ("complete", files.modified_ns())
    (nights.output / files.manifest_path).unlink()
    assert files.manifest() is None


def test_partitions_and_change_files_are_named(nights: Nights) -> None:
    """Every file of the date that readers look for, each with its size and hash."""
    nights.harvested(0, rows(1, 3))

    (named,) = files_of(nights).deliverables()

    content = (nights.output / named.path).read_bytes()
    assert (named.bytes, named.sha256) == (len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    "path", ["../state/token-acme.json", "/etc/hostname", "_parts/x", "recipients/../../x", "", "recipients/x"]
)
def test_S_a_manifest_that_names_other_files_is_refused(nights: Nights, path: str) -> None:
    """A manifest that somebody has changed brings no token and no part into the bucket."""
    nights.harvested(0, rows(1, 3))
    files = files_of(nights)
    manifest = nights.output / files.manifest_path
    (named,) = files.deliverables()
    manifest.write_text(manifest.read_text().replace(json.dumps(named.path), json.dumps(path)))

    with pytest.raises(VerificationError, match="none of its own"):
        list(files.deliverables())


def test_a_manifest_without_an_end_is_told(nights: Nights) -> None:
    """It is no reason to publish half a date."""
    nights.harvested(0, rows(1, 3))
    files = files_of(nights)
    manifest = nights.output / files.manifest_path
    manifest.write_bytes(manifest.read_bytes()[:-5])

    with pytest.raises(VerificationError, match="its end is missing"):
        list(files.deliverables())


def test_a_small_file_is_read_and_a_large_one_is_opened(tmp_path: Path) -> None:
    """A large file stays open on the bytes that were hashed, also when another one takes its place."""
    (tmp_path / "f").write_bytes(b"12345678")
    named = Deliverable("f", 8, hashlib.sha256(b"12345678").hexdigest())

    assert content_of(tmp_path, named, 8) == b"12345678"
    file = content_of(tmp_path, named, 7)
    assert isinstance(file, io.BufferedReader)
    (tmp_path / "new").write_bytes(b"other")
    (tmp_path / "new").rename(tmp_path / "f")
    with file:
        assert file.read() == b"12345678"


@pytest.mark.parametrize("kind", ["changed", "missing", "link", "folder", "pipe"])
def test_what_is_not_the_named_file_is_refused(tmp_path: Path, kind: str) -> None:
    """Other bytes, nothing, a link, a folder or a pipe: told with the path, and what to do."""
    named, path = Deliverable("f", 1, hashlib.sha256(b"x").hexdigest()), tmp_path / "f"
    match kind:
        case "changed":
            path.write_bytes(b"y")
        case "link":
            (tmp_path / "g").write_bytes(b"x")
            path.symlink_to(tmp_path / "g")
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)

    with pytest.raises(VerificationError, match=r"harvester verify"):
        content_of(tmp_path, named, 10)
