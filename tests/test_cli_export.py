"""`harvester export` and `harvester compact`: the same rows in fewer files, whatever happens meanwhile."""

import gzip
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from exported import ODD, date, plain, practised, typed, written
from nights import Nights
from purged import older_than

from harvester.model import Action, Campaign
from harvester.operations import exporting
from harvester.store.database import Database
from harvester.store.lock import exclusive
from harvester.store.manifest import mark_running
from harvester.store.partitions import Compression
from harvester.store.reading import lines_of
from harvester.warehouse import batches

FOLDER = "recipients/account=acme/dt={}"
LONE = re.compile("[\ud800-\udfff]")


@pytest.fixture(params=Compression, ids=lambda each: each.value)
def nights(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Nights]:
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        yield practised(Nights(tmp_path, database, request.param))


@pytest.fixture
def gzipped(tmp_path: Path) -> Iterator[Nights]:
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        yield practised(Nights(tmp_path, database))


def source_lines(nights: Nights, night: int, action: str) -> list[bytes]:
    """The lines of an action's partitions of a date, in the order of their paths."""
    paths = sorted((nights.output / FOLDER.format(date(night)) / f"action={action}").iterdir())
    return [line for path in paths for line in lines_of(path)]


def manifest(home: Path, night: int) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((home / FOLDER.format(date(night)) / "_export.json").read_bytes())
    return told


def mended(value: Any) -> Any:
    if isinstance(value, list):
        return [mended(each) for each in value]
    return LONE.sub("\ufffd", value) if isinstance(value, str) else value


@pytest.mark.parametrize("action", ["sentcontacts", "openedcontacts"])
def test_parquet_holds_every_row_of_the_partitions(action: str, nights: Nights) -> None:
    """Read by PyArrow, which had no part in writing: each column of each row, in order, and `raw` byte for byte."""
    assert typed(nights.folder, "export", "--to", "parquet", "--all") == 0

    table = pq.ParquetFile(
        nights.output / "parquet" / FOLDER.format(date(0)) / f"action={action}/part-0000.parquet"
    ).read()
    lines = source_lines(nights, 0, action)
    assert table.num_rows == len(lines) > 0
    for row, line in zip(table.to_pylist(), lines, strict=True):
        record = json.loads(line)
        assert line.endswith(b',"raw":' + row.pop("raw").encode() + b"}\n")
        moments = {name: row.pop(name) for name in ("sent_at", "harvested_at")}
        assert row == {name: mended(record[name]) for name in row}
        assert {*row, *moments, "raw", "account", "action"} == record.keys()
        assert moments["harvested_at"].isoformat(timespec="milliseconds") == record["harvested_at"].replace(
            "Z", "+00:00"
        )


def test_columns_of_parquet_have_types(gzipped: Nights) -> None:
    """Moments are instants in UTC, numbers 64 bits, lists lists; what the folders say is not said again."""
    typed(gzipped.folder, "export", "--all")

    schema = pq.read_schema(
        gzipped.output / "parquet" / FOLDER.format(date(0)) / "action=sentcontacts/part-0000.parquet"
    )

    types = {field.name: str(field.type) for field in schema}
    assert types["harvested_at"] == types["sent_at"] == "timestamp[us, tz=UTC]"
    assert types["sent_time_ms"] == types["position"] == types["click_count"] == "int64"
    assert types["event_times"].startswith("list<")
    assert {types["email"], types["contact_id"], types["raw"]} == {"string"}
    assert not types.keys() & {"account", "action", "dt"}


def test_duckdb_reads_the_folders_as_columns(nights: Nights) -> None:
    """The layout is that of Hive: one pattern, and every reading once."""
    typed(nights.folder, "export", "--all")

    pattern = nights.output / "parquet/recipients/*/*/*/*.parquet"
    found = duckdb.execute(
        "SELECT dt::VARCHAR, action, count(*) FROM read_parquet(?, hive_partitioning = true) GROUP BY ALL ORDER BY ALL",
        [str(pattern)],
    ).fetchall()

    assert found == [
        (date(0), "openedcontacts", 2),
        (date(0), "sentcontacts", len(ODD) + 4),
        (date(1), "sentcontacts", 3),
    ]


