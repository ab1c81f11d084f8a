"""The practised Zoho behind a socket: HTTP on loopback, latency and broken connections included."""

import asyncio
import math
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from harvester.simulator.model import Zoho
from harvester.simulator.options import Options
from harvester.simulator.wire import Answer, Mishap, Request

REFEREE_PATH = "/_referee"
RESET_PATH = "/_referee/reset"

DRIP_STEPS = 20
"""A dripping answer comes in so many pieces."""

SHUTDOWN_TIMEOUT_S = 1.0
"""How long a stop waits for answers that are on their way."""

FORM_TYPE = "application/x-www-form-urlencoded"
LINGER_OFF = struct.pack("ii", 1, 0)
"""SO_LINGER of zero seconds: closing sends a reset instead of an orderly end."""


class Server:
    """One practised Zoho on one port.

    Args:
        options: how it behaves.

    Attributes:
        zoho: the model behind it, for tests in the same process.
    """

    def __init__(self, options: Options) -> None:
        self.zoho = Zoho(options)
        self._options = options
        self._started_s = 0.0
        self._stopping = asyncio.Event()
        self._journeys: set[asyncio.Task[Answer]] = set()

    @asynccontextmanager
    async def running(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serve inside the context and yield the base URL; port 0 takes a free one. OSError if the port is taken."""
        self._stopping.clear()
        self._started_s = asyncio.get_running_loop().time()
        # A client that goes away ends its handler, so that a hanging answer does not outlive it;
        # the journey to the counter is shielded: what was sent is counted.
        server = web.Server(self._handle, access_log=None, handler_cancellation=True)
        runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            yield f"http://{host}:{runner.addresses[0][1]}"
        finally:
            self._stopping.set()
            for journey in self._journeys:
                journey.cancel()
            await runner.cleanup()

    def now_s(self) -> float:
        """Return the seconds of the server's own, scaled clock since it started."""
        return (asyncio.get_running_loop().time() - self._started_s) * self._options.time_scale

    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        if http.path == REFEREE_PATH:
            return _json(self.zoho.referee.report())
        if http.path == RESET_PATH and http.method == "POST":
            self.zoho.referee.reset()
            return _json({"reset": True})
        request = await _read(http)
        delay = self.zoho.delay()
        if delay.before_count_s > 0:
            journey = asyncio.create_task(self._travel(request, delay.before_count_s))
            self._journeys.add(journey)
            journey.add_done_callback(self._journeys.discard)
            answer = await asyncio.shield(journey)
        else:
            answer = self.zoho.answer(request, self.now_s())
        if math.isinf(delay.after_count_s):
            await self._stopping.wait()
        elif delay.after_count_s > 0:
            await asyncio.sleep(delay.after_count_s)
        return await self._send(http, answer)

    async def _travel(self, request: Request, before_count_s: float) -> Answer:
        await asyncio.sleep(before_count_s)
        return self.zoho.answer(request, self.now_s())

    async def _send(self, http: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        headers = {"Content-Type": answer.content_type, **answer.headers}
        match answer.mishap:
            case Mishap.NONE:
                return web.Response(status=answer.status, body=answer.body, headers=headers)
            case Mishap.TWO_LENGTHS:
                return _with_two_lengths(web.Response(status=answer.status, body=answer.body, headers=headers))
            case Mishap.RESET:
                return _reset(http)
            case Mishap.HANG:
                await self._stopping.wait()
                return _reset(http)
            case Mishap.CUT | Mishap.DRIP:
                response = web.StreamResponse(status=answer.status, headers=headers)
                response.content_length = len(answer.body)
                await response.prepare(http)
                if answer.mishap is Mishap.CUT:
                    await response.write(answer.body[: len(answer.body) // 2])
                    _close(http)
                else:
                    await self._drip(response, answer.body)
                return response

    async def _drip(self, response: web.StreamResponse, body: bytes) -> None:
        piece_bytes = len(body) // DRIP_STEPS + 1
        for start in range(0, len(body), piece_bytes):
            await asyncio.sleep(self._options.network.drip_s / DRIP_STEPS)
            await response.write(body[start : start + piece_bytes])


async def serve_forever(
    options: Options,
    host: str = "127.0.0.1",
    port: int = 8099,
    announce: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until cancelled; `announce` gets the base URL once the port is open. OSError if the port is taken."""
    async with Server(options).running(host, port) as base_url:
        announce(base_url)
        await asyncio.Event().wait()


async def _read(http: web.BaseRequest) -> Request:
    params = dict(http.query)
    if http.can_read_body and http.content_type == FORM_TYPE:
        params |= dict(parse_qsl((await http.read()).decode("utf-8", "replace"), keep_blank_values=True))
    authorization = http.headers.get("Authorization", "")
    return Request(http.path, params, {"authorization": authorization}, http.method)


def _json(document: object) -> web.Response:
    return web.Response(body=orjson.dumps(document), content_type="application/json")


def _with_two_lengths(response: web.Response) -> web.Response:
    length_bytes = response.content_length or 0
    response.headers.extend(("Content-Length", str(length)) for length in (length_bytes, length_bytes + 1))
    return response


def _reset(http: web.BaseRequest) -> web.Response:
    if http.transport is not None:
        connection = http.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_OFF)
        http.transport.abort()
    return web.Response()


def _close(http: web.BaseRequest) -> None:
    if http.transport is not None:
        http.transport.close()
