"""What was harvested is held against the server's own counters, over real HTTP."""

from collections import Counter
from dataclasses import replace
from typing import Any

from end_to_end.rehearsal import Ended, Rehearsal, Rehearse, assert_is_truth, assert_is_whole

from harvester.engine.proof import DOUBT_CALLS_MIN, SAMPLES
from harvester.simulator.options import AnswerOptions, LockedAnswer, Options, QuotaOptions, WorldOptions
from harvester.simulator.set_options import (
    CounterFault,
    CounterOptions,
    Damage,
    PagingFault,
    PagingOptions,
    QuirkOptions,
    RepeatOptions,
    Shift,
    ShiftOptions,
)
from harvester.simulator.wire import API_PREFIX, Request
from harvester.simulator.world import ACTIONS, Kind

REPORTS = "campaignreports"
PAGE = {"harvest": {"page_size": 10}}
NIGHT = Options(time_scale=50.0, world=WorldOptions(campaigns=12, recipients=35))


def verdicts(rehearsal: Rehearsal) -> Counter[str]:
    """The findings of the manifest, by their first word."""
    return Counter(str(job["verdict"]).split()[0] for job in rehearsal.manifest()["jobs"])


def lines_about(ended: Ended, word: str) -> list[str]:
    return [line for line in ended.stderr.splitlines() if not line.startswith("{") and word in line]


def told(ended: Ended, name: str) -> list[dict[str, Any]]:
    return [event for event in ended.events if event["event"] == name]


async def test_P2_every_job_of_a_quiet_night_is_proven(rehearse: Rehearse) -> None:
    """One report a campaign proves all nine jobs, and the same command asks for none again."""
    rehearsal = await rehearse(NIGHT, **PAGE)

    ended = await rehearsal.run()

    manifest = rehearsal.manifest()
    assert ended.code == 0, ended.stderr
    assert verdicts(rehearsal) == {"proven": 12 * 9}
    assert all(job["counter"] == job["rows"] for job in manifest["jobs"])
    assert all(job["consistency"] == ("steady" if job["rows"] < 10 else "unchecked") for job in manifest["jobs"])
    assert [campaign["counters"]["sentcontacts"] for campaign in manifest["campaigns"]] == [35] * 12
    assert all(campaign["broken_laws"] == {} for campaign in manifest["campaigns"])
    assert rehearsal.sheet(REPORTS)["calls"] == 12
    assert "108 proven" in ended.stderr
    calls = rehearsal.total("calls")
    again = await rehearsal.run()
    assert (again.code, rehearsal.total("calls")) == (0, calls)


async def test_P2_sets_that_end_too_early_are_harvested_again(rehearse: Rehearse) -> None:
    """A server that says "no more rows" too early, once, is not believed: its counters tell."""
    paging = PagingOptions(kinds=(PagingFault.EARLY_END,), share=0.2, until_calls=2)
    rehearsal = await rehearse(replace(NIGHT, paging=paging), **PAGE)

    ended = await rehearsal.run()

    (doubted,) = told(ended, "jobs.doubted")
    assert ended.code == 0, ended.stderr
    assert_is_truth(rehearsal)
    assert_is_whole(rehearsal)
    assert verdicts(rehearsal) == {"proven": 12 * 9}
    assert (doubted["jobs"] > 0, doubted["left"]) == (True, 0)
    assert told(ended, "harvest.judged")[-1]["short"] == 0


async def test_P2_a_second_shortfall_is_said_and_fails_nothing(rehearse: Rehearse) -> None:
    """Twice the same: the rows are kept, and manifest, summary and status say how many are missing."""
    paging = PagingOptions(kinds=(PagingFault.EARLY_END,), share=0.2)
    rehearsal = await rehearse(replace(NIGHT, paging=paging), **PAGE)

    ended = await rehearsal.run()

    short = [job for job in rehearsal.manifest()["jobs"] if job["verdict"].startswith("short")]
    assert ended.code == 0, ended.stderr
    assert short
    assert {job["verdict"] for job in short} == {f"short by {job['counter'] - 10}" for job in short}
    assert {(job["state"], job["rows"]) for job in short} == {("done", 10)}
    assert len(told(ended, "jobs.doubted")) == 1
    (line,) = lines_about(ended, "short of the server's counters")
    assert f"acme: {len(short)} jobs" in line
    assert f"{len(short)} of them harvested twice" in line
    status = await (await rehearsal.start("status")).ended()
    assert f"acme\t2026-01-15\t{108 - len(short)}\t{len(short)}\t0\t0" in status.stdout
    calls = rehearsal.total("calls")
    again = await rehearsal.run()
    assert (again.code, rehearsal.total("calls"), len(lines_about(again, "short of"))) == (0, calls, 1)


