"""Secrets and addresses are where they belong and nowhere else: every byte that a harvest leaves is searched."""

import os
import signal
from collections.abc import Iterable, Mapping

import pytest
from end_to_end.rehearsal import SHORT_CALL_TIMEOUT_S, Ended, Rehearsal, Rehearse

from harvester.simulator import envelopes
from harvester.simulator.options import FaultOptions, NetworkOptions, Options, WorldOptions

SECRET = "canary-5e6c23e7"
REFRESH_TOKEN = "1000.canary-7f1a"
MARKS = (SECRET, REFRESH_TOKEN, "canary", "@recipients.example", "%40recipients", "recipients.example")
"""Beside these, every access token that the server made."""


def marks(rehearsal: Rehearsal) -> list[bytes]:
    tokens = rehearsal.server.zoho._tokens._grants
    return [mark.encode() for mark in (*MARKS, *tokens, *(token[10:] for token in tokens))]


def leaks(rehearsal: Rehearsal, found: Iterable[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    return [(name, mark) for name, content in found for mark in marks(rehearsal) if mark in content]


def by_products(rehearsal: Rehearsal) -> Mapping[str, bytes]:
    """Return what is on disk besides the rows, the 0600 token cache and the secrets that the operator keeps."""
    own = ("secrets/", "state/token-acme.json")
    return {
        name: content
        for name, content in rehearsal.all_bytes().items()
        if "/action=" not in name and "/_parts/" not in name and not name.startswith(own)
    }


async def canary(rehearse: Rehearse, response_format: str = "json") -> Rehearsal:
    """Start a server that spoils answers too, and put marked secrets into files."""
    options = Options(
        time_scale=50.0,
        world=WorldOptions(campaigns=5, recipients_max=500, forbidden_share=0.1),
        network=NetworkOptions(latency_s=0.02),
        faults=FaultOptions(share=0.05),
    )
    rehearsal = await rehearse(options)
    secrets = rehearsal.folder / "secrets"
    secrets.mkdir(mode=0o700)
    for name, value in (("client-secret", SECRET), ("refresh-token", REFRESH_TOKEN)):
        (secrets / name).write_text(value)
        (secrets / name).chmod(0o600)
    account = {
        "client_secret": None,
        "refresh_token": None,
        "client_secret_file": "secrets/client-secret",
        "refresh_token_file": "secrets/refresh-token",
    }
    changes: dict[str, dict[str, object]] = {
        "accounts.acme": dict(account),
        "harvest": {"call_timeout_s": SHORT_CALL_TIMEOUT_S, "page_size": 100, "response_format": response_format},
    }
    rehearsal.configure(**changes)
    return rehearsal


async def test_S_01_no_secret_and_no_address_outside_the_rows(rehearse: Rehearse) -> None:
    """Logs at the finest level, ledger, manifest, file names, command lines, also after a kill: no mark anywhere."""
    rehearsal = await canary(rehearse)
    program = await rehearsal.start_run("-v", "--json")
    await program.event("page.stored")
    command_line = program.command_line
    program.signal(signal.SIGKILL)
    killed = await program.ended()
    after_kill = by_products(rehearsal)
    finished = await rehearsal.run("-v", "--json")
    status = await (await rehearsal.start("status", "--json")).ended()

    assert "state/ledger.sqlite" in after_kill
    assert any(b"@recipients.example" in b"".join(map(repr_bytes, rows)) for rows in rehearsal.harvested().values())
    assert leaks(rehearsal, after_kill.items()) == []
    assert leaks(rehearsal, by_products(rehearsal).items()) == []
    assert leaks(rehearsal, [("names", "\n".join(rehearsal.all_bytes()).encode()), ("cmdline", command_line)]) == []
    assert leaks(rehearsal, words(killed, finished, status)) == []


async def test_S_01_the_details_of_a_campaign_name_no_sender(
    rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XML brings details beside the rows; they go into ledger and manifest, and addresses in them do not."""
    monkeypatch.setattr(envelopes, "ZUID", "sender@recipients.example")
    rehearsal = await canary(rehearse, response_format="xml")
    ended = await rehearsal.run("-v", "--json")
    left = by_products(rehearsal)

    manifests = [content for name, content in left.items() if name.endswith("_manifest.json")]
    assert [b'"[e-mail]"' in content for content in manifests] == [True]
    assert leaks(rehearsal, left.items()) == []
    assert leaks(rehearsal, words(ended)) == []


async def test_S_02_errors_tell_no_secret_either(rehearse: Rehearse) -> None:
    """Refused credentials and refused settings are told without their values."""
    rehearsal = await canary(rehearse)
    variables = {"HARVESTER_ACCOUNTS__ACME__CLIENT_ID": "bad-client"}
    refused = await rehearsal.run(environment=variables)
    blank = await rehearsal.run(environment={"HARVESTER_ACCOUNTS__ACME__REFRESH_TOKEN": f"{REFRESH_TOKEN} x"})
    pasted = await rehearsal.run("--campaign", "somebody@recipients.example")

    assert (refused.code, blank.code, pasted.code) == (4, 2, 2)
    assert leaks(rehearsal, words(refused, blank, pasted)) == []
    assert leaks(rehearsal, by_products(rehearsal).items()) == []


async def test_S_06_everything_written_is_for_its_owner_alone(rehearse: Rehearse) -> None:
    """Whatever the umask was, files are 0600 and folders 0700."""
    rehearsal = await canary(rehearse)
    await rehearsal.run(before=lambda: void(os.umask(0)))

    written = [path for top in (rehearsal.output, rehearsal.state) for path in (top, *top.rglob("*"))]
    assert [str(path) for path in written if path.stat().st_mode & 0o077] == []


def words(*ends: Ended) -> list[tuple[str, bytes]]:
    return [(f"{end.code}", f"{end.stdout}{end.stderr}".encode()) for end in ends]


def repr_bytes(row: object) -> bytes:
    return repr(row).encode()


def void(_: object) -> None:
    """Drop a result that nobody needs."""
