"""Which call settles a doubt about pages, and what their lengths tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.engine.probing import Answer, Probe, Sample, Withheld, follow_up, of_range
from harvester.findings import Verdict
from harvester.model import Action, Failure, FailureKind, PageRequest

KEYS = ("3zone", "3ztwo")
ASKED_ROWS = 500
REFUSED = Failure(FailureKind.CAMPAIGN, "insufficient privileges", "6607", 200)
TOO_MANY = Failure(FailureKind.OVERSIZE, "more than the maximum", "6502", 200)


def probe(answer: Answer[Sample], from_index: int = 1, key: str = KEYS[0]) -> Probe:
    return Probe(PageRequest(key, Action.SENT, from_index, ASKED_ROWS), answer)


def short(rows: int, echo_rows: int | None = ASKED_ROWS) -> Probe:
    return probe(Sample(rows, echo_rows))


@pytest.mark.parametrize(
    ("first", "counted_rows"),
    [
        (short(500), 1200),
        (short(0), 1200),
        (short(100, 100), 1200),  # the server says that it clamps
        (short(30), 30),
        (short(30), 31),
        (probe(Withheld()), None),
        (probe(Failure(FailureKind.LOST, "late")), None),
        (probe(TOO_MANY), None),
    ],
)
def test_no_call_is_spent_where_there_is_no_doubt(first: Probe, counted_rows: int | None) -> None:
    """A whole page, a set that its counter confirms, a clamp that is told, and a broken line leave nothing to ask."""
    assert follow_up(first, counted_rows, KEYS) is None


@pytest.mark.parametrize("counted_rows", [None, 1200])
def test_a_short_page_is_followed_by_the_rows_after_it(counted_rows: int | None) -> None:
    """Without a counter, or against it, the next row tells a clamp from the end."""
    request = follow_up(short(100), counted_rows, KEYS)

    assert request == PageRequest(KEYS[0], Action.SENT, 101, ASKED_ROWS)


def test_a_refused_campaign_is_followed_by_another() -> None:
    """Where there is only one, nothing more can be asked."""
    request = follow_up(probe(REFUSED), None, KEYS)

    assert request == PageRequest(KEYS[1], Action.SENT, 1, ASKED_ROWS)
    assert follow_up(probe(REFUSED), None, KEYS[:1]) is None


@pytest.mark.parametrize(
    ("probes", "counted_rows", "verdict", "words"),
    [
        ((), None, Verdict.UNKNOWN, "no page"),
        ((probe(REFUSED),), 1200, Verdict.UNKNOWN, "no page"),
        ((short(500),), 1200, Verdict.OK, "500 came"),
        ((short(501),), 1200, Verdict.OK, "501 came"),
        ((short(20, 20),), None, Verdict.WARNING, "gives 20"),
        ((short(20), probe(Sample(20, 500), 21)), 20, Verdict.WARNING, "more rows follow"),
        ((short(20), probe(Sample(0, None), 21)), 1200, Verdict.UNKNOWN, "too small"),
        ((short(20), probe(Withheld(), 21)), 1200, Verdict.WARNING, "report counts 1,200"),
        ((short(20),), 20, Verdict.UNKNOWN, "too small"),
        ((short(20),), None, Verdict.UNKNOWN, "too small"),
        ((probe(TOO_MANY),), 1200, Verdict.WARNING, "refused"),
        ((probe(REFUSED), probe(Sample(30, 500), key=KEYS[1])), 1200, Verdict.UNKNOWN, "too small"),
        ((probe(REFUSED), probe(Sample(500, 500), key=KEYS[1])), 10, Verdict.OK, "500 came"),
    ],
)
def test_the_length_of_pages_is_judged_by_what_was_seen(
    probes: tuple[Probe, ...], counted_rows: int | None, verdict: Verdict, words: str
) -> None:
    """The server's word, the rows after a page and a counter of the same campaign tell a clamp, in this order."""
    finding = of_range(probes, counted_rows)

    assert finding.verdict is verdict
    assert words in finding.seen


@given(
    set_rows=st.integers(0, 3000),
    clamp_rows=st.none() | st.integers(1, 600),
    is_echoed=st.booleans(),
    is_counted=st.booleans(),
)
def test_A_14_no_honest_server_is_accused_and_no_proven_clamp_missed(
    set_rows: int,
    clamp_rows: int | None,
    is_echoed: bool,  # noqa: FBT001
    is_counted: bool,  # noqa: FBT001
) -> None:
    """Against a modelled server: a warning only where it clamps; always where that cut a page of this set."""
    granted_rows = min(ASKED_ROWS, clamp_rows or ASKED_ROWS)
    echo_rows = granted_rows if is_echoed else ASKED_ROWS

    def asked(request: PageRequest) -> Probe:
        rows = max(0, min(granted_rows, set_rows - request.from_index + 1))
        return Probe(request, Sample(rows, echo_rows))

    counted_rows = set_rows if is_counted else None
    probes = [asked(PageRequest(KEYS[0], Action.SENT, 1, ASKED_ROWS))]
    if (request := follow_up(probes[0], counted_rows, KEYS)) is not None:
        probes.append(asked(request))

    finding = of_range(probes, counted_rows)

    is_clamped = granted_rows < ASKED_ROWS
    is_cut = set_rows > granted_rows + max(1, set_rows // 100) and is_clamped
    assert finding.verdict is not Verdict.WARNING or is_clamped
    assert finding.verdict is Verdict.WARNING or not is_cut
    assert finding.verdict is not Verdict.OK or not is_clamped
