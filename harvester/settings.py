"""What can be set: the sections, their bounds and what rules a value out.

`harvester.config` fills them from file and environment. No message and no repr has a secret's value.
"""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    SecretStr,
    StringConstraints,
    Tag,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from harvester.model import Action, Order, ResponseFormat
from harvester.publish_settings import PublishSettings
from harvester.setting_values import (
    SECRET_MAX_BYTES,
    VISIBLE,
    AccountName,
    BaseUrl,
    CampaignKey,
    ContactField,
    Count,
    DurationS,
    FolderPath,
    GroupName,
    NamePattern,
    PathText,
    Rate,
    RegularExpression,
    ResponseCode,
    Section,
    distinct,
    is_loopback,
    real_path,
    secret_in,
)
from harvester.snapshot import Carry

# 500 calls in 5 minutes, else a lock of 30: the API limit of getcampaignrecipientsdata, as documented.
DOCUMENTED_CALLS = 500
DOCUMENTED_PERIOD_S = 300.0
DOCUMENTED_LOCK_S = 1800.0
CALLS_MAX = 100_000  # each call of a period is a token in memory, and no documented limit comes near
BURST_MAX_PER_S = 100_000.0  # room for a rehearsal in scaled time
PAGE_SIZE_MAX_ROWS = 10_000  # the server's bound is unknown, and a page is held in memory
CONCURRENCY_MAX = 256  # far more than the limit can use, within the usual 1024 open files
AGE_MAX_DAYS = 36_500  # a century: no campaign is older
SHARE_MIN = 0.01  # less than this of 499 calls is nothing at all: somebody would starve

SECRETS = ("client_secret", "refresh_token")
BEFORE_LOGIN = "before login"  # the context of a validation that leaves refresh tokens as they are
CAMPAIGNS_FORMS = ("<word>", "<list>", "<table>")  # pydantic puts them into the place of a problem


def _campaigns_form(value: object) -> str | None:
    if isinstance(value, list | tuple):
        return "<list>"
    if isinstance(value, Mapping | KeyFile):
        return "<table>"
    return "<word>" if value == "discover" else None


def _ascending(ages: tuple["RefreshAge", ...]) -> tuple["RefreshAge", ...]:
    days = [age.to_day for age in ages]
    if days != sorted(set(days)):
        raise ValueError("the ages do not ascend; give them by to_day, the youngest first")
    return ages


class KeyFile(Section):
    """A list of campaign keys in a file; `harvester.campaign_keys` reads it."""

    file: PathText


Campaigns = Annotated[
    Annotated[Literal["discover"], Tag("<word>")]
    | Annotated[tuple[CampaignKey, ...], Field(min_length=1), AfterValidator(distinct), Tag("<list>")]
    | Annotated[KeyFile, Tag("<table>")],
    Discriminator(
        _campaigns_form,
        custom_error_type="campaigns_form",
        custom_error_message='must be "discover", a list of keys, or { file = "..." }; give one of these',
    ),
]


class AccountSettings(Section):
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
        if info.field_name == "refresh_token" and info.context == BEFORE_LOGIN:
            return secret
        file: Path | None = info.data[f"{info.field_name}_file"]
        value = secret.get_secret_value().strip()
        if file and value:
            raise PydanticCustomError("secret_twice", "given as a value and as a file")
        if not (file or value):
            raise PydanticCustomError(f"{info.field_name}_missing", "missing or empty")
        text = secret_in(file) if file else value
        if not VISIBLE.fullmatch(text):
            raise ValueError("has blanks, control characters or letters outside ASCII; copy it again")
        return SecretStr(text)


class BudgetSettings(Section):
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
    lockout_codes: Annotated[tuple[ResponseCode, ...], AfterValidator(distinct)] = ()
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


class HarvestSettings(Section):
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

    actions: Annotated[tuple[Action, ...], Field(min_length=1), AfterValidator(distinct)] = tuple(Action)
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


