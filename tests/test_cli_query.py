"""`harvester query` as people type it: the views, what may be asked, and how rows are written."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from exported import ODD, date, plain, practised, typed, written
from nights import Nights
from purged import older_than

from harvester.cli.query import STATEMENT_CHARS_MAX
from harvester.model import JobState
from harvester.store.database import Database
from harvester.store.partitions import Compression


@pytest.fixture(params=Compression, ids=lambda each: each.value)
def nights(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Nights]:
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        yield practised(Nights(tmp_path, database, request.param))


@pytest.fixture
def gzipped(tmp_path: Path) -> Iterator[Nights]:
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        yield practised(Nights(tmp_path, database))


def asked(nights: Nights, capsys: pytest.CaptureFixture[str], sql: str) -> list[dict[str, Any]]:
    assert typed(nights.folder, "query", "--format", "json", sql) == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


def refused(nights: Nights, capsys: pytest.CaptureFixture[str], sql: str, code: int = 2) -> str:
    assert typed(nights.folder, "query", sql) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


def test_every_row_of_every_reading_is_in_recipients_once(nights: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """Each set under each date on which it was read, whatever the compression, odd rows included."""
    rows = asked(
        nights, capsys, "SELECT dt, campaign_key, action, count(*) AS n FROM recipients GROUP BY ALL ORDER BY ALL"
    )

    assert [tuple(row.values()) for row in rows] == [
        (date(0), "k1", "openedcontacts", 2),
        (date(0), "k1", "sentcontacts", len(ODD)),
        (date(0), "k2", "sentcontacts", 4),
        (date(1), "k2", "sentcontacts", 3),
    ]


def test_recipients_current_follows_what_is_carried(nights: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """Of each set the newest complete state: the file of an older date where it was carried over."""
    sql = (
        "SELECT campaign_key, dt, count(*) FROM recipients_current WHERE action = 'sentcontacts'"
        " GROUP BY ALL ORDER BY ALL"
    )

    assert [tuple(row.values()) for row in asked(nights, capsys, sql)] == [
        ("k1", date(0), len(ODD)),
        ("k2", date(1), 3),
    ]


@pytest.mark.parametrize("is_begun", [False, True], ids=["pending", "running"])
def test_a_set_that_is_to_be_read_again_is_there_as_it_was(
    gzipped: Nights, capsys: pytest.CaptureFixture[str], *, is_begun: bool
) -> None:
    """Its file lies there, and its manifest names it, until another one takes its place."""
    questions = [f"SELECT * FROM {view} ORDER BY ALL" for view in ("recipients", "recipients_current")]  # noqa: S608  ours
    before = [asked(gzipped, capsys, sql) for sql in questions]
    for night in (0, 1):
        gzipped.sent_back(night)
        if is_begun:
            gzipped.ledger.claim(gzipped.of(night), 9, now_s=0.0)
        written(gzipped, night)

    assert [asked(gzipped, capsys, sql) for sql in questions] == before


def test_a_set_that_is_carried_and_to_be_read_again_is_there_once(
    gzipped: Nights, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file of an older date is a reading of that date, whatever becomes of the newer one."""
    gzipped.ledger.requeue(gzipped.of(1), [JobState.CARRIED])
    written(gzipped, 1)
    sql = "SELECT dt, count(*) AS n FROM {} WHERE campaign_key = 'k1' AND action = 'sentcontacts' GROUP BY ALL"

    for view in ("recipients", "recipients_current"):
        assert asked(gzipped, capsys, sql.format(view)) == [{"dt": date(0), "n": len(ODD)}]


def test_a_set_that_lacks_rows_is_not_current_while_it_is_read_again(
    gzipped: Nights, capsys: pytest.CaptureFixture[str]
) -> None:
    """What could not be read of it lies in quarantine; so the set as it was known whole before stays current."""
    gzipped.database.durable.execute(
        "UPDATE jobs SET state = 'partial', quarantine = '[[1, 1]]' WHERE harvest_id = ? AND state = 'done'",
        (gzipped.of(1).id,),
    )
    written(gzipped, 1)
    sql = (
        "SELECT dt, count(*) AS n FROM {} WHERE campaign_key = 'k2' AND action = 'sentcontacts' GROUP BY ALL ORDER BY 1"
    )
    before = [asked(gzipped, capsys, sql.format(view)) for view in ("recipients", "recipients_current")]
    gzipped.ledger.requeue(gzipped.of(1), [JobState.PARTIAL])
    written(gzipped, 1)

    assert [asked(gzipped, capsys, sql.format(view)) for view in ("recipients", "recipients_current")] == before
    assert before[1] == [{"dt": date(0), "n": 4}]


