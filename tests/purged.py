"""A folder with old dates and new ones that carry from them; and what a purge may leave of it."""

import datetime as dt
import json
import sqlite3
from contextlib import closing
from pathlib import Path

from factories import DATE
from harvested import Harvested, carried, harvested
from nights import Nights
from stepwise import Request, Told, killed
from traced import CONFIG, listing

from harvester.errors import VerificationError
from harvester.snapshot import Carry
from harvester.store.database import Database
from harvester.store.manifest import write_manifest


def older_than(days_kept: int) -> str:
    """Return the flag's value by which the dates from `DATE` plus so many days on stay."""
    return f"{(dt.datetime.now(dt.UTC).date() - DATE).days - days_kept}d"


def made(folder: Path, carry: Carry = Carry.REFERENCE) -> None:
    """Harvest a date and carry it over to the next four; k1 is read anew on the third of these, k2 on the fourth."""
    folder.mkdir()
    (folder / "config.toml").write_text(CONFIG)
    with closing(Database(folder / "state" / "ledger.sqlite")) as database:
        done = harvested(folder, database)
        nights = Nights(folder, database)
        listing(nights, 0)
        for days in (1, 2, 3, 4):
            night = carried(done, days, carry)
            if days >= 3:  # as a run does that was asked for one campaign
                _reread(night, nights, days, f"k{days - 2}")
        for harvest in done.ledger.harvests():
            write_manifest(done.output, done.ledger, harvest, "2026-03-20T02:00:00+00:00")


def _reread(night: Harvested, nights: Nights, days: int, key: str) -> None:
    from traced import contact, harvest  # noqa: PLC0415

    with nights.database.writing(nights.database.durable) as connection:
        connection.execute(
            "UPDATE jobs SET state = 'pending', path = NULL, rows = NULL, bytes = NULL, sha256 = NULL, origin_id = NULL"
            " WHERE id = ?",
            (night.jobs[key].id,),
        )
    for left in night.date_folder.glob(f"action=*/{key}.jsonl*"):
        left.unlink()
    harvest(nights, days, [contact(1), contact(2)], key=key)


def dates_left(folder: Path) -> list[str]:
    """Return the dates of which any file is left, of whatever kind."""
    files = (path for path in (folder / "data").rglob("*") if path.is_file())
    return sorted({part.removeprefix("dt=") for path in files for part in path.parts if part.startswith("dt=")})


def ledger_dates(folder: Path) -> list[tuple[str, int]]:
    """Return the dates that the ledger knows, each with how many jobs."""
    with closing(sqlite3.connect(folder / "state" / "ledger.sqlite")) as ledger:
        return ledger.execute(
            "SELECT date, count(jobs.id) FROM harvests LEFT JOIN jobs ON harvest_id = harvests.id"
            " GROUP BY date ORDER BY date"
        ).fetchall()


def assert_kills_do_no_harm(folder: Path, carry: Carry, *, first: int = 1, stride: int = 1) -> None:
    """Kill `purge` again and again; between, verify finds nothing wrong or says that the purge is not at its end."""
    made(folder / "template", carry)
    made(folder / "whole", carry)
    (folder / "work").mkdir()
    command = ["purge", "--older-than", older_than(3)]
    template, work = str(folder / "template"), str(folder / "work")
    between, after = [["verify", "--repair", "--json"]], [["verify", "--json"], [*command, "--dry-run"]]
    (whole,) = killed(Request(str(folder / "whole"), str(folder), command, "", [], [], first=100_000))
    kills = killed(Request(template, work, command, "", between, after, first=first, stride=stride))
    assert len(kills) * stride > 30
    for each in kills:
        halfway, verified, dry = Told(**each["between"][0]), *(Told(**told) for told in each["after"])
        assert halfway.code in {0, VerificationError.exit_code}, halfway
        assert not halfway.out or json.loads(halfway.out)["flaws"] == [], halfway.out
        assert each["again"]["code"] == 0, each["again"]["err"]
        assert (verified.code, json.loads(verified.out)["flaws"]) == (0, [])
        assert dry.out == ""
        assert dates_left(Path(each["folder"])) == dates_left(Path(whole["folder"]))
        assert ledger_dates(Path(each["folder"])) == ledger_dates(Path(whole["folder"]))