@pytest.mark.parametrize("action", ["sentcontacts", "openedcontacts"])
def test_compact_holds_every_line_as_it_stands(action: str, nights: Nights) -> None:
    """One ordinary file instead of many, of the same compression."""
    assert typed(nights.folder, "compact", "--all") == 0

    (compacted,) = (nights.output / "compact" / FOLDER.format(date(0)) / f"action={action}").iterdir()

    assert compacted.name == f"part-0000.jsonl{nights.compression.suffix}"
    assert list(lines_of(compacted)) == source_lines(nights, 0, action)


@pytest.mark.parametrize("command", ["export", "compact"])
def test_the_manifest_of_an_export_tells_of_every_file(command: str, gzipped: Nights) -> None:
    """Rows, bytes and hash; and it is complete only when all are in their place."""
    typed(gzipped.folder, command, "--all")

    home = gzipped.output / {"export": "parquet"}.get(command, command)
    told = manifest(home, 0)
    files = [file for action in told["actions"].values() for file in action["files"]]
    assert (told["state"], told["rows"], told["account"], told["date"]) == ("complete", len(ODD) + 6, "acme", date(0))
    assert {str(path.relative_to(home)) for path in home.rglob(f"*dt={date(0)}*/*/part-*")} == {
        file["path"] for file in files
    }
    for file in files:
        content = (home / file["path"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file["bytes"], file["sha256"])
        assert (home / file["path"]).stat().st_mode & 0o777 == 0o600
    assert not list((home / "_export_parts").iterdir())


@pytest.mark.parametrize("command", ["export", "compact"])
def test_the_same_sources_are_exported_once(command: str, gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """The second time nothing is written; a set that was read again has its action made anew, and no other."""
    typed(gzipped.folder, command, "--as-of", date(0))
    home = gzipped.output / {"export": "parquet"}.get(command, command)
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*") if path.is_file()}
    capsys.readouterr()

    assert typed(gzipped.folder, command, "--as-of", date(0), "--json") == 0
    assert json.loads(capsys.readouterr().out)["files"] == 0
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*") if path.is_file()} == before

    gzipped.sent_back(0)
    gzipped.harvested(0, plain(10, 5), "k1")
    gzipped.harvested(0, plain(10, 4), "k2")
    gzipped.harvested(0, plain(10, 2), "k1", Action.OPENED)
    gzipped.harvested(0, [], "k2", Action.OPENED)
    written(gzipped, 0)
    typed(gzipped.folder, command, "--as-of", date(0), "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["files"], told["rows"]) == (1, 9)


def test_an_action_that_is_gone_goes_from_the_export(gzipped: Nights) -> None:
    """What no manifest names any more is not offered to readers."""
    typed(gzipped.folder, "compact", "--as-of", date(0))
    gzipped.database.durable.execute(
        "UPDATE jobs SET state = 'failed', path = NULL WHERE action = ?", (Action.OPENED.value,)
    )
    written(gzipped, 0)

    typed(gzipped.folder, "compact", "--as-of", date(0))

    home = gzipped.output / "compact"
    assert manifest(home, 0)["actions"].keys() == {"sentcontacts"}
    assert [path.name for path in (home / FOLDER.format(date(0))).glob("action=*")] == ["action=sentcontacts"]


@pytest.mark.parametrize("command", ["export", "compact"])
def test_a_date_that_is_to_be_read_again_stays_exported(command: str, gzipped: Nights) -> None:
    """Its partitions stand until new ones take their place; that it is not complete is told."""
    typed(gzipped.folder, command, "--as-of", date(0))
    home = gzipped.output / {"export": "parquet"}.get(command, command)
    before = manifest(home, 0)
    gzipped.sent_back(0)
    written(gzipped, 0)

    assert typed(gzipped.folder, command, "--as-of", date(0)) == 0

    assert manifest(home, 0) == before | {"date_state": "partial"}


@pytest.mark.parametrize("command", ["export", "compact"])
def test_large_sets_make_several_files(command: str, gzipped: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file ends where the next set would make it too large; together they hold all rows, once."""
    monkeypatch.setattr(batches.batches, "__defaults__", (1,))

    typed(gzipped.folder, command, "--as-of", date(0))

    home = gzipped.output / {"export": "parquet"}.get(command, command)
    assert [file["rows"] for file in manifest(home, 0)["actions"]["sentcontacts"]["files"]] == [len(ODD), 4]


@pytest.mark.parametrize("command", ["export", "compact"])
def test_a_source_that_was_changed_is_no_source(
    command: str, gzipped: Nights, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other bytes than the manifest names: exit code 6, and what was exported before stays."""
    typed(gzipped.folder, command, "--as-of", date(0))
    home = gzipped.output / {"export": "parquet"}.get(command, command)
    before = manifest(home, 0)
    gzipped.sent_back(0)
    gzipped.harvested(0, plain(10, 5), "k1")
    written(gzipped, 0)
    partition = gzipped.output / FOLDER.format(date(0)) / "action=sentcontacts/k1.jsonl.gz"
    partition.write_bytes(gzip.compress(b"".join(lines_of(partition))[:-1] + b" \n"))
    capsys.readouterr()

    assert typed(gzipped.folder, command, "--as-of", date(0)) == 6
    assert "k1.jsonl.gz: it is not the file that the manifest names" in capsys.readouterr().err
    assert manifest(home, 0) == before


@pytest.mark.parametrize("command", ["export", "compact"])
def test_what_later_dates_carry_of_a_purged_date_is_exported(command: str, gzipped: Nights) -> None:
    """Under its own date, which is told to be purged; what nobody carries is in no export."""
    assert typed(gzipped.folder, "purge", "--older-than", older_than(1)) == 0

    assert typed(gzipped.folder, command, "--all") == 0

    told = manifest(gzipped.output / {"export": "parquet"}.get(command, command), 0)
    assert (told["state"], told["date_state"], told["rows"]) == ("complete", "purged", len(ODD))
    assert told["actions"].keys() == {"sentcontacts"}


def test_a_date_whose_run_is_at_work_is_left_out(gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """Its files may change; the other dates are exported, each with how complete it is, and the exit code is 75."""
    mark_running(gzipped.output, gzipped.ledger, gzipped.of(1), "2026-03-20T02:00:00+00:00")
    gzipped.ledger.plan(gzipped.of(0), [Campaign("k3")], [Action.SENT])
    written(gzipped, 0)

    assert typed(gzipped.folder, "compact", "--all", "--json") == 75

    printed = capsys.readouterr()
    assert manifest(gzipped.output / "compact", 0)["date_state"] == "partial"
    assert not (gzipped.output / "compact" / FOLDER.format(date(1))).exists()
    assert [line[: len("acme 2026-03-15")] for line in json.loads(printed.out)["left_out"]] == [f"acme {date(1)}"]
    assert f"acme {date(1)}: left out" in printed.err


def test_a_date_that_becomes_complete_is_told_anew(gzipped: Nights) -> None:
    """Though none of its exported files changes."""
    gzipped.ledger.plan(gzipped.of(0), [Campaign("k3")], [Action.SENT])
    written(gzipped, 0)
    typed(gzipped.folder, "compact", "--as-of", date(0))
    gzipped.database.durable.execute("UPDATE jobs SET state = 'skipped' WHERE state = 'pending'")
    written(gzipped, 0)

    typed(gzipped.folder, "compact", "--as-of", date(0))

    assert manifest(gzipped.output / "compact", 0)["date_state"] == "complete"


def test_a_run_that_has_just_begun_does_not_fail_an_export(gzipped: Nights) -> None:
    """Its date has no manifest yet, and is left out like one that is running."""
    gzipped.of(2)

    assert typed(gzipped.folder, "compact", "--all") == 75
    assert manifest(gzipped.output / "compact", 1)["state"] == "complete"


def test_forgetting_that_is_cut_off_meanwhile_stops_an_export(gzipped: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was erased is looked for once nobody else can begin to erase: exit code 6."""

    @contextmanager
    def after_a_forget(state: Path) -> Iterator[None]:
        gzipped.database.durable.execute(
            "INSERT INTO erasures (id, subject, step, began_at) VALUES ('e', 's', NULL, '')"
        )
        with exclusive(state):
            yield

    monkeypatch.setattr(exporting, "exclusive", after_a_forget)

    assert typed(gzipped.folder, "compact", "--all") == 6
    assert not list(gzipped.output.glob("compact/**/part-*"))


def test_the_output_of_another_harvester_is_no_place_for_exports(gzipped: Nights) -> None:
    """There the manifests of dates lie: exit code 2."""
    other = gzipped.folder / "other" / FOLDER.format(date(0)) / "_manifest.json"
    other.parent.mkdir(parents=True)
    shutil.copy(gzipped.output / FOLDER.format(date(0)) / "_manifest.json", other)

    assert typed(gzipped.folder, "compact", "--out", str(gzipped.folder / "other")) == 2


@pytest.mark.parametrize("place", ["data", "data/recipients", "data/changes/x", "state", "."])
def test_exports_have_a_place_of_their_own(place: str, gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """Where harvester keeps its own files, no others are put among them: exit code 2."""
    assert typed(gzipped.folder, "compact", "--out", str(gzipped.folder / place)) == 2
    assert "is no place for exports" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["export", "compact"])
def test_a_place_without_a_text_is_refused(command: str, gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is no UTF-8 could neither be told in JSON nor given to the engine: exit code 2, nothing is made."""
    place = gzipped.folder / "out\udcff"

    assert typed(gzipped.folder, command, "--out", str(place)) == 2
    assert "its name is not UTF-8" in capsys.readouterr().err
    assert not place.exists()


def test_two_forms_do_not_share_a_place(gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """Else each would clear the other's files away."""
    out = ("--out", str(gzipped.folder / "out"))
    typed(gzipped.folder, "compact", *out)

    assert typed(gzipped.folder, "export", *out) == 2
    assert "exports of another form" in capsys.readouterr().err


def test_one_export_at_a_time(gzipped: Nights) -> None:
    """Two would write the same drafts: the second ends with 5."""
    with exclusive(gzipped.state / "exports"):
        assert typed(gzipped.folder, "compact") == 5


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "again"])
@pytest.mark.parametrize("command", ["export", "compact"])
def test_A_16_killed_at_any_step_the_same_command_completes(command: str, gzipped: Nights, *, is_first: bool) -> None:
    """Whatever the kill left: what the manifest names is whole, and the next time all is as if nothing had happened."""
    name = {"export": "parquet"}.get(command, command)
    home = gzipped.output / name
    if not is_first:  # the files of an older reading are in their place
        typed(gzipped.folder, command, "--as-of", date(0))
        home.rename(f"{home}.before")
        gzipped.sent_back(0)
        gzipped.harvested(0, ODD, "k1")
        gzipped.harvested(0, plain(10, 6), "k2")
        gzipped.harvested(0, plain(10, 2), "k1", Action.OPENED)
        gzipped.harvested(0, [], "k2", Action.OPENED)
        written(gzipped, 0)

    words = [sys.executable, str(Path(__file__).with_name("dying.py")), str(gzipped.output), str(home), command]
    flags = ["--config", str(gzipped.folder / "config.toml"), "--as-of", date(0)]
    told = subprocess.run([*words, *flags], check=True, capture_output=True, cwd=gzipped.folder)

    steps = [json.loads(line) for line in told.stdout.splitlines()]
    assert len(steps) > 10
    *killed, whole = steps
    assert whole["code"] == 0
    for step in killed:
        assert (step["code"], step["again"]) == (99, 0)
        assert step["named"].items() <= step["killed"].items()
        assert named(step["after"]) == named(whole["after"])
    assert all("_export_parts" not in path for path in whole["after"])
    if not is_first:  # what was there before is named until its own action is replaced
        assert killed[0]["named"]


def named(tree: dict[str, str]) -> set[str]:
    """The files of a tree; those of Parquet by name alone, as DuckDB does not promise the same bytes twice."""
    return {path if path.endswith((".parquet", ".json")) else f"{path} {sha256}" for path, sha256 in tree.items()}
