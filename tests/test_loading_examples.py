"""What docs/output.md tells to copy and paste does what it says, as it stands there; its tables are the schema's."""

import gzip
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from factories import DATE
from harvested import KEYS, Harvested, carried, harvested

from harvester.json_schema import Key
from harvester.model import Action, Campaign
from harvester.store.database import Database
from harvester.store.manifest import mark_running
from harvester.store.manifest_schema import CAMPAIGN, CHANGES, JOB, LISTING, MANIFEST, PRIVACY
from harvester.zoho.record_schema import DESCRIPTION

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples" / "loading").iterdir())
PAGE = (ROOT / "docs" / "output.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
TABLES = re.findall(r"^\| (key.*?) \| type \| meaning \|\n\|---\|---\|---\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
ROWS = 3 * len(KEYS)

(JQ,) = [block.replace("2026-11-22", DATE.isoformat()) for block in BLOCKS if block.startswith("jq ")]

STANDINS = {
    "gcloud": 'shift 2; cp "${1#gs://bucket/}" "$2"',
    "bq": 'echo "$@" >> "$SAID"; [ "$1" != load ] || { for schema; do :; done; cp "$schema" "$SAID.schema"; }',
    "harvester": f'exec "{sys.executable}" -m harvester "$@"',
}
"""What stands for the programs of Google: `cp` out of a bucket, and `bq` that writes down what it was told."""


def example(name: str) -> str:
    """A recipe as the page shows it, for the harvest that these tests make."""
    text = (ROOT / "examples" / "loading" / name).read_text(encoding="utf-8")
    assert text in BLOCKS
    return text.replace("2026-11-22", DATE.isoformat())


@pytest.fixture
def done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harvested]:
    """A complete date; the recipes are run in its output folder."""
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        done = harvested(tmp_path, database)
        monkeypatch.chdir(done.output)
        yield done


def in_duckdb(text: str, question: str) -> list[Any]:
    with duckdb.connect() as connection:
        connection.execute(text)
        return connection.execute(question).fetchall()


def as_shell(text: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", text, "recipe", *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_page_shows_each_recipe_as_its_file_has_it(path: Path) -> None:
    """Who copies from the page and who takes the file gets the same."""
    assert path.read_text(encoding="utf-8") in BLOCKS


def test_duckdb_loads_a_whole_snapshot_of_typed_columns(done: Harvested) -> None:
    """Every row of every file that the manifest names, carried ones included, in columns of the right types."""
    night = carried(done)
    text = example("duckdb.sql").replace(DATE.isoformat(), night.harvest.date.isoformat())

    found = in_duckdb(
        text, "SELECT count(*), count(DISTINCT campaign_key), min(position), max(position) FROM recipients"
    )

    assert found == [(ROWS, len(KEYS), 1, 3)]


def test_duckdb_gets_the_columns_of_a_record(done: Harvested) -> None:
    """All columns, in their order; those of a list, an object, a number and a moment as such."""
    columns = {name: kind for name, kind, *_ in in_duckdb(example("duckdb.sql"), "DESCRIBE recipients")}

    assert tuple(columns) == tuple(column.name for column in DESCRIPTION)
    kinds = {"string": "VARCHAR", "integer": "BIGINT", "array": "VARCHAR[]", "object": "JSON"}
    assert columns == {
        each.name: "TIMESTAMP WITH TIME ZONE" if each.limits.get("format") == "date-time" else kinds[each.types[0]]
        for each in DESCRIPTION
    }
    assert done.manifest().exists()


@pytest.mark.parametrize("state", ["partial", "running"])
def test_recipes_load_no_date_that_is_not_complete(done: Harvested, tmp_path: Path, state: str) -> None:
    """A date that is partial or worked on is refused, and the message says which it is."""
    done.ledger.plan(done.harvest, [Campaign("new")], [Action.SENT])
    if state == "running":
        mark_running(done.output, done.ledger, done.harvest, "2026-03-15T02:00:00+00:00")
    else:
        done.manifest()

    with pytest.raises(duckdb.Error, match=f"the date is {state}"):
        in_duckdb(example("duckdb.sql"), "SELECT 1")
    refused = as_bigquery(example("bigquery.sh"), tmp_path)
    assert refused.returncode == 1
    assert f"is {state}" in refused.stderr
    listed = as_shell(JQ)
    assert (listed.stdout, f"the date is {state}" in listed.stderr) == ("", True)


def as_bigquery(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    programs = folder / "programs"
    programs.mkdir()
    for name, body in STANDINS.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "SAID": str(folder / "said")}
    arguments = ("gs://bucket", "acme", DATE.isoformat(), "lake.recipients")
    return as_shell(text, *arguments, **environment, TMPDIR=str(folder))


def test_bigquery_is_told_the_files_of_the_snapshot(done: Harvested, tmp_path: Path) -> None:
    """They are loaded with a schema of all columns into a table that then takes the place of the day's partition."""
    assert shutil.which("jq"), "the recipe for BigQuery needs jq: apt-get install jq"

    ended = as_bigquery(example("bigquery.sh"), tmp_path)

    assert ended.returncode == 0, ended.stderr
    said = [line.split() for line in (tmp_path / "said").read_text().splitlines()]
    schema = json.loads((tmp_path / "said.schema").read_bytes())
    assert [words[0] for words in said] == ["rm", "mk", "load", "mk", "cp", "rm"]
    assert said[4][1:] == ["--force", "lake.recipients_20260314", "lake.recipients$20260314"]
    assert loaded(tmp_path) == sorted(f"gs://bucket/{done.partition(key).relative_to(done.output)}" for key in KEYS)
    assert [column["name"] for column in schema] == [column.name for column in DESCRIPTION]
    assert {column["type"] for column in schema} == {"STRING", "INTEGER", "TIMESTAMP", "JSON"}


def loaded(folder: Path) -> list[str]:
    """The files that `bq load` was told, over all its calls."""
    loads = [line.split() for line in (folder / "said").read_text().splitlines() if line.startswith("load ")]
    assert all(words[3] == "lake.recipients_20260314" for words in loads)
    return sorted(file for words in loads for file in words[4].split(","))


@pytest.mark.parametrize("campaigns", [0, 3_000])
def test_bigquery_loads_as_many_files_as_there_are(done: Harvested, tmp_path: Path, campaigns: int) -> None:
    """More than one argument of a command takes are loaded in several calls; without any the partition is emptied."""
    path = done.date_folder / "_manifest.json"
    manifest = json.loads(path.read_bytes())
    folder = f"recipients/account=acme/dt={DATE}/action=sentcontacts"
    manifest["jobs"] = [
        {**manifest["jobs"][0], "path": f"{folder}/{number:064x}.jsonl.gz"} for number in range(campaigns)
    ]
    path.write_text(json.dumps(manifest))

    ended = as_bigquery(example("bigquery.sh"), tmp_path)

    assert ended.returncode == 0, ended.stderr
    assert loaded(tmp_path) == [f"gs://bucket/{job['path']}" for job in manifest["jobs"]]
    assert "cp --force lake.recipients_20260314 lake.recipients$20260314" in (tmp_path / "said").read_text()


def test_duckdb_loads_a_complete_date_without_rows(done: Harvested) -> None:
    """A table without rows, in the same columns."""
    for key in KEYS:
        done.replace(key, gzip.compress(b""))
    done.sql("UPDATE jobs SET rows = 0")
    done.manifest()

    assert in_duckdb(example("duckdb.sql"), "SELECT count(*), count(email) FROM recipients") == [(0, 0)]


def test_jq_lists_the_files_of_a_snapshot(done: Harvested) -> None:
    """For any other loader: the paths, below the output folder, of all files that hold rows."""
    listed = as_shell(JQ).stdout.splitlines()

    assert sorted(listed) == sorted(str(done.partition(key).relative_to(done.output)) for key in KEYS)


def test_spark_and_snowflake_name_columns_that_there_are() -> None:
    """What cannot be run here is held against the description of a record at least."""
    names = {column.name for column in DESCRIPTION}
    schema = example("spark.py").partition('SCHEMA = """')[2].partition('"""')[0]
    taken = re.findall(r"record:(\w+)::", example("snowflake.sql"))

    assert re.findall(r"(\w+) [A-Z<>]+(?:,|\n|$)", schema) == [column.name for column in DESCRIPTION]
    assert set(taken) <= names


def test_dbt_source_names_columns_and_actions_that_there_are() -> None:
    """The source is YAML, and what it demands of the columns is what the description of a record says."""
    ((source,),) = [yaml.safe_load(example("sources.yml"))["sources"]]
    (table,) = source["tables"]
    tests = [test for column in table["columns"] for test in column["data_tests"] if isinstance(test, dict)]

    names = {column.name for column in DESCRIPTION}
    assert {column["name"] for column in table["columns"]} | {table["loaded_at_field"]} <= names
    assert [test["accepted_values"]["values"] for test in tests] == [[action.value for action in Action]]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_only_scripts_can_be_started(path: Path) -> None:
    """The mode of a file says whether it is a program."""
    assert bool(path.stat().st_mode & stat.S_IXUSR) == (path.suffix == ".sh")


@pytest.mark.parametrize(
    ("title", "keys"),
    [
        ("key", MANIFEST),
        ("key of a job", JOB),
        ("key of a campaign", CAMPAIGN),
        ("key of `listing`", LISTING),
        ("key of `privacy`", PRIVACY),
        ("key of `changes`", CHANGES),
    ],
)
def test_every_key_of_a_manifest_is_documented(title: str, keys: Sequence[Key]) -> None:
    """The page has a table for each object, with the keys, types and meanings of the schema, in order."""
    (table,) = [rows for heading, rows in TABLES if heading == title]

    told = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", table, re.MULTILINE)
    assert told == [(key.name, key.type_words, key.meaning) for key in keys]
