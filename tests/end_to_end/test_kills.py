"""Killed at any moment or asked to stop, the same command goes on and nothing is lost."""

import math
import signal

import pytest
from end_to_end.rehearsal import (
    CONCURRENCY,
    DATE,
    TIMEOUT_S,
    Ended,
    Rehearsal,
    Rehearse,
    assert_is_truth,
    assert_is_whole,
)

from harvester.simulator.options import NetworkOptions, Options, WorldOptions
from harvester.simulator.wire import Delay

GO_ON = f"go on with: harvester run --as-of {DATE}"


def slow(latency_s: float = 0.03, campaigns: int = 10) -> Options:
    """A server slow enough that calls are under way at every moment."""
    world = WorldOptions(campaigns=campaigns, recipients_max=1_500)
    return Options(time_scale=50.0, world=world, network=NetworkOptions(latency_s=latency_s))


async def killed_after(rehearsal: Rehearsal, calls: int) -> None:
    """Run until the server has seen so many more calls, then kill -9."""
    program = await rehearsal.start_run()
    await rehearsal.referee.more_calls(calls)
    await program.kill()


def assert_all_there(rehearsal: Rehearsal, ended: Ended) -> None:
    assert ended.code == 0, ended.stderr
    assert_is_truth(rehearsal)
    assert_is_whole(rehearsal)
    assert rehearsal.total("lockouts") == 0


@pytest.mark.parametrize("calls", [1, 9, 60])
async def test_P_03_after_a_kill_the_same_command_completes(rehearse: Rehearse, calls: int) -> None:
    """A kill costs at most the calls that were under way, and not one row."""
    rehearsal = await rehearse(slow(), harvest={"page_size": 100})
    await killed_after(rehearsal, calls)

    ended = await rehearsal.run()

    assert_all_there(rehearsal, ended)
    assert rehearsal.total("calls_wasted") <= CONCURRENCY


async def test_P_05_three_kills_cost_three_times_the_calls_under_way(rehearse: Rehearse) -> None:
    """Killed again and again, also while it recovers, the harvest converges."""
    rehearsal = await rehearse(slow(), harvest={"page_size": 100})
    for calls in (25, 5, 40):
        await killed_after(rehearsal, calls)

    ended = await rehearsal.run()

    assert_all_there(rehearsal, ended)
    assert rehearsal.total("calls_wasted") <= 3 * CONCURRENCY


@pytest.mark.parametrize("pages_ahead", [0, 4])
async def test_P_05_kills_within_one_long_job_repeat_no_page_that_was_stored(
    rehearse: Rehearse, pages_ahead: int
) -> None:
    """A job of many pages goes on where its last stored page ended; a kill costs the next one and those ahead of it."""
    options = Options(world=WorldOptions(campaigns=1, recipients=2_000), network=NetworkOptions(latency_s=0.01))
    harvest = {"page_size": 50, "actions": ["sentcontacts"], "pages_ahead": pages_ahead}
    rehearsal = await rehearse(options, harvest=harvest)
    for _ in range(3):
        await killed_after(rehearsal, 8)

    ended = await rehearsal.run()

    assert ended.code == 0, ended.stderr
    assert_is_truth(rehearsal, actions=("sentcontacts",))
    assert_is_whole(rehearsal)
    assert rehearsal.total("calls_wasted") <= 3 * (1 + pages_ahead)


async def test_P_01_sigterm_finishes_the_calls_under_way_and_says_how_to_go_on(rehearse: Rehearse) -> None:
    """143, the last line tells how much is safe and the command that goes on, and no call is wasted."""
    rehearsal = await rehearse(slow())
    program = await rehearsal.start_run("--json")
    await program.event("job.done")

    program.signal(signal.SIGTERM)
    stopped = await program.ended()

    assert stopped.code == 143, stopped.stderr
    assert "SIGTERM" in stopped.last_line
    assert "are safe in" in stopped.last_line
    assert stopped.last_line.startswith("stopped, resumable")
    assert GO_ON in stopped.last_line
    assert "Traceback" not in stopped.stderr
    assert_all_there(rehearsal, await rehearsal.run())
    assert rehearsal.total("calls_wasted") == 0


async def test_P_02_a_second_sigint_stops_at_once_and_loses_nothing(
    rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """130 without waiting for the calls under way, which nobody answers; the same command completes."""
    rehearsal = await rehearse(slow(campaigns=4))
    program = await rehearsal.start_run()
    await program.event("job.done")

    with monkeypatch.context() as silence:
        silence.setattr(rehearsal.server.zoho, "delay", lambda: Delay(0.0, math.inf))
        await rehearsal.referee.more_calls(CONCURRENCY)
        program.signal(signal.SIGINT)
        await program.event("drain.started")
        program.signal(signal.SIGINT)
        stopped = await program.ended()

    assert stopped.code == 130, stopped.stderr
    assert GO_ON in stopped.last_line
    assert "Traceback" not in stopped.stderr
    assert_all_there(rehearsal, await rehearsal.run())
    assert rehearsal.total("calls_wasted") <= CONCURRENCY


async def test_P_07_a_second_run_is_told_to_wait_and_makes_no_call(rehearse: Rehearse) -> None:
    """Exit 5 at once, if the other has all jobs; the first run, held still meanwhile, is not disturbed."""
    rehearsal = await rehearse(slow(), harvest={"call_timeout_s": TIMEOUT_S})
    first = await rehearsal.start_run()
    await first.event("job.done")
    rehearsal.hold_still(first)
    calls = rehearsal.total("calls")

    second = await rehearsal.run()
    calls_meanwhile = rehearsal.total("calls") - calls
    first.signal(signal.SIGCONT)

    assert second.code == 5, second.stderr
    assert "another run" in second.stderr.lower()
    assert second.events == []
    assert calls_meanwhile <= CONCURRENCY, "only calls of the first run were under way"
    assert_all_there(rehearsal, await first.ended())
    assert rehearsal.total("calls_wasted") == 0


async def test_P_08_a_lock_file_left_behind_holds_nobody(rehearse: Rehearse) -> None:
    """The kernel lets go of the lock of a dead process, whatever its file says."""
    rehearsal = await rehearse(slow(campaigns=1))
    rehearsal.state.mkdir(mode=0o700)
    (rehearsal.state / "lock").write_text("process 1\n")

    ended = await rehearsal.run()

    assert_all_there(rehearsal, ended)


async def test_P_10_a_closed_stderr_does_not_stop_the_run(rehearse: Rehearse) -> None:
    """Whoever listened may go away: the harvest goes on to its end."""
    rehearsal = await rehearse(slow(campaigns=3))
    program = await rehearsal.start_run("-v")
    await program.event("page.stored")

    program.close_stderr()
    ended = await program.ended()

    assert ended.code == 0
    assert_is_truth(rehearsal)
    assert_is_whole(rehearsal)
