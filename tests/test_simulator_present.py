"""The present day: who moves it, and which campaigns are there on it."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_caller import Caller

from harvester.simulator.age_options import AgeOptions
from harvester.simulator.campaigns import DAY_MS, SENT_MS, Kind
from harvester.simulator.model import Zoho
from harvester.simulator.options import Options, QuotaOptions, WorldOptions

AN_HOUR_DAYS = 1 / 24


def caller_on(day: float | None, per_day: float = 1.0, **age: Any) -> Caller:
    """An account with eight campaigns, drafts among them."""
    world = WorldOptions(campaigns=8, recipients=50, drafts_share=0.3)
    options = AgeOptions(day=day, campaigns_per_day=per_day, **age)
    return Caller(Zoho(Options(world=world, age=options, quota=QuotaOptions(calls=100_000))))


def listed(caller: Caller, status: str = "all") -> dict[str, dict[str, str]]:
    rows = caller.read("recentcampaigns", range=100, status=status).get("recent_campaigns", [])
    return {row["campaign_key"]: row for row in rows}


def test_days_are_counted_from_the_first_sending() -> None:
    """Campaign 0 is sent at SENT_MS, which is day 0.0, and campaign i on day i / campaigns_per_day."""
    campaigns = caller_on(0.0, per_day=4).world.campaigns

    assert datetime.fromtimestamp(SENT_MS / 1000, UTC) == datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)
    assert [campaign.sent_day for campaign in campaigns] == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75]
    assert [campaign.sent_ms for campaign in campaigns] == [SENT_MS + index * DAY_MS // 4 for index in range(8)]


@given(day=st.floats(-2, 12), per_day=st.sampled_from([0.5, 1.0, 3.0]))
def test_campaigns_to_come_are_not_listed(day: float, per_day: float) -> None:
    """The listing shows as sent what was sent by now, and nothing that is more than an hour away."""
    caller = caller_on(day, per_day)
    campaigns = caller.world.campaigns

    sent, everything = listed(caller, "sent"), listed(caller)

    is_due = {campaign.key: campaign.sent_day <= day for campaign in campaigns if campaign.kind is not Kind.DRAFT}
    assert sent.keys() == {key for key, is_over in is_due.items() if is_over}
    assert everything.keys() <= {campaign.key for campaign in campaigns if campaign.sent_day - day <= AN_HOUR_DAYS}
    assert sent.keys() == {key for key, row in everything.items() if row["campaign_status"] == "Sent"}


def test_a_campaign_is_scheduled_in_its_last_hour() -> None:
    """Once it is written it is listed, without a sending time, as scheduled; then as sent."""
    caller = caller_on(0.0)
    campaign = next(campaign for campaign in caller.world.campaigns[1:] if campaign.kind is Kind.NORMAL)
    told = []

    for hours_ahead in (1.1, 0.9, 0):
        caller.zoho.advance_to(campaign.sent_day - hours_ahead / 24)
        row = listed(caller).get(campaign.key, {})
        told.append((row.get("campaign_status"), "sent_time" in row, campaign.key in listed(caller, "scheduled")))

    assert told == [(None, False, False), ("Scheduled", False, True), ("Sent", True, False)]


def test_A_01_a_campaign_to_come_answers_like_a_draft() -> None:
    """Until its day 6002 from recipients and reports, 6301 from details; then rows, counters and details."""
    caller = caller_on(0.0)
    campaign = next(campaign for campaign in caller.world.campaigns[1:] if campaign.kind is Kind.NORMAL)
    asked: list[dict[str, str | int]] = [
        {"endpoint": "getcampaignrecipientsdata", "action": "sentcontacts"},
        {"endpoint": "campaignreports"},
        {"endpoint": "getcampaigndetails", "campaigntype": "normal"},
    ]

    def codes() -> list[str]:
        return [caller.read(campaignkey=campaign.key, **params)["code"] for params in asked]  # type: ignore[arg-type]

    before = codes()
    caller.zoho.advance_to(campaign.sent_day)

    assert before == ["6002", "6002", "6301"]
    assert codes() == ["0", "0", "0"]


def test_A_01_a_draft_is_never_sent() -> None:
    """However late it is, a draft is a draft."""
    caller = caller_on(500.0)
    draft = caller.key(Kind.DRAFT)

    assert listed(caller)[draft]["campaign_status"] == "Draft"
    assert caller.read(campaignkey=draft, action="sentcontacts")["code"] == "6002"


@pytest.mark.parametrize("day", [2.9, -1.0, math.nan, math.inf])
def test_a_world_grows_no_younger(day: float) -> None:
    """A day that is over, or no day at all, is refused, and the present stays what it was."""
    zoho = caller_on(3.0).zoho

    with pytest.raises(ValueError, match=r"expected 3\.0 or later"):
        zoho.advance_to(day)

    assert zoho.world("anybody").day == 3.0


def test_a_world_without_age_has_no_days() -> None:
    """Where all is over no day can come."""
    with pytest.raises(ValueError, match=r"set age\.day"):
        caller_on(None).zoho.advance_to(1.0)


def test_one_present_for_all_accounts() -> None:
    """The day that comes is the day of every world, of those that are made later as well."""
    zoho = caller_on(3.0).zoho
    early = zoho.world("early")

    zoho.advance_to(4.5)

    assert (early.day, zoho.world("late").day) == (4.5, 4.5)


def test_the_servers_clock_moves_the_day_by_whole_days() -> None:
    """After each day_s seconds a day has passed; within it the sets stand still, and no call turns the day back."""
    caller = caller_on(2.5, day_s=10.0)
    told = []

    for now_s in (0.0, 9.9, 10.0, 19.9, 35.0):
        caller.now_s = now_s
        caller.page()
        told.append(caller.world.day)
    caller.zoho.advance_to(20.0)
    caller.page()

    assert told == [2.5, 2.5, 3.5, 3.5, 5.5]
    assert caller.world.day == 20.0


def test_without_a_length_the_day_stands_still() -> None:
    """However long the server runs, it stays the day of the options."""
    caller = caller_on(2.5)
    caller.now_s = 1e6

    caller.page()

    assert caller.world.day == 2.5


@pytest.mark.parametrize(
    ("age", "name"),
    [
        ({"day": math.nan}, "day"),
        ({"day": math.inf}, "day"),
        ({"day_s": 5.0}, "day_s"),
        ({"day": 1.0, "day_s": 0.0}, "day_s"),
        ({"campaigns_per_day": 0.0}, "campaigns_per_day"),
        ({"open_mean_days": -1.0}, "open_mean_days"),
        ({"open_max_days": 61.0}, "open_max_days"),
        ({"bounce_max_days": 61.0}, "bounce_max_days"),
    ],
)
def test_impossible_ages_are_refused(age: dict[str, float], name: str) -> None:
    """A number that no world could have is refused by the name of its option."""
    with pytest.raises(ValueError, match=rf"^age\.{name}: "):
        AgeOptions(**age)
