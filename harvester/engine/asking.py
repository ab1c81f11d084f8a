"""One question that belongs to no job, asked until it is answered or given up; whoever asks waits meanwhile."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from harvester.engine import retry
from harvester.engine.caller import Caller
from harvester.engine.retry import AskAgain, AskForLess, Backoff, Later, Never, Scope
from harvester.engine.tools import Tools
from harvester.model import Failure, FailureKind

Answer = TypeVar("Answer")

REFUSALS_MAX = 10
"""So many campaigns refused in the same way, and none answered: it is the endpoint that refuses, not they."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A question that will not be answered in this run: by which failure, how far that reaches, and why."""

    failure: Failure
    scope: Scope
    reason: str


@dataclass(slots=True)
class Inquiry:
    """How the asking about one campaign after another goes, and whether it is worth going on with.

    Attributes:
        answered: campaigns that were answered.
        refused: campaigns that were refused, by the short name of the failure.
        last_refusal: why the last one was.
        ended_by: why nothing more is asked; empty while it goes on.
    """

    answered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    last_refusal: str = ""
    ended_by: str = ""

    def take(self, refusal: Refusal) -> None:
        """Take a refusal, and end the asking where it is not one campaign that was refused."""
        self.refused[refusal.failure.signature] += 1
        self.last_refusal = refusal.reason
        is_for_all = not self.answered and len(self.refused) == 1 and self.refused.total() >= REFUSALS_MAX
        if refusal.scope is Scope.ACCOUNT or is_for_all:
            self.ended_by = refusal.reason


async def answer_to(
    ask: Callable[[], Awaitable[Answer | Failure]], caller: Caller, backoff: Backoff, tools: Tools
) -> Answer | Refusal | None:
    """Ask as often as the failures deserve; None if the run is asked to stop first.

    Raises:
        StoppedError: the server could not be reached for too long.
    """
    attempts = tokens_refused = 0
    while (answer := await caller.ask(ask)) is not None:
        if not isinstance(answer, Failure):
            return answer
        tokens_refused += answer.kind is FailureKind.TOKEN
        tries = tokens_refused if answer.kind is FailureKind.TOKEN else attempts + 1
        match retry.decide(answer, tries, backoff, tools.rng):
            case AskAgain():
                continue
            case Later() as later:
                attempts += later.costs_attempt
                await tools.stop.pause(later.after_s)
            case Never() as never:
                return Refusal(answer, never.scope, never.reason)
            case AskForLess():
                return Refusal(answer, Scope.JOB, answer.message)  # there is no less to ask for
    return None
