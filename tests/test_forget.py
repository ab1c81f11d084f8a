"""`harvester forget`: one person is taken out of everything, and all else stays true."""

import asyncio
import gzip
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from nights import Nights
from stepwise import Request, Told, killed
from traced import (
    CONFIG,
    FORGOTTEN_MENTIONS,
    KEY,
    PERSON,
    assert_kills_do_no_harm,
    contact,
    export,
    harvest,
    leave_scratch,
    made,
    records,
    traces,
    typed,
    write_manifests,
)

from harvester.cli.compact import FOLDER as COMPACT_FOLDER
from harvester.cli.export import FOLDER as PARQUET_FOLDER
from harvester.cli.main import main
from harvester.config import load
from harvester.operations.beside import alone
from harvester.operations.forgetting import Forgetting
from harvester.operations.opening import opened
from harvester.snapshot import Carry
from harvester.store.database import Database
from harvester.store.erasure import COPY
from harvester.store.lock import at_work, exclusive
from harvester.store.partitions import PARTS, Compression
from harvester.store.reading import lines_of
from harvester.store.stale_exports import HOMES
from harvester.zoho.forgetting import ADDRESS_CHARS_MAX
from harvester.zoho.privacy import KEEP_ALL, EmailPolicy, Privacy

HMAC = Privacy(EmailPolicy.HMAC, KEY)
RULES = {"keep": KEEP_ALL, "hmac": HMAC, "raw = false": Privacy(has_raw=False), "both": replace(HMAC, has_raw=False)}
EXIT_BUSY, EXIT_VERIFICATION, EXIT_USAGE, EXIT_DISK = 5, 6, 2, 7


@pytest.fixture(autouse=True)
def _umask_restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("HARVESTER_")]:
        monkeypatch.delenv(name)
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


def forget(folder: Path, said: str = PERSON, *flags: str) -> dict[str, Any]:
    told = typed(folder, "forget", "--json", *flags, said=said)
    assert told.code == 0, told.err
    report: dict[str, Any] = json.loads(told.out)
    return report


def requeued(told: Told) -> int:
    return int(json.loads(told.out)["requeued"])


@pytest.mark.parametrize("privacy", RULES.values(), ids=RULES)
@pytest.mark.parametrize("carry", Carry)
@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD])
def test_P5_forget_leaves_no_byte_of_the_address(
    tmp_path: Path, compression: Compression, carry: Carry, privacy: Privacy
) -> None:
    """Nowhere below output and state, compressed or not, hashed or not; and verify finds nothing wrong."""
    folder = made(tmp_path / "f", compression, carry, privacy)
    assert len(traces(folder)) > 6

    report = forget(folder, f"  {PERSON.swapcase()}\n")

    verified = typed(folder, "verify", "--json")
    assert traces(folder) == []
    assert (verified.code, json.loads(verified.out)["flaws"]) == (0, [])
    assert (report["jobs_again"], report["unreadable"], report["strange"]) == (1, [], [])


@pytest.mark.parametrize("carry", Carry)
def test_P2_forget_takes_nothing_else(tmp_path: Path, carry: Carry) -> None:
    """Every other row stands as it stood, in its place; within others the address alone is replaced."""
    folder = made(tmp_path / "f", carry=carry)
    before = records(folder)

    forget(folder)

    after = records(folder)
    assert after.keys() == before.keys()
    for path, rows in before.items():
        kept = [row for row in rows if row["email"] != PERSON]
        mended = [
            {**row, "raw": {**row["raw"], **FORGOTTEN_MENTIONS}} if "referrer" in row["raw"] else row for row in kept
        ]
        assert after[path] == mended


