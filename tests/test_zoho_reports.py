from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.model import Action, Counters
from harvester.zoho.reports import COUNT_MAX, SOURCES, counters_of

DOCS = Path(__file__).parent.parent / "docs" / "api.md"
REPORT = {
    "campaign_name": "Survey",
    "emails_sent_count": "100",
    "delivered_count": "97",
    "opens_count": " 40 ",
    "unopened": 57,
    "unique_clicks_count": "9",
    "unsub_count": "0",
    "spams_count": "2",
    "complaints_count": "2",
    "hardbounce_count": "2",
    "softbounce_count": "1",
    "unsent_count": "5",
}


def test_every_action_has_its_counter() -> None:
    """Text and numbers count alike, and nothing else of a report is taken."""
    assert counters_of([REPORT]).rows == {
        Action.SENT: 100,
        Action.OPENED: 40,
        Action.UNOPENED: 57,
        Action.CLICKED: 9,
        Action.OPTED_OUT: 0,
        Action.SPAM: 2,
        Action.HARD_BOUNCE: 2,
        Action.SOFT_BOUNCE: 1,
        Action.UNSENT: 5,
    }
    assert SOURCES.keys() == set(Action)


@pytest.mark.parametrize(
    "value", [None, "", " ", "null", "-1", -1, "1.0", 1.0, True, "1,000", "²", [], {}, ["1"], COUNT_MAX, str(COUNT_MAX)]
)
def test_a_counter_that_is_no_count_is_left_out(value: object) -> None:
    """An unknown number proves nothing, so it must not look like a zero."""
    assert Action.SENT not in counters_of([REPORT | {"emails_sent_count": value}]).rows


@pytest.mark.parametrize("other", ["3", "", None])
def test_two_counters_of_one_action_count_only_where_they_agree(other: object) -> None:
    """Nobody knows how spams and complaints differ."""
    assert Action.SPAM not in counters_of([REPORT | {"complaints_count": other}]).rows


def test_no_report_is_no_counter() -> None:
    """A campaign without a report is unknown, not empty."""
    assert counters_of([]) == Counters({})
    assert counters_of([{}]) == Counters({})


@given(st.dictionaries(st.sampled_from(sorted(REPORT)), st.text() | st.integers() | st.none() | st.floats()))
def test_any_report_gives_counts_from_zero_up(report: dict[str, Any]) -> None:
    """Whatever stands in a report, a counter is a number of rows."""
    assert all(0 <= count < COUNT_MAX for count in counters_of([report]).rows.values())


def test_the_mapping_is_documented_with_its_confidence() -> None:
    """Whoever reads a verdict can look up what it was held against and how sure that is."""
    rows = {
        f"| {action} | {', '.join(f'`{name}`' for name in source.fields)} | {source.confidence} |"
        for action, source in SOURCES.items()
    }

    assert rows - set(DOCS.read_text(encoding="utf-8").splitlines()) == set()
