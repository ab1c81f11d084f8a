"""What `verify` and `explain` say of carried sets, on a real ledger and real files; no call is made."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from factories import DATE
from harvested import KEYS, Harvested, carried, harvested

from harvester.cli import explain, verify
from harvester.config import load
from harvester.errors import VerificationError
from harvester.model import Command
from harvester.operations.choosing import Choice
from harvester.store.database import Database

NIGHT = "2026-03-15"
CONFIG = """
[accounts.acme]
client_id = "1000.X"
client_secret = "secret"
refresh_token = "token"
"""


@pytest.fixture
def done(tmp_path: Path) -> Iterator[Harvested]:
    (tmp_path / "config.toml").write_text(CONFIG, encoding="utf-8")
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        yield harvested(tmp_path, database)


def asked(done: Harvested, command: str, *arguments: str) -> Result:
    chosen = {"verify": verify.command, "explain": explain.command}[command]
    return CliRunner().invoke(chosen, ["--config", str(done.folder / "config.toml"), *arguments], standalone_mode=False)


def explained(done: Harvested) -> dict[str, object]:
    """What is told of one carried job."""
    [job] = json.loads(asked(done, "explain", "k1", "sentcontacts", "--as-of", NIGHT, "--json").stdout)["jobs"]
    return dict(job)


def test_D_09_repair_names_the_commands_and_writes_the_manifests_of_all_dates(done: Harvested) -> None:
    """The set is harvested once, for its own date, and then carried for the others; no date says complete till then."""
    night = carried(done)
    done.partition("k2").unlink()

    result = asked(done, "verify", "--repair", "--json")

    told = json.loads(result.stdout)
    config = f"--config {done.folder / 'config.toml'}"
    assert (told["exit_code"], told["requeued"], told["manifests"]) == (6, 2, 2)
    assert [command.partition(" ")[2] for command in told["commands"]] == [
        f"run {config} --account acme --as-of {DATE} --campaign k2 --action sentcontacts",
        f"nightly {config} --account acme --as-of {NIGHT}",
    ]
    assert [json.loads((each.date_folder / "_manifest.json").read_bytes())["state"] for each in (done, night)] == [
        "partial",
        "partial",
    ]
    assert not any((each.date_folder / "_SUCCESS").exists() for each in (done, night))


def test_all_dates_are_verified_with_one_reading(done: Harvested) -> None:
    """What was carried is counted apart."""
    carried(done)

    told = json.loads(asked(done, "verify", "--json").stdout)

    assert (told["exit_code"], told["flaws"]) == (0, [])
    assert (told["partitions"], told["read_elsewhere"], told["rows"]) == (3, len(KEYS), 9)


def test_explain_tells_by_which_counter_a_set_stands(done: Harvested) -> None:
    """The counter of the night, and that it was the same before the set was read."""
    night = carried(done)
    done.sql("UPDATE jobs SET counter_at_start = 3 WHERE id = ?", done.jobs["k1"].id)
    done.sql(
        "INSERT INTO counters SELECT harvest_id, campaign_id, action, 3 FROM jobs WHERE id = ?", night.jobs["k1"].id
    )

    told = explained(done)

    assert (told["state"], told["carried_from"]) == ("carried", DATE.isoformat())
    assert told["because"] == "its counter says 3, as it did before the set was read"
    assert told["next_look"] == "2026-03-16"


@pytest.mark.parametrize(
    ("sent_at", "command", "because", "next_look"),
    [
        ("2026-02-20", Command.NIGHTLY, "not due: at its campaign's age it is looked at every 7 days", "2026-03-22"),
        ("2024-01-01", Command.NIGHTLY, "its campaign is so old that its sets are frozen", None),
        ("2026-02-20", Command.BACKFILL, "a backfill reads what was never read", "2026-03-22"),
    ],
)
def test_explain_tells_why_no_counter_was_asked(
    done: Harvested, sent_at: str, command: Command, because: str, next_look: str | None
) -> None:
    """By the age of the campaign, or by what the run was for; and when the set is looked at again, if ever."""
    done.ledger.begin_run(0.0, command)
    carried(done)
    done.sql("UPDATE campaigns SET sent_at_ms = unixepoch(?) * 1000", sent_at)

    told = explained(done)

    assert str(told["because"]).startswith(because)
    assert told["next_look"] == next_look


def test_a_repair_looks_again_before_it_changes_anything(done: Harvested) -> None:
    """Hours may lie between the first look and the last file: what was cut off meanwhile is left to its own command."""
    settings = load(done.folder / "config.toml")
    done.partition("k2").unlink()
    choice = Choice((), None, is_all=True)
    found = verify.verify(settings, done.database, [done.harvest], choice)
    before = done.manifest().read_bytes()

    for broken, mended in (
        ("INSERT INTO erasures (id, subject, began_at, step) VALUES ('', '', '', '{}')", "DELETE FROM erasures"),
        ("UPDATE harvests SET purge = 'begun'", "UPDATE harvests SET purge = NULL"),
    ):
        done.sql(broken)
        with pytest.raises(VerificationError, match="cut off"):
            verify.repair(settings, done.database, found)
        done.sql(mended)
        assert done.manifest().read_bytes() == before

    assert verify.repair(settings, done.database, found).requeued == 1


def test_a_repair_makes_no_date_of_one_that_was_purged_meanwhile(done: Harvested) -> None:
    """What is gone from the ledger stays gone."""
    settings = load(done.folder / "config.toml")
    done.partition("k2").unlink()
    found = verify.verify(settings, done.database, [done.harvest], Choice((), None, is_all=True))
    done.sql("DELETE FROM pages")
    done.sql("DELETE FROM snapshots")
    done.sql("DELETE FROM jobs")
    done.sql("DELETE FROM harvests")
    (done.date_folder / "_manifest.json").unlink()

    repaired = verify.repair(settings, done.database, found)

    assert (repaired.requeued, repaired.dates) == (0, frozenset())
    assert done.ledger.harvests() == []
    assert not (done.date_folder / "_manifest.json").exists()