def test_forget_tells_what_it_did_once_and_without_a_name(tmp_path: Path) -> None:
    """The audit trail has when, how much and a keyed hash; the same command again finds nothing, and says so too."""
    folder = made(tmp_path / "f")

    first, again = forget(folder), forget(folder)

    lines = [json.loads(line) for line in (folder / "state" / "audit.jsonl").read_text().splitlines()]
    assert [line["rows"] for line in lines] == [first["rows"], 0] == [first["rows"], again["rows"]]
    assert [line["files"] for line in lines] == [first["files"], 0]
    assert lines[0]["subject"] == lines[1]["subject"]
    assert lines[0].keys() == {"id", "at", "subject", "files", "rows", "files_left"}
    assert (folder / "state" / "audit.jsonl").stat().st_mode & 0o777 == 0o600
    assert first["rows"] == 3 + 2 + 1, "in three partitions, in two change files as added, in one as changed"


def test_hard_links_stay_links_and_copies_copies(tmp_path: Path) -> None:
    """A carried file that is another name of the first costs no space afterwards either."""
    for carry, links in ((Carry.HARDLINK, 2), (Carry.COPY, 1)):
        folder = made(tmp_path / carry.value, carry=carry)

        forget(folder)

        partitions = list((folder / "data" / "recipients").rglob("dt=2026-03-14/*/k1.jsonl.gz"))
        assert [path.stat().st_nlink for path in partitions] == [links]


def test_a_job_that_was_cut_off_begins_again(tmp_path: Path) -> None:
    """Its part held the person: it is gone, and so are the pages that the ledger knew of it."""
    folder = made(tmp_path / "f")

    forget(folder)

    assert list((folder / "data" / "_parts").iterdir()) == []
    with closing(sqlite3.connect(folder / "state" / "ledger.sqlite")) as ledger:
        found = ledger.execute(
            "SELECT count(*) FROM pages JOIN jobs ON jobs.id = job_id WHERE state IN ('pending', 'running')"
        )
        assert found.fetchone() == (0,)


def test_a_part_without_the_person_is_left_to_go_on(tmp_path: Path) -> None:
    """What was read before the run was cut off is not read again for somebody who is not in it."""
    folder = made(tmp_path / "f")

    report = forget(folder, "somebody.else@example.org")

    assert (report["files"], report["jobs_again"]) == (0, 0)
    assert len(list((folder / "data" / "_parts").iterdir())) == 1


def test_dropped_addresses_are_found_by_contact_id(tmp_path: Path) -> None:
    """Where no address was kept, the operator looks the id up in Zoho."""
    folder = made(tmp_path / "f", privacy=Privacy(EmailPolicy.DROP))

    assert forget(folder)["rows"] == 0
    report = forget(folder, PERSON, "--contact-id", "3")

    assert report["rows"] > 0
    assert "3" not in {row["contact_id"] for rows in records(folder).values() for row in rows}
    assert typed(folder, "verify").code == 0


def test_another_address_that_ends_with_it_stays(tmp_path: Path) -> None:
    """Only whole addresses are the person's."""
    folder = made(tmp_path / "f")

    forget(folder)

    assert f"x{PERSON}" in {row["email"] for rows in records(folder).values() for row in rows}


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD])
def test_P5_exports_of_what_is_forgotten_are_removed_wherever_they_lie(
    tmp_path: Path, compression: Compression
) -> None:
    """Below the output folder, however deep; one of a date that did not hold the person stays."""
    folder = made(tmp_path / "f", compression)
    with closing(Database(folder / "state" / "ledger.sqlite")) as database:
        harvest(Nights(folder, database, compression), 5, [contact(1)], key="k9")
        write_manifests(Nights(folder, database))
    exports = export(folder)
    leave_scratch(folder)

    report = forget(folder)

    left = sorted((folder / "data").rglob("_export.json"))
    held = [path for path in exports if path.parent.name in {"dt=2026-03-14", "dt=2026-03-16"}]
    assert left == [path for path in exports if path not in held]
    assert report["exports"] == len(held) == 2 * 4
    assert (report["strange"], report["unsearched"], traces(folder)) == ([], [], [])
    audit = json.loads((folder / "state" / "audit.jsonl").read_text())
    assert audit["files_left"] == 0


