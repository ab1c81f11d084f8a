"""A server that is no bottleneck: rows filled into templates, no limit, no latency, on loopback.

Every campaign has the same set, in which row i is always the same contact and no other row is.

Run as a program: it prints its URL and serves until it is terminated.
"""

import argparse
import asyncio
import re
from functools import lru_cache

import orjson

from harvester.simulator.rows import FIRST_CONTACT_ID, Contact, json_row

LOOPBACK = "127.0.0.1"
PAGE_ROWS = 500
"""The longest page given; also, after how many rows all but id and address repeats."""

PAGES_KEPT = 128
"""Rendered pages kept at hand, 270 KB each: the jobs of a run read the same pages at about the same time."""

SENT_MS = 1_785_000_000_000
HEAD_END = b"\r\n\r\n"
FROM_INDEX = re.compile(rb"[?&]fromindex=([0-9]+)")
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)

TOKEN = orjson.dumps({"access_token": "1000.bench.bench", "expires_in": 3600, "token_type": "Bearer"})
NOT_SENT = b'{"status":"error","code":"6002","message":"Invalid campaign key (or) campaign is not yet sent."}'
NO_CONTACTS = b'{"status":"error","code":"6303","message":"There are no contacts in the selected mailing list."}'
PAGE = b'{"status":"success","code":"0","message":"List of campaign recipients","list_of_details":[%b]}'


def answer(body: bytes) -> bytes:
    """Return a whole HTTP answer with this JSON body."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@lru_cache(maxsize=PAGE_ROWS)
def row_template(variety: int) -> bytes:
    """Return a row in the shape seen live, as JSON into which `%` fills an id and a number for the address."""
    row = json_row(Contact(0, variety, SENT_MS), "sentcontacts", is_live=True)
    return orjson.dumps(row | {"contactid": "%d", "contactemailaddress": "r%d.c0@recipients.example"})


@lru_cache(maxsize=PAGES_KEPT)
def page(first: int, end: int) -> bytes:
    """Return the answer with the rows from `first`, counted from 0, to before `end`."""
    rows = [row_template(place % PAGE_ROWS) % (FIRST_CONTACT_ID + place, place) for place in range(first, end)]
    return answer(PAGE % b",".join(rows))


class Connection(asyncio.Protocol):
    """One client's connection.

    Args:
        set_rows: how many rows each campaign has; 0 makes every key an invalid one.
    """

    def __init__(self, set_rows: int) -> None:
        self._set_rows = set_rows
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  create_server makes no other
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._received += data
        while (request := self._next_request()) is not None:
            self._transport.write(self._answer(request))
            if CLOSE.search(request):
                self._transport.close()

    def _next_request(self) -> bytes | None:
        head, end, rest = self._received.partition(HEAD_END)
        length = CONTENT_LENGTH.search(head)
        body_bytes = int(length[1]) if length else 0
        if not end or len(rest) < body_bytes:
            return None
        self._received = rest[body_bytes:]
        return head

    def _answer(self, request: bytes) -> bytes:
        from_index = FROM_INDEX.search(request)
        if from_index is None:
            return answer(TOKEN)
        first = int(from_index[1]) - 1
        if not self._set_rows:
            return answer(NOT_SENT)
        if first >= self._set_rows:
            return answer(NO_CONTACTS)
        return page(first, min(first + PAGE_ROWS, self._set_rows))


async def serve(set_rows: int) -> None:
    """Serve until cancelled."""
    server = await asyncio.get_running_loop().create_server(lambda: Connection(set_rows), LOOPBACK, 0)
    print(f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set-rows", type=int, required=True, help="rows of each campaign; 0: every key is invalid")
    asyncio.run(serve(parser.parse_args().set_rows))
