"""Where finished dates are published, and how: the section [publish]."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from harvester.setting_values import VISIBLE, BaseUrl, Count, DurationS, PathText, Section, real_path, secret_in

NO_PLACE = "is no place to publish to; give s3://bucket/prefix, gs://..., az://container/prefix or file:///folder"

SCHEMES = frozenset({"s3", "gs", "az", "file"})

CONCURRENCY_MAX = 256
"""Files under way, each of up to 8 MiB in memory."""

CREDENTIALS: Mapping[str, frozenset[str]] = {
    "s3": frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}),
    "gs": frozenset({"GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY"}),
    "az": frozenset(
        {
            "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_KEY",
            "AZURE_STORAGE_CLIENT_ID", "AZURE_STORAGE_CLIENT_SECRET", "AZURE_STORAGE_TENANT_ID",
        }
    ),
    "file": frozenset(),
}  # fmt: skip
"""By scheme, the names that a credentials file may give: nothing in it leads anywhere else."""


def _place(url: str) -> str:
    # The URL is not repeated in the message: what stands before an @ may be a password.
    try:
        parts = urlsplit(url)
        is_bare = not (parts.query or parts.fragment or "@" in url or parts.port)
    except ValueError:
        raise ValueError(NO_PLACE) from None
    segments = parts.path.rstrip("/").split("/")[1:]
    is_there = bool(segments and not parts.netloc) if parts.scheme == "file" else bool(parts.netloc)
    is_clean = bool(VISIBLE.fullmatch(url)) and not {"", ".", ".."} & set(segments)
    if not (parts.scheme in SCHEMES and is_bare and is_there and is_clean):
        raise ValueError(NO_PLACE)
    return url.rstrip("/")


class PublishSettings(Section):
    """Where finished dates are published, beside the output folder.

    Attributes:
        url: of the prefix; None for nowhere.
        endpoint: of a server that speaks S3, instead of Amazon's.
        region: of an S3 bucket.
        credentials_file: lines NAME=value, as in the environment; None for the environment and the machine's own role.
        concurrency: files under way at once.
        timeout_s: from the start of a request to its last byte; of a large file each part is one.
        patience_s: for how long a request is tried again after it has failed first.
    """

    url: Annotated[str, AfterValidator(_place)] | None = None
    endpoint: BaseUrl | None = None
    region: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,63}$")] | None = None
    credentials_file: PathText | None = None
    concurrency: Annotated[Count, Field(ge=1, le=CONCURRENCY_MAX)] = 16
    timeout_s: DurationS = 60.0
    patience_s: DurationS = 60.0

    @field_validator("credentials_file")
    @classmethod
    def _for_us_alone(cls, file: Path | None) -> Path | None:
        """Refuse a file that others can read, before anything is harvested for it."""
        if file is not None:
            secret_in(file)
        return file

    @property
    def scheme(self) -> str:
        """What kind of store it is; empty where nothing is published."""
        return urlsplit(self.url or "").scheme

    def lies_in(self, folder: Path) -> bool:
        """Tell whether it is a folder that lies in the given one, or around it."""
        if self.scheme != "file":
            return False
        ours, theirs = real_path(Path(unquote(urlsplit(self.url or "").path))), real_path(folder)
        return ours.is_relative_to(theirs) or theirs.is_relative_to(ours)

    def credentials(self) -> dict[str, str]:
        """Return what the credentials file says, by the names of the environment; secret.

        Raises:
            ValueError: it cannot be read, or a line of it is none; the message has no value of it.
        """
        if self.credentials_file is None:
            return {}
        known, found = CREDENTIALS[self.scheme], {}
        for number, line in enumerate(secret_in(self.credentials_file).splitlines(), start=1):
            name, equals, value = (part.strip() for part in line.partition("="))
            if not line.strip() or line.startswith("#"):
                continue
            if not equals or name not in known or not value:
                expected = ", ".join(sorted(known)) or "no credentials at all"
                raise ValueError(f"{self.credentials_file}:{number}: is no NAME=value; for this url give {expected}")
            found[name] = value
        return found
