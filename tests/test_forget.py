"""`harvester forget`: one person is taken out of everything, and all else stays true."""

import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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
    harvest,
    made,
    records,
    traces,
    typed,
    write_manifests,
)

from harvester.cli.main import main
from harvester.snapshot import Carry
from harvester.store.database import Database
from harvester.store.exports import ExportedDate
from harvester.store.lock import at_work
from harvester.store.partitions import Compression
from harvester.zoho.forgetting import ADDRESS_CHARS_MAX
from harvester.zoho.privacy import KEEP_ALL, EmailPolicy, Privacy

HMAC = Privacy(EmailPolicy.HMAC, KEY)
RULES = {"keep": KEEP_ALL, "hmac": HMAC, "raw = false": Privacy(has_raw=False), "both": replace(HMAC, has_raw=False)}
EXIT_BUSY, EXIT_VERIFICATION, EXIT_USAGE = 5, 6, 2


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


def test_an_export_is_removed_with_its_sources(tmp_path: Path) -> None:
    """It is made again by the next export; an export of a date that did not hold the person is left."""
    folder = made(tmp_path / "f")
    with closing(Database(folder / "state" / "ledger.sqlite")) as database:
        harvest(Nights(folder, database), 5, [contact(1)], key="k9")
        write_manifests(Nights(folder, database))
    for date in ("2026-03-14", "2026-03-19"):
        ExportedDate(folder / "data" / "compact", "jsonl", "acme", date).finish([])

    report = forget(folder)

    left = [path.parent.name for path in (folder / "data" / "compact").rglob("_export.json")]
    assert (report["exports"], left) == (1, ["dt=2026-03-19"])


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
    """Exit code 5; who is at work is said."""
    folder = made(tmp_path / "f")

    with at_work(folder / "state", "run-9"):
        told = typed(folder, "forget", said=PERSON)

    assert told.code == EXIT_BUSY
    assert f"process {os.getpid()}" in told.err
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

    assert ended.value.code == EXIT_USAGE
    assert "unexpected extra argument" in capsys.readouterr().err


# --- killed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("carry", "first"), [(Carry.REFERENCE, 3), (Carry.HARDLINK, 8), (Carry.COPY, 13)])
def test_P_03_killed_at_any_step_the_same_command_completes(tmp_path: Path, carry: Carry, first: int) -> None:
    """Every so many steps; `make faults` takes each of them."""
    assert_kills_do_no_harm(tmp_path, carry, first=first, stride=17)


def test_P_03_a_run_completes_an_erasure_that_was_cut_off(tmp_path: Path) -> None:
    """It needs no address for that, and fetches nothing again: a server that is not there is not missed."""
    template = made(tmp_path / "template")
    (tmp_path / "work").mkdir()
    flags = ["--as-of", "2026-03-14", "--campaign", "k1", "--campaign", "k2", "--action", "sentcontacts"]
    between = [["run", *flags], ["verify", "--json"]]
    request = Request(str(template), str(tmp_path / "work"), ["forget"], PERSON, between, [], first=5, stride=17)

    for each in killed(request):
        ran, verified = (Told(**told) for told in each["between"])
        assert ran.code == 0, ran.err
        flaws = json.loads(verified.out)["flaws"]
        # Until forget is given again: manifests of other dates, and what it was writing.
        assert [flaw for flaw in flaws if flaw["kind"] != "manifest" and not flaw["path"].endswith(".draft")] == []
