import asyncio
import gzip
import socket
import ssl
from collections.abc import Callable, Iterator

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from test_zoho_loopback import PLAIN, TIMEOUT_S, answer, pass_time, scripted, serving

from harvester.model import FailureKind
from harvester.zoho import api
from harvester.zoho.api import Http, HttpReply, TransportError
from harvester.zoho.data_centers import DATA_CENTERS

SECRET = "1000.hush.hush"


async def posted(url: str) -> HttpReply:
    headers = {"Authorization": f"Zoho-oauthtoken {SECRET}"}
    async with Http() as http:
        return await http.post(url, {"campaignkey": "3z a&b"}, headers, TIMEOUT_S)


async def trouble(*answers: bytes | None, on_request: Callable[[], None] = lambda: None) -> TransportError:
    async with scripted(*answers) as server:
        server.on_request = on_request
        with pytest.raises(TransportError) as caught:
            await posted(server.url)
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    return caught.value


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


async def test_a_request_is_one_post_with_its_parameters_in_the_query() -> None:
    """Method, query, headers and the empty body are as the API wants them."""
    async with scripted(answer(b"{}", "200 OK", "Retry-After: 3", "X-Other: y")) as server:
        reply = await posted(f"{server.url}/api")

    head = server.requests[0]
    assert head.startswith(b"POST /api?campaignkey=3z+a%26b HTTP/1.1")
    assert b"Content-Type: application/x-www-form-urlencoded" in head
    assert f"Authorization: Zoho-oauthtoken {SECRET}".encode() in head
    assert (reply.status, reply.content_type, reply.headers) == (200, "application/json", {"Retry-After": "3"})
    assert reply.body == b"{}"


async def test_a_form_goes_into_the_body() -> None:
    """Secrets stand in no URL."""
    async with scripted(PLAIN) as server, Http() as http:
        await http.post(server.url, {}, {}, TIMEOUT_S, form={"client_secret": "hush"})

    head, body = server.requests[0].split(b"\r\n\r\n")
    assert b"hush" not in head
    assert body == b"client_secret=hush"


async def test_H_10_compression_is_not_asked_for() -> None:
    """A compressed body cut in half can pass for a whole one."""
    async with scripted(PLAIN) as server:
        await posted(server.url)

    assert b"Accept-Encoding: identity" in server.requests[0]


async def test_H_03_silence_is_lost_and_counts_as_sent() -> None:
    """After the timeout nobody knows whether the server counted the call."""
    error = await trouble(None, on_request=pass_time)

    assert (error.kind, error.is_sent) == (FailureKind.LOST, True)


async def test_H_04_an_answer_that_never_ends_meets_the_total_timeout() -> None:
    """The bound covers the whole answer and not only each read."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
        await writer.drain()
        pass_time()
        await reader.read()

    async with serving(drip) as url:
        with pytest.raises(TransportError) as caught:
            await posted(url)

    assert caught.value.kind is FailureKind.LOST


async def test_H_02_a_refused_connection_sent_nothing(closed_port: int) -> None:
    """Where certainly no byte left, no token of the budget is spent."""
    with pytest.raises(TransportError) as caught:
        await posted(f"http://127.0.0.1:{closed_port}")

    assert (caught.value.kind, caught.value.is_sent) == (FailureKind.UNREACHED, False)


async def test_H_24_an_unknown_host_name_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that does not resolve is said by name."""

    def unresolved(*_args: object, **_kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    with pytest.raises(TransportError, match=r"campaigns\.invalid: cannot resolve") as caught:
        await posted("http://campaigns.invalid/")

    assert (caught.value.kind, caught.value.is_sent) == (FailureKind.UNREACHED, False)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        pytest.param(b"", FailureKind.LOST, id="H-01-closed"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", FailureKind.LOST, id="H-05-short-body"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", FailureKind.LOST, id="H-08-cut-chunks"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
            FailureKind.MALFORMED,
            id="H-09-two-lengths",
        ),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x46", FailureKind.MALFORMED, id="H-29-tls-on-a-plain-port"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9_000 + b"\r\nContent-Length: 2\r\n\r\n{}",
            FailureKind.MALFORMED,
            id="H-30-long-header",
        ),
    ],
)
async def test_H_01_H_05_H_08_H_09_H_29_H_30_broken_answers_have_a_kind(said: bytes, kind: FailureKind) -> None:
    """Whatever breaks after the request left is a failure that counts as sent, and never hangs."""
    error = await trouble(said)

    assert (error.kind, error.is_sent) == (kind, True)


async def test_H_06_bytes_beyond_the_length_are_an_error() -> None:
    """Who sends more than announced does not know where its answer ends."""
    assert (await trouble(PLAIN + b"POISON")).kind is FailureKind.MALFORMED


