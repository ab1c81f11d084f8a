"""`harvester login` as a process against a practised accounts host: what is stored, and what is told nowhere."""

import asyncio
import fcntl
import json
import os
import pty
import stat
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest
from end_to_end.rehearsal import CLIENT_ID, TIMEOUT_S, Ended, Rehearsal, Rehearse

from harvester.simulator.options import Options, TokenOptions, WorldOptions

CODE = "1000.canary-code-93be"
SECRET = "canary-secret-5e6c"
OPTIONS = Options(world=WorldOptions(campaigns=1, recipients=5))
NO_TOKEN: dict[str, object] = {"client_secret": SECRET, "refresh_token": None}
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("HARVESTER_")}


async def log_in(rehearsal: Rehearsal, code: str = CODE, *flags: str) -> Ended:
    """Run the login with the code on standard input; neither code nor secret nor token may be told."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "harvester", "login", *flags),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=rehearsal.folder,
        env={**ENVIRONMENT, "PYTHONWARNINGS": "error"},
    )
    assert CODE.encode() not in command_line(process.pid)
    async with asyncio.timeout(TIMEOUT_S):
        stdout, stderr = await process.communicate(f"{code}\n".encode())
    assert process.returncode is not None
    ended = Ended(process.returncode, stdout.decode(), stderr.decode())
    assert leaks(rehearsal, ended) == []
    return ended


def command_line(pid: int) -> bytes:
    """Return what every user of the machine can see of a process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def leaks(rehearsal: Rehearsal, ended: Ended) -> list[str]:
    desk = rehearsal.server.zoho._tokens
    tokens = [refresh_token for _, refresh_token in desk._accounts]
    return [mark for mark in ("canary", *tokens, *desk._grants) if mark in ended.stdout + ended.stderr]


def stored(rehearsal: Rehearsal) -> Path:
    return rehearsal.state / "refresh-token-acme"


async def test_a_login_stores_a_token_that_a_run_finds(rehearse: Rehearse) -> None:
    """Standard input brings the code; the token is its owner's alone, and the settings take it by themselves."""
    rehearsal = await rehearse(OPTIONS, **{"accounts.acme": NO_TOKEN})

    ended = await log_in(rehearsal)
    harvested = await rehearsal.run()

    assert (ended.code, harvested.code) == (0, 0)
    assert stat.S_IMODE(stored(rehearsal).stat().st_mode) == 0o600
    assert stat.S_IMODE(rehearsal.state.stat().st_mode) == 0o700
    assert stored(rehearsal).read_text().startswith("1000.")
    assert "stored in state/refresh-token-acme" in ended.last_line
    assert "doctor --account acme" in ended.last_line
    assert rehearsal.sheet("token")["calls"] == 1  # the run used the access token that came with the login


async def test_S_01_nothing_but_the_two_token_files_holds_a_secret(rehearse: Rehearse) -> None:
    """Code and client secret are on no disk; refresh and access token in their 0600 files alone."""
    rehearsal = await rehearse(OPTIONS, **{"accounts.acme": NO_TOKEN})

    await log_in(rehearsal)

    (refresh_token,) = [token for _, token in rehearsal.server.zoho._tokens._accounts]
    (access_token,) = rehearsal.server.zoho._tokens._grants
    holders = {
        name
        for name, content in rehearsal.all_bytes().items()
        if any(mark.encode() in content for mark in (CODE, refresh_token, access_token))
    }
    assert holders == {"state/refresh-token-acme", "state/token-acme.json"}


async def test_S_03_the_code_is_asked_for_on_a_terminal_and_not_shown(rehearse: Rehearse) -> None:
    """On a terminal there is a prompt, and what is typed does not come back."""
    rehearsal = await rehearse(OPTIONS, **{"accounts.acme": NO_TOKEN})
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "harvester", "login"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=rehearsal.folder,
        env=ENVIRONMENT,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)  # so that reading ends when the program does
    async with asyncio.timeout(TIMEOUT_S):
        shown = await asyncio.to_thread(read_until, ours, b"campaign.READ): ")
        os.write(ours, f"{CODE}\n".encode())
        shown += await asyncio.to_thread(read_until, ours, None)
        code = await process.wait()
    os.close(ours)

    assert code == 0
    assert b"stored in" in shown
    assert b"canary" not in shown


