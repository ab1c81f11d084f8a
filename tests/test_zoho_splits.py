"""Test halves out of an answer of getcampaigndetails."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.zoho.splits import split_of


def test_A_34_both_halves_are_named_with_their_variants() -> None:
    """The two keys of the first element; counters beside them are left alone."""
    rows = [{"a_child_campaignkey": " 3za ", "b_child_campaignkey": "3zb", "a_open_count": "7"}, {"x": "y"}]

    assert split_of(rows, "3zparent").child_keys == {"a": "3za", "b": "3zb"}


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({}, {}),
        ({"a_child_campaignkey": "", "b_child_campaignkey": "3zb"}, {"b": "3zb"}),
        ({"a_child_campaignkey": "null", "b_child_campaignkey": None}, {}),
        ({"a_child_campaignkey": "3zparent", "b_child_campaignkey": "3zb"}, {"b": "3zb"}),
        ({"a_child_campaignkey": "3za", "b_child_campaignkey": "3za"}, {"a": "3za"}),
        ({"a_child_campaignkey": 7, "b_child_campaignkey": "3z\x00"}, {}),
    ],
)
def test_only_keys_of_other_campaigns_are_halves(row: dict[str, Any], found: dict[str, str]) -> None:
    """Blanks, the campaign itself and the same key again are none."""
    assert split_of([row], "3zparent").child_keys == found


@given(st.lists(st.dictionaries(st.sampled_from(["a_child_campaignkey", "b_child_campaignkey", "x"]), st.text())))
def test_any_answer_gives_at_most_two_different_halves(rows: list[dict[str, str]]) -> None:
    """No half is the campaign itself, and none is named twice."""
    keys = list(split_of(rows, "p").child_keys.values())

    assert len(keys) == len(set(keys)) <= 2
    assert "p" not in keys