async def test_H_11_a_bomb_is_cut_off_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body is bounded while it is unpacked."""
    monkeypatch.setattr(api, "BODY_BYTES_MAX", 100_000)
    error = await trouble(answer(gzip.compress(b"0" * 10_000_000), "200 OK", "Content-Encoding: gzip"))

    assert error.kind is FailureKind.OVERSIZE
    assert "page too large" in error.message


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
async def test_H_10_H_12_a_broken_or_foreign_encoding_is_no_page(encoding: str) -> None:
    """An encoding that nobody asked for gives a clear error or bytes that are no document, never a traceback."""
    async with scripted(answer(b"\x00broken", "200 OK", f"Content-Encoding: {encoding}")) as server:
        try:
            outcome = (await posted(server.url)).body[:1]
        except TransportError as error:
            outcome = error.kind.encode()

    assert outcome in {b"lost", b"malformed", b"\x00"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_H_16_H_17_redirects_are_not_followed(status: int) -> None:
    """The other host sees nothing, least of all a form with secrets."""
    async with scripted(PLAIN) as other:
        moved = answer(b"", f"{status} Moved", f"Location: {other.url}/x")
        async with scripted(moved) as server, Http() as http:
            reply = await http.post(server.url, {}, {}, TIMEOUT_S, form={"client_secret": "hush"})

    assert reply.status == status
    assert reply.headers["Location"].startswith(other.url)
    assert other.requests == []


async def test_H_26_H_27_every_call_has_its_own_connection() -> None:
    """A second answer that nobody asked for reaches no later call."""
    async with scripted(answer(b"1") + answer(b"POISON"), answer(b"2")) as server, Http() as http:
        bodies = [(await http.post(server.url, {}, {}, TIMEOUT_S)).body for _ in range(2)]

    assert bodies == [b"1", b"2"]


async def test_H_28_informational_answers_are_passed_over() -> None:
    """A 103 before the 200 is not the answer."""
    async with scripted(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + PLAIN) as server:
        assert (await posted(server.url)).status == 200


async def test_H_32_cookies_are_not_kept() -> None:
    """What the server sets never comes back to it."""
    async with scripted(answer(b"{}", "200 OK", "Set-Cookie: dck_1=x; Path=/")) as server, Http() as http:
        for _ in range(2):
            await http.post(server.url, {}, {}, TIMEOUT_S)

    assert b"cookie" not in server.requests[1].lower()


async def test_H_33_the_environments_proxy_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable sends our token to another host."""
    async with scripted(PLAIN) as trap, scripted(PLAIN) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, trap.url)
        await posted(server.url)

    assert trap.requests == []
    assert len(server.requests) == 1


async def test_H_25_a_host_without_tls_is_no_matter_of_time() -> None:
    """TLS that fails is for a person to mend, and nothing was sent."""

    async def plain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(plain) as url:
        with pytest.raises(TransportError) as caught:
            await posted(url.replace("http://", "https://"))

    assert (caught.value.kind, caught.value.is_sent) == (FailureKind.ACCOUNT, False)


def test_H_25_an_untrusted_certificate_is_an_account_failure() -> None:
    """The table knows a refused certificate from a broken connection."""
    untrusted = aiohttp.ClientConnectorCertificateError(_key(), ssl.SSLCertVerificationError("self-signed"))

    error = api._transport_error(untrusted, "https://campaigns.zoho.com/api")

    assert (error.kind, error.is_sent) == (FailureKind.ACCOUNT, False)
    assert "certificate" in error.message


def test_H_31_running_out_of_files_names_the_limit() -> None:
    """The remedy is the machine's, so the message says which."""
    error = api._transport_error(OSError(24, "Too many open files"), "https://campaigns.zoho.com")

    assert (error.kind, error.is_sent) == (FailureKind.UNREACHED, False)
    assert "ulimit -n" in error.message


def _key() -> ConnectionKey:
    return ConnectionKey("campaigns.zoho.com", 443, True, True, None, None, None)  # noqa: FBT003


def test_the_table_is_ordered_from_the_special_to_the_general() -> None:
    """No row stands below one that already covers it."""
    kinds = [row[0] for row in api._TABLE]

    for place, kind in enumerate(kinds):
        assert not any(issubclass(kind, above) for above in kinds[:place])


def test_S_02_replies_do_not_show_their_body() -> None:
    """A traceback that prints a reply prints no contact."""
    assert "john" not in repr(HttpReply(200, "", {"Location": "john"}, b"john"))


async def test_H_29_an_unusable_url_is_an_account_failure() -> None:
    """What is no URL cannot be retried."""
    with pytest.raises(TransportError) as caught:
        await posted("http://[")

    assert caught.value.kind is FailureKind.ACCOUNT


def test_data_centers_have_two_https_hosts_each() -> None:
    """The eight names of the configuration are known, Canada by its own domain."""
    assert set(DATA_CENTERS) == {"com", "eu", "in", "com.au", "jp", "com.cn", "ca", "sa"}
    assert DATA_CENTERS["com.au"].api_url == "https://campaigns.zoho.com.au"
    assert DATA_CENTERS["ca"].accounts_url == "https://accounts.zohocloud.ca"
