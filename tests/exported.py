"""Nights ready to be asked and exported: rows with all that is odd, and the commands as people type them."""

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from factories import DATE
from nights import Nights

from harvester.cli.main import main
from harvester.model import Action, Row
from harvester.store.manifest import write_manifest

CONFIG = """\
output = "{folder}/data"
state = "{folder}/state"
[accounts.acme]
client_id = "1000.PRACTICE"
client_secret = "practice"
refresh_token = "practice"
"""

WRITTEN_AT = "2026-03-20T02:00:00+00:00"

ODD: tuple[Row, ...] = (
    {"contactid": "1", "contactemailaddress": "a@x.example", "contactfn": "=1+1", "sent_time": "1785028800000"},
    {"contactid": "2", "contactemailaddress": "b@x.example", "contactfn": "half \ud83d of it", "contactln": "\ude00"},
    {"contactid": "3", "contactemailaddress": "c@x.example", "contactfn": "whole \U0001f600", "contactln": "\\ud800"},
    {
        "contactid": "4" * 30,
        "contactfn": "nul \x00 and \u2028",
        "more": 10**40,
        "deep": [{"raw": ',"raw":{}'}],
        "x": 1.10,
    },
    {"contactid": "5", "clickcount": "7", "reports": [{"time": "Feb 12, 2026 12:08 PM"}, {"time": "\ud800"}]},
    {},
)
"""Formulas, lone surrogates, numbers beyond 64 bits, our own marks within values, and a row that says nothing."""


def plain(first: int, count: int) -> list[Row]:
    return [{"contactid": str(n), "contactemailaddress": f"r{n}@x.example"} for n in range(first, first + count)]


def written(nights: Nights, *which: int) -> None:
    """Write the manifests of these nights, as a run does at its end."""
    for night in which:
        write_manifest(nights.output, nights.ledger, nights.of(night), WRITTEN_AT)


def practised(nights: Nights) -> Nights:
    """Two nights: two sets of two actions, one of which is carried over and one read again."""
    (nights.folder / "config.toml").write_text(CONFIG.format(folder=nights.folder))
    nights.harvested(0, ODD, "k1")
    nights.harvested(0, plain(10, 4), "k2")
    nights.harvested(0, plain(10, 2), "k1", Action.OPENED)
    nights.harvested(0, [], "k2", Action.OPENED)
    nights.harvested(1, plain(20, 3), "k2")
    nights.carried(1, "k1")
    written(nights, 0, 1)
    return nights


def typed(folder: Path, *words: str) -> int:
    """Type a command and return its exit code."""
    name, *rest = words
    with umask_restored(), pytest.raises(SystemExit) as ended:
        main([name, "--config", str(folder / "config.toml"), *rest])
    assert isinstance(ended.value.code, int)
    return ended.value.code


@contextmanager
def umask_restored() -> Iterator[None]:
    before = os.umask(0o022)
    os.umask(before)
    try:
        yield
    finally:
        os.umask(before)


def date(night: int) -> str:
    return (DATE + dt.timedelta(days=night)).isoformat()
