"""Nights in a row, and backfills, over real HTTP: what changed is read, the rest is carried, and nothing is lost."""

import datetime as dt
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from end_to_end.rehearsal import CLIENT_ID, Ended, Rehearsal, Rehearse, _lines

from harvester.simulator.age_options import AgeOptions
from harvester.simulator.endpoints import RECIPIENTS
from harvester.simulator.options import FaultKind, FaultOptions, NetworkOptions, Options, WorldOptions
from harvester.simulator.world import ACTIONS, Kind, World

FIRST_DAY = dt.date(2025, 10, 9)
"""Day 0 of the practised world."""

KINDS = (Kind.NORMAL, Kind.AB)


def world(campaigns: int = 8, day: float = 6.5, **more: Any) -> Options:
    return Options(
        time_scale=50.0,
        world=WorldOptions(campaigns=campaigns, recipients=120, **more.pop("world", {})),
        age=AgeOptions(day=day, **more.pop("age", {})),
        network=NetworkOptions(latency_s=0.005),
        **more,
    )


def date_of(rehearsal: Rehearsal) -> str:
    assert rehearsal.world.day is not None
    return (FIRST_DAY + dt.timedelta(days=int(rehearsal.world.day))).isoformat()


def dates_of(rehearsal: Rehearsal) -> list[str]:
    return sorted(path.name for path in rehearsal.output.glob("recipients/account=acme/dt=*"))


async def nightly(rehearsal: Rehearsal, *flags: str) -> Ended:
    program = await rehearsal.start("nightly", "--as-of", date_of(rehearsal), *flags)
    return await program.ended()


def manifest_of(rehearsal: Rehearsal, date: str) -> dict[str, Any]:
    folder = rehearsal.output / "recipients" / "account=acme" / f"dt={date}"
    return dict(json.loads((folder / "_manifest.json").read_bytes()))


def snapshot(rehearsal: Rehearsal, date: str) -> Iterator[tuple[str, str, list[str]]]:
    """Give campaign key, action and contact ids of every set, as a reader of one date finds them: by the manifest."""
    for job in manifest_of(rehearsal, date)["jobs"]:
        assert job["state"] in {"done", "carried"}
        records = map(json.loads, _lines(rehearsal.output / job["path"]))
        yield job["campaign_key"], job["action"], [record["contact_id"] for record in records]


def assert_snapshot_is_truth(rehearsal: Rehearsal) -> None:
    date, seen = date_of(rehearsal), set()
    for key, action, contacts in snapshot(rehearsal, date):
        assert contacts == list(rehearsal.world.truth(key, action)), (key, action)
        seen.add((key, action))
    sent = [campaign for campaign in rehearsal.campaigns(*KINDS) if rehearsal.world.is_sent(campaign)]
    keys = {key for campaign in sent for key in (campaign.key, *campaign.child_keys)}
    assert seen == {(key, action) for key in keys for action in ACTIONS}
    assert (rehearsal.output / "recipients" / "account=acme" / f"dt={date}" / "_SUCCESS").exists()


def calls(rehearsal: Rehearsal, endpoint: str = RECIPIENTS) -> int:
    return int(rehearsal.sheet(endpoint).get("calls", 0))


@pytest.mark.parametrize("carry", ["reference", "hardlink", "copy"])
async def test_three_nights_hold_the_truth_and_read_what_moved(rehearse: Rehearse, carry: str) -> None:
    """Each night's manifest leads to all sets as they are, however they are carried, and few are read."""
    rehearsal = await rehearse(world(world={"ab_share": 0.3}), nightly={"carry": carry})

    for day in (6.5, 7.5, 8.5):
        rehearsal.server.zoho.advance_to(day)
        before, read_before = calls(rehearsal), day > 6.5
        ended = await nightly(rehearsal)

        assert ended.code == 0, ended.stderr
        assert_snapshot_is_truth(rehearsal)
        jobs = manifest_of(rehearsal, date_of(rehearsal))["jobs"]
        moved = sum(
            rehearsal.world.changed_on(job["campaign_key"], job["action"], day - 1) or job["carried_from"] is None
            for job in jobs
        )
        assert calls(rehearsal) - before <= 1.1 * moved + 2
        assert any(job["state"] == "carried" for job in jobs) == read_before
    assert (await (await rehearsal.start("verify")).ended()).code == 0


async def test_quiet_night_asks_for_no_recipients(rehearse: Rehearse) -> None:
    """Where no counter moved, a night costs the listing and the reports, and its manifest describes everything."""
    rehearsal = await rehearse(world())
    await nightly(rehearsal)
    before = calls(rehearsal)

    program = await rehearsal.start("nightly", "--as-of", "2025-10-16")
    ended = await program.ended()

    assert ended.code == 0, ended.stderr
    assert calls(rehearsal) == before
    assert {job["state"] for job in manifest_of(rehearsal, "2025-10-16")["jobs"]} == {"carried"}
    assert manifest_of(rehearsal, "2025-10-16")["rows"] == manifest_of(rehearsal, "2025-10-15")["rows"]