class DiscoverySettings(Section):
    """Which of the account's sent campaigns are harvested; what is left out lets all of them through.

    Attributes:
        sent_since: the first day of sending, UTC.
        sent_until: the last day of sending, UTC.
        names: patterns of campaign names, of which one must fit; `*` stands for anything, case does not matter.
        types: of campaigns, as the listing tells them.
    """

    sent_since: dt.date | None = None
    sent_until: dt.date | None = None
    names: Annotated[tuple[NamePattern, ...], AfterValidator(distinct)] = ()
    types: Annotated[tuple[Literal["normal", "abtesting"], ...], AfterValidator(distinct)] = ()

    @field_validator("sent_until")
    @classmethod
    def _not_before_since(cls, until: dt.date | None, info: ValidationInfo) -> dt.date | None:
        since = info.data.get("sent_since")
        if since is not None and until is not None and until < since:
            raise ValueError(f"{until} lies before sent_since, {since}, so nothing is harvested; exchange them")
        return until


class RefreshAge(Section):
    """How often a campaign is looked at until it has a certain age.

    Attributes:
        to_day: the last day, counted from the day of sending as 0, for which this holds.
        every_days: days from one look to the next.
    """

    to_day: Annotated[Count, Field(ge=0, le=AGE_MAX_DAYS)]
    every_days: Annotated[Count, Field(ge=1, le=AGE_MAX_DAYS)]


RefreshAges = Annotated[tuple[RefreshAge, ...], Field(min_length=1), AfterValidator(_ascending)]


class NightlySettings(Section):
    """What `harvester nightly` looks at again.

    Attributes:
        refresh: how often, by a campaign's age; beyond the last day its sets are frozen.
        refresh_of: the same for single actions, instead of `refresh`.
        full_refresh_days: a set that is looked at is read again after so many days at the latest, whatever its counter
            says.
        carry: how the partition of an unchanged set is found under the new date.
    """

    refresh: RefreshAges = (
        RefreshAge(to_day=7, every_days=1),
        RefreshAge(to_day=60, every_days=7),
        RefreshAge(to_day=365, every_days=30),
    )
    refresh_of: dict[Action, RefreshAges] = Field(default_factory=dict)
    full_refresh_days: Annotated[Count, Field(ge=1, le=AGE_MAX_DAYS)] = 90
    carry: Carry = Carry.REFERENCE


class BackfillSettings(Section):
    """How `harvester backfill` goes about it.

    Attributes:
        order: which campaigns come first.
        share: of the calls, that the backfill keeps while a nightly run asks for all of them.
    """

    order: Order = Order.NEWEST
    share: Annotated[Rate, Field(ge=SHARE_MIN, le=1 - SHARE_MIN)] = 0.2


class ChangesSettings(Section):
    """Whether each run writes what changed since the harvest before."""

    enabled: bool = False


class PrivacySettings(Section):
    """What is kept of contacts, and who may read it; see docs/privacy.md.

    Attributes:
        email: whether addresses stand as given, as a keyed hash, or not at all.
        key_file: of the keyed hash; by default it lies in the state folder. Made where it is missing.
        allow_fields: the only columns of a contact that are kept, and keys of `raw` as "raw.<key>"; all if empty.
        deny_fields: those that are not kept, likewise.
        raw: whether the row is kept beside its columns.
        group: the group that may read the output folder; None for nobody else.
    """

    email: Literal["keep", "hmac", "drop"] = "keep"
    key_file: PathText | None = None
    allow_fields: Annotated[tuple[ContactField, ...], AfterValidator(distinct)] = ()
    deny_fields: Annotated[tuple[ContactField, ...], AfterValidator(distinct)] = ()
    raw: bool = True
    group: GroupName | None = None


class Settings(Section):
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
    discovery: DiscoverySettings = DiscoverySettings()
    nightly: NightlySettings = NightlySettings()
    backfill: BackfillSettings = BackfillSettings()
    changes: ChangesSettings = ChangesSettings()
    publish: PublishSettings = PublishSettings()
    privacy: PrivacySettings = PrivacySettings()

    @field_validator("state")
    @classmethod
    def _apart_from_output(cls, state: Path, info: ValidationInfo) -> Path:
        if "output" not in info.data:
            return state  # output is wrong, and reported already
        ours, theirs = real_path(state), real_path(info.data["output"])
        if ours.is_relative_to(theirs) or theirs.is_relative_to(ours):
            raise ValueError("and output lie in one another, so readers would meet the ledger; part them")
        return state

    @field_validator("publish")
    @classmethod
    def _apart_from_our_folders(cls, publish: PublishSettings, info: ValidationInfo) -> PublishSettings:
        for name in ("output", "state"):
            if name in info.data and publish.lies_in(info.data[name]):
                raise ValueError(f"url and {name} lie in one another; give a folder of its own")
        return publish

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
