"""What a plan foretells is what the run then spends; and planning itself changes no job and reads no recipient."""

import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from end_to_end.rehearsal import BAD_KEY, DATE, Ended, Rehearsal, Rehearse

from harvester.simulator.age_options import AgeOptions
from harvester.simulator.options import Options, WorldOptions

SCALE = 300.0
"""A second for five minutes: windows pass at once, and lockouts would still be seen."""

NEXT_DATE = "2026-01-16"

MIXED = Options(
    time_scale=SCALE,
    world=WorldOptions(campaigns=24, ab_share=0.2, drafts_share=0.1, forbidden_share=0.1, recipients_max=6_000),
)


async def planned(rehearsal: Rehearsal, *arguments: str, code: int = 0) -> dict[str, Any]:
    ended = await shown(rehearsal, *arguments, "--json")
    assert ended.code == code, ended.stderr
    return dict(json.loads(ended.stdout))


async def shown(rehearsal: Rehearsal, *arguments: str) -> Ended:
    return await (await rehearsal.start("plan", *arguments)).ended()


async def carried_out(rehearsal: Rehearsal, command: str, *flags: str) -> dict[str, Any]:
    ended = await (await rehearsal.start(command, *flags, "--json")).ended()
    assert ended.code in {0, 3}, ended.stderr
    return dict(json.loads(ended.stdout)["accounts"][0])


def recipients_calls(rehearsal: Rehearsal) -> int:
    return int(rehearsal.sheet().get("calls", 0))


def assert_foretold(plan: dict[str, Any], calls: int) -> None:
    foretold = plan["accounts"][0]["calls"]
    assert foretold["likely"] == pytest.approx(calls, rel=0.1, abs=1)
    assert foretold["low"] <= calls <= foretold["high"]


async def test_a_plan_is_within_a_tenth_of_the_calls_then_spent(rehearse: Rehearse) -> None:
    """Of a run over new campaigns of all kinds, priced by their counters alone."""
    rehearsal = await rehearse(MIXED)

    plan = await planned(rehearsal, "run", "--as-of", DATE)
    assert recipients_calls(rehearsal) == 0
    account = await carried_out(rehearsal, "run", "--as-of", DATE)

    assert_foretold(plan, account["calls"])
    (foretold,) = plan["accounts"]
    assert foretold["rows"] == pytest.approx(account["rows"], rel=0.1)
    assert foretold["jobs"]["read"] == sum(account["jobs"].values())


async def test_a_plan_of_a_night_knows_what_is_carried(rehearse: Rehearse) -> None:
    """In a world that ages: on each of three nights the plan foretells the calls, and which sets are read."""
    world = WorldOptions(campaigns=20, recipients_max=3_000)
    rehearsal = await rehearse(Options(time_scale=SCALE, world=world, age=AgeOptions(day=12.0, campaigns_per_day=1.0)))

    for night in range(3):
        rehearsal.server.zoho.advance_to(12.0 + night)
        date = f"2026-01-{13 + night}"
        before = recipients_calls(rehearsal)
        plan = await planned(rehearsal, "nightly", "--as-of", date)
        assert recipients_calls(rehearsal) == before
        account = await carried_out(rehearsal, "nightly", "--as-of", date)

        assert_foretold(plan, account["calls"])
        (foretold,) = plan["accounts"]
        assert foretold["jobs"]["read"] == account["jobs"]["done"] + account["jobs"]["failed"]
        assert foretold["jobs"]["carried"] == account["jobs"]["carried"]
        assert sum(foretold["reasons"].values()) == foretold["jobs"]["read"]


async def test_the_test_halves_of_campaigns_are_planned_too(rehearse: Rehearse) -> None:
    """An A/B campaign is three: itself and its halves, which the run harvests as well."""
    rehearsal = await rehearse(Options(time_scale=SCALE, world=WorldOptions(campaigns=4, recipients=900, ab_share=1.0)))

    plan = await planned(rehearsal, "run", "--as-of", DATE)
    account = await carried_out(rehearsal, "run", "--as-of", DATE)

    assert plan["accounts"][0]["campaigns"] == 12
    assert plan["accounts"][0]["jobs"]["read"] == sum(account["jobs"].values())
    assert_foretold(plan, account["calls"])


async def test_a_plan_after_the_run_costs_nothing(rehearse: Rehearse) -> None:
    """What is done on the date is not paid again, and the listing of the date is not asked for again."""
    rehearsal = await rehearse(Options(time_scale=SCALE, world=WorldOptions(campaigns=4, recipients=600)))
    await carried_out(rehearsal, "run", "--as-of", DATE)
    calls = rehearsal.total("calls")

    plan = await planned(rehearsal, "run", "--as-of", DATE)

    assert rehearsal.total("calls") == calls
    (account,) = plan["accounts"]
    assert (account["jobs"]["read"], account["jobs"]["done"]) == (0, 36)
    assert account["calls"] == {"low": 0, "likely": 0, "high": 0}


