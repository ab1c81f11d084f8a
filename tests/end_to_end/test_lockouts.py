"""Another tool of the same account runs into the limit: we wait it out, and lose nothing."""

import asyncio

import aiohttp
import pytest
from end_to_end.rehearsal import CLIENT_ID, CONCURRENCY, DATE, Rehearsal, Rehearse, assert_is_truth, assert_is_whole

from harvester.simulator.endpoints import RECIPIENTS
from harvester.simulator.options import AnswerOptions, LockedAnswer, NetworkOptions, Options, QuotaOptions, WorldOptions
from harvester.simulator.wire import API_PREFIX, TOKEN_PATH

CREDENTIALS = {
    "grant_type": "refresh_token",
    "client_id": CLIENT_ID,
    "client_secret": "practice",
    "refresh_token": "practice",
}
CALLS = 60
RECOGNISED = [answer for answer in LockedAnswer if answer is not LockedAnswer.UNKNOWN]


LONG_LOCK_S = 250.0
"""Five real seconds: still shut when a run that is started now sends its first call, on a busy machine too."""


def small(answer: LockedAnswer = LockedAnswer.BARE, *, lock_s: float = 75.0, is_lock_extended: bool = False) -> Options:
    """60 calls a second; whoever makes more is locked out, for a second and a half if not told otherwise."""
    return Options(
        time_scale=50.0,
        world=WorldOptions(campaigns=6, recipients=40),
        quota=QuotaOptions(calls=CALLS, period_s=50.0, lock_s=lock_s, is_lock_extended=is_lock_extended),
        answers=AnswerOptions(locked=answer),
        network=NetworkOptions(latency_s=0.02),
    )


async def foreign_calls(rehearsal: Rehearsal, calls: int = CALLS) -> int:
    """Make calls at once as another tool of the account, with a token of its own; return how many met the lock."""
    form = {"campaignkey": rehearsal.world.campaigns[0].key, "action": "sentcontacts", "resfmt": "JSON"}
    async with aiohttp.ClientSession(rehearsal.url) as http:
        async with http.post(TOKEN_PATH, data=CREDENTIALS) as reply:
            token = (await reply.json())["access_token"]

        async def call() -> bool:
            headers = {"Authorization": f"Zoho-oauthtoken {token}"}
            async with http.post(f"{API_PREFIX}{RECIPIENTS}", data=form, headers=headers) as reply:
                return b"list_of_details" not in await reply.read()

        return sum(await asyncio.gather(*(call() for _ in range(calls))))


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

    foreign_locked = await foreign_calls(rehearsal)
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

    foreign_locked = await foreign_calls(rehearsal)
    ended = await program.ended()

    assert ended.code == 0, ended.stderr
    assert_all_there(rehearsal)
    assert locked_replies(rehearsal) - foreign_locked <= CONCURRENCY


async def test_R_08_a_restart_during_the_lockout_sends_nothing_into_it(rehearse: Rehearse) -> None:
    """The lockout survives kill -9: the next run waits for what is left of it, and completes."""
    rehearsal = await rehearse(small(lock_s=LONG_LOCK_S))
    program = await rehearsal.start_run()
    await program.event("job.done")
    await foreign_calls(rehearsal)
    await program.event("lockout.opened")
    await program.kill()
    met_before = locked_replies(rehearsal)

    ended = await rehearsal.run()

    assert ended.code == 0, ended.stderr
    assert locked_replies(rehearsal) == met_before
    assert_all_there(rehearsal)


async def test_R_07_a_lockout_met_at_the_start_costs_the_calls_of_one_breath(rehearse: Rehearse) -> None:
    """Locked before we came: the first answers say so, it is told until when, and the harvest waits."""
    rehearsal = await rehearse(small(lock_s=LONG_LOCK_S))
    foreign_locked = await foreign_calls(rehearsal, CALLS + 1)

    ended = await rehearsal.run()

    assert ended.code == 0, ended.stderr
    assert_all_there(rehearsal)
    opened = next(event for event in ended.events if event["event"] == "lockout.opened")
    assert opened["until"].startswith("20")
    assert locked_replies(rehearsal) - foreign_locked <= CONCURRENCY


async def test_R_07_who_will_not_wait_is_told_when_to_come_back(rehearse: Rehearse) -> None:
    """--on-lockout exit: 75 with the time and the command; the same command completes, without a call into the lock."""
    rehearsal = await rehearse(small(lock_s=LONG_LOCK_S))
    foreign_locked = await foreign_calls(rehearsal, CALLS + 1)

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
    rehearsal = await rehearse(small(LockedAnswer.UNKNOWN, lock_s=LONG_LOCK_S))
    foreign_locked = await foreign_calls(rehearsal, CALLS + 1)

    ended = await rehearsal.run()

    assert ended.code == 0, ended.stderr
    assert_all_there(rehearsal)
    assert locked_replies(rehearsal) - foreign_locked <= 2 * CONCURRENCY