async def test_P2_a_run_that_names_its_campaigns_uses_up_no_doubt(rehearse: Rehearse) -> None:
    """It asks no counters and makes no verdicts; the nightly run after it finds the shortfalls and follows them up."""
    paging = PagingOptions(kinds=(PagingFault.EARLY_END,))
    rehearsal = await rehearse(replace(NIGHT, paging=paging, world=WorldOptions(campaigns=1, recipients=35)), **PAGE)
    await rehearsal.run()
    named = await rehearsal.run("--campaign", rehearsal.campaigns(Kind.NORMAL)[0].key, "--refresh")
    assert (told(named, "jobs.doubted"), verdicts(rehearsal)) == ([], {"None": 9})

    nightly = await rehearsal.run()

    assert nightly.code == 0, nightly.stderr
    assert [event["jobs"] for event in told(nightly, "jobs.doubted")] == [3]
    assert (rehearsal.date_folder / "_SUCCESS").exists()


async def test_P2_a_counter_that_never_fits_is_doubted_itself(rehearse: Rehearse) -> None:
    """Where every set is off in the same way a few samples are harvested again, and the counter is named."""
    counters = CounterOptions(share=1.0, kinds=(CounterFault.OFF,), off_by=3)
    options = replace(NIGHT, world=WorldOptions(campaigns=15, recipients=120), counters=counters)
    rehearsal = await rehearse(options)

    ended = await rehearsal.run()

    (doubted,) = told(ended, "jobs.doubted")
    misfits = {event["action"]: event["direction"] for event in told(ended, "counter.misfits")}
    assert ended.code == 0, ended.stderr
    assert_is_truth(rehearsal)
    assert misfits["sentcontacts"] == "short"
    assert doubted["jobs"] <= SAMPLES * len(ACTIONS) < doubted["left"]
    assert lines_about(ended, "sentcontacts does not list what emails_sent_count counts")
    assert rehearsal.sheet()["calls"] <= rehearsal.sheet()["kinds"]["page"] + 15 * 9 + DOUBT_CALLS_MIN


async def test_P2_counters_that_cannot_be_read_leave_verdicts_unknown(rehearse: Rehearse) -> None:
    """Blank, missing, negative and "null" counters prove nothing, and are taken for nothing."""
    kinds = (CounterFault.MISSING, CounterFault.BLANK, CounterFault.NEGATIVE, CounterFault.NULL)
    rehearsal = await rehearse(replace(NIGHT, counters=CounterOptions(share=1.0, kinds=kinds)), **PAGE)

    ended = await rehearsal.run()

    assert ended.code == 0, ended.stderr
    assert verdicts(rehearsal) == {"unknown": 12 * 9}
    assert {job["counter"] for job in rehearsal.manifest()["jobs"]} == {None}


async def test_P2_repeated_contacts_are_dropped_and_told(rehearse: Rehearse) -> None:
    """Counters that count a contact once are met without its repetitions."""
    options = replace(NIGHT, repeats=RepeatOptions(share=0.3, page_rows=10))
    rehearsal = await rehearse(options, **PAGE)

    ended = await rehearsal.run()

    jobs = rehearsal.manifest()["jobs"]
    assert ended.code == 0, ended.stderr
    assert sum(job["duplicates"] for job in jobs) > 0
    assert verdicts(rehearsal) == {"proven": 12 * 9}


async def test_P2_rows_that_cannot_be_read_are_counted_listed_and_asked_for_again(rehearse: Rehearse) -> None:
    """Exit code 3 and where the answers lie; with the rows in quarantine the counters add up all the same."""
    quirks = QuirkOptions(damaged_share=0.02, damages=(Damage.INVALID_UTF8, Damage.NOT_OBJECT))
    rehearsal = await rehearse(replace(NIGHT, quirks=quirks), **PAGE)

    ended = await rehearsal.run()

    jobs = rehearsal.manifest()["jobs"]
    partial = [job for job in jobs if job["state"] == "partial"]
    assert ended.code == 3, ended.stderr
    assert partial
    assert all((rehearsal.output / path).is_file() for job in partial for path in job["quarantine"])
    assert all(job["quarantine"] and job["rows"] + job["unreadable_rows"] == job["counter"] for job in partial)
    assert verdicts(rehearsal) == {"proven": 12 * 9}
    assert lines_about(ended, f"acme: {len(partial)} jobs, ")[0].count("_quarantine/account=acme") == 1
    assert ended.last_line.startswith("partial: some rows could not be read")
    assert not (rehearsal.date_folder / "_SUCCESS").exists()
    again = await rehearsal.run()
    assert told(again, "harvest.started")[0]["jobs_open"] == len(partial)


