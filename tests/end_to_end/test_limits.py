"""The limit is kept over real sockets: for every way of counting, over kills, and by several processes at once."""

import asyncio
import sqlite3
from contextlib import closing

import pytest
from end_to_end.rehearsal import CONCURRENCY, DATE, Rehearsal, Rehearse, assert_is_truth, assert_is_whole

from harvester.simulator.options import (
    CountedAt,
    Counting,
    LocksAt,
    NetworkOptions,
    Options,
    QuotaOptions,
    WorldOptions,
)

TIME_SCALE = 75.0
CALLS = 60


def jittery(counting: Counting = Counting.SLIDING, campaigns: int = 14) -> Options:
    """A sixth of the documented limit; calls arrive anywhere within their latency, and the 60th locks."""
    return Options(
        time_scale=TIME_SCALE,
        world=WorldOptions(campaigns=campaigns, recipients=30),
        quota=QuotaOptions(
            calls=CALLS, period_s=75.0, lock_s=450.0, counting=counting, locks_at=LocksAt.AT, phase_s=20
        ),
        network=NetworkOptions(latency_s=0.005, jitter_s=0.1, counted_at=CountedAt.UNIFORM),
    )


def assert_limit_kept(rehearsal: Rehearsal) -> None:
    assert rehearsal.total("lockouts") == 0
    assert rehearsal.worst_window_calls() < CALLS


@pytest.mark.parametrize("counting", list(Counting))
async def test_R_01_R_02_no_way_of_counting_is_overrun(rehearse: Rehearse, counting: Counting) -> None:
    """However the server counts, and wherever in its latency, a harvest of three windows causes no lockout."""
    rehearsal = await rehearse(jittery(counting))

    ended = await rehearsal.run()

    assert ended.code == 0, ended.stderr
    assert_limit_kept(rehearsal)
    assert_is_truth(rehearsal)
    assert rehearsal.sheet()["calls"] > 2 * CALLS


async def test_R_09_five_kills_cause_no_lockout(rehearse: Rehearse) -> None:
    """Killed five times in one harvest: no window is overrun, and at most the calls in flight are repeated."""
    rehearsal = await rehearse(jittery())
    for _ in range(5):
        program = await rehearsal.start_run()
        await rehearsal.referee.more_calls(CALLS // 4)
        await program.kill()

    ended = await rehearsal.run()

    assert ended.code == 0, ended.stderr
    assert_limit_kept(rehearsal)
    assert_is_truth(rehearsal)
    assert_is_whole(rehearsal)
    assert rehearsal.total("calls_wasted") <= 5 * CONCURRENCY


async def test_R_13_two_processes_share_one_budget_and_no_job(rehearse: Rehearse) -> None:
    """Two harvests at once on one state folder keep the limit together, and harvest nothing twice."""
    rehearsal = await rehearse(jittery())
    keys = [campaign.key for campaign in rehearsal.world.campaigns]
    halves = [[flag for key in half for flag in ("--campaign", key)] for half in (keys[:8], keys[4:])]

    programs = [await rehearsal.start_run(*half) for half in halves]
    ended = await asyncio.gather(*(program.ended() for program in programs))

    assert [each.code for each in ended] == [0, 0], [each.stderr for each in ended]
    assert_limit_kept(rehearsal)
    assert_is_truth(rehearsal)
    assert_is_whole(rehearsal)
    assert rehearsal.total("pages_served_twice") == 0


async def test_R_13_a_backfill_beside_a_run_keeps_the_limit_and_ends_as_well(rehearse: Rehearse) -> None:
    """Two commands on one budget, each with its share: no window is overrun, and neither waits for ever."""
    rehearsal = await rehearse(jittery())
    keys = [campaign.key for campaign in rehearsal.world.campaigns]
    halves = [[flag for key in half for flag in ("--campaign", key)] for half in (keys[:7], keys[7:])]

    programs = [
        await rehearsal.start("backfill", "--as-of", DATE, *halves[0]),
        await rehearsal.start_run(*halves[1]),
    ]
    ended = await asyncio.gather(*(program.ended() for program in programs))

    assert [each.code for each in ended] == [0, 0], [each.stderr for each in ended]
    assert_limit_kept(rehearsal)
    assert_is_truth(rehearsal)
    with closing(sqlite3.connect(rehearsal.state / "ledger.sqlite")) as ledger:
        assert {command for (command,) in ledger.execute("SELECT DISTINCT command FROM calls")} == {"backfill", "run"}
        assert ledger.execute("SELECT * FROM demands").fetchall() == []
