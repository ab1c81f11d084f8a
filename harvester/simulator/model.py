"""A whole Zoho in one object: tokens, limits, worlds, faults and the referee. Pure: no socket, no clock, no waiting.

Whoever drives it asks `delay()` how long a call travels, lets that time pass, calls `answer()` at the very moment the
call reaches the counter, lets the rest of the time pass, and treats the answer as its `mishap` says:

    delay = zoho.delay()
    (wait delay.before_count_s)
    answer = zoho.answer(request, now_s)
    (wait delay.after_count_s; infinite means that no answer ever comes)
"""

import math
import random
from collections.abc import Sequence

from harvester.simulator.endpoints import ENDPOINTS, RECIPIENTS, rows_span, whole_number
from harvester.simulator.envelopes import Outcome, Page, Refusal, format_of, render
from harvester.simulator.membership import ACTIONS
from harvester.simulator.options import CountedAt, EchoStyle, Fault, FaultKind, Options, PastEnd, WireFault
from harvester.simulator.present import Present
from harvester.simulator.quota import Quota, Verdict
from harvester.simulator.referee import Arrival, Referee, Span
from harvester.simulator.refusals import locked, spoil_answer, spoil_outcome, unauthorized
from harvester.simulator.rows import Contact
from harvester.simulator.spoiled_http import spoil_http
from harvester.simulator.tokens import UNKNOWN_ACCOUNT, Grant, TokenDesk
from harvester.simulator.wire import API_PREFIX, TOKEN_PATH, Answer, Delay, Request
from harvester.simulator.world import World

WRONG_URL = Refusal("1004", "Wrong URL entered.", is_capital=True)
TOKEN_ENDPOINT = "token"  # noqa: S105  a name, no password
UNKNOWN_ENDPOINT = "unknown"
_END_CODES = frozenset({"6101", *PastEnd})


class Zoho:
    """One practised service with any number of accounts.

    Args:
        options: how it behaves; equal options and equal calls give equal answers.

    Attributes:
        referee: what the accounts did.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.referee = Referee(options.quota)
        self._present = Present(options.age)
        self._tokens = TokenDesk(options)
        self._worlds: dict[str, World] = {}
        self._quotas: dict[tuple[str, str], Quota] = {}
        self._last_s = float("-inf")
        # Two sources, so that the length of a journey does not depend on which answers were spoiled.
        self._delays = random.Random(f"{options.seed}/delays")  # noqa: S311  a simulation, no secret
        self._faults = random.Random(f"{options.seed}/faults")  # noqa: S311  a simulation, no secret

    def world(self, client_id: str) -> World:
        """Return the world that this client's accounts see."""
        if client_id not in self._worlds:
            self._worlds[client_id] = World(self.options, client_id, self._present)
        return self._worlds[client_id]

    def advance_to(self, day: float) -> None:
        """Let it be this day in all worlds, in days since campaign 0 was sent.

        Raises:
            ValueError: the day is over, or the worlds do not age.
        """
        self._present.advance_to(day)

    def delay(self) -> Delay:
        """Draw how long the next call travels."""
        network = self.options.network
        whole_s = network.latency_s + self._delays.random() * network.jitter_s
        share = {CountedAt.ARRIVAL: 0.0, CountedAt.UNIFORM: self._delays.random(), CountedAt.END: 1.0}
        if self._delays.random() < network.late_share:
            return Delay(self._delays.random() * network.late_s, math.inf)
        before_s = whole_s * share[network.counted_at]
        return Delay(before_s, whole_s - before_s)

    def answer(self, request: Request, now_s: float) -> Answer:
        """Count and answer one call.

        Args:
            request: the call.
            now_s: when the server counts it, in seconds of its own clock; never less than at the call before.

        Raises:
            ValueError: the time went back; no count would be right after that.
        """
        if now_s < self._last_s:
            raise ValueError(
                f"now_s: expected {self._last_s} or later, got {now_s}; give calls in order of their count"
            )
        self._last_s = now_s
        self._present.follow(now_s)
        if request.path == TOKEN_PATH:
            reply = self._tokens.issue(request.params, now_s)
            self.referee.record(Arrival(reply.account, TOKEN_ENDPOINT, now_s, f"token-{reply.kind}"))
            return reply.answer
        endpoint = request.path.removeprefix(API_PREFIX)
        if not request.path.startswith(API_PREFIX) or endpoint not in ENDPOINTS:
            self.referee.record(Arrival(UNKNOWN_ACCOUNT, UNKNOWN_ENDPOINT, now_s, f"error-{WRONG_URL.code}"))
            return render(WRONG_URL, format_of(request.params), request.path)
        grant = self._tokens.holder(request.headers.get("authorization", ""))
        if grant is None:
            self.referee.record(Arrival(UNKNOWN_ACCOUNT, endpoint, now_s, "unauthorized"))
            return unauthorized(request.path)
        return self._counted(request, endpoint, grant, now_s)

    def _counted(self, request: Request, endpoint: str, grant: Grant, now_s: float) -> Answer:
        """Answer a call of a known account; it counts whatever its answer."""
        key = grant.account, endpoint
        if key not in self._quotas:
            self._quotas[key] = Quota(self.options.quota)
        quota = self._quotas[key]
        verdict = quota.admit(now_s)
        if verdict is not Verdict.GRANTED:
            self.referee.record(Arrival(grant.account, endpoint, now_s, "locked", verdict))
            left_s = quota.lock_left_s(now_s) / self.options.time_scale
            style, form = self.options.answers.locked, format_of(request.params)
            return locked(style, self.options.quota, left_s, form, request.path)
        if now_s >= grant.good_until_s:
            self.referee.record(Arrival(grant.account, endpoint, now_s, "unauthorized"))
            return unauthorized(request.path)
        return self._served(request, endpoint, grant, now_s)

    def _served(self, request: Request, endpoint: str, grant: Grant, now_s: float) -> Answer:
        world, form = self.world(grant.client_id), format_of(request.params)
        outcome = ENDPOINTS[endpoint](world, request.params, self.options)
        _note(world, request, endpoint, outcome)
        fault = self._draw_fault(endpoint, now_s)
        if fault is FaultKind.WRONG_ECHO:
            other = _other_page(world, request, endpoint, self.options)
            outcome, fault = (outcome, None) if other is None else (other, fault)
        if fault is None:
            self.referee.record(
                Arrival(grant.account, endpoint, now_s, _kind(outcome), span=_span(request, endpoint, outcome)),
            )
            return render(outcome, form, request.path)
        self.referee.record(Arrival(grant.account, endpoint, now_s, f"fault-{fault}"))
        if isinstance(fault, WireFault):
            return spoil_http(fault, render(outcome, form, request.path), self.options.faults.redirect_url)
        answer = render(spoil_outcome(fault, outcome), form, request.path)
        return spoil_answer(fault, answer, form, request.path)

    def _draw_fault(self, endpoint: str, now_s: float) -> Fault | None:
        faults = self.options.faults
        is_due = self._faults.random() < faults.share
        is_spared = faults.endpoints is not None and endpoint not in faults.endpoints
        if not is_due or is_spared or now_s >= faults.until_s:
            return None
        return self._faults.choice(faults.kinds)