def test_P5_an_export_of_a_partition_that_is_gone_is_removed(tmp_path: Path) -> None:
    """Whatever a repair made of its sources since: nobody can tell what it holds."""
    folder = made(tmp_path / "f")
    export(folder)
    damaged = next((folder / "data" / "recipients").rglob("dt=2026-03-14/*/k1.jsonl.gz"))
    damaged.write_bytes(damaged.read_bytes()[:-3])
    assert typed(folder, "forget", said=PERSON).code == EXIT_VERIFICATION
    assert requeued(typed(folder, "verify", "--repair", "--json")) > 0

    forget(folder)

    assert traces(folder) == []
    assert not damaged.exists(), "what stands before the damage could still be read"


def zipped(text: str) -> bytes:
    file = io.BytesIO()
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        archive.writestr("sheet.xml", text)
    return file.getvalue()


def tar_of(text: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("notes.txt")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text.encode()))
    return file.getvalue()


OPAQUE = {
    "notes.parquet": b"whatever",
    "notes.zip": b"whatever",
    "notes.jsonl.gz": b"whatever",
    "report.xlsx": zipped(PERSON),
    "notes.csv": PERSON.encode("utf-16"),
    "notes.txt": PERSON.encode("utf-16-le"),
    "notes.tgz": gzip.compress(tar_of(PERSON)),
    "notes": gzip.compress(PERSON.encode()),
    "notes.latin": "caf\u00e9".encode("latin-1"),
}


@pytest.mark.parametrize("name", OPAQUE)
def test_P5_what_cannot_be_searched_is_not_called_clean(tmp_path: Path, name: str) -> None:
    """A file of others that is no text in UTF-8, plain or compressed as its name says, is told; exit code 6."""
    folder = made(tmp_path / "f")
    (folder / "data" / name).write_bytes(OPAQUE[name])

    told = typed(folder, "forget", "--json", said=PERSON)

    assert (told.code, json.loads(told.out)["unsearched"]) == (EXIT_VERIFICATION, [name])
    assert f"{name}: is none of our files, and cannot be searched" in told.err


@pytest.mark.parametrize("name", [PERSON, f"{PERSON}.txt", f"{PERSON}.jsonl.gz", f"of {PERSON}/notes.txt"])
def test_P5_a_file_that_is_named_with_the_address_is_told_without_it(tmp_path: Path, name: str) -> None:
    """What a file is called names somebody as well; where it lies is said all the same."""
    folder = made(tmp_path / "f")
    (folder / "data" / name).parent.mkdir(exist_ok=True)
    (folder / "data" / name).touch()

    told = typed(folder, "forget", "--json", said=PERSON)

    shown = re.sub(r"Ada[^/]*", "[e-mail]", name)
    assert (told.code, json.loads(told.out)["strange"]) == (EXIT_VERIFICATION, [shown])
    assert PERSON.casefold() not in (told.err + told.out).casefold()


@pytest.mark.parametrize("target", ["elsewhere", "elsewhere/notes.txt", "nowhere"])
def test_P5_what_lies_behind_a_link_of_others_is_not_called_clean(tmp_path: Path, target: str) -> None:
    """Nobody looks through what may be anywhere on the machine: it is told, with exit code 6."""
    folder = made(tmp_path / "f")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "notes.txt").write_text(PERSON)
    (folder / "data" / "link").symlink_to(tmp_path / target)

    told = typed(folder, "forget", "--json", said=PERSON)

    assert (told.code, json.loads(told.out)["unsearched"]) == (EXIT_VERIFICATION, ["link"])


