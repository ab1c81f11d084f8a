"""Settings: a TOML file and the environment, checked once, then frozen.

Every problem is found before the first call and all are told at once; no message and no repr has a secret's value.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SecretStr,
    StringConstraints,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from harvester.campaign_keys import KEY_PATTERN, KEY_RULE, open_regular, quoted
from harvester.errors import ConfigError
from harvester.model import Action, ResponseFormat

# 500 calls in 5 minutes, else a lock of 30: the API limit of getcampaignrecipientsdata, as documented.
DOCUMENTED_CALLS = 500
DOCUMENTED_PERIOD_S = 300.0
DOCUMENTED_LOCK_S = 1800.0
CALLS_MAX = 100_000  # each call of a period is a token in memory, and no documented limit comes near
BURST_MAX_PER_S = 100_000.0  # room for a rehearsal in scaled time
PAGE_SIZE_MAX_ROWS = 10_000  # the server's bound is unknown, and a page is held in memory
CONCURRENCY_MAX = 256  # far more than the limit can use, within the usual 1024 open files
DURATION_MIN_S = 0.001  # a rehearsal 300,000 times as fast; timers are no finer
DURATION_MAX_S = 86_400.0  # a day: more is milliseconds taken for seconds
CONFIG_MAX_BYTES = 1 << 20  # ten thousand inline campaign keys; more belong in a key file
SECRET_MAX_BYTES = 4096  # real secrets are far shorter: a larger file is a wrong file
INT_SHOWN_MAX = 10**18  # a longer number is noise in a message
PROBLEMS_SHOWN_MAX = 20  # one screen

ENV_PREFIX = "HARVESTER_"
ENV_DELIMITER = "__"
SECRETS = ("client_secret", "refresh_token")
CAMPAIGNS_FORMS = ("<word>", "<list>", "<table>")  # pydantic puts them into the place of a problem
PATHS = frozenset({"output", "state", "file", "client_secret_file", "refresh_token_file"})
VISIBLE = re.compile(r"[!-~]+")
BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,63}")


def _number(value: object) -> object:
    # To Python true is 1, so `calls = true` would pass for one call.
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is not a number; give one")  # noqa: TRY004  pydantic collects no TypeError
    return value


def _path_text(value: object) -> object:
    if isinstance(value, str) and not (value and value.isprintable()):
        raise ValueError("is empty or has control characters; give a path")
    if isinstance(value, str) and value.startswith("~"):
        raise ValueError("~ means a home directory only to a shell; write the path in full")
    return value


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) < len(values):
        twice = next(value for value in values if values.count(value) > 1)
        raise ValueError(f"{quoted(twice)} is given more than once; keep one")
    return values


def _campaign_key(key: str) -> str:
    if not KEY_PATTERN.fullmatch(key):
        raise ValueError(f"{quoted(key)} is no campaign key; {KEY_RULE}")
    return key


def _campaigns_form(value: object) -> str | None:
    if isinstance(value, list | tuple):
        return "<list>"
    if isinstance(value, Mapping | KeyFile):
        return "<table>"
    return "<word>" if value == "discover" else None


def is_loopback(url: str) -> bool:
    """Tell whether a URL stays on this machine: 127.0.0.0/8, ::1 or localhost."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _base(url: str) -> str:
    # The URL is not repeated in the message: what stands before an @ may be a password.
    try:
        parts = urlsplit(url)
        is_bare = parts.path in {"", "/"} and not (parts.query or parts.fragment or "@" in url or parts.port == 0)
    except ValueError:
        is_bare = False
    if not (is_bare and parts.hostname and VISIBLE.fullmatch(url)):
        raise ValueError("is not scheme, host and port; give a URL such as https://campaigns.zoho.com")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(url)):
        raise ValueError("would send tokens in the clear; use https (http only to 127.0.0.1, ::1 or localhost)")
    return url.rstrip("/")


def _folder(path: Path) -> Path:
    try:
        is_other = path.exists() and not path.is_dir()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; give another folder") from None
    if is_other or path.absolute() == Path("/"):
        raise ValueError(f"{path} is a file or the root folder; give a folder of its own")
    return path


