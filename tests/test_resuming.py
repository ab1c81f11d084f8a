"""The command that goes on: what was typed, fit to be typed again on any day."""

import datetime as dt
import sys

import pytest

from harvester.operations.resuming import resume_command

DATE = dt.date(2026, 1, 15)


@pytest.mark.parametrize(
    ("typed", "goes_on"),
    [
        ("run", "run --as-of 2026-01-15"),
        ("run --as-of 2026-01-02 --json", "run --as-of 2026-01-02 --json"),
        ("backfill --refresh --order largest", "backfill --order largest --as-of 2026-01-15"),
        ("nightly --deadline 2026-01-15T06:00Z --json", "nightly --json --as-of 2026-01-15"),
        ("nightly --deadline=2026-01-15", "nightly --as-of 2026-01-15"),
        ("nightly --deadline 06:00 --max-calls 9", "nightly --deadline 06:00 --max-calls 9 --as-of 2026-01-15"),
    ],
)
def test_command_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch, typed: str, goes_on: str) -> None:
    """It names the harvest date, asks for no done job again, and has no deadline that has passed."""
    monkeypatch.setattr(sys, "argv", ["harvester", *typed.split()])

    assert resume_command(DATE).partition(" ")[2] == goes_on