def test_P5_exports_behind_the_links_of_our_own_folders_are_removed(tmp_path: Path) -> None:
    """Exports are large and often moved to another disk, with a link in their place: they are exports still."""
    folder = made(tmp_path / "f")
    export(folder)
    for home in HOMES:
        (folder / "data" / home).rename(tmp_path / home)
        (folder / "data" / home).symlink_to(tmp_path / home)

    report = forget(folder)

    assert (report["exports"], report["strange"], report["unsearched"]) == (2 * 4, [], [])
    assert traces(tmp_path) == []
    assert set(HOMES) == {PARQUET_FOLDER, COMPACT_FOLDER}


@pytest.mark.parametrize("place", ["", "_parts", "_quarantine"])
def test_a_pipe_below_the_output_folder_is_passed_over(tmp_path: Path, place: str) -> None:
    """Whoever opened it would wait for ever, with all locks held."""
    folder = made(tmp_path / "f")
    os.mkfifo(folder / "data" / place / "pipe")

    assert forget(folder)["rows"] > 0


def test_a_change_file_with_a_lone_surrogate_is_rewritten(tmp_path: Path) -> None:
    """What UTF-8 cannot hold stands in records, and so in changes: the person is taken out all the same."""
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "config.toml").write_text(CONFIG)
    with closing(Database(folder / "state" / "ledger.sqlite")) as database:
        nights = Nights(folder, database)
        harvest(nights, 0, [contact(1, PERSON), contact(2, firstname="x\ud800")])
        asyncio.run(nights.compared(0))
        write_manifests(nights)

    assert forget(folder)["rows"] == 2, "in the partition, and in its changes"
    assert traces(folder) == []
    assert typed(folder, "verify").code == 0


def test_a_part_that_was_moved_before_its_run_was_killed_is_ours(tmp_path: Path) -> None:
    """The ledger does not list it yet; a run would take it up with the person in it."""
    folder = made(tmp_path / "f")
    (part,) = (folder / "data" / "_parts").iterdir()
    with closing(sqlite3.connect(folder / "state" / "ledger.sqlite")) as ledger:
        (size_bytes,) = ledger.execute(
            "SELECT max(end_bytes) FROM pages JOIN jobs ON jobs.id = job_id WHERE state IN ('pending', 'running')"
        ).fetchone()
    os.truncate(part, size_bytes)
    target = folder / "data" / "recipients" / "account=acme" / "dt=2026-03-18" / "action=sentcontacts" / "k1.jsonl.gz"
    target.parent.mkdir(parents=True, exist_ok=True)
    part.rename(target)

    report = forget(folder)

    assert (report["jobs_again"], report["strange"], target.exists()) == (1, [], False)
    assert traces(folder) == []


def test_the_ledger_keeps_no_digest_of_rows_of_finished_jobs(tmp_path: Path) -> None:
    """They are of rows as they came: under rules on personal data they would be all that is left of an address."""
    folder = made(tmp_path / "f", privacy=HMAC)

    with closing(sqlite3.connect(folder / "state" / "ledger.sqlite")) as ledger:
        found = ledger.execute(
            "SELECT DISTINCT state, length(digest) FROM pages JOIN jobs ON jobs.id = job_id ORDER BY state"
        ).fetchall()

    assert [(state, size_bytes > 0) for state, size_bytes in found] == [
        ("done", False),
        ("partial", False),
        ("running", True),
    ]


def test_the_changes_rebuild_the_sets_afterwards(tmp_path: Path) -> None:
    """As before: nothing is to be compared again, and the files of all dates together make each set that was read."""
    folder = made(tmp_path / "f")
    forget(folder)

    told = typed(folder, "changes", "--all", "--json")
    sets: dict[str, dict[str, Any]] = {"k1": {}, "k2": {}}
    for path in sorted((folder / "data" / "changes").rglob("*.jsonl.gz")):
        for line in map(json.loads, lines_of(path)):
            rows = sets[line["campaign_key"]]
            if line["change"] == "removed":
                del rows[line["contact_id"]]
            else:
                rows[line["contact_id"]] = line["raw"]

    newest = {key: next(iter(reversed([path for path in records(folder) if f"/{key}." in path]))) for key in sets}
    assert json.loads(told.out)["written"] == 0
    assert sets == {
        key: {row["contact_id"]: row["raw"] for row in records(folder)[path]} for key, path in newest.items()
    }


