"""The description of a manifest: a schema that validators take, open for more keys, true to what is written."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from harvested import Harvested, harvested
from jsonschema import Draft202012Validator
from manifests import misfits

from harvester.cli.main import harvester
from harvester.store.database import Database
from harvester.store.manifest_reading import read_manifest
from harvester.store.manifest_schema import JOB, MANIFEST, SCHEMA


@pytest.fixture
def done(tmp_path: Path) -> Iterator[Harvested]:
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        yield harvested(tmp_path, database)


def changed(done: Harvested, **head: Any) -> Path:
    """Write the manifest with other values in its head."""
    path = done.manifest()
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | head))
    return path


def test_the_schema_is_one() -> None:
    """A validator takes it."""
    Draft202012Validator.check_schema(dict(SCHEMA))


def test_harvester_prints_it() -> None:
    """`harvester schema manifest` is what the tests hold manifests against; without a word it is that of a record."""
    printed = CliRunner().invoke(harvester, ["schema", "manifest"])
    record = CliRunner().invoke(harvester, ["schema"])

    assert json.loads(printed.output) == SCHEMA
    assert json.loads(record.output)["title"] == "harvester record"


def test_bigquery_loads_no_manifest() -> None:
    """The columns for BigQuery are those of a record; asked for another, the command says so, exit 2."""
    ended = CliRunner().invoke(harvester, ["schema", "manifest", "--for", "bigquery"])

    assert ended.exit_code == 2
    assert "for records" in ended.output


def test_keys_stand_in_the_order_of_their_description(done: Harvested) -> None:
    """The head and each entry have the described keys and no others, in order."""
    manifest = json.loads(done.manifest().read_bytes())

    assert list(manifest) == [key.name for key in MANIFEST]
    assert list(manifest["jobs"][0]) == [key.name for key in JOB]


def test_readers_of_version_1_take_keys_that_are_new_to_them(done: Harvested) -> None:
    """The published schema lets a later version add keys; only these tests are stricter, as new keys are to be told."""
    path = changed(done, novelty=1)

    Draft202012Validator(dict(SCHEMA)).validate(json.loads(path.read_bytes()))
    assert list(misfits(done.output))
    path.unlink()


@pytest.mark.parametrize(
    "head",
    [{"state": "done"}, {"manifest_version": 2}, {"rows": -1}, {"date": None}, {"jobs": [{"path": "x"}]}],
    ids=str,
)
def test_what_is_no_manifest_of_ours_does_not_fit(done: Harvested, head: dict[str, Any]) -> None:
    """Other states, versions, types and entries are seen."""
    path = changed(done, **head)

    assert list(misfits(done.output))
    path.unlink()


def test_the_head_is_the_first_line(done: Harvested) -> None:
    """Who wants to know how far a date has come reads one line, however many jobs there are."""
    with done.manifest().open("rb") as file:
        first = orjson.loads(file.readline().rstrip(b",\n") + b"}")

    assert list(first) == [key.name for key in MANIFEST][:-2]
    assert next(read_manifest(done.manifest())) == first