def test_what_later_dates_carry_of_a_purged_date_is_a_reading_of_it(
    gzipped: Nights, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its manifest is gone, its rows are not."""
    assert typed(gzipped.folder, "purge", "--older-than", older_than(1)) == 0
    capsys.readouterr()

    sql = "SELECT dt, campaign_key AS k, count(*) AS n FROM recipients GROUP BY ALL ORDER BY ALL"
    assert [tuple(row.values()) for row in asked(gzipped, capsys, sql)] == [
        (date(0), "k1", len(ODD)),
        (date(1), "k2", 3),
    ]


def test_a_set_that_became_empty_is_empty_in_recipients_current(
    gzipped: Nights, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its earlier rows are no present state."""
    gzipped.harvested(2, [], "k1")
    written(gzipped, 2)

    assert asked(
        gzipped, capsys, "SELECT DISTINCT campaign_key AS k FROM recipients_current WHERE action = 'sentcontacts'"
    ) == [{"k": "k2"}]


def test_values_come_as_they_were_written(gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """Ids beyond 64 bits are text, numbers numbers, lists lists; U+FFFD stands for half a character."""
    rows = asked(gzipped, capsys, "SELECT * FROM recipients WHERE campaign_key = 'k1' AND action = 'sentcontacts'")

    assert [row["first_name"] for row in rows[:4]] == [
        "=1+1", "half \ufffd of it", "whole \U0001f600", "nul \x00 and \u2028",
    ]  # fmt: skip
    assert [row["last_name"] for row in rows[1:3]] == ["\ufffd", "\\ud800"]
    assert rows[3]["contact_id"] == "4" * 30
    assert rows[3]["raw"] == ODD[3]
    assert (rows[4]["click_count"], rows[4]["event_times"]) == (7, ["2026-02-12T12:08", "\ufffd"])
    assert rows[0]["sent_time_ms"] == 1785028800000
    assert rows[0]["harvested_at"] == f"{date(0)} 02:00:00+00"


async def test_changes_are_a_view(gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """What was compared stands in `changes`, with the columns of the records behind it."""
    await gzipped.compared(1)
    written(gzipped, 1)

    rows = asked(gzipped, capsys, "SELECT change, contact_id, dt FROM changes ORDER BY ALL")

    assert [(row["change"], row["contact_id"]) for row in rows] == [
        *(("added", str(n)) for n in (20, 21, 22)),
        *(("removed", str(n)) for n in (10, 11, 12, 13)),
    ]
    assert {row["dt"] for row in rows} == {date(1)}


def test_campaigns_are_told_as_they_were_last_listed(gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """One row for each campaign of the newest listing that has it; all listings stand in `campaigns_all`."""
    for night, names in enumerate((("old", "gone"), ("new",))):
        path = f"campaigns/account=acme/dt={date(night)}/campaigns.jsonl"
        target = gzipped.output / path
        target.parent.mkdir(parents=True)
        target.write_text(
            "".join(f'{{"account":"acme","campaign_key":"k{n}","name":"{name}"}}\n' for n, name in enumerate(names))
        )
        size_bytes = target.stat().st_size
        told = f'{{"path":"{path}","campaigns":1,"bytes":{size_bytes},"sha256":"{"0" * 64}","children_missing":0}}'
        gzipped.database.durable.execute("UPDATE harvests SET listing = ? WHERE date = ?", (told, date(night)))
    written(gzipped, 0, 1)

    assert asked(gzipped, capsys, "SELECT name FROM campaigns ORDER BY campaign_key") == [
        {"name": "new"},
        {"name": "gone"},
    ]
    assert asked(gzipped, capsys, "SELECT count(*) AS n FROM campaigns_all") == [{"n": 3}]


def test_runs_come_from_the_ledger(gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """Moments are moments, and what is not known is null."""
    gzipped.database.durable.execute("INSERT INTO runs (id, command, started_s) VALUES ('r1', 'nightly', 1700000000.5)")

    (row,) = asked(gzipped, capsys, "SELECT * FROM runs WHERE started_at < now()")
    assert list(row) == ["run_id", "command", "started_at", "finished_at", "outcome"]
    assert list(row.values()) == ["r1", "nightly", "2023-11-14 22:13:20.5+00", None, None]


@pytest.mark.parametrize("view", ["recipients", "recipients_current", "changes", "campaigns", "campaigns_all", "runs"])
def test_views_over_nothing_have_their_columns(view: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A question that will have an answer one day is no error today, even before the first harvest."""
    with closing(Database(tmp_path / "elsewhere" / "ledger.sqlite")) as database:
        nights = practised(Nights(tmp_path, database))
    for folder in (nights.output, tmp_path / "elsewhere"):
        folder.rename(folder.with_name(f"{folder.name}-gone"))

    assert asked(nights, capsys, f"FROM {view}") == []
    column = "outcome" if view == "runs" else "dt"
    assert column in [row["column_name"] for row in asked(nights, capsys, f"DESCRIBE {view}")]


def test_only_files_that_a_manifest_names_are_read(gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """A stranger beside the partitions, or a file that nobody accounts for, adds no row."""
    known = next(gzipped.output.glob("recipients/*/*/action=sentcontacts/k2.jsonl.gz"))
    known.with_name("stranger.jsonl.gz").write_bytes(known.read_bytes())

    assert asked(gzipped, capsys, "SELECT count(*) AS n FROM recipients WHERE dt = '2026-03-14'") == [
        {"n": len(ODD) + 6}
    ]


def test_a_manifest_leads_nowhere_else(gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """One that somebody changed is refused, not followed."""
    manifest = gzipped.output / f"recipients/account=acme/dt={date(0)}/_manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"recipients/', b'"../recipients/'))

    assert "names ../recipients/" in refused(gzipped, capsys, "SELECT 1", code=6)


@pytest.mark.parametrize(
    "sql",
    [
        "FROM read_text('{folder}/config.toml')",
        "FROM read_json('{folder}/data/recipients/*/*/_manifest.json')",
        "FROM read_blob('/proc/self/environ')",
        "FROM glob('/etc/*')",
        "FROM '{folder}/state/ledger.sqlite'",
        "FROM read_csv('http://127.0.0.1:1/x.csv')",
        "COPY (SELECT 1) TO '{folder}/out.csv'",
        "ATTACH '{folder}/other.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "CREATE TABLE t AS SELECT 1",
        "DROP VIEW recipients",
        "SELECT 1; SELECT 2",
        "SELECT * FROM settings",
        "",
    ],
)
def test_a_statement_can_do_nothing_but_ask(sql: str, gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """No other file, no network, no extension, no variable of ours, and nothing is written: exit code 2."""
    before = sorted(gzipped.folder.rglob("*"))

    refused(gzipped, capsys, sql.format(folder=gzipped.folder))

    assert [path for path in sorted(gzipped.folder.rglob("*")) if "scratch" not in path.parts] == before


def test_a_mistake_is_told_in_the_engines_words(gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """With the place in the statement as it was typed."""
    told = refused(gzipped, capsys, "SELECT emial FROM recipients")

    assert "emial" in told
    assert "\nLINE 2: SELECT emial FROM recipients" in told


@pytest.mark.parametrize(
    "expression",
    [
        "first_name::INTEGER",
        "email::INTEGER",
        "first_name::DATE",
        "first_name::JSON->>'x'",
        "strptime(first_name, '%Y')",
        "phone::BIGINT::TINYINT",
        "phone::BIGINT * 9223372036854775807",
        "chr(-phone::INTEGER)",
        "regexp_matches('x', '(' || first_name)",
        "date_trunc(first_name, now())",
    ],
)
def test_no_error_repeats_what_stands_in_a_row(
    expression: str, gzipped: Nights, capsys: pytest.CaptureFixture[str]
) -> None:
    """The engine names the value that it cannot make sense of; we do not."""
    person = {
        "contactid": "77",
        "contactemailaddress": "ada@x.example",
        "contactfn": "Ada 'O\nline",
        "phone": "5551234",
    }
    gzipped.harvested(2, [person], "k3")
    written(gzipped, 2)

    sql = f"SELECT {expression} FROM recipients WHERE campaign_key = 'k3'"  # noqa: S608  ours alone
    told = refused(gzipped, capsys, sql)

    assert "Error: " in told
    assert not any(value in told for value in ("Ada", "ada", "line", "x.example", "5551234"))


def test_no_error_repeats_an_address_of_the_statement(gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard error often goes to a log."""
    told = refused(gzipped, capsys, "SELECT emial FROM recipients WHERE email = 'ada@x.example'")

    assert "emial" in told
    assert "[e-mail]" in told
    assert "ada" not in told


@pytest.mark.parametrize("damage", [b"", b"{}x\n", b"\x1f\x8b\x08broken"])
def test_a_spoiled_file_is_told(damage: bytes, gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be read is never passed over."""
    partition = next(gzipped.output.glob("recipients/*/*/action=sentcontacts/k2.jsonl.gz"))
    if damage:
        partition.write_bytes(damage)
    else:
        partition.unlink()

    assert typed(gzipped.folder, "query", "SELECT count(email) FROM recipients") == 6
    assert "k2.jsonl.gz" in capsys.readouterr().err


def test_a_partition_that_was_cut_off_is_told(nights: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """The engine takes the end of a cut file for its end: what is not as large as the manifest says is not read."""
    partition = next(nights.output.glob("recipients/*/*/action=sentcontacts/k2.jsonl*"))
    partition.write_bytes(partition.read_bytes()[:-9])

    assert f"{partition.name}: it is not the file" in refused(nights, capsys, "FROM recipients", code=6)


def test_a_partition_that_cannot_be_unpacked_is_told(gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the size that the manifest says, but damaged within: exit code 6, not one for a full disk or a statement."""
    partition = next(gzipped.output.glob("recipients/*/*/action=sentcontacts/k2.jsonl.gz"))
    content = bytearray(partition.read_bytes())
    content[12:40] = b"\xff" * 28
    partition.write_bytes(content)

    assert "harvester verify" in refused(gzipped, capsys, "SELECT count(email) FROM recipients", code=6)


def test_a_link_in_the_place_of_a_partition_is_not_followed(
    gzipped: Nights, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever it leads."""
    partition = next(gzipped.output.glob("recipients/*/*/action=sentcontacts/k2.jsonl.gz"))
    partition.rename(gzipped.folder / "elsewhere")
    partition.symlink_to(gzipped.folder / "elsewhere")

    assert "it is not the file" in refused(gzipped, capsys, "FROM recipients", code=6)


def test_files_that_an_erasure_has_left_halfway_are_told_so(
    gzipped: Nights, capsys: pytest.CaptureFixture[str]
) -> None:
    """Manifests are written at its end: not a repair but the same erasure puts them right."""
    partition = next((gzipped.output / "recipients").rglob("k1.jsonl.gz"))
    partition.write_bytes(partition.read_bytes()[:-1])
    with gzipped.database.writing(gzipped.database.durable) as connection:
        connection.execute("INSERT INTO erasures (id, subject, began_at) VALUES (0, 0, 0)")

    told = refused(gzipped, capsys, "FROM recipients", code=6)

    assert "harvester forget is at work, or was cut off" in told
    assert "--repair" not in told


@pytest.mark.parametrize(("where", "told"), [("action = 'openedcontacts'", "k1.jsonl:"), ("true", "no JSON")])
def test_a_line_that_cannot_be_read_is_told(
    where: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its file, unless another file must be read with care; and without what stands in it."""
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        nights = practised(Nights(tmp_path, database, Compression.NONE))
        partition = next(nights.output.glob("recipients/*/*/action=openedcontacts/k1.jsonl"))
        partition.write_bytes(b"x" + partition.read_bytes()[1:])

        said = refused(nights, capsys, f"FROM recipients WHERE {where}", code=6)

    assert told in said
    assert "x.example" not in said


def test_an_answer_that_cannot_be_written_is_no_success(gzipped: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk behind standard output ends with 7."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert typed(gzipped.folder, "query", "FROM recipients") == 7


@pytest.mark.parametrize("words", [("query", "FROM recipients"), ("compact", "--json")], ids=["query", "compact"])
def test_an_answer_that_nobody_can_get_is_no_success(words: tuple[str, str], gzipped: Nights) -> None:
    """A standard output that was closed beforehand (`>&-`) ends with 7; one that was sent to nowhere is meant so."""
    command, *rest = words
    program = [sys.executable, "-m", "harvester", command, "--config", str(gzipped.folder / "config.toml"), *rest]

    closing_it = ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *program]
    closed = subprocess.run(closing_it, stderr=subprocess.PIPE, text=True, check=False)
    dropped = subprocess.run(program, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)

    assert (closed.returncode, dropped.returncode) == (7, 0)
    assert "Standard output cannot be written: it is closed." in closed.stderr


def test_a_reader_that_leaves_is_no_trouble(gzipped: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with `head`: what it wanted it has."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w", encoding="utf-8") as gone:  # noqa: PTH123  a pipe has no path
        monkeypatch.setattr(sys, "stdout", gone)
        assert typed(gzipped.folder, "query", "FROM recipients") == 0


def test_an_answer_is_utf_8_whatever_the_locale(gzipped: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    """No row is lost for a sign that the encoding of the terminal has not."""
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding="ascii"))

    assert typed(gzipped.folder, "query", "--format", "csv", "SELECT '\U0001f600' AS sign") == 0
    assert content.getvalue().decode() == "sign\n\U0001f600\n"


def test_csv_is_safe_to_open(gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """Text that a spreadsheet would execute is defused, a negative number is not, null is empty."""
    sql = (
        "SELECT first_name AS \"@name\", -5 AS n, NULL AS nothing, '-5'::JSON AS j, (-5)::BIGNUM AS b"
        " FROM recipients WHERE contact_id = '1'"
    )

    assert typed(gzipped.folder, "query", "--format", "csv", sql) == 0

    assert list(csv.reader(io.StringIO(capsys.readouterr().out))) == [
        ["'@name", "n", "nothing", "j", "b"],
        ["'=1+1", "-5", "", "-5", "-5"],
    ]


def test_in_a_pipe_a_table_is_lines_of_tabs(gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """A cell never breaks its line; --max-rows cuts, and says what it hides."""
    sql = "SELECT * FROM (VALUES ('a\tb\nc', 1), (NULL, 2), ('x', 3)) AS t(text, number)"

    assert typed(gzipped.folder, "query", "--max-rows", "2", sql) == 0

    printed = capsys.readouterr()
    assert printed.out == "text\tnumber\na\\tb\\nc\t1\n\t2\n"
    assert printed.err.startswith("1 more row: ")


def test_the_statement_may_come_from_a_file(gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """With a comment and a semicolon at its end, as files have them."""
    path = gzipped.folder / "question.sql"
    path.write_text("SELECT count(*) AS n -- all\nFROM recipients;\n")

    assert typed(gzipped.folder, "query", "--format", "csv", "--file", str(path)) == 0
    assert capsys.readouterr().out == f"n\n{len(ODD) + 9}\n"


@pytest.mark.parametrize(
    "content", ["SELECT 'é'".encode("latin-1"), b"SELECT 1 -- " + bytes(STATEMENT_CHARS_MAX)], ids=["latin-1", "long"]
)
def test_a_file_that_is_no_statement_is_refused(
    content: bytes, gzipped: Nights, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither mended nor cut: another statement would give another answer."""
    path = gzipped.folder / "question.sql"
    path.write_bytes(content)

    assert typed(gzipped.folder, "query", "--file", str(path)) == 2
    assert "The statement is" in capsys.readouterr().err


def test_an_argument_that_is_no_text_is_refused(gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """Bytes that are no UTF-8 reach a program as lone surrogates."""
    assert "not UTF-8" in refused(gzipped, capsys, "SELECT '\udcff'")


@pytest.mark.parametrize("end", [";", "; -- c", " -- c;", ";;\n/* c */\n"])
def test_a_statement_may_end_in_any_way(end: str, gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """A semicolon and a comment are no second statement."""
    assert asked(gzipped, capsys, f"SELECT 'é;' AS text{end}") == [{"text": "é;"}]


def test_one_statement_is_given_one_way(gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither none nor two."""
    assert typed(gzipped.folder, "query") == 2
    assert "--file" in capsys.readouterr().err


def test_json_is_json_whatever_the_values(gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """What JSON has no sign for is null; two columns of one name stay apart."""
    sql = (
        "SELECT 'nan'::DOUBLE AS x, '-inf'::DOUBLE AS y, 1 AS a, 2 AS a, 'a \"NaN' AS t, {'k': [1, NULL]} AS s,"
        " ['nan'::DOUBLE, '-inf', 1] AS l"
    )

    assert asked(gzipped, capsys, sql) == [
        {"x": None, "y": None, "a": 1, "a_1": 2, "t": 'a "NaN', "s": {"k": [1, None]}, "l": [None, None, 1]}
    ]


def test_nothing_is_left_in_the_scratch_folder(gzipped: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """What does not fit into memory may hold addresses; it goes with the process."""
    asked(gzipped, capsys, "SELECT 1")

    assert list((gzipped.state / "scratch").iterdir()) == [gzipped.state / "scratch" / "runs"]


def test_an_output_folder_may_have_any_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Folders above that look like columns of ours do not become some."""
    folder = tmp_path / "dt=2020-01-01" / "account=it's"
    with closing(Database(folder / "state" / "ledger.sqlite")) as database:
        nights = practised(Nights(folder, database))

        rows = asked(nights, capsys, "SELECT DISTINCT account, dt FROM recipients WHERE contact_id = '10' ORDER BY dt")

    assert rows == [{"account": "acme", "dt": date(0)}]
    assert plain(10, 1)[0]["contactid"] == "10"
