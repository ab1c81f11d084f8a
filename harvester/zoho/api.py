"""One call over HTTP; the only module that knows aiohttp.

What aiohttp raises carries the request's headers in its `repr`, the access token among them, so none of its errors
leaves this module: each becomes a `TransportError` without a cause.
"""

import asyncio
import errno
import zlib
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp import http_exceptions

from harvester.clock import Clock, SystemClock
from harvester.model import FailureKind
from harvester.zoho.wire import HttpReply, TransportError

__all__ = ["BODY_BYTES_MAX", "Http", "HttpReply", "TransportError"]

BODY_BYTES_MAX = 64 * 1024 * 1024
"""Largest body taken: a page of 500 rows is about 0.5 MiB; the bound keeps a bomb of 1 GiB out of memory."""

CONNECT_TIMEOUT_S_MAX = 10.0
CONNECT_SHARE = 0.5
"""A host that takes longer to accept, or half of the call's time, is down; known apart from a slow answer, this costs
no token of the budget, as nothing was sent."""

HEADER_BYTES_MAX = 8_190
"""Longest header line, status line, and longest header value: aiohttp's own bound, said aloud."""

CONNECTIONS_UNBOUNDED = 0
"""The pool sets no limit: the workers do, and a call that waited for a connection would hold its permit idle."""

_CHUNK_BYTES = 64 * 1024
_KEPT_HEADERS = ("Retry-After", "Location", "Date")
_HEADERS = {
    "Content-Type": "application/x-www-form-urlencoded",
    # Compression that is not asked for is unpacked all the same, but it saves nothing that we need.
    "Accept-Encoding": "identity",
    "User-Agent": "harvester",
}
_GZIP = frozenset({"gzip", "x-gzip"})
_GZIP_WINDOW_BITS = zlib.MAX_WBITS | 16  # zlib's way to say: with gzip's header and trailer
_OUT_OF_FILES = frozenset({errno.EMFILE, errno.ENFILE})

_TABLE: tuple[tuple[type[Exception], FailureKind, str, bool], ...] = (
    # Most specific first: TimeoutError and aiohttp's ClientOSError are OSErrors too. (error, kind, text, is_sent)
    (aiohttp.ConnectionTimeoutError, FailureKind.UNREACHED, "no connection in time", False),
    (TimeoutError, FailureKind.LOST, "no whole answer in time", True),
    (
        aiohttp.ClientConnectorCertificateError,
        FailureKind.ACCOUNT,
        "the certificate is not trusted; check the host name, the clock and the machine's certificates",
        False,
    ),
    (aiohttp.ClientSSLError, FailureKind.ACCOUNT, "no TLS connection; check the URL's host, port and scheme", False),
    (aiohttp.ClientConnectorDNSError, FailureKind.UNREACHED, "cannot resolve the host name", False),
    (aiohttp.ClientConnectorError, FailureKind.UNREACHED, "cannot connect", False),
    (aiohttp.InvalidURL, FailureKind.ACCOUNT, "not a usable URL; check base_url and accounts_url", False),
    (aiohttp.ServerDisconnectedError, FailureKind.LOST, "closed the connection without an answer", True),
    (aiohttp.ClientPayloadError, FailureKind.LOST, "the body was cut or its encoding is broken", True),
    (aiohttp.ClientResponseError, FailureKind.MALFORMED, "speaks broken HTTP", True),
    (http_exceptions.HttpProcessingError, FailureKind.MALFORMED, "speaks broken HTTP", True),
    (aiohttp.ClientError, FailureKind.LOST, "the connection broke", True),
    (OSError, FailureKind.LOST, "the connection broke", True),
    (ValueError, FailureKind.MALFORMED, "an answer that cannot be read", True),
)
_ERRORS = tuple(row[0] for row in _TABLE)


class Http:
    """Sends single POST requests; an asynchronous context manager that owns the connections.

    Every call has its own connection (`force_close`): on one kept alive, a late answer to an earlier call can be
    taken for the answer to the next, and a server's close races with the request. Redirects are not followed,
    cookies not kept, proxies and .netrc of the environment not used.

    Args:
        clock: gives the moment of receipt, by which a Retry-After date is read.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=CONNECTIONS_UNBOUNDED),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # it does not check that a compressed body ended, and sets it no bound
            trust_env=False,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(
        self,
        url: str,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        timeout_s: float,
        form: Mapping[str, str] | None = None,
    ) -> HttpReply:
        """Send one POST, once, and read the whole answer within `timeout_s` seconds.

        Args:
            url: https, or http on loopback.
            params: go into the query string: a body is not read by the API's endpoints.
            headers: added to the content type and encoding that are always sent.
            timeout_s: covers everything, name resolution to last byte.
            form: fields of a form body, for secrets, which have no place in a URL.

        Raises:
            TransportError: no whole answer, or one larger than `BODY_BYTES_MAX`. Not retried here.
        """
        if self._session is None:
            raise RuntimeError("Http is used outside of `async with`")
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._session.post(
                    url,
                    params=params,
                    headers=_HEADERS | dict(headers),
                    data=form,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(sock_connect=min(CONNECT_TIMEOUT_S_MAX, CONNECT_SHARE * timeout_s)),
                ) as response,
            ):
                body = await _bounded_body(response)
                return HttpReply(
                    status=response.status,
                    content_type=response.headers.get("Content-Type", ""),
                    headers={name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers},
                    body=body,
                    received_at_s=self._clock.wall_s(),
                )
        except _ERRORS as error:
            failure = _transport_error(error, url)
        raise failure


async def _bounded_body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            response.close()
            raise _oversize()
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if not body or encoding in {"", "identity"}:
        return bytes(body)
    if encoding not in _GZIP:
        raise TransportError(FailureKind.MALFORMED, "a body in an encoding that was not asked for", is_sent=True)
    return _unpacked(body)


def _unpacked(body: bytearray) -> bytes:
    """Unpack gzip, bounded; its trailer, which holds length and CRC, proves that the body is whole."""
    stream = zlib.decompressobj(_GZIP_WINDOW_BITS)
    try:
        unpacked = stream.decompress(body, BODY_BYTES_MAX + 1)
    except zlib.error:
        raise TransportError(FailureKind.LOST, "the compressed body is broken", is_sent=True) from None
    if len(unpacked) > BODY_BYTES_MAX:
        raise _oversize()
    if not stream.eof or stream.unused_data:
        raise TransportError(FailureKind.LOST, "the compressed body was cut or has no proper end", is_sent=True)
    return unpacked


def _oversize() -> TransportError:
    message = f"page too large: more than {BODY_BYTES_MAX} bytes; ask for fewer rows (page_size)"
    return TransportError(FailureKind.OVERSIZE, message, is_sent=True)


def _transport_error(error: Exception, url: str) -> TransportError:
    """Name an error by the table, without a word of its own text; the host is all that is said of the URL."""
    try:
        host = urlsplit(url).hostname or "the host"
    except ValueError:
        host = "the host"
    if isinstance(error, OSError) and error.errno in _OUT_OF_FILES:
        text = "too many open files; raise the limit (ulimit -n) or lower concurrency"
        return TransportError(FailureKind.UNREACHED, f"{host}: {text}", is_sent=False)
    _, kind, text, is_sent = next(row for row in _TABLE if isinstance(error, row[0]))
    return TransportError(kind, f"{host}: {text}", is_sent=is_sent)
