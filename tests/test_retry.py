"""What follows from a failed call: again, later, or never."""

import pytest
from factories import failure, seeded
from hypothesis import given
from hypothesis import strategies as st

from harvester.engine.retry import (
    ATTEMPTS,
    ATTEMPTS_MAX,
    REACH,
    TOKEN_ATTEMPTS_MAX,
    UNKNOWN_ATTEMPTS_MAX,
    AskAgain,
    AskForLess,
    Backoff,
    Decision,
    Later,
    Never,
    Scope,
    decide,
)
from harvester.model import Failure, FailureKind

BACKOFF = Backoff(base_s=1.0, cap_s=60.0)


def decision(of: Failure | FailureKind, attempts: int = 1) -> Decision:
    return decide(of if isinstance(of, Failure) else failure(of), attempts, BACKOFF, seeded(7))


@given(kind=st.sampled_from(FailureKind), attempts=st.integers(1, 100), asked_s=st.none() | st.floats(0, 86_400))
def test_every_failure_has_one_decision(kind: FailureKind, attempts: int, asked_s: float | None) -> None:
    """No kind of failure is left without an answer, whatever the number of tries; a wait is never negative."""
    decided = decision(failure(kind, retry_after_s=asked_s), attempts)

    assert isinstance(decided, AskAgain | AskForLess | Later | Never)
    if isinstance(decided, Later):
        assert decided.after_s >= 0


@pytest.mark.parametrize("kind", ATTEMPTS)
def test_failure_that_may_pass_is_tried_so_many_times(kind: FailureKind) -> None:
    """Each try but the last is followed by a wait that counts; the last gives this one job up and says how often."""
    decided = [decision(kind, attempts) for attempts in range(1, ATTEMPTS[kind] + 1)]

    assert all(isinstance(each, Later) and each.costs_attempt for each in decided[:-1])
    last = decided[-1]
    assert isinstance(last, Never)
    assert (last.scope, last.is_error) == (Scope.JOB, True)
    assert last.reason.startswith(f"given up after {ATTEMPTS[kind]} attempts")


def test_A_05_unknown_code_is_asked_about_once_more() -> None:
    """A code that nobody has told us of costs one more call, not a night of them."""
    assert ATTEMPTS[FailureKind.UNKNOWN] == UNKNOWN_ATTEMPTS_MAX == 2
    assert ATTEMPTS[FailureKind.MALFORMED] == ATTEMPTS_MAX


@pytest.mark.parametrize("kind", [FailureKind.LOCKED, FailureKind.NO_TOKEN])
@pytest.mark.parametrize("attempts", [1, 100])
def test_R_06_what_stands_in_the_way_of_all_costs_no_job_an_attempt(kind: FailureKind, attempts: int) -> None:
    """A lock, or a token that is not to be had, never gives a job up: it asks again when the way is free."""
    assert decision(kind, attempts) == AskAgain()


def test_refused_token_is_renewed_once() -> None:
    """A token that was refused is renewed; a fresh one that is refused too needs a person."""
    assert decision(FailureKind.TOKEN, TOKEN_ATTEMPTS_MAX - 1) == AskAgain()
    refused = decision(FailureKind.TOKEN, TOKEN_ATTEMPTS_MAX)
    assert isinstance(refused, Never)
    assert refused.scope is Scope.ACCOUNT


@pytest.mark.parametrize("kind", [kind for kind in REACH if kind is not FailureKind.TOKEN])
def test_final_failure_is_never_tried_again(kind: FailureKind) -> None:
    """What no other try will mend reaches as far as it must, at once, in the server's words."""
    decided = decision(failure(kind, message="the server's words"))

    assert decided == Never(REACH[kind], "the server's words", is_error=kind is not FailureKind.NOT_APPLICABLE)


@pytest.mark.parametrize("attempts", [1, ATTEMPTS_MAX, 100])
def test_A_27_page_that_is_too_large_is_asked_for_in_smaller_pieces(attempts: int) -> None:
    """Too many rows or bytes cost no attempt and no wait: fewer rows may do at once."""
    assert decision(FailureKind.OVERSIZE, attempts) == AskForLess()


def test_A_01_what_does_not_apply_is_no_error() -> None:
    """A campaign that has nothing of the kind is skipped, not failed."""
    decided = decision(FailureKind.NOT_APPLICABLE)

    assert isinstance(decided, Never)
    assert not decided.is_error


@pytest.mark.parametrize("attempts", [1, ATTEMPTS_MAX, 100])
def test_unreached_server_costs_no_attempt(attempts: int) -> None:
    """Where no byte left, the job has not been tried; the outage, not the job, runs out of patience."""
    decided = decision(FailureKind.UNREACHED, attempts)

    assert isinstance(decided, Later)
    assert not decided.costs_attempt


@pytest.mark.parametrize("kind", [FailureKind.TRANSIENT, FailureKind.UNREACHED])
def test_wait_that_the_server_asks_for_is_kept(kind: FailureKind) -> None:
    """The next try comes no sooner than the server asks."""
    assert decision(failure(kind, retry_after_s=90.0)) == Later(90.0, costs_attempt=kind is FailureKind.TRANSIENT)


def test_short_wait_that_the_server_asks_for_does_not_shorten_ours() -> None:
    """A server that says to come back at once is still spared."""
    decided = decision(failure(FailureKind.TRANSIENT, retry_after_s=0.0), attempts=3)

    assert isinstance(decided, Later)
    assert decided.after_s >= 2.0


@given(attempts=st.integers(1, 10_000), seed=st.integers(), base_s=st.floats(1e-3, 10), cap_s=st.floats(10, 600))
def test_waits_double_to_their_cap_and_spread(attempts: int, seed: int, base_s: float, cap_s: float) -> None:
    """Each wait lies between the half and the whole of the doubled one, and of the cap at most."""
    whole_s = min(cap_s, base_s * 2.0 ** min(attempts - 1, 1_000))

    wait_s = Backoff(base_s, cap_s).after_s(attempts, seeded(seed))

    assert whole_s / 2 <= wait_s <= whole_s


def test_waits_are_a_function_of_the_seed() -> None:
    """With the same random source a run decides the same again."""
    waits = [[BACKOFF.after_s(attempts, rng) for attempts in range(1, 9)] for rng in (seeded(3), seeded(3))]

    assert waits[0] == waits[1]
