"""The values that can be set, as types: what rules one out, and what the message says then.

No message has a secret's value.
"""

import os
import re
from grp import getgrnam
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from harvester.campaign_keys import KEY_PATTERN, KEY_RULE, open_regular, quoted
from harvester.errors import ConfigError

DURATION_MIN_S = 0.001  # a rehearsal 300,000 times as fast; timers are no finer
DURATION_MAX_S = 86_400.0  # a day: more is milliseconds taken for seconds
SECRET_MAX_BYTES = 4096  # real secrets are far shorter: a larger file is a wrong file
NAME_PATTERN_MAX_CHARS = 200  # longer than any campaign is called

VISIBLE = re.compile(r"[!-~]+")

CONTACT_FIELDS = (
    *("contact_id", "email", "first_name", "last_name", "company", "phone", "timezone", "contact_status"),
    *("sent_time_ms", "sent_date", "open_reports", "click_count", "clicked_urls", "click_reports"),
    *("bounced_date", "opted_out_date", "event_times"),
)
"""The columns of a record that are filled from a contact's row."""
RAW_FIELD = re.compile(r"raw\..{1,200}")


class Section(BaseModel):
    """One table of the configuration: frozen, every key known, no value repeated in a message."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)


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


def distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the values, no two of which may be the same."""
    if len(set(values)) < len(values):
        twice = next(value for value in values if values.count(value) > 1)
        raise ValueError(f"{quoted(twice)} is given more than once; keep one")
    return values


def _campaign_key(key: str) -> str:
    if not KEY_PATTERN.fullmatch(key):
        raise ValueError(f"{quoted(key)} is no campaign key; {KEY_RULE}")
    return key


def _contact_field(name: str) -> str:
    if name not in CONTACT_FIELDS and not RAW_FIELD.fullmatch(name):
        known = ", ".join(CONTACT_FIELDS)
        raise ValueError(
            f'{quoted(name)} is no column of a contact; give one of {known}, or "raw.<key>" for a key of raw'
        )
    return name


def _group_name(name: str) -> str:
    try:
        getgrnam(name)
    except (KeyError, ValueError):
        raise ValueError(f"{quoted(name)} is no group of this system; make it, or name another one") from None
    return name


def _regular_expression(text: str) -> str:
    try:
        is_in_everything = re.compile(text).search("") is not None
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is no regular expression ({str(error)!a}); correct it") from None
    if is_in_everything:
        raise ValueError("matches an empty text, so every answer without rows would be a lockout; give a narrower one")
    return text


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
    if is_other or real_path(path) == real_path(path).parent:
        raise ValueError(f"{path} is a file or the root folder; give a folder of its own")
    return path


def real_path(path: Path) -> Path:
    """Return where a path leads, links followed; not by Path.resolve, which raises at a loop of links."""
    return Path(os.path.realpath(path))


def secret_in(file: Path) -> str:
    """Return the one secret that a file holds, which nobody else may read or change."""
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
ContactField = Annotated[str, AfterValidator(_contact_field)]
GroupName = Annotated[str, AfterValidator(_group_name)]
RegularExpression = Annotated[str, AfterValidator(_regular_expression)]
NamePattern = Annotated[str, StringConstraints(min_length=1, max_length=NAME_PATTERN_MAX_CHARS)]