def read_until(terminal: int, words: bytes | None) -> bytes:
    """Return what comes up to `words`, or to the end."""
    shown = b""
    with suppress(OSError):  # how a terminal says that nobody is there any more
        while words is None or words not in shown:
            shown += os.read(terminal, 4096)
    return shown


async def test_the_configured_file_is_where_the_token_goes(rehearse: Rehearse) -> None:
    """Where the configuration names a file, it is made there, with its folder, and replaces an older token."""
    account = NO_TOKEN | {"refresh_token_file": "secrets/acme"}
    rehearsal = await rehearse(OPTIONS, **{"accounts.acme": account})
    target = rehearsal.folder / "secrets" / "acme"

    first = await log_in(rehearsal)
    before = target.read_text()
    second = await log_in(rehearsal, "1000.canary-another")

    assert (first.code, second.code) == (0, 0)
    assert target.read_text() != before
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert not stored(rehearsal).exists()
    assert [path.name for path in target.parent.iterdir()] == ["acme"]


async def test_after_a_login_no_old_access_token_is_used(rehearse: Rehearse) -> None:
    """The cache holds the access token that came with the new refresh token, and not the one of the old."""
    rehearsal = await rehearse(OPTIONS, **{"accounts.acme": NO_TOKEN})
    await log_in(rehearsal)
    old = json.loads((rehearsal.state / "token-acme.json").read_bytes())

    await log_in(rehearsal, "1000.canary-another")

    new = json.loads((rehearsal.state / "token-acme.json").read_bytes())
    grants = rehearsal.server.zoho._tokens._grants
    assert old["fingerprint"] != new["fingerprint"]
    assert grants[old["access_token"]].account == CLIENT_ID
    assert grants[new["access_token"]].account == f"{CLIENT_ID}#2"


@pytest.mark.parametrize(
    ("code", "account", "word"),
    [
        ("bad-code", {}, "invalid_code"),
        ("online-code", {}, "no refresh token"),
        (CODE, {"client_id": "bad-client"}, "data_center"),
        (CODE, {"client_secret": "bad-secret"}, "invalid_client_secret"),
    ],
)
async def test_U_02_a_refused_login_leaves_the_old_token(
    rehearse: Rehearse, code: str, account: dict[str, object], word: str
) -> None:
    """A person must act: it is said what to do, and what was stored before stands."""
    rehearsal = await rehearse(OPTIONS, **{"accounts.acme": NO_TOKEN | account})
    rehearsal.state.mkdir(mode=0o700)
    stored(rehearsal).write_text("1000.older\n")
    stored(rehearsal).chmod(0o600)

    ended = await log_in(rehearsal, code)

    assert ended.code == 4
    assert word in ended.stderr
    assert stored(rehearsal).read_text() == "1000.older\n"
    assert rehearsal.total("calls") == 1


async def test_a_code_is_good_once(rehearse: Rehearse) -> None:
    """The second exchange of a code is refused, and says so."""
    rehearsal = await rehearse(OPTIONS, **{"accounts.acme": NO_TOKEN})

    first, second = await log_in(rehearsal), await log_in(rehearsal)

    assert (first.code, second.code) == (0, 4)
    assert "was used before" in second.stderr


async def test_U_03_a_throttled_login_may_be_tried_again(rehearse: Rehearse) -> None:
    """Access Denied passes: exit code 75, and how long to wait."""
    options = Options(tokens=TokenOptions(creations=0))
    rehearsal = await rehearse(options, **{"accounts.acme": NO_TOKEN})

    ended = await log_in(rehearsal)

    assert ended.code == 75
    assert "wait 10 minutes" in ended.stderr
    assert not stored(rehearsal).exists()


