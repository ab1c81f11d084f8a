"""A server on 127.0.0.1 that answers with scripted bytes; the other Zoho tests use it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from harvester.zoho.api import Http

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

TIMEOUT_S = 60.0
"""Of a call that is to end by itself: only a hang takes so long, on a busy machine too."""


def pass_time() -> None:
    """Move the running loop's clock past every timeout: what is waited for is given up now, and nobody has waited."""
    loop = asyncio.get_running_loop()
    now_s = loop.time
    loop.time = lambda: now_s() + 2 * TIMEOUT_S  # type: ignore[method-assign]


def answer(body: bytes, status: str = "200 OK", *headers: str, content_type: str = "application/json") -> bytes:
    """Return the bytes of a whole HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class Scripted:
    """What the server saw, and what it says: one answer per request, the last one for ever; None means silence."""

    answers: list[bytes | None]
    url: str = ""
    requests: list[bytes] = field(default_factory=list)
    on_request: Callable[[], None] = lambda: None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        body = await reader.readexactly(int(lengths[0].split(b":")[1])) if lengths else b""
        self.requests.append(head + body)
        self.on_request()
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if said is None:
            await reader.read()  # until the other side gives up
        else:
            writer.write(said)
            await writer.drain()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    """Run a server that treats every connection by `serve`; gives its URL and leaves no connection behind."""
    connections: set[asyncio.Task[None] | None] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.current_task())
        with suppress(OSError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.gather(*(connection for connection in connections if connection is not None))
        await server.wait_closed()


@asynccontextmanager
async def scripted(*answers: bytes | None) -> AsyncIterator[Scripted]:
    """Run a server that says `answers`, for the time of a test."""
    script = Scripted(list(answers))
    async with serving(script.serve) as script.url:
        yield script


async def test_the_scripted_server_says_what_it_was_told() -> None:
    """Answers come in their order, the last one again and again, and every request is kept."""
    async with scripted(answer(b"[1]"), answer(b"[2]")) as server, Http() as http:
        bodies = [(await http.post(server.url, {}, {}, TIMEOUT_S)).body for _ in range(3)]

    assert bodies == [b"[1]", b"[2]", b"[2]"]
    assert len(server.requests) == 3
