"""One exchange with a Zoho host as plain values, so that all but `api` can do without an HTTP library."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from harvester.model import FailureKind


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A whole HTTP answer.

    Attributes:
        status: the HTTP status.
        content_type: the media type as sent, or "".
        headers: `Retry-After`, `Location` and `Date` only, under these spellings.
        body: the decoded bytes; holds personal data, so it is kept out of `repr`.
        received_at_s: wall seconds since the epoch; without it a Retry-After *date* cannot be read.
    """

    status: int
    content_type: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    received_at_s: float | None = None


class TransportError(Exception):
    """No whole answer came.

    Args:
        kind: UNREACHED, LOST, MALFORMED or OVERSIZE; ACCOUNT where only a person can mend it (certificates, the URL).
        message: one line that names the host and never a header, a parameter or a body.
        is_sent: False only where it is certain that no byte of the request left.
    """

    def __init__(self, kind: FailureKind, message: str, *, is_sent: bool) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.is_sent = is_sent


class UnreadableError(ValueError):
    """A body is no document that we can take; the message says where, never what stood there."""


class OversizeError(UnreadableError):
    """A body is larger than can be read at a bearable cost; one with fewer rows may do."""


class Transport(Protocol):
    """How a request reaches a host; `api.Http` is the real one."""

    async def post(
        self,
        url: str,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        timeout_s: float,
        form: Mapping[str, str] | None = None,
    ) -> HttpReply:
        """Send one POST, once, with `params` in the query string and `form` in the body.

        Raises:
            TransportError: no whole answer came. Not retried here.
        """
