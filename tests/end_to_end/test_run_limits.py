"""`--max-calls` and `--deadline`: the program as a process stops by itself, and the same command goes on."""

import json
from dataclasses import replace

import pytest
from end_to_end.rehearsal import Rehearsal, Rehearse, assert_is_truth, assert_is_whole

from harvester.simulator.options import FaultKind, FaultOptions, NetworkOptions, Options, WorldOptions

SMALL = Options(world=WorldOptions(campaigns=6, recipients=700))
SLOW = Options(world=WorldOptions(campaigns=8, recipients=60), network=NetworkOptions(latency_s=0.4))

MAX_CALLS = 15


@pytest.fixture
async def small(rehearse: Rehearse) -> Rehearsal:
    return await rehearse(SMALL)


async def test_max_calls_are_never_exceeded_and_the_same_command_goes_on(small: Rehearsal) -> None:
    """Each run makes as many calls as it may, ends with 75 and says why; the last one is complete and loses no row."""
    made = 0
    for _ in range(30):
        ended = await small.run("--max-calls", str(MAX_CALLS), "--json")
        calls = small.sheet()["calls"] - made
        made += calls
        assert calls <= MAX_CALLS
        if ended.code == 0:
            break
        assert ended.code == 75, ended.stderr
        assert calls == MAX_CALLS
        assert json.loads(ended.stdout)["stopped_because"] == f"--max-calls {MAX_CALLS} is used up"
        assert f"stopped, resumable (--max-calls {MAX_CALLS} is used up)" in ended.last_line
        assert "go on with: harvester run --as-of" in ended.last_line
        assert any(event["event"] == "drain.started" for event in ended.events)

    assert ended.code == 0
    assert_is_truth(small)
    assert_is_whole(small)


async def test_enough_calls_are_no_limit(small: Rehearsal) -> None:
    """A run that needs no more calls than it may make is complete."""
    ended = await small.run("--max-calls", "100000")
    calls = small.sheet()["calls"]
    again = await small.run("--max-calls", str(calls), "--refresh")

    assert (ended.code, again.code) == (0, 0), again.stderr
    assert small.sheet()["calls"] <= 2 * calls


async def test_A_retries_count_too(rehearse: Rehearse) -> None:
    """Calls that failed on the wire are calls: together with them no more than allowed are made."""
    rehearsal = await rehearse(
        Options(
            world=WorldOptions(campaigns=6, recipients=700), faults=FaultOptions(share=0.3, kinds=(FaultKind.HTTP_500,))
        )
    )

    ended = await rehearsal.run("--max-calls", str(MAX_CALLS))

    assert ended.code == 75, ended.stderr
    assert rehearsal.sheet()["calls"] <= MAX_CALLS


async def test_the_deadline_lets_the_calls_under_way_finish(rehearse: Rehearse) -> None:
    """When it comes no call starts, what is under way is stored, and the same command goes on without a call twice."""
    rehearsal = await rehearse(replace(SLOW, network=NetworkOptions(latency_s=0.8)))

    ended = await rehearsal.run("--deadline", "4s", "--json")

    assert ended.code == 75, ended.stderr
    summary = json.loads(ended.stdout)
    assert summary["stopped_because"] == "--deadline 4s has come"
    assert rehearsal.sheet()["calls"] > 0

    assert (await rehearsal.run("--deadline", "10m")).code == 0
    assert_is_truth(rehearsal)
    assert_is_whole(rehearsal)
    assert rehearsal.total("pages_served_twice") == 0


@pytest.mark.parametrize("words", ["2020-01-01T00:00Z", "soon"])
async def test_a_deadline_that_cannot_be_met_costs_no_call(small: Rehearsal, words: str) -> None:
    """A moment that has passed, or that is none, ends with 2 before the first call."""
    ended = await small.run("--deadline", words)

    assert ended.code == 2
    assert words in ended.stderr
    assert small.total("calls") == 0