async def test_P2_nights_after_a_person_was_forgotten_carry_what_is_left(rehearse: Rehearse) -> None:
    """Counters that count the person still make no doubt and no call, on that date or the next, and proofs stand."""
    rehearsal = await rehearse(world(), changes={"enabled": True})
    await nightly(rehearsal)
    before, manifest = calls(rehearsal), manifest_of(rehearsal, date_of(rehearsal))
    path = next(job["path"] for job in manifest["jobs"] if job["rows"])
    said = rehearsal.folder / "address.txt"
    said.write_text(json.loads(_lines(rehearsal.output / path)[0])["email"])

    def say() -> None:
        os.dup2(os.open(said, os.O_RDONLY), 0)

    forgot = await (await rehearsal.start("forget", before=say)).ended()
    again = await nightly(rehearsal)
    ended = await (await rehearsal.start("nightly", "--as-of", "2025-10-16")).ended()

    first, second = (manifest_of(rehearsal, date) for date in (date_of(rehearsal), "2025-10-16"))
    assert (forgot.code, again.code, ended.code) == (0, 0, 0), ended.stderr
    assert calls(rehearsal) == before
    assert manifest["rows"] > first["rows"] == second["rows"]
    assert {job["state"] for job in second["jobs"]} == {"carried"}
    assert [job["verdict"] for job in second["jobs"]] == [job["verdict"] for job in manifest["jobs"]]
    assert (await (await rehearsal.start("verify")).ended()).code == 0


async def test_same_night_again_asks_nothing_of_anybody(rehearse: Rehearse) -> None:
    """A repeated command costs no call of any kind."""
    rehearsal = await rehearse(world())
    await nightly(rehearsal)
    before = rehearsal.total("calls")

    again = await nightly(rehearsal)

    assert again.code == 0
    assert rehearsal.total("calls") == before


async def test_P_01_night_that_is_killed_goes_on(rehearse: Rehearse) -> None:
    """Killed in the middle, the same command comes to the truth, and repeats no more than what was under way."""
    rehearsal = await rehearse(world())
    await nightly(rehearsal)
    rehearsal.server.zoho.advance_to(7.5)
    program = await rehearsal.start("nightly", "--as-of", date_of(rehearsal))
    await rehearsal.referee.more_calls(10)
    await program.kill()

    ended = await nightly(rehearsal)

    assert ended.code == 0, ended.stderr
    assert_snapshot_is_truth(rehearsal)
    assert rehearsal.total("lockouts") == 0


async def test_night_without_counters_reads_what_is_due(rehearse: Rehearse) -> None:
    """Where the reports fail for good, every set that is due by its age is read, and that is told."""
    broken = FaultOptions(share=1.0, kinds=(FaultKind.HTTP_503,), endpoints=("campaignreports",))
    rehearsal = await rehearse(world(campaigns=3, faults=broken), budget={"period_s": 2.0, "lock_s": 10.0})
    await nightly(rehearsal)
    rehearsal.server.zoho.advance_to(7.5)

    ended = await nightly(rehearsal)

    assert ended.code == 0, ended.stderr
    assert_snapshot_is_truth(rehearsal)
    assert [event["campaigns"] for event in ended.events if event["event"] == "counters.missing"] == [3]


async def test_campaigns_that_are_listed_no_more_stay_in_the_snapshot(rehearse: Rehearse) -> None:
    """A listing that comes out empty by mistake loses no set, is told, and is asked for again by the next run."""
    rehearsal = await rehearse(world(campaigns=4))
    await nightly(rehearsal)
    world_of_today = rehearsal.world
    rehearsal.server.zoho._worlds[CLIENT_ID] = World(
        replace(rehearsal.options, world=WorldOptions(campaigns=0)), CLIENT_ID
    )

    empty = await (await rehearsal.start("nightly", "--as-of", "2025-10-16")).ended()
    rehearsal.server.zoho._worlds[CLIENT_ID] = world_of_today
    whole = await (await rehearsal.start("nightly", "--as-of", "2025-10-16")).ended()

    assert (empty.code, whole.code) == (0, 0), empty.stderr + whole.stderr
    assert [event["campaigns"] for event in empty.events if event["event"] == "campaigns.unlisted"] == [4]
    assert [event for event in whole.events if event["event"] == "campaigns.unlisted"] == []
    assert len(list(snapshot(rehearsal, "2025-10-16"))) == 4 * len(ACTIONS)
    assert manifest_of(rehearsal, "2025-10-16")["listing"]["campaigns"] == 4


