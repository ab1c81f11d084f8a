"""Loading: a TOML file, the environment laid over it, both checked once.

Every problem is found before the first call and all are told at once; no message has a secret's value.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from harvester.campaign_keys import open_regular, quoted
from harvester.errors import ConfigError
from harvester.publish_settings import PublishSettings
from harvester.settings import (
    BEFORE_LOGIN,
    CAMPAIGNS_FORMS,
    SECRETS,
    AccountSettings,
    BackfillSettings,
    BudgetSettings,
    ChangesSettings,
    DiscoverySettings,
    HarvestSettings,
    KeyFile,
    NightlySettings,
    PrivacySettings,
    RefreshAge,
    Settings,
)

CONFIG_MAX_BYTES = 1 << 20  # ten thousand inline campaign keys; more belong in a key file
INT_SHOWN_MAX = 10**18  # a longer number is noise in a message
PROBLEMS_SHOWN_MAX = 20  # one screen

ENV_PREFIX = "HARVESTER_"
ENV_DELIMITER = "__"
FOLDERS = {"output": "data", "state": "state"}
PATHS = frozenset({*FOLDERS, "file", "key_file", "credentials_file", *(f"{secret}_file" for secret in SECRETS)})
URL_MARK = "://"
BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,63}")


def load(path: Path | None, *, is_login: bool = False) -> Settings:
    """Read the file, lay the environment over it and check the result.

    An account that names no refresh token has the one that `harvester login` stored.

    Paths in the file, and the default ones, are relative to the file's folder: wherever a run is started, it finds
    the ledger that knows what was sent. Paths in the environment are relative to the working directory.

    Args:
        path: a TOML file; None for the environment alone.
        is_login: refresh tokens may be missing, and no file is read for one.

    Raises:
        ConfigError: with one line for each problem of file and environment.
    """
    folder = Path.cwd() if path is None else path.absolute().parent
    document = _anchored(FOLDERS | _document(path), folder)
    table = _overlaid(document, _Environment(_Variables)())
    table = _with_stored_tokens(_with_published_output(table, folder))
    try:
        return Settings.model_validate(table, context=BEFORE_LOGIN if is_login else None)
    except ValidationError as error:
        origin = Origin(None if path is None else str(path), frozenset(name.upper() for name in os.environ))
        problems = [describe(problem, origin) for problem in error.errors(include_url=False)]
    more = len(problems) - PROBLEMS_SHOWN_MAX
    shown = problems[:PROBLEMS_SHOWN_MAX] + ([f"and {more} more problems"] if more > 0 else [])
    raise ConfigError("\n".join(shown) + ".", "config.example.toml explains every key.")


def refresh_token_path(state: Path, account: str) -> Path:
    """Return where `harvester login` stores the refresh token of an account that names no file for it."""
    return state / f"refresh-token-{account}"


def _with_published_output(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Take an `output` that is a URL for what it means: files go to the default folder, and are published there."""
    output, publish = table["output"], table.get("publish", {})
    if not (isinstance(output, str) and URL_MARK in output and isinstance(publish, dict)):
        return dict(table)
    if "url" in publish:
        message = "output is a URL, and publish.url is given as well; keep one."
        raise ConfigError(message, "With publish.url, output is the folder that the files go to first.")
    return dict(table) | {"output": str(folder / FOLDERS["output"]), "publish": publish | {"url": output}}


def _with_stored_tokens(table: Mapping[str, Any]) -> dict[str, Any]:
    """Name the stored file, if there is one, in each account that says nothing of a refresh token."""
    state, accounts = table.get("state"), table.get("accounts")
    if not (isinstance(state, str) and isinstance(accounts, dict)):
        return dict(table)  # Settings will tell what is wrong with them
    stored = {
        name: {"refresh_token_file": str(file)}
        for name, account in accounts.items()
        if isinstance(account, dict)
        and not account.keys() & {"refresh_token", "refresh_token_file"}
        and os.path.lexists(file := refresh_token_path(Path(state), name))
    }
    return _overlaid(table, {"accounts": stored})


