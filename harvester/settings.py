"""What can be set: the sections, their bounds and what rules a value out.

`harvester.config` fills them from file and environment. No message and no repr has a secret's value.
"""

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
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
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

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
SECRET_MAX_BYTES = 4096  # real secrets are far shorter: a larger file is a wrong file

SECRETS = ("client_secret", "refresh_token")
CAMPAIGNS_FORMS = ("<word>", "<list>", "<table>")  # pydantic puts them into the place of a problem
VISIBLE = re.compile(r"[!-~]+")


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


def _regular_expression(text: str) -> str:
    try:
        is_in_everything = re.compile(text).search("") is not None
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is no regular expression ({str(error)!a}); correct it") from None
    if is_in_everything:
        raise ValueError("matches an empty text, so every answer without rows would be a lockout; give a narrower one")
    return text


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
    if is_other or _real(path) == _real(path).parent:
        raise ValueError(f"{path} is a file or the root folder; give a folder of its own")
    return path


def _real(path: Path) -> Path:
    # Not Path.resolve, which raises at a loop of links.
    return Path(os.path.realpath(path))


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
ResponseCode = Annotated[str, StringConstraints(pattern=r"^([0-9]{1,9}|[A-Z][A-Z0-9_]{1,31})$")]
RegularExpression = Annotated[str, AfterValidator(_regular_expression)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)


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
    client_secret: SecretStr = SecretStr("")
    refresh_token_file: PathText | None = None
    refresh_token: SecretStr = SecretStr("")
    base_url: BaseUrl | None = None
    accounts_url: BaseUrl | None = None

    @field_validator(*SECRETS)
    @classmethod
    def _one_source(cls, secret: SecretStr, info: ValidationInfo) -> SecretStr:
        """Take the secret as it stands, or read it from its file; exactly one of the two is given."""
        if f"{info.field_name}_file" not in info.data:
            return secret  # the path of its file is wrong, and reported already
        file: Path | None = info.data[f"{info.field_name}_file"]
        value = secret.get_secret_value().strip()
        if file and value:
            raise PydanticCustomError("secret_twice", "given as a value and as a file")
        if not (file or value):
            raise PydanticCustomError("secret_missing", "missing or empty")
        text = _secret_in(file) if file else value
        if not VISIBLE.fullmatch(text):
            raise ValueError("has blanks, control characters or letters outside ASCII; copy it again")
        return SecretStr(text)


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
        lockout_codes: codes of the API that say "locked", beside the known ones.
        lockout_pattern: a regular expression; an answer without rows that has it is taken for locked.
    """

    allow_over_documented_limit: bool = False
    calls: Annotated[Count, Field(ge=1, le=CALLS_MAX)] = DOCUMENTED_CALLS
    period_s: DurationS = DOCUMENTED_PERIOD_S
    lock_s: DurationS = DOCUMENTED_LOCK_S
    reserve_calls: Annotated[Count, Field(ge=0)] = 1
    admission: Literal["robust", "window"] = "robust"
    burst_per_s: Annotated[Rate, Field(ge=1, le=BURST_MAX_PER_S)] = 20.0
    lockout_codes: Annotated[tuple[ResponseCode, ...], AfterValidator(_distinct)] = ()
    lockout_pattern: RegularExpression | None = None

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
        timeline: whether to ask for every open and click; the format must be XML.
        page_size: rows asked for in one call.
        concurrency: worker coroutines of the run.
        pages_ahead: pages of one job under way beside the next one, where its size is known.
        call_timeout_s: from the start of a call to its last byte.
        late_grace_s: how much later than its timeout a call given up may still reach the server.
        counters: whether discovered campaigns are asked how many rows they should have.
        tolerance_share: a job that lacks more than this share of its counted rows is harvested again, once.
    """

    actions: Annotated[tuple[Action, ...], Field(min_length=1), AfterValidator(_distinct)] = tuple(Action)
    campaigns: Campaigns = "discover"
    response_format: ResponseFormat = ResponseFormat.JSON
    timeline: bool = False
    page_size: Annotated[Count, Field(ge=1, le=PAGE_SIZE_MAX_ROWS)] = 500
    concurrency: Annotated[Count, Field(ge=1, le=CONCURRENCY_MAX)] = 16
    pages_ahead: Annotated[Count, Field(ge=0, le=CONCURRENCY_MAX)] = 8
    call_timeout_s: DurationS = 30.0
    late_grace_s: DurationS = 90.0
    compression: Literal["none", "gzip", "zstd"] = "gzip"
    counters: bool = True
    tolerance_share: Annotated[Rate, Field(ge=0, le=1)] = 0.01

    @field_validator("timeline")
    @classmethod
    def _in_a_format_that_has_it(cls, timeline: bool, info: ValidationInfo) -> bool:  # noqa: FBT001  pydantic's way
        if timeline and info.data.get("response_format") is ResponseFormat.JSON:
            raise ValueError(
                'works with XML only: nobody has seen it answered in JSON; set harvest.response_format = "xml", '
                "or leave timeline out"
            )
        return timeline


class Settings(_Section):
    """Everything that can be set; `harvester.config.load` makes it, nobody changes it.

    Attributes:
        output: where partitions go.
        state: the ledger and the token caches.
        accounts: by name; a name is part of folder and file names.
    """

    output: FolderPath = Path("data")
    state: FolderPath = Path("state")
    accounts: Annotated[dict[AccountName, AccountSettings], Field(min_length=1)]
    budget: BudgetSettings = BudgetSettings()
    harvest: HarvestSettings = HarvestSettings()

    @field_validator("state")
    @classmethod
    def _apart_from_output(cls, state: Path, info: ValidationInfo) -> Path:
        if "output" not in info.data:
            return state  # output is wrong, and reported already
        ours, theirs = _real(state), _real(info.data["output"])
        if ours.is_relative_to(theirs) or theirs.is_relative_to(ours):
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
