"""`harvester purge`: old dates go, from files and ledger; what later dates have stays."""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from factories import DATE
from nights import Nights
from purged import assert_kills_do_no_harm, dates_left, ledger_dates, made, older_than
from traced import cut_off, typed

from harvester.cli.main import main
from harvester.cli.purge import ELSEWHERE
from harvester.snapshot import Carry
from harvester.store.database import Database
from harvester.store.lock import at_work
from harvester.store.manifest import mark_running
from harvester.zoho.privacy import KEEP_ALL

FIRST, FOURTH, FIFTH = "2026-03-14", "2026-03-17", "2026-03-18"
EXIT_USAGE, EXIT_BUSY, EXIT_VERIFICATION = 2, 5, 6
AGAIN = ("--as-of", FIRST, "--campaign", "k3", "--action", "sentcontacts")


@pytest.fixture(autouse=True)
def _umask_restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("HARVESTER_")]:
        monkeypatch.delenv(name)
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made(tmp_path / "f")
    return tmp_path / "f"


def manifest_of(folder: Path, date: str) -> dict[str, Any]:
    (path,) = (folder / "data" / "recipients").glob(f"*/dt={date}/_manifest.json")
    manifest: dict[str, Any] = json.loads(path.read_bytes())
    return manifest


def test_dates_that_nobody_has_go_with_all_that_is_known_of_them(folder: Path) -> None:
    """Partitions that later dates carry stay, each with its job; the manifests and listings of old dates go."""
    told = typed(folder, "purge", "--older-than", older_than(3))

    assert told.code == 0, told.err
    assert [line.partition(" (")[0] for line in told.out.splitlines()] == [
        "acme 2026-03-14: 1 partition, 3 rows",
        *(f"acme 2026-03-{day}: 0 partitions, 0 rows" for day in (15, 16)),
    ]
    assert told.out.splitlines()[0].endswith("; 2 partitions kept, as later dates have them")
    assert told.err.startswith("3 dates before 2026-03-17 removed: 3 rows (")
    assert dates_left(folder) == [FIRST, FOURTH, FIFTH]
    assert ledger_dates(folder) == [(FIRST, 2), (FOURTH, 3), (FIFTH, 3)]
    (action,) = (folder / "data" / "recipients" / "account=acme" / f"dt={FIRST}").iterdir()
    assert sorted(path.name for path in action.iterdir()) == ["k2.jsonl.gz", "k3.jsonl.gz"]
    assert typed(folder, "verify").code == 0


def test_it_is_told_that_the_object_store_has_old_dates_still(tmp_path: Path, folder: Path) -> None:
    """Where something was published: what is purged goes there with the next `harvester publish`."""
    with (folder / "config.toml").open("a") as config:
        config.write(f'[publish]\nurl = "file://{tmp_path}/bucket"\n')

    before = typed(folder, "purge", "--older-than", older_than(1))
    published = typed(folder, "publish", "--all")
    dry = typed(folder, "purge", "--older-than", older_than(3), "--dry-run")
    after = typed(folder, "purge", "--older-than", older_than(3))

    assert published.code == 0, published.err
    assert [ELSEWHERE in told.err for told in (before, dry, after)] == [False, False, True]


def test_what_nobody_has_any_more_goes_later(folder: Path) -> None:
    """A kept partition goes with the first purge after the last date that has it."""
    typed(folder, "purge", "--older-than", older_than(3))

    told = typed(folder, "purge", "--older-than", older_than(4))

    assert "acme 2026-03-14: 1 partition, 3 rows" in told.out, "k2 was read anew on the fifth date"
    assert ledger_dates(folder)[0] == (FIRST, 1)
    assert typed(folder, "verify").code == 0
    typed(folder, "purge", "--older-than", older_than(5))
    assert (dates_left(folder), ledger_dates(folder)) == ([], [])


def test_nothing_is_removed_by_a_dry_run(folder: Path) -> None:
    """It says the same, in another mood."""
    dry = typed(folder, "purge", "--older-than", older_than(3), "--dry-run")

    assert dry.err.startswith("3 dates before 2026-03-17 would be removed: 3 rows (")
    assert len(dates_left(folder)) == 5
    assert dry.out == typed(folder, "purge", "--older-than", older_than(3)).out


@pytest.mark.parametrize("carry", [Carry.HARDLINK, Carry.COPY])
def test_dates_with_files_of_their_own_are_whole_afterwards(tmp_path: Path, carry: Carry) -> None:
    """The reading that they came from stays with them, and is the snapshot of the next night."""
    made(tmp_path / "f", carry)

    typed(tmp_path / "f", "purge", "--older-than", older_than(3))

    verified = typed(tmp_path / "f", "verify")
    assert verified.code == 0, verified.out
    with closing(sqlite3.connect(tmp_path / "f" / "state" / "ledger.sqlite")) as ledger:
        assert ledger.execute("SELECT count(*) FROM snapshots").fetchone() == (3,)
        assert ledger.execute("PRAGMA foreign_key_check").fetchall() == []


def test_what_is_gone_from_the_ledger_leaves_no_bytes(folder: Path) -> None:
    """Free pages are overwritten and the log is emptied: the hash of an old partition stands nowhere."""
    with closing(sqlite3.connect(folder / "state" / "ledger.sqlite")) as ledger:
        (sha256,) = ledger.execute("SELECT sha256 FROM jobs JOIN campaigns ON campaigns.id = campaign_id"
                                   " JOIN harvests ON harvests.id = harvest_id WHERE date = ? AND key = 'k1'",
                                   (FIRST,)).fetchone()  # fmt: skip

    typed(folder, "purge", "--older-than", older_than(5))

    left = b"".join(path.read_bytes() for path in (folder / "state").glob("ledger.sqlite*"))
    assert sha256.encode() not in left


