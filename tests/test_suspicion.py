import pytest
from factories import failure

from harvester.engine.suspicion import CAMPAIGNS_TO_SUSPECT, CONFIRMED, Suspicion
from harvester.model import Failure, FailureKind

STRANGE = failure(FailureKind.UNKNOWN, status=403)
Answers = list[tuple[str, Failure | None]]


def after(answers: Answers, start: Suspicion | None = None, *, is_probe: bool = False) -> Suspicion:
    suspicion = start or Suspicion()
    for campaign_key, answer in answers:
        suspicion = suspicion.after(answer, campaign_key, is_probe=is_probe)
    return suspicion


def refused(campaigns: int) -> Answers:
    return [(f"campaign-{number}", STRANGE) for number in range(campaigns)]


def test_A_05_identical_strange_refusals_of_many_campaigns_are_taken_for_a_lockout() -> None:
    """The fifth campaign in a row that is refused in the same way counts as a lockout, the fourth does not."""
    assert not after(refused(CAMPAIGNS_TO_SUSPECT - 1)).is_lockout
    assert after(refused(CAMPAIGNS_TO_SUSPECT)).is_lockout


def test_A_05_one_campaign_is_never_a_lockout() -> None:
    """However often the calls of one campaign are refused, it is that campaign's trouble."""
    assert not after([("campaign", STRANGE)] * 50).is_lockout


@pytest.mark.parametrize("other", [None, failure(FailureKind.CAMPAIGN), failure(FailureKind.UNKNOWN, code="9999")])
def test_another_answer_breaks_the_row(other: Failure | None) -> None:
    """A good answer, an understood refusal or another strange one starts the count anew."""
    row = refused(CAMPAIGNS_TO_SUSPECT - 1)

    assert not after([*row, ("other", other), *row]).is_lockout


@pytest.mark.parametrize("kind", [FailureKind.LOST, FailureKind.TRANSIENT, FailureKind.CAMPAIGN, FailureKind.TOKEN])
def test_understood_failures_are_never_suspected(kind: FailureKind) -> None:
    """However often a failure comes that has a meaning, it is no lockout."""
    assert not after([(f"campaign-{number}", failure(kind)) for number in range(50)]).is_lockout


def test_pause_that_does_not_help_is_noticed() -> None:
    """When the probes after the pauses are refused in the same way, the suspicion is confirmed and waiting ends."""
    suspicion = after(refused(CAMPAIGNS_TO_SUSPECT + 3))
    assert not suspicion.is_confirmed

    for _ in range(CONFIRMED - 1):
        assert not suspicion.is_confirmed
        suspicion = after([("campaign-0", STRANGE)], suspicion, is_probe=True)

    assert suspicion.is_confirmed
    assert suspicion.is_lockout


def test_good_answer_clears_the_record() -> None:
    """A lockout that ended leaves nothing behind."""
    assert after([*refused(CAMPAIGNS_TO_SUSPECT), ("campaign-0", None)]) == Suspicion()
