"""Calls that `harvester run` spends on recipients, beside the fewest with which the sets can be read.

A reader who is not told a set's size must see a page that is not full: floor(rows / page) + 1 calls, the page being
the longest that the server gives. The referee of `harvester simulate` counts, and counters prove that every row came.
"""

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import orjson

from bench.rehearsal import Night, harvest, simulator, table, workplace
from bench.server import PAGE_ROWS
from harvester.model import Action

FIRST_DATE, SECOND_DATE = "2026-01-15", "2026-01-16"
RECIPIENTS = "getcampaignrecipientsdata"


@dataclass(frozen=True, slots=True)
class World:
    """One simulated account.

    Attributes:
        name: as the table shows it.
        flags: of `harvester simulate`.
        page_rows: the longest page that its server gives to the harvester.
    """

    name: str
    flags: tuple[str, ...]
    page_rows: int = PAGE_ROWS


WORLDS = (
    World("60 campaigns up to 50,000", ("--campaigns", "60")),
    World("100 campaigns below a page", ("--campaigns", "100", "--recipients-max", str(PAGE_ROWS - 1))),
    World("40 campaigns of 40 each", ("--campaigns", "40", "--recipients", "40")),
    World("1 campaign of 100,000", ("--campaigns", "1", "--recipients", "100000")),
    World("clamp of 200, echoed", ("--campaigns", "40", "--recipients-max", "5000", "--clamp-rows", "200"), 200),
    World(
        "clamp of 20, silent",
        ("--campaigns", "40", "--recipients-max", "1000", "--clamp-rows", "20", "--silent-clamp"),
        20,
    ),
)


def measure() -> None:
    """Print the table: a first date, the same command again, and a second date. Worlds run side by side: no clock."""
    with ProcessPoolExecutor() as pool:
        rows = list(pool.map(_row, WORLDS))
    table(
        "Calls: nine actions, gzip; x: of the minimum; others: listing, counters and token of the first date",
        ("world", "jobs", "rows", "minimum", "first date", "x", "again", "second date", "x", "others"),
        rows,
    )


def _row(world: World) -> tuple[object, ...]:
    with simulator(*world.flags) as url, workplace(url, Night(None, tuple(Action))) as folder:
        first, others = _calls(url, folder, FIRST_DATE)
        again, _ = _calls(url, folder, FIRST_DATE)
        second, _ = _calls(url, folder, SECOND_DATE)
        sets_rows = _proven_rows(folder, FIRST_DATE)
    least = sum(rows // world.page_rows + 1 for rows in sets_rows)
    ratios = [f"{calls / least:.3f}" for calls in (first, second)]
    return world.name, len(sets_rows), sum(sets_rows), least, first, ratios[0], again, second, ratios[1], others


def _calls(url: str, folder: Path, date: str) -> tuple[int, int]:
    """Harvest a date; return the calls that the server saw: for recipients, and all others."""
    _ask(url, "POST", "/_referee/reset")
    outcome = harvest(folder, "--as-of", date)
    if outcome.exit_code:
        raise RuntimeError(f"{date}: harvester run ended with {outcome.exit_code}")
    endpoints = [sheets for account in _ask(url, "GET", "/_referee")["accounts"].values() for sheets in account.items()]
    recipients = sum(sheet["calls"] for endpoint, sheet in endpoints if endpoint == RECIPIENTS)
    return recipients, sum(sheet["calls"] for _, sheet in endpoints) - recipients


def _ask(url: str, method: str, path: str) -> Mapping[str, Any]:
    connection = HTTPConnection(url.removeprefix("http://"))
    try:
        connection.request(method, path)
        answer: Mapping[str, Any] = orjson.loads(connection.getresponse().read())
    finally:
        connection.close()
    return answer


def _proven_rows(folder: Path, date: str) -> list[int]:
    """Return the rows of each job of a date; counters must agree with all of them."""
    manifest = folder / "data" / "recipients" / "account=bench" / f"dt={date}" / "_manifest.json"
    jobs = orjson.loads(manifest.read_bytes())["jobs"]
    if doubtful := [job for job in jobs if job["verdict"] != "proven"]:
        raise RuntimeError(f"{len(doubtful)} of {len(jobs)} jobs are not proven, the first is {doubtful[0]}")
    return [job["rows"] for job in jobs]


if __name__ == "__main__":
    measure()
