"""Another tool of the same account runs into the limit: we wait it out, and lose nothing."""

import pytest
from end_to_end.rehearsal import CLIENT_ID, CONCURRENCY, DATE, Rehearsal, Rehearse, assert_is_truth, assert_is_whole

from harvester.simulator.endpoints import RECIPIENTS
from harvester.simulator.options import AnswerOptions, LockedAnswer, NetworkOptions, Options, QuotaOptions, WorldOptions
from harvester.simulator.quota import Verdict
from harvester.simulator.wire import API_PREFIX, Request

CALLS = 60
RECOGNISED = [answer for answer in LockedAnswer if answer is not LockedAnswer.UNKNOWN]


LONG_LOCK_S = 250.0
"""Five real seconds: mostly still shut when a run that is started now could send its first call."""

RESTART_CALL_TIMEOUT_S = 10.0
"""A probe waits until the calls of a killed run can no longer arrive: longer than any takes, but not for long."""


def small(answer: LockedAnswer = LockedAnswer.BARE, *, lock_s: float = 75.0, is_lock_extended: bool = False) -> Options:
    """60 calls a second; whoever makes more is locked out, for a second and a half if not told otherwise."""
    return Options(
        time_scale=50.0,
        world=WorldOptions(campaigns=6, recipients=40),
        quota=QuotaOptions(calls=CALLS, period_s=50.0, lock_s=lock_s, is_lock_extended=is_lock_extended),
        answers=AnswerOptions(locked=answer),
        network=NetworkOptions(latency_s=0.02),
    )


def locked_out(rehearsal: Rehearsal) -> int:
    """Run into the limit as another tool of the account, all calls in one moment; return how many met the lock.

    The lock lasts from our next call on: however long that takes to come on a busy machine, it meets the lock.
    """
    form = {"campaignkey": rehearsal.world.campaigns[0].key, "action": "sentcontacts", "resfmt": "JSON"}
    headers = {"authorization": f"Zoho-oauthtoken {rehearsal.foreign_token()}"}
    call, moment_s = Request(f"{API_PREFIX}{RECIPIENTS}", form, headers), rehearsal.server.now_s()
    answers = [rehearsal.server.zoho.answer(call, moment_s) for _ in range(CALLS + 1)]
    quota = rehearsal.server.zoho._quotas[CLIENT_ID, RECIPIENTS]
    admit = quota.admit

    def lock_and_admit(now_s: float) -> Verdict:
        quota.admit = admit  # type: ignore[method-assign]
        quota._locked_until_s = now_s + rehearsal.options.quota.lock_s
        return admit(now_s)

    quota.admit = lock_and_admit  # type: ignore[method-assign]
    return sum(b"list_of_details" not in answer.body for answer in answers)


def locked_replies(rehearsal: Rehearsal) -> int:
    return int(rehearsal.sheet()["kinds"].get("locked", 0))


def assert_all_there(rehearsal: Rehearsal) -> None:
    assert_is_truth(rehearsal)
    assert_is_whole(rehearsal)
    assert rehearsal.total("lockouts") == 1


@pytest.mark.parametrize("answer", RECOGNISED)
async def test_R_05_a_foreign_callers_lockout_is_waited_out(rehearse: Rehearse, answer: LockedAnswer) -> None:
    """However the lock is answered, only calls under way meet it; then one probe goes ahead and all is harvested."""
    rehearsal = await rehearse(small(answer))
    program = await rehearsal.start_run()
    await program.event("job.done")

    foreign_locked = locked_out(rehearsal)
    ended = await program.ended()

    assert ended.code == 0, ended.stderr
    assert_all_there(rehearsal)
    assert 1 <= locked_replies(rehearsal) - foreign_locked <= CONCURRENCY
    lockout = [event["event"] for event in ended.events if event["event"].startswith("lockout")]
    assert lockout == ["lockout.opened", "lockout.closed"]


async def test_R_06_a_lock_that_every_call_extends_is_waited_out_too(rehearse: Rehearse) -> None:
    """The pause runs from the last answer, so that our own stragglers do not keep the lock shut."""
    rehearsal = await rehearse(small(is_lock_extended=True))
    program = await rehearsal.start_run()
    await program.event("job.done")

    foreign_locked = locked_out(rehearsal)
    ended = await program.ended()

    assert ended.code == 0, ended.stderr
    assert_all_there(rehearsal)
    assert locked_replies(rehearsal) - foreign_locked <= CONCURRENCY


async def test_R_08_a_restart_during_the_lockout_sends_nothing_into_it(rehearse: Rehearse) -> None:
    """The lockout survives kill -9: the next run waits for what is left of it, and completes."""
    rehearsal = await rehearse(small(lock_s=LONG_LOCK_S), harvest={"call_timeout_s": RESTART_CALL_TIMEOUT_S})
    program = await rehearsal.start_run()
    await program.event("job.done")
    locked_out(rehearsal)
    await program.event("lockout.opened")
    await program.kill()

    again = await rehearsal.start_run()
    await again.event("harvest.started")  # by now the calls that were under way at the kill are counted
    met_before = locked_replies(rehearsal)
    ended = await again.ended()

    assert ended.code == 0, ended.stderr
    assert locked_replies(rehearsal) == met_before
    assert_all_there(rehearsal)


async def test_R_07_a_lockout_met_at_the_start_costs_the_calls_of_one_breath(rehearse: Rehearse) -> None:
    """Locked before we came: the first answers say so, it is told until when, and the harvest waits."""
    rehearsal = await rehearse(small())
    foreign_locked = locked_out(rehearsal)

    ended = await rehearsal.run()

    assert ended.code == 0, ended.stderr
    assert_all_there(rehearsal)
    opened = next(event for event in ended.events if event["event"] == "lockout.opened")
    assert opened["until"].startswith("20")
    assert locked_replies(rehearsal) - foreign_locked <= CONCURRENCY


async def test_R_07_who_will_not_wait_is_told_when_to_come_back(rehearse: Rehearse) -> None:
    """--on-lockout exit: 75 with the time and the command; the same command completes, without a call into the lock."""
    rehearsal = await rehearse(small(lock_s=LONG_LOCK_S))
    foreign_locked = locked_out(rehearsal)

    stopped = await rehearsal.run("--on-lockout", "exit")
    met = locked_replies(rehearsal)
    ended = await rehearsal.run()

    assert stopped.code == 75, stopped.stderr
    assert "not before" in stopped.last_line
    assert f"go on with: harvester run --as-of {DATE} --on-lockout exit" in stopped.last_line
    assert met - foreign_locked <= CONCURRENCY
    assert ended.code == 0, ended.stderr
    assert locked_replies(rehearsal) == met
    assert_all_there(rehearsal)


async def test_R_15_a_lock_answered_as_nobody_described_it_is_waited_out_too(rehearse: Rehearse) -> None:
    """The same strange refusal to everybody is taken for a lockout soon, never for rows, and costs no job its place."""
    rehearsal = await rehearse(small(LockedAnswer.UNKNOWN))
    foreign_locked = locked_out(rehearsal)

    ended = await rehearsal.run()

    assert ended.code == 0, ended.stderr
    assert_all_there(rehearsal)
    assert locked_replies(rehearsal) - foreign_locked <= 2 * CONCURRENCY
