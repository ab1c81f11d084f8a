"""What `status` and `--json` say is what the ledger holds, before, during and after a run."""

import json
import signal
import sqlite3
from contextlib import closing

from end_to_end.rehearsal import BAD_KEY, CONCURRENCY, DATE, TIMEOUT_S, Ended, Rehearsal, Rehearse, assert_is_truth

from harvester.simulator.options import NetworkOptions, Options, WorldOptions
from harvester.simulator.world import ACTIONS


def small(latency_s: float = 0.0) -> Options:
    return Options(
        time_scale=50.0,
        world=WorldOptions(campaigns=4, recipients=30),
        network=NetworkOptions(latency_s=latency_s),
    )


def jobs_in_ledger(rehearsal: Rehearsal) -> dict[str, int]:
    with closing(sqlite3.connect(f"file:{rehearsal.state}/ledger.sqlite?mode=ro", uri=True)) as ledger:
        return dict(ledger.execute("SELECT state, count(*) FROM jobs GROUP BY state"))


def without_zeros(jobs: dict[str, int]) -> dict[str, int]:
    return {state: number for state, number in jobs.items() if number}


async def test_status_before_any_run_says_how_to_begin(rehearse: Rehearse) -> None:
    """There is no ledger yet: exit 2 with the command that makes one, and none is made by looking."""
    rehearsal = await rehearse(small())

    ended = await (await rehearsal.start("status")).ended()

    assert ended.code == 2
    assert "there is no ledger yet" in ended.stderr
    assert "harvester run" in ended.stderr
    assert not rehearsal.state.exists()


async def test_status_beside_a_run_only_reads(rehearse: Rehearse) -> None:
    """While a run holds the state, status tells where it stands, makes no call and changes nothing."""
    rehearsal = await rehearse(small(latency_s=0.2), harvest={"call_timeout_s": TIMEOUT_S})
    program = await rehearsal.start_run()
    await program.event("job.done")
    rehearsal.hold_still(program)
    before, calls = lasting_bytes(rehearsal), rehearsal.total("calls")

    ended = await (await rehearsal.start("status", "--json")).ended()
    after, calls_meanwhile = lasting_bytes(rehearsal), rehearsal.total("calls") - calls
    shown = json.loads(ended.stdout)["harvests"][0]["jobs"]
    in_ledger = jobs_in_ledger(rehearsal)
    program.signal(signal.SIGCONT)

    assert ended.code == 0, ended.stderr
    assert shown["done"] >= 1
    assert shown["pending"] + shown["running"] >= 1
    assert without_zeros(shown) == in_ledger
    assert after == before
    assert calls_meanwhile <= CONCURRENCY, "only calls of the run were under way"
    assert (await program.ended()).code == 0
    assert_is_truth(rehearsal)


async def test_P3_running_can_be_told_from_killed(rehearse: Rehearse) -> None:
    """The manifest names the run from its begin; `status` names it while it lives, and not once it was killed."""
    rehearsal = await rehearse(small(latency_s=0.2), harvest={"call_timeout_s": TIMEOUT_S})
    program = await rehearsal.start_run()
    await program.event("job.done")
    rehearsal.hold_still(program)

    manifest, beside = rehearsal.manifest(), json.loads((await status(rehearsal)).stdout)["harvests"][0]
    await program.kill()
    left, after = rehearsal.manifest(), json.loads((await status(rehearsal)).stdout)["harvests"][0]
    ended = await rehearsal.run()
    whole = rehearsal.manifest()

    assert (manifest["state"], manifest["finished_at"]) == ("running", None)
    assert beside["runs_at_work"] == [manifest["run_id"]]
    assert (left, after["runs_at_work"]) == (manifest, [])
    assert (ended.code, whole["state"]) == (0, "complete")
    assert whole["run_id"] != manifest["run_id"]
    assert whole["config_sha256"] == manifest["config_sha256"] is not None
    assert whole["started_at"] <= whole["finished_at"]
    assert all(job["started_at"] <= job["finished_at"] for job in whole["jobs"])


async def status(rehearsal: Rehearsal) -> Ended:
    return await (await rehearsal.start("status", "--json")).ended()


async def test_status_after_a_run_agrees_with_ledger_manifest_and_summary(rehearse: Rehearse) -> None:
    """Jobs, rows, bytes, calls and problems are the same numbers wherever they are shown."""
    rehearsal = await rehearse(small())
    good = [campaign.key for campaign in rehearsal.world.campaigns]
    rehearsal.configure(harvest={"campaigns": [*good, BAD_KEY]})

    run = await rehearsal.run("--json")
    status = await (await rehearsal.start("status", "--json")).ended()
    lines = await (await rehearsal.start("status")).ended()

    summary, shown, manifest = json.loads(run.stdout), json.loads(status.stdout), rehearsal.manifest()
    account, harvest = summary["accounts"][0], shown["harvests"][0]
    assert (run.code, summary["exit_code"], status.code, lines.code) == (3, 3, 0, 0)
    assert without_zeros(account["jobs"]) == jobs_in_ledger(rehearsal) == {"done": 36, "failed": len(ACTIONS)}
    assert account["jobs"] == harvest["jobs"] == manifest["jobs_by_state"]
    assert account["rows"] == harvest["rows"] == manifest["rows"]
    assert account["bytes"] == harvest["bytes"] == manifest["bytes"]
    assert account["calls"] == harvest["calls"] == manifest["calls"] == rehearsal.sheet()["calls"]
    assert account["not_done"] == harvest["problems"]
    assert summary["run_id"] == manifest["run_id"]
    assert (harvest["account"], harvest["date"]) == ("acme", DATE)
    assert "invalid campaign key" in lines.stdout.lower()


async def test_status_shows_how_much_of_the_budget_is_left(rehearse: Rehearse) -> None:
    """Right after a run the window still holds its calls; the rest is free."""
    rehearsal = await rehearse(small(), budget={"period_s": 3600.0})
    await rehearsal.run()

    ended = await (await rehearsal.start("status", "--json")).ended()

    budgets = {budget["endpoint"]: budget for budget in json.loads(ended.stdout)["budgets"]}
    recipients = budgets["getcampaignrecipientsdata"]
    assert recipients["calls_used"] == rehearsal.sheet()["calls"]
    assert recipients["calls_used"] + recipients["calls_free"] == 499
    assert recipients["lockout_until"] is None
    assert budgets["recentcampaigns"]["calls_used"] == rehearsal.sheet("recentcampaigns")["calls"]


def lasting_bytes(rehearsal: Rehearsal) -> dict[str, bytes]:
    """Return every file but the ledger's shared memory, which readers use too."""
    return {name: content for name, content in rehearsal.all_bytes().items() if not name.endswith("-shm")}