def test_it_is_told_that_the_object_store_follows(tmp_path: Path) -> None:
    """Where something was published, and files changed, the person is there until the next `harvester publish`."""
    folder = made(tmp_path / "f")
    config = (folder / "config.toml").read_text()
    (folder / "config.toml").write_text(f'{config}[publish]\nurl = "file://{tmp_path}/bucket"\n')
    notice = "The object store has the person until harvester publish"

    before = typed(folder, "forget", said="r1@example.org")
    typed(folder, "publish", "--all")
    (folder / "config.toml").write_text(config)
    first, again = (typed(folder, "forget", said=PERSON) for _ in range(2))

    assert (before.code, first.code, again.code) == (0, 0, 0), before.err + first.err + again.err
    assert notice not in before.err, "nothing was published yet"
    assert notice in first.err, "wherever it is, and whatever the configuration says now"
    assert notice not in again.err, "nothing was changed"


@pytest.mark.parametrize("lock", ["publish/acme", "changes/acme", "exports", "."])
def test_beside_whoever_reads_or_writes_the_files_nothing_is_changed(tmp_path: Path, lock: str) -> None:
    """Exit code 5, and words about what is in the way and not about calls."""
    folder = made(tmp_path / "f")

    with exclusive(folder / "state" / lock):
        told = typed(folder, "forget", said=PERSON)

    assert told.code == EXIT_BUSY
    assert f"process {os.getpid()}). Nothing was changed." in told.err
    assert len(traces(folder)) > 6


def test_publishing_waits_for_forgetting(tmp_path: Path) -> None:
    """What forgetting is at work on is not uploaded; afterwards the bucket has nothing of the person."""
    folder = made(tmp_path / "f")
    with (folder / "config.toml").open("a") as config:
        config.write(f'[publish]\nurl = "file://{tmp_path}/bucket"\n')
    settings = load(folder / "config.toml")
    command = [sys.executable, "-m", "harvester", "publish", "--all", "--json"]

    with opened(settings) as database, alone(settings, database):
        publishing = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            publishing.communicate(timeout=2)
        assert not any(path.is_file() for path in (tmp_path / "bucket").rglob("*"))
        Forgetting(settings, database).forget(PERSON.casefold(), ())
    out, err = publishing.communicate(timeout=60)

    assert publishing.returncode == 0, err
    assert [date["left_out"] for date in json.loads(out)["dates"]] == [None] * 5
    assert traces(tmp_path) == []


def cut_off_erasure(folder: Path, *flags: str) -> str:
    """Leave what an erasure leaves that the disk refuses in its first step, and return its id."""
    obstacle = folder / "data" / PARTS / COPY
    obstacle.mkdir()
    assert typed(folder, "forget", *flags, said=PERSON).code == EXIT_DISK
    obstacle.rmdir()
    erasure_id: str = json.loads(typed(folder, "status", "--json").out)["erasures"][0]["id"]
    return erasure_id


def test_P_03_an_erasure_by_contact_id_is_ended_by_none_without_it(tmp_path: Path) -> None:
    """Its rows would stay where addresses were dropped, and nobody would tell of it any more."""
    folder = made(tmp_path / "f", privacy=Privacy(EmailPolicy.DROP))
    cut_off_erasure(folder, "--contact-id", "3", "--contact-id", "4")

    forget(folder)
    told = typed(folder, "verify")
    forget(folder, PERSON, "--contact-id", "4", "--contact-id", "3")

    assert told.code == EXIT_VERIFICATION
    assert "with the same address, and --contact-id as before" in told.out + told.err
    assert typed(folder, "verify").code == 0
    first, second = map(json.loads, (folder / "state" / "audit.jsonl").read_text().splitlines())
    assert first["subject"] == second["subject"], "which is known by the address alone"