def _secret_in(file: Path) -> str:
    try:
        with open_regular(file) as stream:
            status = os.fstat(stream.fileno())
            body = stream.read(SECRET_MAX_BYTES + 1)
    except (ConfigError, OSError) as error:
        raise ValueError(str(error).rstrip(".")) from None
    if is_exposed(status.st_mode, is_own=status.st_uid == os.geteuid()):
        raise ValueError(f"{file} can be read or changed by others; run: chmod 600 {file}")
    if len(body) > SECRET_MAX_BYTES or not body.strip():
        raise ValueError(f"{file} is empty or larger than {SECRET_MAX_BYTES} bytes; put the bare secret into it")
    return body.decode("utf-8", "replace").strip()


def is_exposed(mode: int, *, is_own: bool) -> bool:
    """Tell whether the mode of a secret's file lets others in.

    A file of our own is for us alone. One that belongs to somebody else may be readable by its group:
    that is how systemd and Kubernetes hand root's files to a service.
    """
    return bool(mode & (0o077 if is_own else 0o027))


Count = Annotated[int, BeforeValidator(_number)]
Rate = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
DurationS = Annotated[Rate, Field(ge=DURATION_MIN_S, le=DURATION_MAX_S)]
PathText = Annotated[Path, BeforeValidator(_path_text)]
FolderPath = Annotated[PathText, AfterValidator(_folder)]
BaseUrl = Annotated[str, AfterValidator(_base)]
AccountName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
CampaignKey = Annotated[str, AfterValidator(_campaign_key)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class KeyFile(_Section):
    """A list of campaign keys in a file; `harvester.campaign_keys` reads it."""

    file: PathText


Campaigns = Annotated[
    Annotated[Literal["discover"], Tag("<word>")]
    | Annotated[tuple[CampaignKey, ...], Field(min_length=1), AfterValidator(_distinct), Tag("<list>")]
    | Annotated[KeyFile, Tag("<table>")],
    Discriminator(
        _campaigns_form,
        custom_error_type="campaigns_form",
        custom_error_message='must be "discover", a list of keys, or { file = "..." }; give one of these',
    ),
]


class AccountSettings(_Section):
    """One Zoho organisation: its data centre and the credentials of a client.

    After loading, `client_secret` and `refresh_token` hold the values, wherever they came from.

    Attributes:
        data_center: selects the hosts; token and API host must belong to the same one.
        base_url: scheme and host of the API, instead of the data centre's; without a final slash.
        accounts_url: the same for the token endpoint.
    """

    data_center: Literal["com", "eu", "in", "com.au", "jp", "com.cn", "ca", "sa"] = "com"
    client_id: Annotated[str, StringConstraints(pattern=r"^[!-~]+$", max_length=SECRET_MAX_BYTES)]
    client_secret_file: PathText | None = None
    client_secret: SecretStr = Field(default=SecretStr(""), validate_default=True)
    refresh_token_file: PathText | None = None
    refresh_token: SecretStr = Field(default=SecretStr(""), validate_default=True)
    base_url: BaseUrl | None = None
    accounts_url: BaseUrl | None = None

    @field_validator(*SECRETS)
    @classmethod
    def _one_source(cls, secret: SecretStr, info: ValidationInfo) -> SecretStr:
        """Take the secret as it stands, or read it from its file; exactly one of the two is given."""
        file: Path | None = info.data.get(f"{info.field_name}_file")
        value = secret.get_secret_value().strip()
        if file and value:
            raise PydanticCustomError("secret_twice", "given as a value and as a file")
        if file:
            value = _secret_in(file)
        elif not value and f"{info.field_name}_file" not in info.data:
            return secret  # the path of its file is wrong, and reported already
        elif not value:
            raise PydanticCustomError("secret_missing", "missing or empty")
        if not VISIBLE.fullmatch(value):
            raise ValueError("has blanks, control characters or letters outside ASCII; copy it again")
        return SecretStr(value)


class BudgetSettings(_Section):
    """How many calls may start, per account and endpoint.

    Attributes:
        allow_over_documented_limit: needed for more than 500 calls a period, or for a period shorter
            than 300 s against a real host: a wrong guess locks the endpoint.
        calls: the limit in calls per `period_s`.
        lock_s: how long the server refuses everything once the limit was hit.
        reserve_calls: left unused of `calls`; 1, because the call that reaches the limit may already lock.
        admission: "robust" holds for every way of counting, "window" bursts once a period.
        burst_per_s: calls started in one second at most.
    """

    allow_over_documented_limit: bool = False
    calls: Annotated[Count, Field(ge=1, le=CALLS_MAX)] = DOCUMENTED_CALLS
    period_s: DurationS = DOCUMENTED_PERIOD_S
    lock_s: DurationS = DOCUMENTED_LOCK_S
    reserve_calls: Annotated[Count, Field(ge=0)] = 1
    admission: Literal["robust", "window"] = "robust"
    burst_per_s: Annotated[Rate, Field(ge=1, le=BURST_MAX_PER_S)] = 20.0

    @field_validator("calls")
    @classmethod
    def _within_the_documented_limit(cls, calls: int, info: ValidationInfo) -> int:
        if calls > DOCUMENTED_CALLS and not info.data.get("allow_over_documented_limit"):
            raise ValueError(
                f"{calls} is more than the documented {DOCUMENTED_CALLS} and would lock the endpoint; "
                "lower it, or set budget.allow_over_documented_limit = true if your limit was raised"
            )
        return calls

    @field_validator("reserve_calls")
    @classmethod
    def _leaves_a_call(cls, reserve_calls: int, info: ValidationInfo) -> int:
        calls = info.data.get("calls")
        if calls is not None and reserve_calls >= calls:
            raise ValueError(f"{reserve_calls} leaves nothing of {calls} calls; give less than budget.calls")
        return reserve_calls


class HarvestSettings(_Section):
    """What is harvested and how it is asked for.

    Attributes:
        actions: in the order in which they are harvested.
        campaigns: "discover" for all of the account, or the keys, or a file of keys.
        page_size: rows asked for in one call.
        concurrency: worker coroutines of the run.
        call_timeout_s: from the start of a call to its last byte.
        late_grace_s: how much later than its timeout a call given up may still reach the server.
    """

    actions: Annotated[tuple[Action, ...], Field(min_length=1), AfterValidator(_distinct)] = tuple(Action)
    campaigns: Campaigns = "discover"
    response_format: ResponseFormat = ResponseFormat.JSON
    page_size: Annotated[Count, Field(ge=1, le=PAGE_SIZE_MAX_ROWS)] = 500
    concurrency: Annotated[Count, Field(ge=1, le=CONCURRENCY_MAX)] = 16
    call_timeout_s: DurationS = 30.0
    late_grace_s: DurationS = 90.0
    compression: Literal["none", "gzip", "zstd"] = "gzip"


class _Environment(EnvSettingsSource):
    """The variables HARVESTER_...; lists and tables are JSON, and what is none is judged as the text it is."""

    def decode_complex_value(self, field_name: str, field: FieldInfo | None, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)  # type: ignore[arg-type]
        except (ValueError, RecursionError):
            return value


class Settings(BaseSettings):
    """Everything that can be set; `load` makes it, nobody changes it.

    Attributes:
        output: where partitions go.
        state: the ledger and the token caches.
        accounts: by name; a name is part of folder and file names.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter=ENV_DELIMITER,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    output: FolderPath = Path("data")
    state: FolderPath = Path("state")
    accounts: Annotated[dict[AccountName, AccountSettings], Field(min_length=1)]
    budget: BudgetSettings = BudgetSettings()
    harvest: HarvestSettings = HarvestSettings()

    @field_validator("state")
    @classmethod
    def _apart_from_output(cls, state: Path, info: ValidationInfo) -> Path:
        output, state_folder = (
            Path(os.path.normpath(path.absolute())) for path in (info.data.get("output", state), state)
        )
        if "output" in info.data and (output.is_relative_to(state_folder) or state_folder.is_relative_to(output)):
            raise ValueError("and output lie in one another, so readers would meet the ledger; part them")
        return state

    @field_validator("budget")
    @classmethod
    def _no_shorter_period_on_a_real_host(cls, budget: BudgetSettings, info: ValidationInfo) -> BudgetSettings:
        accounts: Mapping[str, AccountSettings] = info.data.get("accounts", {})
        is_rehearsal = all(account.base_url and is_loopback(account.base_url) for account in accounts.values())
        if budget.period_s < DOCUMENTED_PERIOD_S and not (is_rehearsal or budget.allow_over_documented_limit):
            raise ValueError(
                f"period_s = {budget.period_s:g} is less than the documented {DOCUMENTED_PERIOD_S:g} and would lock "
                "the endpoint; raise it, or set budget.allow_over_documented_limit = true if your limit is another"
            )
        return budget

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over what is given to the constructor; nothing else is read."""
        del env_settings, dotenv_settings, file_secret_settings
        return _Environment(settings_cls), init_settings


def load(path: Path | None) -> Settings:
    """Read the file, lay the environment over it and check the result.

    Paths in the file, and the default ones, are relative to the file's folder: wherever a run is started, it finds
    the ledger that knows what was sent. Paths in the environment are relative to the working directory.

    Args:
        path: a TOML file; None for the environment alone.

    Raises:
        ConfigError: with one line for each problem of file and environment.
    """
    folder = Path.cwd() if path is None else path.absolute().parent
    document = _anchored({"output": "data", "state": "state"} | _document(path), folder)
    origin = Origin(None if path is None else str(path), frozenset(name.upper() for name in os.environ))
    # Not left to pydantic-settings: it reads _env_file and the like as its own options, and OUTPUT as output.
    unknown = [name for name in document if name not in Settings.model_fields]
    problems = [f"{origin.of((name,))}: {_unknown_key((name,))}" for name in unknown]
    known = {name: value for name, value in document.items() if name not in unknown}
    try:
        settings = Settings(**_without_replaced(known, _Environment(Settings)()))
    except ValidationError as error:
        problems += [describe(problem, origin) for problem in error.errors(include_url=False)]
    if problems:
        more = len(problems) - PROBLEMS_SHOWN_MAX
        shown = problems[:PROBLEMS_SHOWN_MAX] + ([f"and {more} more problems"] if more > 0 else [])
        raise ConfigError("\n".join(shown) + ".", "config.example.toml explains every key.")
    return settings


def _document(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
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
        return str(folder / value) if is_path else value

    return {key: anchor(key, value) for key, value in table.items()}


def _without_replaced(document: dict[str, Any], environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document without the secrets that the environment gives in the other form, value or file."""
    accounts, given = document.get("accounts"), environment.get("accounts")
    if not (isinstance(accounts, dict) and isinstance(given, dict)):
        return document

    def is_kept(name: str, key: str) -> bool:
        secret = key.removesuffix("_file")
        replacing = given.get(name)
        return (
            secret not in SECRETS
            or not isinstance(replacing, dict)
            or not {secret, f"{secret}_file"} & replacing.keys()
        )

    def keep(name: str, account: object) -> object:
        return {k: v for k, v in account.items() if is_kept(name, k)} if isinstance(account, dict) else account

    return document | {"accounts": {name: keep(name, account) for name, account in accounts.items()}}


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
    "secret_missing": "missing or empty; set {key}_file (a file only you can read) or the variable {variable}",
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
    "dict_type": "is no table; write a [section] or { ... }",
    "model_type": "is no table; write a [section] or { ... }",
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
}
"""The valid keys of each section."""


def describe(problem: ErrorDetails, origin: Origin) -> str:
    """Return one line for one of pydantic's problems: where, what was given, what to do; never a secret."""
    loc = tuple(part for part in problem["loc"] if part != "[key]" and part not in CAMPAIGNS_FORMS)
    kind = problem["type"].replace("_parsing", "_type")
    if kind == "extra_forbidden":
        text = _unknown_key(loc)
    elif kind in TEXTS:
        words = {"given": _given(problem["input"], loc), "key": _key(loc), "variable": _variable(loc)}
        text = TEXTS[kind].replace("{ ... }", "{{ ... }}").format_map(words | problem.get("ctx", {}))
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
