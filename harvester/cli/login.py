"""`harvester login`: exchange a grant code for a refresh token, and store it for its owner alone."""

import asyncio
import os
import shlex
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import click

from harvester.cli.flags import CONFIG, CONFIG_FLAG
from harvester.clock import SystemClock
from harvester.config import load, refresh_token_path
from harvester.errors import ConfigError, DiskError, HarvestError
from harvester.operations.resuming import program
from harvester.operations.selection import select
from harvester.operations.workshop import credentials_of, token_settings_of
from harvester.setting_values import VISIBLE
from harvester.settings import Settings
from harvester.store.disk import disk_errors, make_folder, replace_file
from harvester.zoho.api import Http
from harvester.zoho.auth import SCOPE, cache_of, keep
from harvester.zoho.grant import Exchange, exchange
from harvester.zoho.wire import TransportError

CODE_CHARS_MAX = 4096
"""Real codes have some 70 characters; what is longer is another file."""


@click.command(name="login")
@CONFIG_FLAG
@click.option("--account", metavar="NAME", help="Whose; may be left out where there is one.")
def command(config_path: Path, account: str | None) -> None:
    """Exchange the code of a self client for a refresh token, and store that.

    The code is asked for on a terminal, and not shown; elsewhere it is read from standard input. Make it at the API
    console under "Generate Code", with the scope ZohoCampaigns.campaign.READ; it works once, and for three minutes.
    """
    settings = load(config_path, is_login=True)
    name = _chosen(settings, account)
    target = _target(settings, name)
    asyncio.run(_log_in(settings, name, target, _code()))
    where = () if str(config_path) == CONFIG else ("--config", str(config_path))
    next_step = shlex.join([program(), "doctor", *where, "--account", name])
    stored = f"{name}: the refresh token is stored in {os.path.relpath(target)}, for this user alone"
    click.echo(f"{stored}; see that all is well with: {next_step}", err=True)


def _chosen(settings: Settings, account: str | None) -> str:
    names = select(settings, None, accounts=() if account is None else (account,)).accounts
    if len(names) > 1:
        raise ConfigError(f"There are several accounts ({', '.join(names)}).", "Say whose token it is with --account.")
    return names[0]


def _target(settings: Settings, name: str) -> Path:
    """Return the file that will hold the token; whether it can is found out before the code is used up.

    Raises:
        ConfigError: the file would be ignored, or is a link: whoever reads it would not see the new token.
        DiskError: its folder cannot be written.
    """
    account = settings.accounts[name]
    if account.refresh_token.get_secret_value() and account.refresh_token_file is None:
        raise ConfigError(
            f"accounts.{name}.refresh_token has a value, which would be used in the place of a stored token.",
            "Take it out of the file and of the environment.",
        )
    target = account.refresh_token_file or refresh_token_path(settings.state, name)
    with disk_errors(target):
        make_folder(target.parent)
        is_other = target.is_symlink() or (target.exists() and not target.is_file())
    if is_other:
        raise ConfigError(f"{target} is a link or no regular file.", "Remove it, or name another refresh_token_file.")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise DiskError(f"{target.parent}: no file can be made in it.", "Give this user write access to the folder.")
    return target


def _code() -> str:
    if sys.stdin.isatty():
        code = click.prompt(f"Code (scope {SCOPE})", hide_input=True, err=True)
    else:
        code = sys.stdin.buffer.read(CODE_CHARS_MAX + 1).decode("ascii", "replace")
    code = code.strip()
    if not VISIBLE.fullmatch(code) or len(code) > CODE_CHARS_MAX:
        raise ConfigError(
            "There is no code, or it has blanks or letters outside ASCII in it; no call was made.",
            "Type it at the prompt, or give it on standard input: harvester login < code.txt",
        )
    return str(code)


async def _log_in(settings: Settings, name: str, target: Path, code: str) -> None:
    credentials, token_settings = credentials_of(settings.accounts[name]), token_settings_of(name, settings)
    asked = Exchange(
        account=name,
        accounts_url=token_settings.accounts_url,
        client_id=credentials.client_id,
        client_secret=credentials.client_secret,
        code=code,
        call_timeout_s=token_settings.call_timeout_s,
    )
    asked_at_s = SystemClock().wall_s()
    async with Http() as http:
        login = await exchange(http, asked)
    with disk_errors(target):
        replace_file(target, f"{login.refresh_token}\n".encode())
    # It saves one request. What is wrong with the cache does not undo the login, and the doctor tells it.
    with suppress(HarvestError, TransportError):
        cache = cache_of(replace(credentials, refresh_token=login.refresh_token), token_settings)
        await keep(login.grant, asked_at_s, cache)