@pytest.mark.parametrize("is_lost", [True, False])
def test_P_03_an_erasure_goes_on_with_its_own_key_alone(tmp_path: Path, *, is_lost: bool) -> None:
    """Under another nobody could tell whose it is: it would stay open, and the old hashes would stay in the files."""
    folder = made(tmp_path / "f", privacy=HMAC)
    cut_off_erasure(folder)
    key_file = folder / "state" / "privacy.key"
    key_file.unlink()
    if not is_lost:
        key_file.write_text(bytes(32).hex())
        key_file.chmod(0o600)

    refused = typed(folder, "forget", said=PERSON)
    assert (refused.code, key_file.exists()) == (EXIT_USAGE, not is_lost)
    assert "Put that key back" in refused.err
    key_file.write_text(KEY.hex())
    key_file.chmod(0o600)
    forget(folder)

    assert traces(folder / "data") == []
    assert typed(folder, "verify").code == 0


def test_an_erasure_that_nobody_can_go_on_with_is_given_up(tmp_path: Path) -> None:
    """Its key is lost, or its address was mistyped: it is closed by its id, and the audit trail says so."""
    folder = made(tmp_path / "f")
    erasure_id = cut_off_erasure(folder)
    (folder / "state" / "privacy.key").unlink()

    told = typed(folder, "forget", "--give-up", erasure_id)

    assert (told.code, told.out) == (0, "")
    assert f"erasure {erasure_id} given up" in told.err
    (line,) = map(json.loads, (folder / "state" / "audit.jsonl").read_text().splitlines())
    assert line.keys() == {"id", "at", "files", "rows", "is_given_up"}
    assert (line["id"], line["is_given_up"]) == (erasure_id, True)
    assert typed(folder, "verify").code == 0
    assert typed(folder, "forget", "--give-up", erasure_id).code == EXIT_USAGE, "it is open no more"


@pytest.mark.parametrize("contact_id", ["", "0", "-1", "null"])
def test_an_id_that_stands_for_nobody_is_refused(tmp_path: Path, contact_id: str) -> None:
    """Rows of many contacts have it: all of them would go."""
    folder = made(tmp_path / "f")

    told = typed(folder, "forget", "--contact-id", contact_id, said=PERSON)

    assert told.code == EXIT_USAGE
    assert len(traces(folder)) > 6


def test_a_damaged_file_is_told_and_the_rest_is_done(tmp_path: Path) -> None:
    """Nobody can tell what stands in it: exit code 6, and which file; after its repair the same command is complete."""
    folder = made(tmp_path / "f")
    path = next((folder / "data" / "recipients").rglob("dt=2026-03-14/*/k3.jsonl.gz"))
    path.write_bytes(b"no gzip")

    told = typed(folder, "forget", "--json", said=PERSON)

    assert told.code == EXIT_VERIFICATION
    assert json.loads(told.out)["unreadable"] == [str(path.relative_to(folder / "data"))]
    assert traces(folder) == []


def test_files_of_others_are_told_and_left(tmp_path: Path) -> None:
    """What no job accounts for is nobody's to change."""
    folder = made(tmp_path / "f")
    strange = folder / "data" / "notes.txt"
    strange.write_text(f"Call {PERSON}.")

    told = typed(folder, "forget", said=PERSON)

    assert told.code == EXIT_VERIFICATION
    assert traces(folder) == ["data/notes.txt"]
    assert "notes.txt: names the person" in told.err
    assert PERSON.casefold() not in (told.err + told.out).casefold()


def test_beside_a_run_nothing_is_changed(tmp_path: Path) -> None:
    """Exit code 5; the run is named, and not what it does just now: none of its own locks is asked for before."""
    folder = made(tmp_path / "f")

    with at_work(folder / "state", "run-9"), exclusive(folder / "state" / "publish" / "acme"):
        told = typed(folder, "forget", said=PERSON)

    assert told.code == EXIT_BUSY
    assert f"A run (process {os.getpid()}) is at work. Nothing was changed." in told.err
    assert len(traces(folder)) > 6


