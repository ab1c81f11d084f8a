"""A server in a bad mood: whatever it answers, a row on disk is a true row."""

import asyncio

import pytest
from end_to_end.rehearsal import SHORT_CALL_TIMEOUT_S, Rehearsal, Rehearse, assert_is_truth, assert_is_whole

from harvester.simulator.options import (
    FaultKind,
    FaultOptions,
    NetworkOptions,
    Options,
    QuotaOptions,
    TokenOptions,
    WorldOptions,
)

CALLS_PER_TOKEN = 40
TOKENS_ENDED = 5
"""Fewer than a run may ask for in the time that the accounts host looks at."""

RUNS_MAX = 4
"""A job that met five spoiled answers in a row is failed by right; the same command tries it again."""


def moody(share: float, *kinds: FaultKind) -> Options:
    return Options(
        time_scale=50.0,
        world=WorldOptions(campaigns=12, recipients_max=1_200),
        quota=QuotaOptions(period_s=100.0),
        network=NetworkOptions(latency_s=0.005, jitter_s=0.02),
        faults=FaultOptions(share=share, kinds=kinds or tuple(FaultKind)),
        tokens=TokenOptions(alive=1, creations=1_000),
    )


async def another_tool(rehearsal: Rehearsal) -> None:
    """Ask for tokens while the harvest runs: only one is alive at a time, so each ends the life of the program's."""
    for _ in range(TOKENS_ENDED):
        await rehearsal.referee.more_calls(CALLS_PER_TOKEN)
        rehearsal.foreign_token()


def assert_published_is_true(rehearsal: Rehearsal) -> None:
    """Check that what is published is the truth, and that the manifest has a word for every other job."""
    for (key, action), records in rehearsal.harvested().items():
        assert [record["contact_id"] for record in records] == list(rehearsal.world.truth(key, action))
    for job in rehearsal.manifest()["jobs"]:
        assert job["state"] == "done" or job["reason"]


async def test_spoiled_answers_and_short_lived_tokens_never_make_a_wrong_row(rehearse: Rehearse) -> None:
    """With 8 % of the answers spoiled in every way and tokens that soon die, rows are true or named missing."""
    # Refusals come from tokens that were ended: a good one refused right after would rightly be told as credentials.
    kinds = [kind for kind in FaultKind if kind is not FaultKind.UNAUTHORIZED]
    rehearsal = await rehearse(moody(0.08, *kinds), harvest={"page_size": 200, "call_timeout_s": SHORT_CALL_TIMEOUT_S})

    async with asyncio.TaskGroup() as group:
        other = group.create_task(another_tool(rehearsal))
        for _ in range(RUNS_MAX):
            ended = await rehearsal.run()
            assert ended.code in {0, 3}, ended.stderr
            assert_published_is_true(rehearsal)
            if ended.code == 0:
                break
        other.cancel()

    assert ended.code == 0, ended.stderr
    assert_is_truth(rehearsal)
    assert_is_whole(rehearsal)
    assert rehearsal.total("lockouts") == 0
    assert rehearsal.total("tokens_issued") > TOKENS_ENDED + 1


@pytest.mark.parametrize("kind", [FaultKind.CUT, FaultKind.WRONG_ECHO, FaultKind.NO_LIST, FaultKind.EMPTY_BODY])
async def test_H_answers_that_look_almost_right_are_asked_for_again(rehearse: Rehearse, kind: FaultKind) -> None:
    """Half a page, the page of another request, no list, nothing at all: none of them is taken for the rows."""
    rehearsal = await rehearse(moody(0.15, kind), harvest={"page_size": 200})

    for _ in range(RUNS_MAX):
        ended = await rehearsal.run()
        assert_published_is_true(rehearsal)
        if ended.code == 0:
            break

    assert ended.code == 0, ended.stderr
    assert rehearsal.sheet()["kinds"][f"fault-{kind}"] > 0
    assert_is_truth(rehearsal)
    assert_is_whole(rehearsal)
