"""What a refusal of an object store means, from the library's exception to what follows (pure).

The library tells status and answer in the text of its exceptions alone. An answer may hold an access key's name, so
nothing of it is repeated but the status and the store's short code.
"""

import re
from enum import Enum, auto

from obstore.exceptions import (
    AlreadyExistsError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from harvester.errors import ConfigError, CredentialsError, DiskError, HarvestError, StoppedError

STATUS = re.compile(r"status code: (\d{3})")
CODE = re.compile(r"<Code>(\w{1,64})</Code>")

CREDENTIAL_CODES = frozenset(
    {"ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "TokenRefreshRequired"}
)
"""Said with status 400 or 403. Source: Amazon S3 API reference, "Error responses"."""

NO_SOURCE = (
    "169.254.169.254",
    "GCP credential error",
    "performing token request",
    "Invalid Access Key: ",
    "Account must be specified",
)
"""Where credentials were looked for in vain (the address is that of a cloud machine's own), or could not be read."""

NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
"""What S3 and Azure call it."""

NOT_TO_BE_SENT = ("Received redirect", "builder error")
"""The bucket lives in another region, or the request cannot even be built: plain http, a malformed endpoint."""

AGAIN_STATUSES = frozenset({408, 425, 429})
AGAIN_CODES = frozenset({"RequestTimeout"})
"""Said with status 400: the body came too slowly. Source: Amazon S3 API reference, "Error responses"."""

SERVER_ERROR = 500
NOT_IMPLEMENTED = 501

NO_CREDENTIALS = "no credentials were found that can be used"

SIGN_IN = "Check the credentials (environment, or publish.credentials_file), their rights on the bucket, and the clock."
GO_ON = "What is uploaded is known; the same command goes on, and so does harvester publish."


class Meaning(Enum):
    """What a refusal means for whoever uploads."""

    ABSENT = auto()  #: there is no such object
    MOVED = auto()  #: the object is not, or not any more, as the condition wants it
    NO_CONDITIONS = auto()  #: the store knows no conditional requests
    AGAIN = auto()  #: the network or the store failed: the same request may succeed
    ENDING = auto()  #: no such request will succeed until a person acts


def meaning_of(error: Exception) -> Meaning:
    """Return what a refusal means."""
    text, status = str(error), status_of(error)
    if isinstance(error, FileNotFoundError):
        return Meaning.ENDING if any(code in text for code in NO_BUCKET) else Meaning.ABSENT
    if isinstance(error, AlreadyExistsError | PreconditionError):
        return Meaning.MOVED
    if isinstance(error, NotImplementedError | NotSupportedError) or status == NOT_IMPLEMENTED:
        return Meaning.NO_CONDITIONS
    is_final = isinstance(error, PermissionDeniedError | UnauthenticatedError) or _is_local(text)
    if is_final or _lacks_credentials(text) or any(sign in _head(text) for sign in NOT_TO_BE_SENT):
        return Meaning.ENDING
    is_again = status is None or status >= SERVER_ERROR or status in AGAIN_STATUSES or _code_in(text) in AGAIN_CODES
    return Meaning.AGAIN if is_again else Meaning.ENDING


def status_of(error: Exception) -> int | None:
    """Return the HTTP status of the answer; None where none came."""
    found = STATUS.search(str(error))
    return int(found[1]) if found else None


def trouble_of(error: Exception, where: str) -> HarvestError:
    """Return what a person should hear of a refusal that ends the publishing; `where` is the URL of the prefix."""
    text, said = str(error), _said(error)
    if isinstance(error, FileNotFoundError):
        return ConfigError(f"{where}: there is no such bucket or folder{said}.", "Make it, or correct publish.url.")
    is_denied = isinstance(error, PermissionDeniedError | UnauthenticatedError)
    if is_denied or _lacks_credentials(text):
        what = "the store does not let us in" if is_denied or said else NO_CREDENTIALS
        return CredentialsError(f"{where}: {what}{said}.", SIGN_IN)
    if _is_local(text):
        return folder_trouble(where)
    if meaning_of(error) is Meaning.ENDING:
        return ConfigError(f"{where}: the store refuses{said}.", "Check publish.url, publish.endpoint, publish.region.")
    return StoppedError(f"{where}: the store does not answer as it should{said}.", GO_ON)


def folder_trouble(where: str) -> DiskError:
    """Return what to tell where the folder is one of this machine, and refuses."""
    return DiskError(f"{where}: the folder cannot be written.", "Check its rights and its space.")


def opening_trouble(error: Exception, where: str) -> HarvestError:
    """Return what to tell where a store cannot even be opened: nothing was sent, so to try again is of no use."""
    trouble = trouble_of(error, where)
    return CredentialsError(f"{where}: {NO_CREDENTIALS}.", SIGN_IN) if isinstance(trouble, StoppedError) else trouble


def _lacks_credentials(text: str) -> bool:
    return _code_in(text) in CREDENTIAL_CODES or any(sign in _head(text) for sign in NO_SOURCE)


def _code_in(text: str) -> str | None:
    """Return the store's short code for what is wrong; None where it said none."""
    found = CODE.search(text)
    return found[1] if found else None


def _is_local(text: str) -> bool:
    return "LocalFileSystem" in _head(text)


def _head(text: str) -> str:
    """Return the text before the library's own debugging output."""
    return text.partition("\n\nDebug")[0]


def _said(error: Exception) -> str:
    """Return the status and the store's code, as far as they came, in brackets."""
    parts = [str(part) for part in (status_of(error), _code_in(str(error))) if part is not None]
    return f" ({' '.join(parts)})" if parts else ""