def _other_page(world: World, request: Request, endpoint: str, options: Options) -> Page | None:
    """Return the page one row further on, as if it had been asked for; None if nobody could tell them apart."""
    if endpoint != RECIPIENTS or options.answers.echo is EchoStyle.ABSENT:
        return None
    from_index = whole_number(request.params, "fromindex", 1)
    if from_index is None:
        return None
    params = {**request.params, "fromindex": str(from_index + 1)}
    other = ENDPOINTS[endpoint](world, params, options)
    return other if isinstance(other, Page) else None


def _note(world: World, request: Request, endpoint: str, outcome: Outcome) -> None:
    """Let the world know of a call for rows, whatever becomes of the answer: its set may move after it."""
    campaign, action = world.find(request.params.get("campaignkey", "")), request.params.get("action", "")
    if endpoint != RECIPIENTS or campaign is None or action not in ACTIONS:
        return
    contacts: Sequence[Contact] = ()
    reader = 0
    if isinstance(outcome, Page) and outcome.contacts:
        contacts, reader = outcome.contacts, outcome.first + len(outcome.contacts)
    world.answered(campaign, action, contacts, reader)


def _kind(outcome: Outcome) -> str:
    match outcome:
        case Page(contacts=contacts):
            return "page" if contacts else "end"
        case Refusal(code):
            return "end" if code in _END_CODES else f"error-{code}"
        case _:
            return "document"


def _span(request: Request, endpoint: str, outcome: Outcome) -> Span | None:
    """Return what was asked, so that the referee knows it when it is asked again."""
    if endpoint != RECIPIENTS:
        return None
    span = rows_span(outcome)
    if span is not None:
        return Span(*span)
    first = (whole_number(request.params, "fromindex", 1) or 1) - 1
    return Span(f"{request.params.get('campaignkey')}/{request.params.get('action')}", first, first)
