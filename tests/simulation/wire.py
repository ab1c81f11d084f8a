"""The network between the simulated process and the simulator's pure model, on virtual time.

A call that left arrives and counts, whatever becomes of the process that sent it.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from simulation.clock import SimClock
from simulation.process import Life

from harvester.model import FailureKind
from harvester.simulator.model import Zoho
from harvester.simulator.options import Options, QuotaOptions
from harvester.simulator.referee import Arrival, Referee
from harvester.simulator.wire import API_PREFIX, Answer, Mishap, Request
from harvester.zoho.wire import HttpReply, TransportError

RECIPIENTS_PATH = f"{API_PREFIX}getcampaignrecipientsdata"
REPORTS_PATH = f"{API_PREFIX}campaignreports"

Question = tuple[str, str, int]
"""Campaign key, action and the 1-based index of the first row; the index is 0 where no rows are asked for."""

Population = frozenset[str]
"""The ids of contacts."""


class Witness(Referee):
    """The server's referee, that also remembers the last call."""

    def __init__(self, quota: QuotaOptions) -> None:
        super().__init__(quota)
        self.last: Arrival | None = None

    def record(self, arrival: Arrival) -> None:
        super().record(arrival)
        self.last = arrival


class Wire:
    """The `Transport` of all processes of a night.

    Args:
        options: of the server.
        clock: the time; the server lives in `true_s`.
        outages: spans of true time in which no connection is made.

    Attributes:
        zoho: the server.
        ours: what our own calls did, counted apart from those of foreign callers.
        life: of the process that sends at present.
        answers_lost: calls that were counted and whose answer the process never had.
        secrets: what must not be seen in any log.
        populations: of moving sets, who had ever been in them when a page that was received was made.
    """

    def __init__(self, options: Options, clock: SimClock, outages: Sequence[tuple[float, float]]) -> None:
        self.zoho = Zoho(options)
        self._witness = Witness(options.quota)
        self.zoho.referee = self._witness
        self.life = Life()
        self.journal: list[str] = []
        self.secrets: set[str] = set()
        self.journeys: set[asyncio.Task[tuple[Answer, Population]]] = set()
        self._options = options
        self.begin_anew()
        self._clock = clock
        self._outages = outages
        self._hurry = asyncio.Event()
        self._authorizations: dict[str, str] = {}

    def begin_anew(self) -> None:
        """Forget what calls were made and what came of them, while none is on its way."""
        self.ours = Referee(self._options.quota)
        self.answers_lost = 0
        self.populations: dict[Question, Population] = {}

    async def post(
        self,
        url: str,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        timeout_s: float,
        form: Mapping[str, str] | None = None,
    ) -> HttpReply:
        self.life.step()
        host, path = urlsplit(url).netloc, urlsplit(url).path
        if any(begin_s <= self._clock.true_s() < end_s for begin_s, end_s in self._outages):
            raise TransportError(FailureKind.UNREACHED, f"{host}: cannot connect", is_sent=False)
        authorization = headers.get("Authorization", "")
        if authorization:
            self._authorizations[host] = authorization
            self.secrets.add(authorization.split()[-1])
        self.answers_lost += 1
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._exchange(
                    Request(path, {**params, **(form or {})}, {"authorization": authorization})
                )
        except TimeoutError:
            raise TransportError(FailureKind.LOST, f"{host}: no whole answer in time", is_sent=True) from None
        self.life.step()
        self.answers_lost -= 1
        return HttpReply(answer.status, answer.content_type, answer.headers, answer.body, self._clock.wall_s())

    def call_as_a_stranger(self, calls: int, path: str = RECIPIENTS_PATH) -> None:
        """Let somebody else with our credentials spend `calls` calls at once on an endpoint of each account."""
        for authorization in self._authorizations.values():
            request = Request(path, {"resfmt": "JSON"}, {"authorization": authorization})
            for _ in range(calls):
                self.zoho.answer(request, self._clock.true_s())

    async def settle_down(self, then: Callable[[], None] = lambda: None) -> None:
        """Have every call that is on its way arrive now, and do `then` while none is on its way."""
        self._hurry.set()
        while self.journeys:
            await asyncio.wait(self.journeys)
        then()
        self._hurry.clear()

    async def _exchange(self, request: Request) -> Answer:
        delay = self.zoho.delay()
        journey = asyncio.create_task(self._travel(request, delay.before_count_s), name="journey")
        self.journeys.add(journey)
        journey.add_done_callback(self.journeys.discard)
        answer, population = await asyncio.shield(journey)
        if math.isinf(delay.after_count_s):
            await asyncio.sleep(math.inf)
        await asyncio.sleep(delay.after_count_s)
        answer = await self._maltreated(answer)
        if population:
            self.populations[_question(request)] = population
        return answer

    async def _travel(self, request: Request, before_count_s: float) -> tuple[Answer, Population]:
        with suppress(TimeoutError):
            async with asyncio.timeout(before_count_s):
                await self._hurry.wait()
        now_s, population = self._clock.true_s(), self._population(request)
        answer = self.zoho.answer(request, now_s)
        arrival = self._witness.last
        if arrival is None:
            raise AssertionError("the server counted nothing")
        self.ours.record(arrival)
        asked = [request.params.get(name) for name in ("campaignkey", "action", "fromindex", "range")]
        self.journal.append(f"{now_s:.6f} {arrival.account} {arrival.endpoint} {arrival.kind} {asked}")
        return answer, population

    def _population(self, request: Request) -> Population:
        """Return who has been in the set that a call asks for, where sets move; nobody for any other call."""
        grant = self.zoho._tokens.holder(request.headers.get("authorization", ""))
        campaign_key, action, from_index = _question(request)
        if not (self._options.shifts.share and grant and from_index):
            return frozenset()
        world = self.zoho.world(grant.client_id)
        return world.history(campaign_key, action).ever if world.find(campaign_key) else frozenset()

    async def _maltreated(self, answer: Answer) -> Answer:
        match answer.mishap:
            case Mishap.CUT:
                raise TransportError(FailureKind.LOST, "the body was cut or its encoding is broken", is_sent=True)
            case Mishap.RESET:
                raise TransportError(FailureKind.LOST, "closed the connection without an answer", is_sent=True)
            case Mishap.HANG:
                await asyncio.sleep(math.inf)
            case Mishap.DRIP:
                await asyncio.sleep(self._options.network.drip_s)
            case Mishap.NONE:
                pass
        return answer


def _question(request: Request) -> Question:
    params = request.params
    return params.get("campaignkey", ""), params.get("action", ""), int(params.get("fromindex", 0))