def _document(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    if not path.exists():
        remedy = "Copy config.example.toml to it and fill in the account, or name another one with --config."
        raise ConfigError(f"{path}: there is no such file.", remedy)
    with open_regular(path) as stream:
        body = stream.read(CONFIG_MAX_BYTES + 1)
    if len(body) > CONFIG_MAX_BYTES:
        raise ConfigError(f"{path}: larger than {CONFIG_MAX_BYTES} bytes.", "Move long key lists into a key file.")
    try:
        return tomllib.loads(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        column = error.start - body.rfind(b"\n", 0, error.start)
        raise ConfigError(f"{path}: not UTF-8 (at line {line}, column {column}).", "Save it as UTF-8.") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}.", "Correct that place; text stands in quotes.") from None


def _anchored(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the table with every relative path in it put below `folder`."""

    def anchor(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return _anchored(value, folder)
        is_path = key in PATHS and isinstance(value, str) and value and not value.startswith("~")
        return str(folder / value) if is_path and URL_MARK not in value else value

    return {key: anchor(key, value) for key, value in table.items()}


class _Variables(Settings, BaseSettings):
    """`Settings` in the form in which pydantic-settings looks up the variables of fields; never filled."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_nested_delimiter=ENV_DELIMITER)


class _Environment(EnvSettingsSource):
    """The variables HARVESTER_...; lists and tables are JSON, and what is none is judged as the text it is."""

    def decode_complex_value(self, field_name: str, field: FieldInfo | None, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)  # type: ignore[arg-type]
        except (ValueError, RecursionError):
            return value


def _overlaid(table: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one table over another, and so their inner tables; a secret replaces both of its forms, value and file."""
    forms = [{secret, f"{secret}_file"} for secret in SECRETS]
    replaced = {name for pair in forms if pair & over.keys() for name in pair}
    # An account may have the name of a secret; it is a table, and stays.
    kept = {name: value for name, value in table.items() if name not in replaced or isinstance(value, dict)}
    return kept | {
        name: _overlaid(kept[name], value) if isinstance(value, dict) and isinstance(kept.get(name), dict) else value
        for name, value in over.items()
    }


@dataclass(frozen=True)
class Origin:
    """Where settings came from, for messages.

    Attributes:
        file: as the operator named it; None without a file.
        variables: the names of all environment variables, in upper case.
    """

    file: str | None
    variables: frozenset[str]

    def of(self, loc: Sequence[str | int]) -> str:
        """Return `file: key`, or `environment: variable` where the environment gave the value."""
        for length in range(len(loc), 0, -1):
            if (variable := _variable(loc[:length])) in self.variables:
                return f"environment: {variable}"
        return f"{self.file or 'environment'}: {_key(loc)}"


TEXTS: Mapping[str, str] = {
    "missing": "missing; add it",
    "client_secret_missing": "missing or empty; set {key}_file (a file only you can read) or the variable {variable}",
    "refresh_token_missing": "missing or empty; harvester login gets one and stores it, or set {key}_file (a file only"
    " you can read) or the variable {variable}",
    "secret_twice": "given both as a value and as a file; keep one",
    "int_type": "{given} is not a whole number; give one",
    "int_from_float": "{given} is not a whole number; give one",
    "float_type": "{given} is not a number; give one",
    "finite_number": "{given} is not a finite number; give one",
    "greater_than_equal": "{given} is too small; give at least {ge:g}",
    "less_than_equal": "{given} is too large; give at most {le:g}",
    "bool_type": "{given} is neither true nor false; give one of these",
    "enum": "{given} is not known; give {expected}",
    "literal_error": "{given} is not known; give {expected}",
    "too_short": "is empty, so nothing is harvested; give at least one",
    "string_type": "is no text; put it in quotes",
    "path_type": "is no text; put it in quotes",
    "string_pattern_mismatch": "{given} has the wrong form; it must match {pattern}",
    "dict_type": "is no table; write a [section] or {{ ... }}",
    "model_type": "is no table; write a [section] or {{ ... }}",
    "tuple_type": "is no list; write [ ... ]",
    "value_error": "{error}",
}
"""What is wrong and what to do, by pydantic's name of the problem."""

KEYS: Mapping[str, tuple[str, ...]] = {
    "": tuple(Settings.model_fields),
    "accounts": tuple(AccountSettings.model_fields),
    "budget": tuple(BudgetSettings.model_fields),
    "harvest": tuple(HarvestSettings.model_fields),
    "harvest.campaigns": tuple(KeyFile.model_fields),
    "discovery": tuple(DiscoverySettings.model_fields),
    "nightly": tuple(NightlySettings.model_fields),
    "nightly.refresh": tuple(RefreshAge.model_fields),
    "backfill": tuple(BackfillSettings.model_fields),
    "changes": tuple(ChangesSettings.model_fields),
    "publish": tuple(PublishSettings.model_fields),
    "privacy": tuple(PrivacySettings.model_fields),
}
"""The valid keys of each section; "accounts" stands for each account."""


def describe(problem: ErrorDetails, origin: Origin) -> str:
    """Return one line for one of pydantic's problems: where, what was given, what to do; never a secret."""
    loc = tuple(part for part in problem["loc"] if part != "[key]" and part not in CAMPAIGNS_FORMS)
    kind = problem["type"].replace("_parsing", "_type")
    if kind == "extra_forbidden":
        text = _unknown_key(loc)
    elif kind in TEXTS:
        words = {"given": _given(problem["input"], loc), "key": _key(loc), "variable": _variable(loc)}
        text = TEXTS[kind].format_map(words | problem.get("ctx", {}))
    else:
        text = problem["msg"]
    return f"{origin.of(loc)}: {text}"


def _given(value: object, loc: Sequence[str | int]) -> str:
    if loc[-1] in {*SECRETS, "client_id"}:
        return "the value"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    # Python refuses to print an integer of some thousand digits.
    is_short = isinstance(value, float) or (isinstance(value, int) and abs(value) < INT_SHOWN_MAX)
    return str(value) if is_short else "the value"


def _unknown_key(loc: Sequence[str | int]) -> str:
    """Name the key that was probably meant: a near one here, or the same one in another section."""
    name, section = str(loc[-1]), "accounts" if loc[0] == "accounts" else ".".join(map(str, loc[:-1]))
    near = difflib.get_close_matches(name, KEYS[section], n=1)
    near += [f"{other}.{name}".removeprefix(".") for other, names in KEYS.items() if name in names]
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; valid are {', '.join(KEYS[section])}"


def _variable(loc: Sequence[str | int]) -> str:
    return ENV_PREFIX + ENV_DELIMITER.join(map(str, loc)).upper()


def _key(loc: Sequence[str | int]) -> str:
    text = ""
    for part in loc:
        is_bare = isinstance(part, str) and BARE_KEY.fullmatch(part)
        text += f".{part}" if is_bare else f"[{part if isinstance(part, int) else quoted(part)}]"
    return text.removeprefix(".")