async def test_H_02_an_accounts_host_that_is_away_uses_up_no_code(rehearse: Rehearse) -> None:
    """Nothing was sent, so the code may be tried again."""
    rehearsal = await rehearse(OPTIONS, **{"accounts.acme": NO_TOKEN | {"accounts_url": "http://127.0.0.1:9"}})

    ended = await log_in(rehearsal)

    assert ended.code == 75
    assert "not used up" in ended.stderr


@pytest.mark.parametrize("code", ["", "two words", "caf\u00e9", "x" * 5000])
async def test_what_is_no_code_makes_no_call(rehearse: Rehearse, code: str) -> None:
    """Something else on standard input is a mistake of usage, and is not repeated in the message."""
    rehearsal = await rehearse(OPTIONS, **{"accounts.acme": NO_TOKEN})

    ended = await log_in(rehearsal, code)

    assert (ended.code, rehearsal.total("calls")) == (2, 0)
    assert "two words" not in ended.stderr


async def test_S_07_a_link_in_the_place_of_the_token_is_not_followed(rehearse: Rehearse) -> None:
    """A link planted at the target leads nowhere: nothing is asked, and what it points to stays as it was."""
    rehearsal = await rehearse(OPTIONS, **{"accounts.acme": NO_TOKEN})
    victim = rehearsal.folder / "victim"
    victim.write_text("precious")
    rehearsal.state.mkdir(mode=0o700)
    stored(rehearsal).symlink_to(victim)

    ended = await log_in(rehearsal)

    assert (ended.code, rehearsal.total("calls")) == (2, 0)
    assert victim.read_text() == "precious"


async def test_a_folder_that_cannot_be_made_costs_no_code(rehearse: Rehearse) -> None:
    """Whether the token can be stored is found out before the code is used up."""
    account = NO_TOKEN | {"refresh_token_file": "blocked/token"}
    rehearsal = await rehearse(OPTIONS, **{"accounts.acme": account})
    (rehearsal.folder / "blocked").touch()

    ended = await log_in(rehearsal)

    assert (ended.code, rehearsal.total("calls")) == (7, 0)


async def test_a_token_given_as_a_value_would_hide_the_stored_one(rehearse: Rehearse) -> None:
    """A value in the configuration wins over any stored token, so a login beside it is refused."""
    rehearsal = await rehearse(OPTIONS)

    ended = await log_in(rehearsal)

    assert (ended.code, rehearsal.total("calls")) == (2, 0)
    assert "accounts.acme.refresh_token has a value" in ended.stderr


async def test_S_06_a_stored_token_that_others_can_read_is_refused_and_replaced(rehearse: Rehearse) -> None:
    """A run refuses it and names the command that mends it; a login writes it anew, closed."""
    rehearsal = await rehearse(OPTIONS, **{"accounts.acme": NO_TOKEN})
    await log_in(rehearsal)
    stored(rehearsal).chmod(0o644)

    refused = await rehearsal.run()
    ended = await log_in(rehearsal, "1000.canary-another")

    assert (refused.code, ended.code) == (2, 0)
    assert "chmod 600" in refused.stderr
    assert stat.S_IMODE(stored(rehearsal).stat().st_mode) == 0o600


async def test_with_several_accounts_one_must_be_named(rehearse: Rehearse) -> None:
    """Whose token it is must be said; an unknown name is told with the known ones."""
    rehearsal = await rehearse(OPTIONS, **{"accounts.acme": NO_TOKEN})
    config = rehearsal.folder / "config.toml"
    other = f'[accounts.other]\nclient_id = "x"\nclient_secret = "x"\naccounts_url = "{rehearsal.url}"\n'
    config.write_text(f"{config.read_text()}\n{other}")

    unnamed = await log_in(rehearsal)
    unknown = await log_in(rehearsal, CODE, "--account", "nobody")
    named = await log_in(rehearsal, CODE, "--account", "other")

    assert (unnamed.code, unknown.code, named.code) == (2, 2, 0)
    assert "--account" in unnamed.stderr
    assert "acme, other" in unknown.stderr
    assert [path.name for path in rehearsal.state.glob("refresh-token-*")] == ["refresh-token-other"]
