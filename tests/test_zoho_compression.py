"""Compressed answers, which nobody asks for: the whole ones are read, the others are told from them."""

import asyncio
import gzip
import json
import sys
import zlib
from pathlib import Path

import pytest
from test_zoho_client import ROW, zoho
from test_zoho_loopback import answer, scripted

from harvester.model import FailureKind, Page

DOCUMENT = json.dumps({"status": "success", "code": "0", "list_of_details": [ROW] * 100}).encode()
PACKED = gzip.compress(DOCUMENT)
TRAILER_BYTES = 8

MEMORY_KIB_MAX = 250 << 10
"""64 MiB of body, as much again while it is put together, and 60 MiB of program."""

BOMB_BYTES = 1 << 30
BLOCK_BYTES = 1 << 20


def packed(body: bytes, encoding: str = "gzip") -> bytes:
    return answer(body, "200 OK", f"Content-Encoding: {encoding}")


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
async def test_H_10_whole_gzip_is_read(tmp_path: Path, encoding: str) -> None:
    """A server that compresses unasked loses us no page."""
    async with zoho(tmp_path, packed(PACKED, encoding)) as place:
        page = await place.recipients()

    assert isinstance(page, Page)
    assert page.rows == (ROW,) * 100


WRONG_CRC = PACKED[:-TRAILER_BYTES] + bytes(4) + PACKED[-4:]
BROKEN = {
    "cut-in-half": PACKED[: len(PACKED) // 2],
    "no-trailer": PACKED[:-TRAILER_BYTES],
    "half-a-trailer": PACKED[:-1],
    "wrong-crc": WRONG_CRC,
    "wrong-length": PACKED[:-4] + bytes(4),
    "more-behind-it": PACKED + b"x",
    "not-gzip": DOCUMENT,
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
async def test_H_10_gzip_that_is_not_whole_is_lost(tmp_path: Path, body: bytes) -> None:
    """Only the trailer proves that a compressed body is whole; all else is asked for again."""
    async with zoho(tmp_path, packed(body)) as place:
        failure = await place.failure()

    assert (failure.kind, failure.is_sent) == (FailureKind.LOST, True)


@pytest.mark.parametrize(("status", "kind"), [("200 OK", "malformed"), ("502 Bad", "transient"), ("401 No", "token")])
async def test_H_15_an_empty_body_has_no_encoding(tmp_path: Path, status: str, kind: str) -> None:
    """Where nothing came there is nothing to unpack, and the status is judged."""
    async with zoho(tmp_path, answer(b"", status, "Content-Encoding: gzip")) as place:
        failure = await place.failure()

    assert failure.kind == kind


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "nonsense"])
async def test_H_12_an_encoding_that_we_do_not_know_is_malformed(tmp_path: Path, encoding: str) -> None:
    """What cannot be unpacked is no page, and no traceback either."""
    async with zoho(tmp_path, packed(PACKED, encoding)) as place:
        failure = await place.failure()

    assert failure.kind is FailureKind.MALFORMED
    assert "encoding" in failure.message


def bomb() -> bytes:
    """1 GiB of zeros as 1 MiB of gzip; its end is missing, as nobody may come that far."""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    head = packer.compress(bytes(BLOCK_BYTES)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(BLOCK_BYTES)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * (BOMB_BYTES // BLOCK_BYTES - 1)


POST = """
import asyncio, re, sys
from pathlib import Path
from harvester.zoho.api import Http
from harvester.zoho.wire import TransportError

async def main():
    async with Http() as http:
        try:
            await http.post(sys.argv[1], {}, {}, 60)
        except TransportError as error:
            print(error.kind)

asyncio.run(main())
print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
"""
LARGE_BYTES = 100_000_000


@pytest.mark.parametrize("body", [packed(bomb()), answer(b"x" * LARGE_BYTES)], ids=["H-11-bomb", "A-27-large-page"])
async def test_H_11_A_27_a_body_without_bounds_takes_bounded_memory(body: bytes) -> None:
    """A bomb and a page of 100 MB are told as too large before they hurt."""
    async with scripted(body) as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", POST, server.url, stdout=asyncio.subprocess.PIPE
        )
        told, _ = await process.communicate()

    kind, peak_kib = told.decode().split()
    assert kind == FailureKind.OVERSIZE
    assert int(peak_kib) < MEMORY_KIB_MAX
