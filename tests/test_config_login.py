"""Where a configuration without a refresh token finds the one that a login stored."""

import os
from pathlib import Path

import pytest

from harvester.config import load, refresh_token_path
from harvester.errors import ConfigError

ACCOUNT = "[accounts.acme]\nclient_id = 'x'\nclient_secret = 'y'\n"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.upper().startswith("HARVESTER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def write(text: str = ACCOUNT) -> Path:
    path = Path("conf", "config.toml")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def store(state: Path, mode: int = 0o600) -> None:
    state.mkdir(parents=True, exist_ok=True)
    path = refresh_token_path(state, "acme")
    path.write_text("1000.stored\n")
    path.chmod(mode)


def token_of(path: Path) -> str:
    return load(path).accounts["acme"].refresh_token.get_secret_value()


def test_a_stored_token_is_found_beside_the_ledger() -> None:
    """The state folder counts from the configuration's own, wherever the program is started."""
    store(Path("conf", "state"))

    assert token_of(write()) == "1000.stored"


def test_a_stored_token_is_found_where_the_environment_puts_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """HARVESTER_STATE moves the stored token with the ledger."""
    monkeypatch.setenv("HARVESTER_STATE", "elsewhere")
    store(Path("elsewhere"))

    assert token_of(write()) == "1000.stored"


def test_a_token_that_is_named_wins() -> None:
    """What configuration or environment say of a refresh token is never overridden by a stored one."""
    store(Path("conf", "state"))

    assert token_of(write(f"{ACCOUNT}refresh_token = 'named'")) == "named"


def test_without_any_token_the_login_is_the_cure() -> None:
    """The message names the command, and both other ways."""
    with pytest.raises(ConfigError, match="harvester login gets one") as caught:
        load(write())

    assert "accounts.acme.refresh_token_file" in str(caught.value)
    assert "HARVESTER_ACCOUNTS__ACME__REFRESH_TOKEN" in str(caught.value)


def test_S_06_a_stored_token_that_others_can_read_is_refused() -> None:
    """It is a secret file like any other."""
    store(Path("conf", "state"), mode=0o640)

    with pytest.raises(ConfigError, match="chmod 600"):
        load(write())


@pytest.mark.parametrize("extra", ["", "refresh_token_file = 'not-there-yet'", "refresh_token = ''"])
def test_before_a_login_no_refresh_token_is_needed(extra: str) -> None:
    """Neither missing, empty nor yet to be written is a mistake then; nothing is read from a file."""
    account = load(write(ACCOUNT + extra), is_login=True).accounts["acme"]

    assert account.refresh_token.get_secret_value() == ""


def test_before_a_login_everything_else_is_checked() -> None:
    """A login with a wrong client or a wrong key ends before the code is used up."""
    with pytest.raises(ConfigError, match="client_secret: missing"):
        load(write("[accounts.acme]\nclient_id = 'x'"), is_login=True)


@pytest.mark.parametrize(
    "text", ["state = 7\n", "accounts = 7\n", "[accounts]\nacme = 7\n", "[accounts.'a\\u0000b']\n"]
)
def test_IN_03_a_broken_configuration_is_told_as_one(text: str) -> None:
    """Looking for stored tokens never trips over what the check would tell."""
    with pytest.raises(ConfigError):
        load(write(text))