async def test_planning_changes_no_job_and_no_file(rehearse: Rehearse) -> None:
    """The ledger holds the same jobs, harvests and runs before and after; no partition or listing is written."""
    rehearsal = await rehearse(Options(time_scale=SCALE, world=WorldOptions(campaigns=4, recipients=600)))
    await carried_out(rehearsal, "run", "--as-of", DATE)
    before, files = ledger_of(rehearsal), outputs_of(rehearsal)

    await planned(rehearsal, "nightly", "--as-of", NEXT_DATE)

    assert ledger_of(rehearsal) == before
    assert outputs_of(rehearsal) == files


def ledger_of(rehearsal: Rehearsal) -> list[list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(f"file:{rehearsal.state}/ledger.sqlite?mode=ro", uri=True)) as ledger:
        tables = ("jobs", "harvests", "runs", "snapshots", "pages", "counters", "campaign_notes")
        return [ledger.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables]  # noqa: S608


def outputs_of(rehearsal: Rehearsal) -> dict[str, bytes]:
    return {path: content for path, content in rehearsal.all_bytes().items() if path.startswith("data/")}


@pytest.mark.parametrize(("deadline", "code"), [("300s", 0), ("3s", 75)])
async def test_a_deadline_is_held_against_the_plan(rehearse: Rehearse, deadline: str, code: int) -> None:
    """Ten windows of a second each need ten seconds: exit 75 and what would be left, where that is too late."""
    world = WorldOptions(campaigns=60, recipients=20_000)
    rehearsal = await rehearse(Options(time_scale=SCALE, world=world))

    plan = await planned(rehearsal, "run", "--as-of", DATE, "--deadline", deadline, code=code)
    ended = await shown(rehearsal, "run", "--as-of", DATE, "--deadline", deadline)

    (account,) = plan["accounts"]
    assert plan["is_in_time"] is (code == 0)
    assert bool(account["left"]["calls"]) is bool(account["left"]["jobs"]) is (code == 75)
    assert account["windows"] >= 8
    assert ended.code == code
    assert ("which is in time" if code == 0 else "would be left") in ended.last_line


async def test_named_campaigns_are_planned_without_a_listing(rehearse: Rehearse) -> None:
    """Each is looked at, an unknown key costs one call, and the listing is not asked for."""
    rehearsal = await rehearse(Options(time_scale=SCALE, world=WorldOptions(campaigns=4, recipients=600)))
    key = rehearsal.world.campaigns[0].key

    plan = await planned(rehearsal, "run", "--as-of", DATE, "--campaign", key, "--campaign", BAD_KEY)

    assert rehearsal.sheet("recentcampaigns") == {}
    assert plan["accounts"][0]["campaigns"] == 2
    assert plan["accounts"][0]["largest"][-1] == {"campaign_key": BAD_KEY, "name": "", "jobs": 9, "calls": 1}


@pytest.mark.parametrize(
    "arguments", [("nightly", "--campaign", BAD_KEY), ("nightly", "--refresh"), ("run", "--since", "2026-01-01")]
)
async def test_what_cannot_be_run_so_is_not_planned_so(rehearse: Rehearse, arguments: tuple[str, ...]) -> None:
    """A flag that the command itself does not have: exit 2, before any call."""
    rehearsal = await rehearse(Options(world=WorldOptions(campaigns=2)))

    ended = await shown(rehearsal, *arguments)

    assert (ended.code, rehearsal.total("calls")) == (2, 0)
    assert f"harvester {arguments[0]} has no {arguments[1]}" in ended.stderr


async def test_a_backfill_is_planned_by_what_was_never_read(rehearse: Rehearse) -> None:
    """After a night on some campaigns, the rest is planned; and the backfill then costs what was foretold."""
    rehearsal = await rehearse(MIXED)
    known = [campaign.key for campaign in rehearsal.world.campaigns[:6]]
    flags = [flag for key in known for flag in ("--campaign", key)]
    await carried_out(rehearsal, "run", "--as-of", DATE, *flags)

    plan = await planned(rehearsal, "backfill", "--as-of", NEXT_DATE)
    account = await carried_out(rehearsal, "backfill", "--as-of", NEXT_DATE)

    assert_foretold(plan, account["calls"])
    assert plan["accounts"][0]["jobs"]["carried"] == account["jobs"]["carried"] > 0


async def test_an_account_that_refuses_leaves_the_plan_of_the_other(rehearse: Rehearse) -> None:
    """One account's wrong secret is told and gives the exit code; the other is planned all the same."""
    rehearsal = await rehearse(Options(time_scale=SCALE, world=WorldOptions(campaigns=4, recipients=100)))
    url = rehearsal.url
    wrong = {"client_id": "bad-client", "client_secret": "x", "refresh_token": "x", "base_url": url}
    rehearsal.configure(**{"accounts.beta": wrong | {"accounts_url": url}})

    ended = await shown(rehearsal, "run", "--as-of", DATE, "--json")

    assert ended.code == 4, ended.stderr
    assert [account["account"] for account in json.loads(ended.stdout)["accounts"]] == ["acme"]
    assert "beta" in ended.stderr
