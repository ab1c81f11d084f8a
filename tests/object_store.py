"""A real server that speaks S3, on loopback, and a proxy before it that spoils requests as a test asks."""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from moto.server import ThreadedMotoServer

BUCKET = "lake"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAPRACTICE", "AWS_SECRET_ACCESS_KEY": "practice-secret"}

OWNER = "AWS4-HMAC-SHA256 Credential=AKIAPRACTICE/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
"""The server looks who asks, and not whether the signature is right."""

INTERNAL_ERROR = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>try again</Message></Error>"


@dataclass(frozen=True)
class ObjectStore:
    """One bucket on a server of its own."""

    url: str

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """Return all objects below a prefix, by their keys."""
        listing = self._ask("GET", f"/{BUCKET}?list-type=2&max-keys=1000&prefix={quote(prefix)}")[1].decode()
        return {key: self.read(key) for key in map(unquote, re.findall("<Key>(.*?)</Key>", listing))}

    def read(self, key: str) -> bytes:
        return self._ask("GET", f"/{BUCKET}/{key}")[1]

    def put(self, key: str, content: bytes) -> None:
        assert self._ask("PUT", f"/{BUCKET}/{key}", content)[0].status == 200

    def remark(self, key: str) -> str | None:
        """Return the SHA-256 that was stored beside an object."""
        return self._ask("HEAD", f"/{BUCKET}/{key}")[0].getheader("x-amz-meta-sha256")

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[HTTPResponse, bytes]:
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        connection.request(method, path, body, {"Authorization": OWNER})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer, content


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """Start a server with one empty bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    store = ObjectStore(f"http://{host}:{port}")
    try:
        store._ask("POST", "/moto-api/reset")  # moto keeps one world for all servers of a process
        store._ask("PUT", f"/{BUCKET}")
        yield store
    finally:
        server.stop()


class Spoiling(Enum):
    """What becomes of one request."""

    PASS = auto()  #: it goes through
    FAIL = auto()  #: it is answered with 500, and the server never sees it
    RESET = auto()  #: the connection is reset, and the server never sees it
    LOSE = auto()  #: the server does it, and the connection is reset before its answer
    HOLD = auto()  #: the server does it, and its answer never comes
    NEVER = auto()  #: the server never sees it, and no answer comes
    DENY = auto()  #: it is answered with 403, as for a key that nobody knows


@dataclass(frozen=True)
class Asked:
    """A request as the proxy saw it; `number` counts from 1, `key` is that of the object, without the bucket."""

    number: int
    method: str
    key: str
    headers: str

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]

    def has(self, header: str) -> bool:
        return f"\r\n{header}:" in self.headers.lower()


Spoil = Callable[[Asked], Spoiling]


@dataclass
class Proxy:
    """Stands before an object store; `asked` is what came, in its order, and `at_once_max` how many at once."""

    url: str
    spoil: Spoil
    asked: list[Asked] = field(default_factory=list)
    at_once: int = 0
    at_once_max: int = 0
    passed_on: set[asyncio.Task[bytes]] = field(default_factory=set)

    async def pass_on(self, store: ObjectStore, head: str, body: bytes) -> bytes:
        """Let the store do it: what has reached it is done, also when whoever asked is gone."""
        task = asyncio.create_task(_forwarded(store, head, body))
        self.passed_on.add(task)
        task.add_done_callback(self.passed_on.discard)
        return await asyncio.shield(task)

    @property
    def told(self) -> list[str]:
        """Methods and names of the objects."""
        return [f"{asked.method} {asked.name}" for asked in self.asked]


@asynccontextmanager
async def proxied(store: ObjectStore, spoil: Spoil = lambda _: Spoiling.PASS) -> AsyncIterator[Proxy]:
    """Put a proxy before a store."""
    proxy = Proxy("", spoil)
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        proxy.at_once += 1
        proxy.at_once_max = max(proxy.at_once, proxy.at_once_max)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await _serve(proxy, store, reader, writer)
        finally:
            proxy.at_once -= 1
            serving.discard(task)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        left = list(serving)
        for task in left:
            task.cancel()
        await asyncio.gather(*left)
        await asyncio.gather(*proxy.passed_on)


async def _serve(proxy: Proxy, store: ObjectStore, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    method, target, _ = head.split(" ", 2)
    found = re.search(r"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
    body = await reader.readexactly(int(found[1]) if found else 0)
    key = unquote(target.partition("?")[0]).removeprefix(f"/{BUCKET}").lstrip("/")
    if method == "POST" and "?delete" in target:
        method, key = "DELETE", "".join(re.findall("<Key>(.*?)</Key>", body.decode()))
    asked = Asked(len(proxy.asked) + 1, method, key, head)
    proxy.asked.append(asked)
    spoiling = proxy.spoil(asked)
    if spoiling is Spoiling.RESET:
        return _reset(writer)
    if spoiling in {Spoiling.FAIL, Spoiling.DENY}:
        status = b"500 Internal Server Error" if spoiling is Spoiling.FAIL else b"403 Forbidden"
        answer = (
            INTERNAL_ERROR
            if spoiling is Spoiling.FAIL
            else INTERNAL_ERROR.replace(b"InternalError", b"InvalidAccessKeyId")
        )
        content = b"" if method == "HEAD" else answer
        writer.write(
            b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (status, len(content), content)
        )
        return await writer.drain()
    if spoiling is Spoiling.NEVER:
        await reader.read()  # until the client goes away
        return None
    reply = await proxy.pass_on(store, head, body)
    if spoiling is Spoiling.LOSE:
        return _reset(writer)
    if spoiling is Spoiling.HOLD:
        await reader.read()  # until the client goes away
        return None
    writer.write(reply)
    return await writer.drain()


async def _forwarded(store: ObjectStore, head: str, body: bytes) -> bytes:
    place = urlsplit(store.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        writer.write(re.sub(r"\r\n\r\n$", "\r\nConnection: close\r\n\r\n", head).encode() + body)
        return await reader.read()
    finally:
        writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock: Any = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
