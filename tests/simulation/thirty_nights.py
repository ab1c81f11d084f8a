"""Thirty nights at full size: `python tests/simulation/thirty_nights.py [--seed 5]`.

Some 200 campaigns of up to 2,000 recipients, the oldest of them sent more than a year before, one in five an A/B
campaign; every night's snapshot is held against the truth. One line a night: what it cost, and what an oracle that
knows what changed would spend. Exit code 1 if a night was not as it must be.
"""

import argparse
import datetime as dt
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from simulation.audit import Audit
from simulation.many_nights import Calendar, play
from simulation.oracle import FOREVER, USUAL, Ages
from simulation.scenario import Scenario
from simulation.truth import ViolationError

from harvester.model import Action
from harvester.simulator.age_options import AgeOptions
from harvester.simulator.campaigns import SENT_MS
from harvester.simulator.options import Options, WorldOptions

FIRST_SENDING = dt.datetime.fromtimestamp(SENT_MS / 1000, dt.UTC).date()
EVERY_NIGHT = {"refresh": [{"to_day": 3650, "every_days": 1}], "full_refresh_days": 400}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a world is.

    Attributes:
        campaigns: sent by the last night, drafts included.
        per_day: of them sent a day.
        recipients_max: of the largest.
        page_rows: rows asked for in one call.
    """

    campaigns: int
    per_day: float
    recipients_max: int
    page_rows: int


FULL = Size(campaigns=221, per_day=0.55, recipients_max=2_000, page_rows=500)
"""Two hundred campaigns on the first night, the oldest of them 371 days old, and 21 more by the last."""

SMALL = Size(campaigns=30, per_day=0.075, recipients_max=200, page_rows=60)
"""The same in small: 400 days of campaigns."""

YOUNG = Size(campaigns=40, per_day=1.0, recipients_max=120, page_rows=60)
"""A new campaign every day, and all of them so young that most of their sets still move."""

CONFIRMING_CALLS = 2
"""A short page ends a set only if a longer one was seen on the date: of the twenty calls of a small night these are
many."""

FEW_ACTIONS = (Action.SENT, Action.OPENED, Action.CLICKED, Action.UNOPENED)
"""One that stands still, two that grow, one that shrinks: where the others would show nothing more."""


SCHEDULES: dict[str, tuple[dict[str, Any], Ages]] = {
    "every set, every night": (EVERY_NIGHT, FOREVER),
    "the default schedule": ({}, USUAL),
}


def calendar(seed: int, size: Size, *, nights: int = 30, **sections: dict[str, Any]) -> Calendar:
    """Return the last nights of a world, in which no campaign refuses.

    Args:
        seed: of the world.
        size: of the world.
        nights: how many.
        sections: of the settings; nightly, where it is left out, looks at every set every night.
    """
    server = Options(
        seed=seed,
        world=WorldOptions(
            campaigns=size.campaigns, recipients_max=size.recipients_max, drafts_share=0.1, ab_share=0.2
        ),
        age=AgeOptions(day=0.0, campaigns_per_day=size.per_day),
    )
    days = int(size.campaigns / size.per_day)
    scenario = Scenario(
        seed=seed,
        server=server,
        harvest={"page_size": size.page_rows},
        sections={"nightly": EVERY_NIGHT, **sections},
    )
    return Calendar(scenario=scenario, first_date=FIRST_SENDING + dt.timedelta(days=days - nights), nights=nights)


def harvesting(nights: Calendar, **traits: Any) -> Calendar:
    """Return the nights with other settings of the harvest."""
    return replace(nights, scenario=replace(nights.scenario, harvest=nights.scenario.harvest | traits))


def aged(nights: Calendar, **traits: Any) -> Calendar:
    """Return the nights with campaigns that age in another way."""
    server = nights.scenario.server
    age = replace(server.age, **traits)
    return replace(nights, scenario=replace(nights.scenario, server=replace(server, age=age)))


def peopled(nights: Calendar, **traits: Any) -> Calendar:
    """Return the nights with other campaigns."""
    server = nights.scenario.server
    world = replace(server.world, **traits)
    return replace(nights, scenario=replace(nights.scenario, server=replace(server, world=world)))


def audited(nights: Calendar, audit: Audit) -> Audit:
    """Play the nights, look after each of them, and return the audit.

    Raises:
        ViolationError: a night was not as it must be.
    """
    play(replace(nights, look=audit.look))
    return audit


def play_schedule(seed: int, name: str) -> tuple[bool, str]:
    """Play the nights of one schedule at full size; return whether all was well, and what to tell of it."""
    nightly, ages = SCHEDULES[name]
    audit = Audit(ages=ages)
    told, is_well = "ok", True
    try:
        audited(calendar(seed, FULL, nightly=nightly), audit).check_price()
    except ViolationError as violation:
        told, is_well = f"FAILED: {violation}", False
    total, oracle = audit.total(), audit.oracle_calls
    price = f"{total} calls to the recipients, oracle {oracle}, {total / max(oracle, 1):.3f} times as many"
    return is_well, f"{audit}\n{name}: {price}: {told}\n"


def main() -> int:
    """Read the command line, play each schedule on a processor of its own, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=5, help="of the world")
    seed = parser.parse_args().seed
    failed = False
    with ProcessPoolExecutor(len(SCHEDULES)) as pool:
        for is_well, told in pool.map(partial(play_schedule, seed), SCHEDULES):
            failed |= not is_well
            sys.stdout.write(told)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
