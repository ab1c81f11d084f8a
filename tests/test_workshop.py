"""The workshop: what is set reaches the objects of a run."""

import json
from pathlib import Path

import pytest
from test_zoho_loopback import answer, scripted

from harvester.clock import SystemClock
from harvester.engine.stop import Stop
from harvester.model import Action, Failure, FailureKind, PageRequest
from harvester.operations.workshop import AccountBench, open_store, open_tools, this_machine
from harvester.settings import Settings
from harvester.zoho.api import Http

GRANT = answer(json.dumps({"access_token": "1000.token", "expires_in": 3_600}).encode())
UNKNOWN_ERROR = answer(json.dumps({"status": "error", "code": "4711", "message": "cool down"}).encode())


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
        settings = Settings.model_validate(
            {
                "output": tmp_path / "data",
                "state": tmp_path / "state",
                "accounts": {"acme": account | hosts},
                "budget": signs,
            }
        )
        with open_store(settings, SystemClock()) as store, this_machine(store.database) as machine:
            async with open_tools(store, machine, Stop(), lambda _: None) as tools:
                bench = AccountBench("acme", settings, store, tools, http)
                outcome = await bench.client.recipients(PageRequest("3zabc", Action.SENT, 1, 500), lambda page: page)

    assert isinstance(outcome, Failure)
    assert outcome.kind is kind
