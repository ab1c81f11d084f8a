"""A backfill that is killed again and again, over days; and one beside a nightly run, on one budget."""

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from random import Random

import pytest
from simulation.many_nights import DAY_S, calls_to, in_a_folder, night_of
from simulation.night import Night, play_process, run_process
from simulation.oracle import Set, fewest_calls, sent_campaigns
from simulation.process import Life
from simulation.reader import SnapshotReader, Truths
from simulation.scenario import Death, Scenario
from simulation.truth import world_of

from harvester.errors import BusyError
from harvester.model import Action, Command, JobState
from harvester.operations.selection import Selection
from harvester.operations.unfinished import unfinished_date
from harvester.operations.workshop import RECIPIENTS
from harvester.simulator.options import Options, WorldOptions

PAGE_ROWS = 60
CONCURRENCY, PAGES_AHEAD = 16, 8
CONFIRMING_CALLS = 10
"""For the records that pages set, once for each harvest date."""

TWICE_READ_SHARE = 1.3
"""Two runs of different dates that come to the same sets at the same moment both read them."""

KILLS = 10
FIRST_DATE = dt.date(2026, 3, 1)


def scenario(campaigns: int, actions: Sequence[Action]) -> Scenario:
    """Return small campaigns that were all sent long ago, under the documented limit."""
    world = WorldOptions(campaigns=campaigns, recipients_max=150, ab_share=0.02)
    pace = {"concurrency": CONCURRENCY, "pages_ahead": PAGES_AHEAD}
    harvest = {"actions": tuple(actions), "page_size": PAGE_ROWS} | pace
    return Scenario(seed=3, server=Options(seed=3, world=world), harvest=harvest)


def sets_of(night: Night) -> set[Set]:
    campaigns = sent_campaigns(world_of(night, "acme"))
    return {(campaign.key, action) for campaign in campaigns for action in night.settings.harvest.actions}


def fewest_of(night: Night) -> int:
    """Return the calls that read every set once."""
    world = world_of(night, "acme")
    return sum(fewest_calls(world.count(world.campaign(key), action), PAGE_ROWS) for key, action in sets_of(night))


def checked(night: Night) -> Counter[str]:
    """See that the date has every set, row for row, and return how many jobs stand in each state."""
    snapshot, truths = SnapshotReader("acme").read(night), Truths(night, "acme")
    assert snapshot.is_complete
    assert snapshot.sets.keys() == sets_of(night)
    assert all(standing.rows == truths.of(one) for one, standing in snapshot.sets.items())
    return Counter(standing.state for standing in snapshot.sets.values())


async def filled(night: Night, deaths: Sequence[Death]) -> list[dt.date]:
    """Start the backfill without a date, again after each kill, and return the date that each process took."""
    dates = []
    for death in (*deaths, Death()):
        today = dt.datetime.fromtimestamp(night.clock.wall_s(), dt.UTC).date()
        actions = night.settings.harvest.actions
        asked = Selection(("acme",), actions, today, None, is_refresh=False, command=Command.BACKFILL)
        night.date = unfinished_date(night.settings, asked) or today
        dates.append(night.date)
        await play_process(night, death, lambda _: None)
    await night.wire.settle_down()
    return dates


def test_P3_a_backfill_of_2000_campaigns_killed_ten_times_ends_complete() -> None:
    """Over days it keeps its date, reads every set once but for the calls in flight at kills, and has all rows."""
    rng = Random(8)  # noqa: S311  moments of death, no secret
    deaths = [Death(after_s=rng.uniform(1.0, 15.0), pause_s=rng.uniform(3.0, 12.0) * 3600.0) for _ in range(KILLS)]

    async def play(folder: Path) -> None:
        night = night_of(scenario(2_000, [Action.OPENED]), folder, FIRST_DATE, Command.BACKFILL)
        dates = await filled(night, deaths)

        assert night.exit_codes == [None] * KILLS + [0]
        assert set(dates) == {FIRST_DATE}
        assert night.clock.true_s() > 3 * DAY_S
        assert checked(night) == {JobState.DONE: len(sets_of(night))}
        calls, lost = calls_to(night, "acme", RECIPIENTS), KILLS * (CONCURRENCY + PAGES_AHEAD)
        assert fewest_of(night) <= calls <= fewest_of(night) + lost + CONFIRMING_CALLS
        assert night.wire.ours.report()["totals"]["lockouts"] == 0

    in_a_folder(play)


async def beside(backfill: Night, nightly: Night, after_s: float) -> tuple[int, int]:
    """Let a nightly run begin so long after a backfill, and return the exit codes of both."""
    first = asyncio.create_task(run_process(backfill, Life(), 0), name="backfill")
    await asyncio.sleep(after_s)
    second = asyncio.create_task(run_process(nightly, Life(), 1), name="nightly")
    return await first, await second


@pytest.mark.parametrize("after_s", [5.0, 60.0, 400.0])
def test_a_backfill_and_a_nightly_run_share_one_budget_and_both_end(after_s: float) -> None:
    """Whenever the nightly run of the next date begins, both dates are whole, and few sets are read twice."""

    async def play(folder: Path) -> None:
        backfill = night_of(scenario(150, [Action.SENT, Action.OPENED]), folder, FIRST_DATE, Command.BACKFILL)
        nightly = replace(backfill, date=FIRST_DATE + dt.timedelta(days=1), command=Command.NIGHTLY)

        assert await beside(backfill, nightly, after_s) == (0, 0)

        await backfill.wire.settle_down()
        states = [checked(night) for night in (backfill, nightly)]
        assert all(each.keys() <= {JobState.DONE, JobState.CARRIED} for each in states)
        assert sum(each[JobState.CARRIED] for each in states) > len(sets_of(backfill)) / 2
        calls = calls_to(backfill, "acme", RECIPIENTS)
        assert fewest_of(backfill) <= calls <= TWICE_READ_SHARE * fewest_of(backfill) + CONFIRMING_CALLS
        assert backfill.wire.ours.report()["totals"]["lockouts"] == 0

    in_a_folder(play)


@pytest.mark.parametrize("commands", list(permutations((Command.BACKFILL, Command.NIGHTLY))))
def test_a_backfill_and_a_nightly_run_of_one_date_never_do_a_job_twice(commands: tuple[Command, Command]) -> None:
    """Who comes second takes what the first has not planned yet, or leaves it all to the first and says so."""

    async def play(folder: Path) -> None:
        first = night_of(scenario(100, [Action.SENT, Action.OPENED]), folder, FIRST_DATE, commands[0])
        second = replace(first, command=commands[1])

        mine, other = await beside(first, second, 5.0)

        await first.wire.settle_down()
        assert mine == 0
        assert other in (0, BusyError.exit_code)
        assert checked(first) == {JobState.DONE: len(sets_of(first))}
        assert calls_to(first, "acme", RECIPIENTS) <= fewest_of(first) + CONFIRMING_CALLS

    in_a_folder(play)