@pytest.mark.parametrize(
    "said", ["", "ada", "@example.org", "ada@", "a b@example.org", f"{'a' * ADDRESS_CHARS_MAX}@x.org", "a@x\nb@y"]
)
def test_P5_what_is_no_address_is_refused_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: str
) -> None:
    """Nothing is looked through for it; whatever was typed may be personal data."""
    (tmp_path / "config.toml").write_text(CONFIG)
    stdin = SimpleNamespace(isatty=lambda: False, buffer=SimpleNamespace(read=lambda _size: said.encode()))
    monkeypatch.setattr(sys, "stdin", stdin)

    with pytest.raises(SystemExit) as ended:
        main(["forget", "--config", str(tmp_path / "config.toml")])

    err = capsys.readouterr().err
    assert ended.value.code == EXIT_USAGE
    assert "There is no e-mail address" in err
    assert not said.strip() or said not in err


def test_P5_the_address_is_no_argument(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every user of a machine sees the command lines of all its processes."""
    with pytest.raises(SystemExit) as ended:
        main(["forget", PERSON, "--config", str(tmp_path / "config.toml")])

    err = capsys.readouterr().err
    assert ended.value.code == EXIT_USAGE
    assert "unexpected extra argument [e-mail]" in err
    assert PERSON.casefold() not in err.casefold()


ARGUMENTS = (
    ["query", "select 1", PERSON],
    [PERSON],
    [f"--{PERSON}"],
    ["forget", "--contact-id", "7", PERSON],
    ["purge", "--older-than", PERSON.replace("@", "%40")],
)


@pytest.mark.parametrize("argv", ARGUMENTS)
def test_P5_no_command_repeats_an_address(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is wrong with what was typed is said without it: standard error often goes to a log."""
    with pytest.raises(SystemExit) as ended:
        main(argv)

    said = capsys.readouterr()
    assert ended.value.code == EXIT_USAGE
    assert "[e-mail]" in said.err
    assert not any(part in (said.out + said.err).casefold() for part in PERSON.casefold().split("@"))


# --- killed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("carry", "first"), [(Carry.REFERENCE, 3), (Carry.HARDLINK, 8), (Carry.COPY, 13)])
def test_P_03_killed_at_any_step_the_same_command_completes(tmp_path: Path, carry: Carry, first: int) -> None:
    """Every so many steps; `make faults` takes more of them."""
    assert_kills_do_no_harm(tmp_path, carry, first=first, stride=17)


def test_P_03_an_erasure_that_was_cut_off_is_told_until_it_is_done(tmp_path: Path) -> None:
    """A run completes the step, and fetches nothing again; that somebody is still to be forgotten is said by all."""
    template = made(tmp_path / "template")
    (tmp_path / "work").mkdir()
    flags = ["--as-of", "2026-03-14", "--campaign", "k1", "--campaign", "k2", "--action", "sentcontacts"]
    between = [["run", *flags], ["verify", "--json"], ["status", "--json"]]
    after = [["status", "--json"]]
    request = Request(str(template), str(tmp_path / "work"), ["forget"], PERSON, between, after, first=5, stride=17)

    for each in killed(request):
        ran, verified, status = (Told(**told) for told in each["between"])
        assert ran.code == 0, ran.err
        flaws = [flaw for flaw in json.loads(verified.out)["flaws"] if not flaw["path"].endswith(".draft")]
        open_ones = json.loads(status.out)["erasures"]
        assert [flaw["path"] for flaw in flaws if flaw["kind"] != "manifest"] == [
            f"erasure {told['id']}" for told in open_ones
        ]
        assert open_ones or traces(Path(each["folder"])) == []
        assert json.loads(each["after"][0]["out"])["erasures"] == []
