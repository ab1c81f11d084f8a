"""`harvester changes` as people type it: which dates, what it prints, and how it ends."""

import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from factories import rows
from nights import Nights

from harvester.cli.changes import ChangeWriting
from harvester.cli.main import main
from harvester.config import load
from harvester.errors import VerificationError
from harvester.model import Action
from harvester.operations.changing import lock_folder
from harvester.store.database import Database
from harvester.store.lock import at_work, exclusive
from harvester.store.manifest import write_manifest

CONFIG = """\
output = "{folder}/data"
state = "{folder}/state"
[accounts.acme]
client_id = "1000.PRACTICE"
client_secret = "practice"
refresh_token = "practice"
base_url = "http://127.0.0.1:1"
accounts_url = "http://127.0.0.1:1"
"""


@pytest.fixture(autouse=True)
def _umask_restored() -> Iterator[None]:
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Nights]:
    (tmp_path / "config.toml").write_text(CONFIG.format(folder=tmp_path))
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        yield Nights(tmp_path, database)


def typed(nights: Nights, *flags: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["changes", "--config", str(nights.folder / "config.toml"), *flags])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def manifest(nights: Nights, night: int) -> list[dict[str, Any]]:
    path = nights.output / f"recipients/account=acme/dt={nights.date(night)}/_manifest.json"
    jobs: list[dict[str, Any]] = json.loads(path.read_bytes())["jobs"]
    return jobs


def test_the_newest_date_is_compared_and_its_manifest_tells_so(
    nights: Nights, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without flags it is what the last run left out; a table goes to standard output, a sentence to standard error."""
    first = nights.harvested(0, rows(1, 3))
    nights.harvested(1, rows(2, 4))
    write_manifest(nights.output, nights.ledger, nights.of(1), "now")

    code = typed(nights)

    out, err = capsys.readouterr()
    assert code == 0
    assert out.splitlines() == [
        "account\tdate\taction\tjobs\tadded\tremoved\tchanged\tleft_out",
        "acme\t2026-03-15\tsentcontacts\t1\t2\t1\t0\t0",
    ]
    assert err.startswith("compared: 1 job in ")
    assert nights.book.changes_of(first) is None
    assert manifest(nights, 1)[0]["changes"]["added"] == 2


def test_all_dates_are_compared_in_order_and_once(nights: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """The same command again compares nothing and tells the same."""
    for night, count in enumerate((3, 5, 5)):
        nights.harvested(night, rows(1, count))

    codes = [typed(nights, "--all", "--json") for _ in range(2)]

    first, again = map(json.loads, capsys.readouterr().out.splitlines())
    assert codes == [0, 0]
    assert [(line["date"], line["added"]) for line in first["actions"]] == [
        ("2026-03-14", 3),
        ("2026-03-15", 2),
        ("2026-03-16", 0),
    ]
    assert (first["written"], again["written"]) == (3, 0)
    assert again["actions"] == first["actions"]


def test_a_date_and_actions_can_be_chosen(nights: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """The others are left as they are."""
    nights.harvested(0, rows(1, 3))
    clicked = nights.harvested(0, rows(1, 2), action=Action.CLICKED)
    nights.harvested(1, rows(1, 3))

    code = typed(nights, "--account", "acme", "--as-of", "2026-03-14", "--action", "sentcontacts", "--json")

    told = json.loads(capsys.readouterr().out)
    assert (code, [(line["date"], line["action"]) for line in told["actions"]]) == (0, [("2026-03-14", "sentcontacts")])
    assert nights.book.changes_of(clicked) is None


def test_D_09_what_cannot_be_compared_is_told_with_exit_code_6(
    nights: Nights, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ledger and files disagree: which file, and what to do; the other jobs are compared."""
    nights.harvested(0, rows(1, 3))
    nights.harvested(0, rows(1, 3), key="k2")
    next(nights.output.rglob("k1.jsonl.gz")).unlink()

    code = typed(nights)

    out, err = capsys.readouterr()
    assert code == 6
    assert out.splitlines()[1] == "acme\t2026-03-14\tsentcontacts\t2\t3\t0\t0\t1"
    assert "k1.jsonl.gz: it is not there; harvester verify --repair" in err
    assert err.splitlines()[-1].endswith("1 job left out")
    assert "@" not in err


def test_P4_it_leaves_a_date_that_a_run_is_at_work_on_alone(nights: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    """The run may replace the partitions that are compared, and writes the manifest itself."""
    job = nights.harvested(0, rows(1, 3))

    with at_work(nights.state, "run-1"):
        code = typed(nights)

    assert (code, nights.book.changes_of(job)) == (5, None)
    assert "at work on acme 2026-03-14" in capsys.readouterr().err


def test_P4_two_processes_never_write_the_changes_of_an_account_at_once(nights: Nights) -> None:
    """The second leaves with a clear message and exit code 5."""
    job = nights.harvested(0, rows(1, 3))

    with exclusive(lock_folder(nights.state, "acme")):
        code = typed(nights)

    assert (code, nights.book.changes_of(job)) == (5, None)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--all", "--as-of", "2026-03-14"), "exclude each other"),
        (("--as-of", "2020-01-01"), "no harvest of 2020-01-01"),
        (("--account", "other"), "no harvest of account 'other'"),
    ],
)
def test_what_is_not_there_is_a_matter_of_usage(
    nights: Nights, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], words: str
) -> None:
    """Exit code 2, and what is known instead."""
    nights.harvested(0, rows(1, 3))

    code = typed(nights, *flags)

    assert code == 2
    assert words in capsys.readouterr().err


def test_forgetting_that_is_cut_off_meanwhile_stops_the_comparison(nights: Nights) -> None:
    """It is looked for under the lock that forgetting holds, not only before the first date."""
    job = nights.harvested(0, rows(1, 3))
    with nights.database.writing(nights.database.durable) as connection:
        connection.execute("INSERT INTO erasures (id, subject, began_at, step) VALUES ('e', 's', '', '{}')")
    writing = ChangeWriting(load(nights.folder / "config.toml"), nights.database, ())

    with pytest.raises(VerificationError, match="forget"):
        writing.write([nights.of(0)])

    assert nights.book.changes_of(job) is None


def test_a_date_that_was_purged_meanwhile_is_left_alone(nights: Nights) -> None:
    """What was kept of it gets no change file, and the date no manifest; nor does the next night make up for it."""
    nights.harvested(0, rows(1, 3))
    job = nights.harvested(1, rows(1, 4))
    harvest, next_one = nights.of(1), nights.of(2)
    with nights.database.writing(nights.database.durable) as connection:
        connection.execute("UPDATE jobs SET changes = '{}' WHERE harvest_id = ?", (nights.of(0).id,))
        connection.execute("UPDATE harvests SET purge = 'done' WHERE id = ?", (harvest.id,))

    ChangeWriting(load(nights.folder / "config.toml"), nights.database, ()).write([harvest])

    assert nights.book.changes_of(job) is None
    assert not (nights.output / "changes").exists()
    assert list(nights.output.rglob("_manifest.json")) == []
    assert nights.book.cut_off(next_one) == []
