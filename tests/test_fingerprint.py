"""The fingerprint of a configuration: equal for equal output, and silent on who, where and how fast."""

from pathlib import Path
from typing import Any

import pytest

from harvester.operations.fingerprint import LEFT_OUT, fingerprint
from harvester.settings import Settings

ACCOUNT = {"client_id": "1000.X", "client_secret": "s", "refresh_token": "r"}


def settings(**sections: Any) -> Settings:
    return Settings.model_validate({"accounts": {"acme": ACCOUNT}, **sections})


@pytest.mark.parametrize(
    "sections",
    [
        {"accounts": {"other": {**ACCOUNT, "client_secret": "another", "base_url": "http://127.0.0.1:1"}}},
        {"output": "elsewhere", "state": "there"},
        {"budget": {"calls": 100}},
        {"harvest": {"concurrency": 2, "call_timeout_s": 5.0}},
        {"backfill": {"order": "largest"}},
    ],
    ids=lambda sections: next(iter(sections)),
)
def test_P5_secrets_places_and_pace_play_no_part(sections: dict[str, Any]) -> None:
    """Two machines that write the same have the same fingerprint, whoever they log in as."""
    assert fingerprint(settings(**sections)) == fingerprint(settings())


@pytest.mark.parametrize(
    "sections",
    [
        {"harvest": {"response_format": "xml"}},
        {"harvest": {"compression": "zstd"}},
        {"harvest": {"actions": ["sentcontacts"]}},
        {"discovery": {"sent_since": "2026-01-01"}},
        {"nightly": {"full_refresh_days": 3}},
        {"changes": {"enabled": True}},
        {"privacy": {"email": "drop"}},
    ],
    ids=str,
)
def test_what_shapes_the_output_shapes_the_fingerprint(sections: dict[str, Any]) -> None:
    """Whoever finds another fingerprint in a manifest knows that the settings were others."""
    assert fingerprint(settings(**sections)) != fingerprint(settings())


def test_the_order_of_names_plays_no_part() -> None:
    """The same actions and fields shape the same output."""
    fields = ["phone", "company"]
    there, back = (settings(privacy={"deny_fields": each}) for each in (fields, fields[::-1]))

    assert fingerprint(there) == fingerprint(back) != fingerprint(settings())


def test_where_a_list_of_keys_lies_plays_no_part(tmp_path: Path) -> None:
    """The path of a key file is left out; that the keys come from a file is not."""
    here, there = (settings(harvest={"campaigns": {"file": str(tmp_path / name)}}) for name in ("a", "b"))

    assert fingerprint(here) == fingerprint(there) != fingerprint(settings())


def test_it_is_the_same_in_every_process() -> None:
    """The canonical form is fixed: a new version of harvester that writes the same has the same fingerprint."""
    assert fingerprint(settings()) == fingerprint(settings())
    assert len(fingerprint(settings())) == 64


def test_each_section_is_decided_on() -> None:
    """Who adds a section to the settings says whether it shapes the output."""
    shaping = {"harvest", "discovery", "nightly", "changes", "privacy"}
    left_out = {name for name, how in LEFT_OUT.items() if how is True}

    assert shaping | left_out == set(Settings.model_fields)
    assert shaping & left_out == set()
