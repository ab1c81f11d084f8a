"""The outage: failures in a row, over all jobs of an account, and the end of patience."""

from collections.abc import Iterable

import pytest
from factories import failure, seeded
from hypothesis import given
from hypothesis import strategies as st

from harvester.engine.outage import FAILURES_TO_OPEN, FIRST_PATIENCE_SHARE, OUTAGE_KINDS, Outage
from harvester.engine.retry import Backoff
from harvester.model import FailureKind

PATIENCE_S = 600.0
FRESH = Outage(PATIENCE_S)

outcomes = st.lists(st.none() | st.sampled_from(FailureKind), max_size=40)


def after(outage: Outage, kinds: Iterable[FailureKind | None], now_s: float = 0.0) -> Outage:
    for kind in kinds:
        outage = outage.after(failure(kind) if kind else None, now_s)
    return outage


@given(outcomes)
def test_outage_is_open_exactly_after_enough_failures_in_a_row(kinds: list[FailureKind | None]) -> None:
    """Only so many failures of the network or the server, with nothing else between them, make an outage."""
    outage = after(FRESH, kinds)

    last = kinds[-FAILURES_TO_OPEN:]
    assert outage.is_open == (len(last) == FAILURES_TO_OPEN and all(kind in OUTAGE_KINDS for kind in last))
    assert outage.has_worked == (None in kinds)


@pytest.mark.parametrize("kind", sorted(OUTAGE_KINDS))
def test_each_kind_of_silence_counts(kind: FailureKind) -> None:
    """No route, no whole answer, a server in trouble, and an answer that is none count alike."""
    assert not after(FRESH, [kind] * (FAILURES_TO_OPEN - 1)).is_open
    assert after(FRESH, [kind] * FAILURES_TO_OPEN).is_open


@pytest.mark.parametrize("kind", [None, *sorted(set(FailureKind) - OUTAGE_KINDS)])
def test_answer_of_a_working_server_ends_the_outage(kind: FailureKind | None) -> None:
    """A good page ends an outage, and so does a refusal: somebody is there who answers."""
    outage = after(FRESH, [FailureKind.LOST] * 10)

    assert not after(outage, [kind]).is_open


def test_outage_dates_from_its_first_failure() -> None:
    """Patience is counted from the first failure in a row, not from the last nor from an earlier row."""
    outage = after(FRESH, [FailureKind.LOST] * 3, now_s=10.0)
    outage = after(after(outage, [None], now_s=20.0), [FailureKind.LOST], now_s=30.0)

    assert after(outage, [FailureKind.LOST] * 9, now_s=40.0).since_s == 30.0


@pytest.mark.parametrize(("first", "patience_s"), [(None, PATIENCE_S), (FailureKind.LOST, PATIENCE_S / 40)])
def test_patience_is_short_until_something_has_worked(first: FailureKind | None, patience_s: float) -> None:
    """A run that never reached its server stops soon; one that did waits for the server to come back."""
    outage = after(FRESH, [first, *[FailureKind.UNREACHED] * FAILURES_TO_OPEN], now_s=100.0)

    assert FIRST_PATIENCE_SHARE == 1 / 40
    assert not outage.is_hopeless(100.0 + patience_s)
    assert outage.is_hopeless(100.0 + patience_s + 0.1)


def test_few_failures_are_never_hopeless() -> None:
    """A single bad job can fail for hours without ending the run."""
    assert not after(FRESH, [FailureKind.LOST] * (FAILURES_TO_OPEN - 1)).is_hopeless(1e9)


def test_single_calls_of_an_outage_come_more_and_more_rarely() -> None:
    """The first probe waits the base of the backoff, later ones longer, to its cap."""
    backoff, outage, waits_s = Backoff(1.0, 60.0), after(FRESH, [FailureKind.LOST] * FAILURES_TO_OPEN), []
    for _ in range(12):
        waits_s.append(outage.probe_after_s(backoff, seeded(1)))
        outage = after(outage, [FailureKind.LOST])

    assert 0.5 <= waits_s[0] <= 1.0
    assert waits_s == sorted(waits_s)
    assert 30.0 <= waits_s[-1] <= 60.0