def test_a_purged_date_can_be_harvested_again(folder: Path) -> None:
    """It is a date like others then; what was kept of it is not asked for again, and nobody says that it is all."""
    typed(folder, "purge", "--older-than", older_than(3))

    ran = typed(folder, "run", *AGAIN)

    assert ran.code == 0, ran.err
    assert "0 calls" in ran.err
    manifest = manifest_of(folder, FIRST)
    assert (manifest["state"], manifest["discovery"], manifest["jobs_by_state"]["done"]) == ("complete", "none", 2)
    with closing(sqlite3.connect(folder / "state" / "ledger.sqlite")) as ledger:
        assert ledger.execute("SELECT purge FROM harvests WHERE date = ?", (FIRST,)).fetchone() == (None,)
    assert typed(folder, "verify").code == 0


def test_a_date_whose_purge_was_cut_off_is_not_harvested(folder: Path) -> None:
    """Nobody knows which of its files are gone: the purge goes on first. Runs for other dates are not kept waiting."""
    with closing(sqlite3.connect(folder / "state" / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("UPDATE harvests SET purge = 'begun' WHERE date = ?", (FIRST,))

    refused = typed(folder, "run", *AGAIN)
    other = typed(folder, "run", "--as-of", FIFTH, *AGAIN[2:])

    assert (refused.code, other.code) == (EXIT_VERIFICATION, 0), (refused.err, other.err)
    assert "harvester purge was cut off" in refused.err


def test_nothing_but_a_run_makes_a_date_of_a_purged_one(folder: Path) -> None:
    """Forgetting and repairs change files that were kept of it, and write the manifests of the dates that have them."""
    typed(folder, "purge", "--older-than", older_than(3))

    forgotten = typed(folder, "forget", said="r2@example.org")
    ran = typed(folder, "run", "--as-of", FIFTH, *AGAIN[2:])
    (kept,) = (folder / "data" / "recipients" / "account=acme" / f"dt={FIRST}").glob("*/k3.jsonl.gz")
    kept.write_bytes(b"damaged")
    repaired = typed(folder, "verify", "--repair")

    assert (forgotten.code, ran.code, repaired.code) == (0, 0, EXIT_VERIFICATION), (forgotten.err, ran.err)
    assert f"--as-of {FOURTH}" in repaired.err
    assert f"--as-of {FIRST}" not in repaired.err
    assert not list((folder / "data").glob(f"recipients/*/dt={FIRST}/_*"))


def test_what_no_run_has_ended_is_told(folder: Path) -> None:
    """The jobs of a run that was killed, and of a backfill that nobody went on with, go with their parts."""
    with closing(Database(folder / "state" / "ledger.sqlite")) as database:
        nights = Nights(folder, database)
        cut_off(nights, 0, KEEP_ALL, key="k4")
        mark_running(nights.output, nights.ledger, nights.of(0), "2026-03-20T02:00:00+00:00")

    told = typed(folder, "purge", "--older-than", older_than(3))

    assert "acme 2026-03-14: 1 partition, 3 rows (" in told.out
    assert "; 1 unfinished job; 2 partitions kept" in told.out
    assert not list((folder / "data" / "_parts").iterdir())
    assert not list((folder / "data").glob(f"recipients/*/dt={FIRST}/_*"))
    assert typed(folder, "verify").code == 0


def test_exports_hold_no_more_than_the_partitions(folder: Path) -> None:
    """What was made of partitions that go is removed, however deep it lies; what was made of others stays."""
    homes = [folder / "data" / name for name in ("compact", "exports/lines")]
    for home in homes:
        assert typed(folder, "compact", "--all", "--out", str(home)).code == 0

    typed(folder, "purge", "--older-than", older_than(3))

    for home in homes:
        assert [path.parent.name for path in sorted(home.rglob("_export.json"))] == [f"dt={FOURTH}", f"dt={FIFTH}"]


def test_what_a_killed_question_left_goes_too(folder: Path) -> None:
    """The scratch of a dead process may hold rows of any date."""
    left = folder / "state" / "scratch" / "dead"
    left.mkdir(parents=True)
    (left / "rows").write_bytes(b"r1@example.org")

    typed(folder, "purge", "--older-than", older_than(3))

    assert not left.exists()


def test_beside_a_run_nothing_is_removed(folder: Path) -> None:
    """Exit code 5, and who is at work."""
    with at_work(folder / "state", "run-9"):
        told = typed(folder, "purge", "--older-than", older_than(3))

    assert told.code == EXIT_BUSY
    assert len(dates_left(folder)) == 5


@pytest.mark.parametrize("days", ["400", "0d", "-1d", "4w", "1.5d", "999999d", ""])
def test_only_a_number_of_days_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str], days: str) -> None:
    """A slip of the pen must not remove everything."""
    with pytest.raises(SystemExit) as ended:
        main(["purge", "--config", str(tmp_path / "config.toml"), "--older-than", days])

    assert ended.value.code == EXIT_USAGE
    assert "is no number of days; give one such as 400d" in capsys.readouterr().err


@pytest.mark.parametrize(("carry", "first"), [(Carry.REFERENCE, 2), (Carry.HARDLINK, 5), (Carry.COPY, 9)])
def test_P_03_killed_at_any_step_the_same_command_completes(tmp_path: Path, carry: Carry, first: int) -> None:
    """Every so many steps; `make faults` takes more of them."""
    assert_kills_do_no_harm(tmp_path, carry, first=first, stride=11)


def test_the_first_date_of_the_folder_is_that_of_the_factories() -> None:
    """The names of days in this file are those of the dates that are harvested."""
    assert DATE.isoformat() == FIRST
