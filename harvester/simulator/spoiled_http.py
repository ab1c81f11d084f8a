"""A good answer in bad HTTP: encoded unasked or badly, far too long, with two lengths, or elsewhere. Pure."""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import replace

from harvester.simulator.options import WireFault
from harvester.simulator.wire import Answer, Mishap

GZIP_TRAILER_BYTES = 8
"""A check sum and a length end a gzip member. Source: RFC 1952."""

BOMB_BYTES = 128 * 2**20
"""What a bomb becomes when it is decoded: twice what any page may be."""

HUGE_BYTES = 100_000_000
PIECE_BYTES = 2**20

_REDIRECT_STATUS = {WireFault.REDIRECT_301: 301, WireFault.REDIRECT_307: 307}


def spoil_http(fault: WireFault, answer: Answer, redirect_url: str) -> Answer:
    """Return a good answer as the fault has it; `redirect_url` is where a redirect leads."""
    if fault in _REDIRECT_STATUS:
        return Answer(_REDIRECT_STATUS[fault], b"", headers={"Location": redirect_url})
    if fault is WireFault.TWO_LENGTHS:
        return replace(answer, mishap=Mishap.TWO_LENGTHS)
    if fault is WireFault.HUGE:
        return replace(answer, body=b"".join(_padded(answer.body, HUGE_BYTES)))
    headers = {**answer.headers, "Content-Encoding": "gzip"}
    return replace(answer, body=_encoded(fault, answer.body), headers=headers)


def _encoded(fault: WireFault, body: bytes) -> bytes:
    whole = gzip.compress(body, mtime=0)
    checksum = whole[-GZIP_TRAILER_BYTES]
    match fault:
        case WireFault.GZIP_CUT:
            return whole[: len(whole) // 2]
        case WireFault.GZIP_NO_TRAILER:
            return whole[:-GZIP_TRAILER_BYTES]
        case WireFault.GZIP_BAD_CRC:
            return whole[:-GZIP_TRAILER_BYTES] + bytes([checksum ^ 1]) + whole[1 - GZIP_TRAILER_BYTES :]
        case WireFault.GZIP_BOMB:
            packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)  # 16 for the gzip format
            return b"".join(packer.compress(piece) for piece in _padded(body, BOMB_BYTES)) + packer.flush()
        case _:
            return whole


def _padded(body: bytes, length_bytes: int) -> Iterator[bytes]:
    """Give a document piece by piece, with blanks before its last byte: JSON and XML both allow them there."""
    yield body[:-1]
    blanks = max(0, length_bytes - len(body))
    yield from (b" " * PIECE_BYTES for _ in range(blanks // PIECE_BYTES))
    yield b" " * (blanks % PIECE_BYTES) + body[-1:]
