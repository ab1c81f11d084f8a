import pytest
from factories import failure

from harvester.engine.suspicion import CONFIRMED, REFUSALS_TO_SUSPECT, Suspicion
from harvester.model import Failure, FailureKind

STRANGE = failure(FailureKind.UNKNOWN, status=403)


def after(*answers: Failure | None, is_probe: bool = False, start: Suspicion | None = None) -> Suspicion:
    suspicion = start or Suspicion()
    for answer in answers:
        suspicion = suspicion.after(answer, is_probe=is_probe)
    return suspicion


def test_A_05_identical_strange_refusals_in_a_row_are_taken_for_a_lockout() -> None:
    """The fifth identical refusal in a row counts as a lockout, the fourth does not."""
    assert not after(*[STRANGE] * (REFUSALS_TO_SUSPECT - 1)).is_lockout
    assert after(*[STRANGE] * REFUSALS_TO_SUSPECT).is_lockout


@pytest.mark.parametrize("other", [None, failure(FailureKind.CAMPAIGN), failure(FailureKind.UNKNOWN, code="9999")])
def test_another_answer_breaks_the_row(other: Failure | None) -> None:
    """A good answer, an understood refusal or another strange one starts the count anew."""
    row = [STRANGE] * (REFUSALS_TO_SUSPECT - 1)

    assert not after(*row, other, *row).is_lockout


@pytest.mark.parametrize("kind", [FailureKind.LOST, FailureKind.TRANSIENT, FailureKind.CAMPAIGN, FailureKind.TOKEN])
def test_understood_failures_are_never_suspected(kind: FailureKind) -> None:
    """However often a failure comes that has a meaning, it is no lockout."""
    assert not after(*[failure(kind)] * 50).is_lockout


def test_pause_that_does_not_help_is_noticed() -> None:
    """When the probes after the pauses are refused in the same way, the suspicion is confirmed and waiting ends."""
    suspicion = after(*[STRANGE] * (REFUSALS_TO_SUSPECT + 3))
    assert not suspicion.is_confirmed

    for _ in range(CONFIRMED - 1):
        assert not suspicion.is_confirmed
        suspicion = after(STRANGE, is_probe=True, start=suspicion)

    assert suspicion.is_confirmed


def test_good_answer_clears_the_record() -> None:
    """A lockout that ended leaves nothing behind."""
    assert after(*[STRANGE] * REFUSALS_TO_SUSPECT, None) == Suspicion()
