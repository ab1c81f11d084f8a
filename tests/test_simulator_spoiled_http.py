"""Good answers in bad HTTP: as bytes, and over a real socket."""

import asyncio
import gzip
import io
import zlib

import aiohttp
import orjson
import pytest
from simulated_caller import CLIENT, CREDENTIALS, RECIPIENTS, caller_of

from harvester.simulator.options import ALL_FAULTS, FaultKind, FaultOptions, Options, WireFault, WorldOptions
from harvester.simulator.server import Server
from harvester.simulator.spoiled_http import BOMB_BYTES, HUGE_BYTES, spoil_http
from harvester.simulator.wire import API_PREFIX, TOKEN_PATH, Answer, Mishap

GOOD = Answer(200, b'{"status":"success","code":"0"}')
ELSEWHERE = "http://127.0.0.1:9/elsewhere"


def spoiled(fault: WireFault) -> Answer:
    return spoil_http(fault, GOOD, ELSEWHERE)


def options_of(fault: WireFault, redirect_url: str = ELSEWHERE) -> Options:
    faults = FaultOptions(share=1.0, kinds=(fault,), redirect_url=redirect_url)
    return Options(world=WorldOptions(campaigns=1, recipients=30), faults=faults)


def test_faults_of_the_wire_are_not_drawn_unless_named() -> None:
    """Left out, the kinds are those of the answers; all of them have different names."""
    assert FaultOptions().kinds == tuple(FaultKind)
    assert len({fault.value for fault in ALL_FAULTS}) == len(FaultKind) + len(WireFault)


def test_H_10_gzip_comes_unasked() -> None:
    """The answer is encoded and whole."""
    answer = spoiled(WireFault.GZIP)

    assert gzip.decompress(answer.body) == GOOD.body
    assert answer.headers == {"Content-Encoding": "gzip"}


@pytest.mark.parametrize(
    ("fault", "error"),
    [(WireFault.GZIP_CUT, EOFError), (WireFault.GZIP_NO_TRAILER, EOFError), (WireFault.GZIP_BAD_CRC, gzip.BadGzipFile)],
)
def test_H_10_gzip_comes_broken(fault: WireFault, error: type[Exception]) -> None:
    """A strict reader refuses it; without the trailer, and with a wrong one, all the data is there."""
    answer = spoiled(fault)

    with pytest.raises(error):
        gzip.decompress(answer.body)
    data = zlib.decompressobj(wbits=-zlib.MAX_WBITS).decompress(answer.body[10:])
    assert (data == GOOD.body) == (fault is not WireFault.GZIP_CUT)


def test_H_11_a_bomb_is_small_on_the_wire() -> None:
    """Less than 1 MB become 128 MiB, which are a good answer still."""
    answer = spoiled(WireFault.GZIP_BOMB)

    with gzip.open(io.BytesIO(answer.body)) as stream:
        head = stream.read(30)
        blanks = sum(len(piece) for piece in iter(lambda: stream.read(1 << 20), b""))

    assert len(answer.body) < 1_000_000
    assert GOOD.body.startswith(head)
    assert len(head) + blanks == BOMB_BYTES


def test_A_27_a_huge_page_is_a_good_answer() -> None:
    """100 MB of JSON, blanks for the most part."""
    answer = spoiled(WireFault.HUGE)

    assert len(answer.body) == HUGE_BYTES
    assert answer.body[:30] + answer.body[-1:] == GOOD.body


@pytest.mark.parametrize(("fault", "status"), [(WireFault.REDIRECT_301, 301), (WireFault.REDIRECT_307, 307)])
def test_H_16_H_17_a_redirect_leads_elsewhere(fault: WireFault, status: int) -> None:
    """It has no body, and the address that was set."""
    answer = spoiled(fault)

    assert (answer.status, answer.body, answer.headers) == (status, b"", {"Location": ELSEWHERE})


@pytest.mark.parametrize("fault", WireFault)
@pytest.mark.parametrize("form", ["JSON", "XML"])
def test_each_fault_of_the_wire_is_counted_by_kind(fault: WireFault, form: str) -> None:
    """Whatever format was asked for, the answer differs from the good one, and its rows are not held as served."""
    caller = caller_of(faults=options_of(fault).faults)

    answer = caller.page(resfmt=form)

    assert answer != caller_of().page(resfmt=form)
    assert (answer.mishap is Mishap.TWO_LENGTHS) == (fault is WireFault.TWO_LENGTHS)
    assert caller.sheet()["kinds"] == {f"fault-{fault}": 1}
    assert caller.sheet()["rows_served"] == 0


async def exchange(base_url: str, path: str, form: dict[str, str], authorization: str = "") -> bytes:
    """Return every byte of an answer, as a client sees it that trusts no library."""
    host, port = base_url.removeprefix("http://").split(":")
    body = "&".join(f"{name}={value}" for name, value in form.items())
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: {authorization}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{head}{body}".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def page_from(server: Server, base_url: str) -> tuple[bytes, bytes]:
    """Return head and body of one page, byte by byte."""
    token = orjson.loads((await exchange(base_url, TOKEN_PATH, CREDENTIALS)).partition(b"\r\n\r\n")[2])["access_token"]
    key = server.zoho.world(CLIENT).campaigns[0].key
    form = {"resfmt": "JSON", "campaignkey": key, "action": "sentcontacts"}
    answer = await exchange(base_url, API_PREFIX + RECIPIENTS, form, f"Zoho-oauthtoken {token}")
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


async def test_H_09_two_lengths_go_out() -> None:
    """Both headers are on the wire, the first one is right."""
    server = Server(options_of(WireFault.TWO_LENGTHS))
    async with server.running() as base_url:
        head, body = await page_from(server, base_url)

    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    assert lengths == [f"Content-Length: {len(body) + extra}".encode() for extra in (0, 1)]
    assert len(orjson.loads(body)["list_of_details"]) == 20


@pytest.mark.parametrize("fault", [WireFault.GZIP, WireFault.GZIP_CUT])
async def test_H_10_gzip_goes_out_as_it_is(fault: WireFault) -> None:
    """The length is that of the bytes sent, cut or not, and nothing encodes them a second time."""
    server = Server(options_of(fault))
    async with server.running() as base_url:
        head, body = await page_from(server, base_url)

    assert head.count(b"Content-Encoding: gzip") == 1
    assert f"Content-Length: {len(body)}".encode() in head
    assert body.startswith(b"\x1f\x8b")


async def test_H_16_a_client_that_follows_a_redirect_lands_elsewhere() -> None:
    """The address may be another server's, which then sees who came."""
    trap = Server(Options())
    async with trap.running() as trap_url:
        server = Server(options_of(WireFault.REDIRECT_307, f"{trap_url}{API_PREFIX}{RECIPIENTS}"))
        async with server.running() as base_url, aiohttp.ClientSession() as http:
            async with http.post(f"{base_url}{TOKEN_PATH}", data=CREDENTIALS) as reply:
                token = (await reply.json())["access_token"]
            headers = {"Authorization": f"Zoho-oauthtoken {token}"}
            async with http.post(f"{base_url}{API_PREFIX}{RECIPIENTS}", headers=headers) as reply:
                assert reply.status == 401

    assert trap.zoho.referee.report()["totals"]["calls"] == 1
