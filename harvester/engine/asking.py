"""One question that belongs to no job, asked until it is answered or given up; whoever asks waits meanwhile."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from harvester.engine import retry
from harvester.engine.caller import Caller
from harvester.engine.retry import AskAgain, AskForLess, Backoff, Later, Never, Scope
from harvester.engine.tools import Tools
from harvester.model import Failure, FailureKind

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A question that will not be answered in this run: by which failure, how far that reaches, and why."""

    failure: Failure
    scope: Scope
    reason: str


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
