"""A server that is no bottleneck: pages rendered once at the start, no limit, no latency, on loopback.

Run as a program: it prints its URL and serves until it is terminated.
"""

import argparse
import asyncio
import re
from collections.abc import Sequence

import orjson

from harvester.simulator.rows import Contact, json_row

LOOPBACK = "127.0.0.1"
PAGE_ROWS = 500
DISTINCT_PAGES = 8
"""A page that repeats the one before it would be taken for a server that pages in circles."""

SENT_MS = 1_785_000_000_000
HEAD_END = b"\r\n\r\n"
FROM_INDEX = re.compile(rb"[?&]fromindex=([0-9]+)")
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)

TOKEN = {"access_token": "1000.bench.bench", "expires_in": 3600, "token_type": "Bearer"}
NOT_SENT = {"status": "error", "code": "6002", "message": "Invalid campaign key (or) campaign is not yet sent."}
NO_CONTACTS = {
    "status": "error",
    "code": "6303",
    "message": "There are no contacts in the selected mailing list.",
}


def answer(document: object) -> bytes:
    """Return a whole HTTP answer with this JSON body."""
    body = orjson.dumps(document)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def page(number: int) -> bytes:
    """Return the answer with page `number` of a set, from 0; rows have the shape seen live."""
    contacts = (Contact(number, position, SENT_MS) for position in range(PAGE_ROWS))
    rows = [json_row(contact, "sentcontacts", is_live=True) for contact in contacts]
    return answer({"status": "success", "code": "0", "message": "List of campaign recipients", "list_of_details": rows})


class Connection(asyncio.Protocol):
    """One client's connection.

    Args:
        pages: answers given in turn, by `fromindex`.
        set_rows: how many rows each campaign has; 0 makes every key an invalid one.
    """

    def __init__(self, pages: Sequence[bytes], set_rows: int) -> None:
        self._pages = pages
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
        index = int(from_index[1]) - 1
        if not self._set_rows:
            return answer(NOT_SENT)
        if index >= self._set_rows:
            return answer(NO_CONTACTS)
        return self._pages[index // PAGE_ROWS % DISTINCT_PAGES]


async def serve(set_rows: int) -> None:
    """Serve until cancelled."""
    pages = [page(number) for number in range(DISTINCT_PAGES)]
    server = await asyncio.get_running_loop().create_server(lambda: Connection(pages, set_rows), LOOPBACK, 0)
    print(f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set-rows", type=int, required=True, help="rows of each campaign; 0: every key is invalid")
    asyncio.run(serve(parser.parse_args().set_rows))
