"""Rows of the listing: which are sent, what kind they are, and by how much the account's clock is off."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from listed import EIGHT_HOURS_MS, SENT_AT_MS, listed_row

from harvester.listing import CampaignPage, CampaignType, SentCampaign
from harvester.model import Failure, FailureKind
from harvester.zoho.campaigns import (
    OFFSET_MS_MAX,
    OFFSET_SAMPLE,
    campaign_page,
    campaign_type,
    milliseconds,
    sent_campaigns,
    usual_offset,
)


def only(row: dict[str, Any]) -> SentCampaign:
    campaigns = sent_campaigns([row])
    assert isinstance(campaigns, tuple)
    return campaigns[0]


def test_a_row_becomes_a_campaign_with_its_facts() -> None:
    """Key, time of sending, offset, name and type; the row stays as it came."""
    row = listed_row("3za", campaigntype="abtesting")

    assert only(row) == SentCampaign(
        "3za", SENT_AT_MS, EIGHT_HOURS_MS, "Name of 3za", CampaignType.ABTESTING, None, row
    )


@pytest.mark.parametrize("odd", [{"sent_time": ""}, {"sent_time": "0"}, {"sent_time_gmt": None}, {"sent_time": "x"}])
def test_the_offset_comes_from_both_times_of_a_campaign(odd: dict[str, Any]) -> None:
    """There is none where one of them is missing, or where the difference is no time zone."""
    assert only(listed_row("3za", **odd)).sent_time_offset_ms is None
    assert OFFSET_MS_MAX > EIGHT_HOURS_MS


def test_drafts_are_left_out_and_still_joined_by() -> None:
    """What was not sent has no recipients, but its row counts for where the next page begins."""
    rows = [listed_row("3za", campaign_status="Draft"), listed_row("3zb", campaign_status=" SENT ")]

    page = campaign_page(rows, 7)

    assert isinstance(page, CampaignPage)
    assert [campaign.key for campaign in page.campaigns] == ["3zb"]
    assert (page.keys, page.total) == (("3za", "3zb"), 7)


@pytest.mark.parametrize("key", [None, "", "  ", 7, "3z\x1b[31m", "3z\ud800"])
def test_a_sent_campaign_without_a_key_that_can_be_asked_for_is_a_failure(key: Any) -> None:
    """It would be lost silently."""
    failure = campaign_page([listed_row("3za") | {"campaign_key": key}])

    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.MALFORMED


@pytest.mark.parametrize(
    "text", ["abtesting", "AB", "A/B", "A/B Testing", "ab-test", "AB Split", "a/b split test", "AB_Campaign"]
)
def test_A_34_every_way_to_write_an_ab_test_is_taken(text: str) -> None:
    """Nobody has published what the listing says."""
    assert campaign_type(text) is CampaignType.ABTESTING


@pytest.mark.parametrize("text", ["normal", "", None, 7, "abandoned cart", "about us", "labtest", "rss"])
def test_what_does_not_say_ab_is_normal(text: Any) -> None:
    """Words that only begin alike cost no call for test halves."""
    assert campaign_type(text) is CampaignType.NORMAL


@given(st.lists(st.tuples(st.integers(0, 10**13), st.sampled_from([0, EIGHT_HOURS_MS])), max_size=250))
def test_the_usual_offset_is_that_of_most_of_the_newest_campaigns(offsets: list[tuple[int, int]]) -> None:
    """Older campaigns have no voice, and those that disagree are counted."""
    usual = usual_offset(offsets)

    newest = [offset_ms for _, offset_ms in sorted(offsets, reverse=True)[:OFFSET_SAMPLE]]
    if usual is None:
        assert newest == []
    else:
        offset_ms, others = usual
        assert newest.count(offset_ms) == len(newest) - others >= others


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.from_regex(r"\s*[0-9]{1,30}\s*"))
def test_a_moment_is_one_that_a_date_can_be_made_of(value: Any) -> None:
    """Whatever stands there gives a day, or nothing."""
    moment_ms = milliseconds(value)

    assert SentCampaign("k", moment_ms, None).sent_on is None or moment_ms is not None
