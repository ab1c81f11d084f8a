"""The workshop: what is set reaches the objects of a run."""

import grp
import json
import os
from pathlib import Path

import pytest
from factories import DATE
from test_zoho_loopback import answer, scripted

from harvester.clock import SystemClock
from harvester.engine.stop import Stop
from harvester.errors import ConfigError
from harvester.model import Action, Failure, FailureKind, PageRequest
from harvester.operations.selection import Selection
from harvester.operations.session import make_ready
from harvester.operations.workshop import AccountBench, open_store, open_tools, this_machine
from harvester.settings import Settings
from harvester.store.disk import is_shared
from harvester.zoho.api import Http

GRANT = answer(json.dumps({"access_token": "1000.token", "expires_in": 3_600}).encode())
UNKNOWN_ERROR = answer(json.dumps({"status": "error", "code": "4711", "message": "cool down"}).encode())


def settings_of(folder: Path, **sections: object) -> Settings:
    account = {"client_id": "1000.X", "client_secret": "a", "refresh_token": "b"}
    places = {"output": folder / "data", "state": folder / "state"}
    return Settings.model_validate(places | {"accounts": {"acme": account}} | sections)


def test_S_06_a_key_that_cannot_be_used_is_told_before_anything_begins(tmp_path: Path) -> None:
    """As a wrong configuration, not as a bug, by all commands that make calls."""
    key_file = tmp_path / "privacy.key"
    key_file.write_text("no key")
    key_file.chmod(0o600)
    settings = settings_of(tmp_path, privacy={"email": "hmac", "key_file": key_file})

    with pytest.raises(ConfigError, match="no key of hex digits"), open_store(settings, SystemClock()):
        pass

    assert not (tmp_path / "state" / "ledger.sqlite").exists()


def test_who_only_looks_changes_no_file_below_the_output_folder(tmp_path: Path) -> None:
    """A plan or an examination neither goes on with an erasure nor gives files to a group: a run does both."""
    settings = settings_of(tmp_path, privacy={"group": grp.getgrgid(os.getgid()).gr_name})
    (tmp_path / "data" / "_parts").mkdir(parents=True, mode=0o700)
    (tmp_path / "data").chmod(0o700)
    rest = tmp_path / "data" / "_parts" / "erasure.draft"
    rest.touch()
    selection = Selection(("acme",), (Action.SENT,), DATE, None, is_refresh=False)

    with open_store(settings, SystemClock()) as store:
        looked = rest.exists(), is_shared(tmp_path / "data")
        make_ready(settings, store, selection)

    assert looked == (True, False)
    assert (rest.exists(), is_shared(tmp_path / "data")) == (False, True)


@pytest.mark.parametrize(
    ("signs", "kind"),
    [
        ({}, FailureKind.UNKNOWN),
        ({"lockout_codes": ("4711",)}, FailureKind.LOCKED),
        ({"lockout_pattern": "(?i)Cool Down"}, FailureKind.LOCKED),
    ],
)
async def test_A_05_signs_of_a_lockout_that_are_set_reach_the_client(
    tmp_path: Path, signs: dict[str, object], kind: FailureKind
) -> None:
    """An answer that nobody knows counts as a lockout once the operator has said so."""
    async with scripted(UNKNOWN_ERROR) as api_host, scripted(GRANT) as accounts_host, Http() as http:
        account = {"client_id": "1000.X", "client_secret": "a", "refresh_token": "b"}
        hosts = {"base_url": api_host.url, "accounts_url": accounts_host.url}
        settings = settings_of(tmp_path, accounts={"acme": account | hosts}, budget=signs)
        with open_store(settings, SystemClock()) as store, this_machine(store.database) as machine:
            async with open_tools(store, machine, Stop(), lambda _: None) as tools:
                bench = AccountBench("acme", settings, store, tools, http)
                outcome = await bench.client.recipients(PageRequest("3zabc", Action.SENT, 1, 500), lambda page: page)

    assert isinstance(outcome, Failure)
    assert outcome.kind is kind
