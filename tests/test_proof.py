"""The proof of completeness: verdicts, doubts, and the laws of the sets."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.engine.proof import (
    DOUBT_CALLS_MIN,
    DOUBT_CALLS_SHARE,
    LAW_ACTIONS,
    LAWS,
    LEANING_JOBS_MIN,
    SAMPLES,
    Finding,
    Relation,
    Shortfall,
    Yield,
    broken_laws,
    doubts_on,
    leaning,
    verdict_of,
)
from harvester.model import Action

ROWS = st.integers(0, 10**6)
YIELDS = st.builds(Yield, ROWS, st.integers(0, 50), st.integers(0, 50), st.booleans())
CONTACTS = st.sets(st.integers(0, 30))


def shortfall(job_id: int, missing_rows: int, *, calls: int = 1, action: Action = Action.SENT) -> Shortfall:
    return Shortfall(job_id, action, missing_rows, 10_000, calls)


# --- verdicts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("harvested", "counter_rows", "text"),
    [
        (Yield(500), 500, "proven"),
        (Yield(0), 0, "proven"),
        (Yield(497), 500, "short by 3"),
        (Yield(502), 500, "over by 2"),
        (Yield(500), None, "unknown"),
        (Yield(499, unreadable_rows=1), 500, "proven"),
        (Yield(499, unreadable_rows=1), 501, "short by 1"),
        (Yield(500, duplicates=4), 500, "proven"),
        (Yield(500, duplicates=4), 504, "unknown"),
        (Yield(500, duplicates=4), 502, "short by 2"),
        (Yield(500, duplicates=4), 506, "short by 6"),
        (Yield(500, is_shifted=True), 500, "unknown"),
        (Yield(499, is_shifted=True), 500, "short by 1"),
    ],
)
def test_P2_verdict_says_what_the_counter_says(harvested: Yield, counter_rows: int | None, text: str) -> None:
    """Rows in quarantine count as given, repeated ones may or may not be counted, and a moved set is never proven."""
    assert str(verdict_of(harvested, counter_rows)) == text


@given(YIELDS, st.none() | ROWS)
def test_P2_nothing_is_proven_that_does_not_add_up(harvested: Yield, counter_rows: int | None) -> None:
    """A verdict of any kind accounts for every row of the counter."""
    verdict = verdict_of(harvested, counter_rows)

    given_rows = harvested.rows + harvested.unreadable_rows
    match verdict.finding:
        case Finding.PROVEN:
            assert counter_rows == given_rows
            assert not harvested.is_shifted
        case Finding.SHORT:
            assert given_rows + verdict.rows == counter_rows
        case Finding.OVER:
            assert given_rows - verdict.rows == counter_rows
        case Finding.UNKNOWN:
            assert counter_rows in {None, given_rows, given_rows + harvested.duplicates}


@given(YIELDS, ROWS)
def test_a_verdict_begins_with_its_finding(harvested: Yield, counter_rows: int) -> None:
    """The ledger counts verdicts by their first word."""
    verdict = verdict_of(harvested, counter_rows)

    assert str(verdict).split()[0] == verdict.finding


# --- doubts -----------------------------------------------------------------------------------------------------------


def test_the_largest_shortfalls_are_harvested_again_first() -> None:
    """Where not all can be paid for, those are taken that lack most."""
    doubts = doubts_on([shortfall(number, number, calls=DOUBT_CALLS_MIN // 2) for number in range(1, 5)], (), 0)

    assert (doubts.job_ids, doubts.left) == ((4, 3), 2)


def test_a_giant_that_cannot_be_paid_for_leaves_the_calls_to_others() -> None:
    """A job that is dearer than all that may be spent is passed over."""
    doubts = doubts_on([shortfall(1, 9_000, calls=10_000), shortfall(2, 1)], (), 100)

    assert (doubts.job_ids, doubts.left) == ((2,), 1)


@given(
    st.lists(st.tuples(st.integers(1, 10_000), st.integers(1, 80), st.sampled_from(Action)), max_size=60),
    st.sets(st.sampled_from(Action)),
    st.integers(0, 5_000),
)
def test_harvesting_again_never_costs_more_than_its_share(
    jobs: Sequence[tuple[int, int, Action]], leanings: set[Action], harvest_calls: int
) -> None:
    """Chosen and left make up all, the price stays within the allowance, and leaning actions give samples only."""
    shortfalls = [
        Shortfall(number, action, missing, 10_000, calls) for number, (missing, calls, action) in enumerate(jobs)
    ]

    doubts = doubts_on(iter(shortfalls), leanings, harvest_calls)

    chosen = [shortfalls[number] for number in doubts.job_ids]
    assert len(set(doubts.job_ids)) + doubts.left == len(shortfalls)
    assert sum(each.calls for each in chosen) <= max(DOUBT_CALLS_MIN, DOUBT_CALLS_SHARE * harvest_calls)
    assert all(sum(each.action is action for each in chosen) <= SAMPLES for action in leanings)


@pytest.mark.parametrize(("missing_rows", "is_beyond"), [(100, False), (101, True)])
def test_a_shortfall_up_to_the_tolerance_is_let_be(missing_rows: int, is_beyond: bool) -> None:  # noqa: FBT001
    """Sets and counters move while they are read: of 10,000 rows 1 % may."""
    assert shortfall(1, missing_rows).is_beyond(0.01) is is_beyond


@pytest.mark.parametrize(
    ("findings", "found"),
    [
        ({"short": 45, "proven": 5}, Finding.SHORT),
        ({"short": 44, "proven": 6}, None),
        ({"over": 10}, Finding.OVER),
        ({"short": LEANING_JOBS_MIN - 1}, None),
        ({"short": 25, "over": 25}, None),
        ({"short": 10, "unknown": 1_000}, Finding.SHORT),
        ({}, None),
    ],
)
def test_a_counter_that_is_always_off_in_one_way_is_in_doubt_itself(
    findings: dict[str, int], found: Finding | None
) -> None:
    """Nine of ten sets, and ten at least: what is unknown says nothing of the counter."""
    assert leaning(findings) is found


# --- laws -------------------------------------------------------------------------------------------------------------


def test_sets_that_keep_the_laws_break_none() -> None:
    """A campaign as it should be."""
    sets = {
        Action.SENT: set(range(100)),
        Action.OPENED: set(range(40)),
        Action.UNOPENED: set(range(40, 93)),
        Action.CLICKED: set(range(10)),
        Action.HARD_BOUNCE: set(range(93, 96)),
        Action.SOFT_BOUNCE: set(range(96, 100)),
        Action.UNSENT: {1, 200},
        Action.OPTED_OUT: {300},
    }

    assert broken_laws(sets) == {}


def test_a_broken_law_tells_how_many_break_it() -> None:
    """Who opened and did not, and who clicked without having opened."""
    sets = {Action.OPENED: {1, 2, 3}, Action.UNOPENED: {3, 4}, Action.CLICKED: {1, 9, 10}}

    assert broken_laws(sets) == {
        "openedcontacts apart from unopenedcontacts": 1,
        "clickedcontacts within openedcontacts": 2,
    }


@given(st.dictionaries(st.sampled_from(Action), CONTACTS))
def test_laws_count_whom_they_speak_of(sets: dict[Action, set[int]]) -> None:
    """Only laws whose two sets are there are checked, and each counts its own contacts."""
    broken = broken_laws(sets)

    for law in LAWS:
        if law.first not in sets or law.second not in sets:
            assert str(law) not in broken
            continue
        first, second = sets[law.first], sets[law.second]
        breaking = [each for each in first if (each in second) is (law.relation is Relation.APART)]
        assert broken.get(str(law), 0) == len(breaking)


def test_no_law_binds_sets_that_are_known_to_overlap() -> None:
    """A public sample has an unsent contact among the sent ones; opting out and complaining can come from elsewhere."""
    assert LAW_ACTIONS.isdisjoint({Action.UNSENT, Action.OPTED_OUT, Action.SPAM})
    assert len({str(law) for law in LAWS}) == len(LAWS)
    assert all(law.reason for law in LAWS)