async def test_a_locked_report_endpoint_leaves_the_harvest_alone(rehearse: Rehearse) -> None:
    """Somebody else has used up the reports: all rows are harvested, no verdict is known, and that is said once."""
    quota = QuotaOptions(calls=200, lock_s=100_000.0)
    options = replace(NIGHT, quota=quota, answers=AnswerOptions(locked=LockedAnswer.ENVELOPE))
    rehearsal = await rehearse(options, **PAGE)
    zoho, token = rehearsal.server.zoho, rehearsal.foreign_token()
    foreign = Request(f"{API_PREFIX}{REPORTS}", {"resfmt": "JSON"}, {"authorization": f"Zoho-oauthtoken {token}"})
    for _ in range(quota.calls + 1):
        zoho.answer(foreign, rehearsal.server.now_s())
    before = rehearsal.sheet(REPORTS)["calls"]

    ended = await rehearsal.run("--on-lockout", "exit")

    (missing,) = told(ended, "counters.missing")
    assert ended.code == 0, ended.stderr
    assert_is_truth(rehearsal)
    assert verdicts(rehearsal) == {"unknown": 12 * 9}
    assert (missing["campaigns"], "campaignreports is locked" in missing["reason"]) == (12, True)
    assert rehearsal.sheet(REPORTS)["calls"] - before <= 4


async def test_campaigns_without_privilege_are_no_trouble_of_the_others(rehearse: Rehearse) -> None:
    """A campaign whose report is refused stays unknown; the jobs of all others are proven."""
    world = WorldOptions(campaigns=12, recipients=35, forbidden_share=0.3)
    rehearsal = await rehearse(replace(NIGHT, world=world), **PAGE)

    ended = await rehearsal.run()

    forbidden, normal = len(rehearsal.campaigns(Kind.FORBIDDEN)), len(rehearsal.campaigns(Kind.NORMAL))
    assert ended.code == 3, ended.stderr
    assert forbidden
    assert verdicts(rehearsal) == {"proven": normal * 9, "None": forbidden * 9}
    assert told(ended, "counters.missing")[0]["campaigns"] == forbidden


async def test_counters_are_asked_for_discovered_campaigns_only(rehearse: Rehearse) -> None:
    """Named campaigns, and the setting, leave the reports alone; then there is no word of proof either."""
    rehearsal = await rehearse(NIGHT, harvest={"page_size": 10, "counters": False})
    ended = await rehearsal.run()
    assert (ended.code, rehearsal.sheet(REPORTS), told(ended, "harvest.judged")) == (0, {}, [])
    assert {job["verdict"] for job in rehearsal.manifest()["jobs"]} == {None}

    rehearsal.configure(**PAGE)
    key = rehearsal.campaigns(Kind.NORMAL)[0].key
    ended = await rehearsal.run("--campaign", key, "--refresh")
    assert (ended.code, rehearsal.sheet(REPORTS)) == (0, {})


async def test_a_refreshed_date_is_counted_anew(rehearse: Rehearse) -> None:
    """Old counters would judge new rows: they are asked for again, and the verdicts made again."""
    rehearsal = await rehearse(NIGHT, **PAGE)
    await rehearsal.run()

    ended = await rehearsal.run("--refresh")

    assert (ended.code, rehearsal.sheet(REPORTS)["calls"]) == (0, 24)
    assert verdicts(rehearsal) == {"proven": 12 * 9}


async def test_laws_that_moving_sets_break_are_remarks(rehearse: Rehearse) -> None:
    """New contacts in one set that are in no other break laws: said by campaign and law, and nothing fails."""
    shifts = ShiftOptions(share=1.0, kinds=(Shift.BACK,), moves_max=3)
    options = replace(NIGHT, world=WorldOptions(campaigns=3, recipients=100), shifts=shifts)
    rehearsal = await rehearse(options, **PAGE)

    ended = await rehearsal.run()

    manifest = rehearsal.manifest()
    assert ended.code in {0, 3}, ended.stderr
    broken = [campaign["broken_laws"] for campaign in manifest["campaigns"]]
    assert any("openedcontacts within sentcontacts" in laws for laws in broken)
    assert lines_about(ended, "not openedcontacts within sentcontacts")
    assert "@" not in str(manifest["campaigns"])