async def test_second_run_of_the_night_leaves_with_a_clear_word(rehearse: Rehearse) -> None:
    """While one run is at work on all that is left, another one ends with 5 and makes no call for rows."""
    rehearsal = await rehearse(world(), harvest={"concurrency": 1})
    first = await rehearsal.start("nightly", "--as-of", date_of(rehearsal))
    await first.event("harvest.started")
    rehearsal.hold_still(first)
    before = calls(rehearsal)

    second = await nightly(rehearsal)

    assert second.code == 5, second.stderr
    assert "is at work on" in second.last_line
    assert calls(rehearsal) == before


async def test_old_campaigns_are_left_to_a_backfill(rehearse: Rehearse) -> None:
    """What was never read and is beyond the last age costs a night nothing; once a backfill read it, it is carried."""
    ages = [{"to_day": 3, "every_days": 1}]
    rehearsal = await rehearse(world(), nightly={"refresh": ages})
    await nightly(rehearsal)
    young = {job["campaign_key"] for job in manifest_of(rehearsal, date_of(rehearsal))["jobs"]}
    assert len(young) == 4

    filled = await (await rehearsal.start("backfill", "--as-of", date_of(rehearsal), "--until", "2025-10-11")).ended()

    assert filled.code == 0, filled.stderr
    assert_backfilled = manifest_of(rehearsal, date_of(rehearsal))["jobs"]
    assert len({job["campaign_key"] for job in assert_backfilled}) == 7
    rehearsal.server.zoho.advance_to(7.5)
    await nightly(rehearsal)
    jobs = manifest_of(rehearsal, date_of(rehearsal))["jobs"]
    assert len({job["campaign_key"] for job in jobs}) == 8
    assert {job["state"] for job in jobs if job["campaign_key"] not in young} == {"carried", "done"}


async def test_backfill_reads_each_set_once_over_all_its_runs(rehearse: Rehearse) -> None:
    """Stopped and gone on with, for the same date or another one, no set is read twice."""
    rehearsal = await rehearse(world())
    stopped = await rehearsal.start("backfill", "--as-of", "2026-01-01", "--order", "largest")
    await rehearsal.referee.more_calls(20)
    await stopped.kill()
    under_way = 8 + 8

    on = await (await rehearsal.start("backfill", "--as-of", "2026-01-01", "--order", "largest")).ended()
    other = await (await rehearsal.start("backfill", "--as-of", "2026-01-02")).ended()

    assert (on.code, other.code) == (0, 0), on.stderr + other.stderr
    sets = len(manifest_of(rehearsal, "2026-01-02")["jobs"])
    assert {job["state"] for job in manifest_of(rehearsal, "2026-01-02")["jobs"]} == {"carried"}
    assert sets <= calls(rehearsal) <= sets + under_way


async def test_unfinished_backfill_keeps_its_date(rehearse: Rehearse) -> None:
    """Without --as-of the same command goes on with the date on which it was begun, and says so."""
    rehearsal = await rehearse(world(campaigns=4))
    yesterday = (dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)).isoformat()
    begun = await rehearsal.start("backfill", "--as-of", yesterday)
    await rehearsal.referee.more_calls(5)
    await begun.kill()

    ended = await (await rehearsal.start("backfill")).ended()

    assert ended.code == 0, ended.stderr
    assert f"going on with the backfill of {yesterday}" in ended.stderr
    assert manifest_of(rehearsal, yesterday)["state"] == "complete"
    assert dates_of(rehearsal) == [f"dt={yesterday}"]


async def test_backfill_is_narrowed_by_the_day_of_sending(rehearse: Rehearse) -> None:
    """--since and --until are days of sending in UTC, both included."""
    rehearsal = await rehearse(world())

    span = ("--since", "2025-10-10", "--until", "2025-10-11")
    await (await rehearsal.start("backfill", "--as-of", "2026-01-01", *span)).ended()

    keys = {job["campaign_key"] for job in manifest_of(rehearsal, "2026-01-01")["jobs"]}
    assert keys == {campaign.key for campaign in rehearsal.campaigns(*KINDS)[1:3]}


async def test_trouble_of_one_account_stops_no_other(rehearse: Rehearse) -> None:
    """A refused token ends its own account, with 4; the other one's night is whole."""
    rehearsal = await rehearse(world(campaigns=3))
    text = (rehearsal.folder / "config.toml").read_text()
    other = text[text.index("[accounts.acme]") : text.index("[budget]")].replace("acme", "other")
    refused = other.replace('refresh_token = "practice"', 'refresh_token = "bad-token"')
    (rehearsal.folder / "config.toml").write_text(text + refused)

    ended = await nightly(rehearsal)

    assert ended.code == 4, ended.stderr
    assert_snapshot_is_truth(rehearsal)
