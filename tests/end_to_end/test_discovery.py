"""The account's campaigns, their facts and their test halves, over real HTTP."""

import json
from typing import Any

from end_to_end.rehearsal import DATE, Rehearsal, Rehearse, assert_is_truth, assert_is_whole

from harvester.simulator.options import AnswerOptions, FaultKind, FaultOptions, Options, WorldOptions
from harvester.simulator.wire import API_PREFIX, Request
from harvester.simulator.world import Campaign, Kind

RECENT, DETAILS = "recentcampaigns", "getcampaigndetails"
AB_TYPE = "AB Testing"


def account(**changes: Any) -> Options:
    """An account of normal and A/B campaigns and drafts, that names A/B campaigns in its own way."""
    world = WorldOptions(campaigns=14, recipients=60, ab_share=0.4, drafts_share=0.2)
    return Options(time_scale=50.0, world=world, answers=AnswerOptions(ab_type=AB_TYPE), **changes)


def listed(rehearsal: Rehearsal) -> list[dict[str, Any]]:
    path = rehearsal.output / "campaigns" / "account=acme" / f"dt={DATE}" / "campaigns.jsonl"
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def halves(rehearsal: Rehearsal) -> list[Campaign]:
    return [rehearsal.world.campaign(key) for parent in rehearsal.campaigns(Kind.AB) for key in parent.child_keys]


def lock(rehearsal: Rehearsal, endpoint: str) -> None:
    """Have somebody else with the same credentials run into the limit of an endpoint."""
    request = Request(
        API_PREFIX + endpoint,
        {"resfmt": "JSON", "campaignkey": "x", "campaigntype": "normal"},
        {"authorization": f"Zoho-oauthtoken {rehearsal.foreign_token()}"},
    )
    for _ in range(rehearsal.options.quota.calls + 1):
        rehearsal.server.zoho.answer(request, rehearsal.server.now_s())


async def test_A_34_an_ab_campaign_is_counted_right(rehearse: Rehearse) -> None:
    """The sets of both halves are there under their own keys, with the key of their parent in every record."""
    rehearsal = await rehearse(account())

    ended = await rehearsal.run()

    assert ended.code == 0, ended.stderr
    parents = rehearsal.campaigns(Kind.AB)
    assert len(halves(rehearsal)) == 2 * len(parents) > 0
    assert_is_truth(rehearsal, [*rehearsal.campaigns(Kind.NORMAL, Kind.AB), *halves(rehearsal)])
    assert_is_whole(rehearsal)
    parent_of = {key: parent.key for parent in parents for key in parent.child_keys}
    for (key, _), records in rehearsal.harvested().items():
        assert {record["parent_campaign_key"] for record in records} <= {parent_of.get(key)}
    assert rehearsal.sheet(DETAILS)["calls"] == len(parents)


async def test_the_facts_of_all_sent_campaigns_are_written(rehearse: Rehearse) -> None:
    """Name, subject, true time of sending and type of each; a filter narrows the harvest and not the file."""
    rehearsal = await rehearse(account(), discovery={"types": ["abtesting"]})

    ended = await rehearsal.run()

    assert ended.code == 0, ended.stderr
    facts = {record["campaign_key"]: record for record in listed(rehearsal)}
    sent = [*rehearsal.campaigns(Kind.NORMAL, Kind.AB), *halves(rehearsal)]
    assert facts.keys() == {campaign.key for campaign in sent}
    for campaign in rehearsal.campaigns(Kind.NORMAL, Kind.AB):
        record = facts[campaign.key]
        assert (record["name"], record["subject"]) == (campaign.name, campaign.subject)
        assert record["type"] == ("abtesting" if campaign.is_ab else "normal")
        assert record["sent_time_ms"] - campaign.sent_ms == 28_800_000
        assert record["raw"]["sent_time_gmt"] == str(campaign.sent_ms)
    wanted = [*rehearsal.campaigns(Kind.AB), *halves(rehearsal)]
    assert {key for key, _ in rehearsal.harvested()} == {campaign.key for campaign in wanted}


async def test_a_locked_endpoint_of_details_costs_test_halves_alone(rehearse: Rehearse) -> None:
    """The rest is harvested in the same run, the lack is told, and nobody leaves for it."""
    rehearsal = await rehearse(account())
    lock(rehearsal, DETAILS)

    ended = await rehearsal.run("--on-lockout", "exit", "--json")

    assert ended.code == 0, ended.stderr
    assert_is_truth(rehearsal)
    missing = len(rehearsal.campaigns(Kind.AB))
    assert [event["campaigns"] for event in ended.events if event["event"] == "children.missing"] == [missing]
    remarks = json.loads(ended.stdout)["accounts"][0]["remarks"]
    assert [remark["topic"] for remark in remarks] == ["children"]


async def test_details_that_never_come_cost_test_halves_alone(rehearse: Rehearse) -> None:
    """A server error for good is told once; the next run of the date asks again and gets all of them."""
    faults = FaultOptions(share=1.0, kinds=(FaultKind.RETRY_LATER,), endpoints=(DETAILS,))
    rehearsal = await rehearse(account(faults=faults))
    ended = await rehearsal.run()
    assert ended.code == 0, ended.stderr
    assert_is_truth(rehearsal)
    assert [event["event"] for event in ended.events].count("children.missing") == 1
    listing_calls = rehearsal.sheet(RECENT)["calls"]

    object.__setattr__(faults, "share", 0.0)
    ended = await rehearsal.run()

    assert ended.code == 0, ended.stderr
    assert_is_truth(rehearsal, [*rehearsal.campaigns(Kind.NORMAL, Kind.AB), *halves(rehearsal)])
    assert rehearsal.sheet(RECENT)["calls"] == listing_calls
