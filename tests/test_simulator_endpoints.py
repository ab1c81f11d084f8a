"""The data endpoints by themselves: discovery, counters, test halves, and campaigns that cannot be read."""

from dataclasses import replace
from typing import Any

import pytest

from harvester.simulator.endpoints import ENDPOINTS
from harvester.simulator.envelopes import Document, Outcome, Page, Refusal
from harvester.simulator.options import AnswerOptions, Options, WorldOptions
from harvester.simulator.world import Kind, World

ALL_KINDS = Options(
    world=WorldOptions(
        campaigns=60,
        recipients=321,
        drafts_share=0.2,
        ab_share=0.2,
        tiny_ab_share=0.2,
        forbidden_share=0.2,
    ),
)


@pytest.fixture
def world() -> World:
    return World(ALL_KINDS, "acme-client")


def _ask(world: World, endpoint: str, **params: str | int) -> Outcome:
    return ENDPOINTS[endpoint](world, {name: str(value) for name, value in params.items()}, ALL_KINDS)


def _fields(outcome: Outcome) -> Any:
    assert isinstance(outcome, Document)
    return outcome.fields


def _key(world: World, kind: Kind) -> str:
    return next(campaign.key for campaign in world.campaigns if campaign.kind is kind)


def _listed(world: World, **params: str | int) -> list[str]:
    return [row["campaign_key"] for row in _fields(_ask(world, "recentcampaigns", **params))["recent_campaigns"]]


@pytest.mark.parametrize(
    ("kind", "code"),
    [(Kind.DRAFT, "6002"), (Kind.TINY_AB, "6601"), (Kind.FORBIDDEN, "6607")],
)
def test_A_01_A_02_A_04_unreadable_campaigns_have_their_codes(world: World, kind: Kind, code: str) -> None:
    """A draft, an A/B test with too few recipients and a forbidden campaign are refused."""
    refusal = _ask(world, "getcampaignrecipientsdata", campaignkey=_key(world, kind), action="sentcontacts")

    assert isinstance(refusal, Refusal)
    assert refusal.code == code


def test_recentcampaigns_pages_to_6101(world: World) -> None:
    """Sent campaigns come newest first and page by page; past the last one it is 6101."""
    sent = [campaign.key for campaign in reversed(world.campaigns) if campaign.kind is not Kind.DRAFT]

    pages = [_listed(world, status="sent", fromindex=first, range=20) for first in range(1, len(sent) + 1, 20)]
    past = _ask(world, "recentcampaigns", status="sent", fromindex=len(sent) + 1)

    assert [key for page in pages for key in page] == sent
    assert isinstance(past, Refusal)
    assert past.code == "6101"


def test_recentcampaigns_shows_what_is_asked(world: World) -> None:
    """Five without a range, drafts by status, the other order by sort; test halves never."""
    keys = [campaign.key for campaign in world.campaigns]
    drafts = [campaign.key for campaign in world.campaigns if campaign.kind is Kind.DRAFT]

    assert _listed(world) == keys[:-6:-1]
    assert _listed(world, range=100, sort="asc") == keys
    assert _listed(world, range=100, sort="asc", status="drafts") == drafts
    assert _listed(world, range=100, sort="asc", status="sent|drafts") == keys


def test_listed_times_are_eight_hours_ahead(world: World) -> None:
    """`sent_time` is `sent_time_gmt` plus 8 h; a draft has neither."""
    rows = _fields(_ask(world, "recentcampaigns", range=100))["recent_campaigns"]

    for row in rows:
        if row["campaign_status"] == "Draft":
            assert "sent_time" not in row
        else:
            assert int(row["sent_time"]) - int(row["sent_time_gmt"]) == 28_800_000


@pytest.mark.parametrize("ab_type", ["abtesting", "AB Testing", "ab"])
def test_A_34_the_listing_names_the_type_of_an_ab_campaign(world: World, ab_type: str) -> None:
    """Nobody has published the text, so it is an option; whatever it is, all others are normal."""
    options = replace(ALL_KINDS, answers=AnswerOptions(ab_type=ab_type))

    rows = _fields(ENDPOINTS["recentcampaigns"](world, {"range": "100"}, options))["recent_campaigns"]

    types = {row["campaign_key"]: row["campaigntype"] for row in rows}
    assert types == {campaign.key: ab_type if campaign.is_ab else "normal" for campaign in world.campaigns}


def test_campaigns_are_called_by_many_names(world: World) -> None:
    """Names are unique and fall into series, some with letters beyond ASCII; subjects differ from names."""
    rows = _fields(_ask(world, "recentcampaigns", range=100))["recent_campaigns"]

    names = [row["campaign_name"] for row in rows]
    assert len(set(names)) == len(names)
    assert {name.split()[0] for name in names} >= {"Newsletter", "Welcome", "Survey", "Zoho"}
    assert 0 < sum(name.isascii() for name in names) < len(names)
    assert all(row["subject"] != row["campaign_name"] for row in rows)
    assert len({row["subject"] for row in rows}) > 1


def test_campaignreports_agree_with_the_rows(world: World) -> None:
    """Each counter is the number of rows of its action, as text."""
    key = _key(world, Kind.NORMAL)

    counters = _fields(_ask(world, "campaignreports", campaignkey=key))["campaign-reports"][0]

    mapping = {
        "emails_sent_count": "sentcontacts",
        "opens_count": "openedcontacts",
        "unopened": "unopenedcontacts",
        "unique_clicks_count": "clickedcontacts",
        "unsub_count": "optoutcontacts",
        "spams_count": "spamcontacts",
        "hardbounce_count": "senthardbounce",
        "softbounce_count": "sentsoftbounce",
        "unsent_count": "unsentcontacts",
    }
    assert {action: int(counters[counter]) for counter, action in mapping.items()} == {
        action: len(list(world.truth(key, action))) for action in mapping.values()
    }


def test_A_34_the_halves_of_an_ab_test_are_found_by_its_details(world: World) -> None:
    """campaigntype=abtesting shows two child keys, each with recipients of its own; normal shows none."""
    key = _key(world, Kind.AB)

    split = _fields(_ask(world, "getcampaigndetails", campaignkey=key, campaigntype="abtesting"))["AB-split-details"]

    child_keys = [split[0]["a_child_campaignkey"], split[0]["b_child_campaignkey"]]
    for child_key in child_keys:
        page = _ask(world, "getcampaignrecipientsdata", campaignkey=child_key, action="sentcontacts", range=100)
        assert isinstance(page, Page)
        assert [contact.contact_id for contact in page.contacts or ()] == list(world.truth(child_key, "sentcontacts"))
    normal = _fields(_ask(world, "getcampaigndetails", campaignkey=key, campaigntype="normal"))
    assert "AB-split-details" not in normal
    assert normal["campaign-reports"] == []


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"campaignkey": "none"}, "903"),
        ({"campaigntype": "normal"}, "903"),
        ({"campaignkey": "none", "campaigntype": "other"}, "1001"),
        ({"campaignkey": "none", "campaigntype": "normal"}, "6301"),
    ],
)
def test_getcampaigndetails_needs_a_key_and_a_type(world: World, params: dict[str, str], code: str) -> None:
    """Both fields are mandatory, and an unknown key is 6301 here."""
    refusal = _ask(world, "getcampaigndetails", **params)

    assert isinstance(refusal, Refusal)
    assert refusal.code == code
