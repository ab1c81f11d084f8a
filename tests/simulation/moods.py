"""How the sets of a night misbehave, and how far they are read ahead (pure).

All of it is drawn from a source of its own and laid over a night whose sets keep still, so that the rest of a known
seed stays as it was.
"""

from dataclasses import replace
from random import Random
from typing import Any

from simulation.scenario import Scenario, plain

from harvester.engine.paging import OVERLAP_PAGE_ROWS_MIN
from harvester.simulator.options import AnswerOptions, Options, PastEnd, WorldOptions
from harvester.simulator.set_options import (
    CounterOptions,
    Damage,
    QuirkOptions,
    RepeatOptions,
    Shift,
    ShiftOptions,
)

CALM_SHARE = 1 / 4
"""Nights in which no set does anything of this."""

CAMPAIGNS_MAX = 12
"""Jobs with unreadable rows are read again by every run until the night ends: few campaigns show that as well."""

LARGE_PAGE_ROWS_MAX = 80
"""Enough rows above the shortest page that overlaps."""

DAMAGES = tuple(damage for damage in Damage if damage is not Damage.NOT_OBJECT)
"""A page that has nothing but texts where rows should be is no page: its job fails, and says so."""


def draw(seed: int) -> Scenario:
    """Return the night of a seed."""
    night, rng = plain(seed), Random(f"{seed}/sets")  # noqa: S311  a night, no secret
    if rng.random() < CALM_SHARE:
        return night
    is_large = rng.random() < 1 / 2
    usual_rows: int = night.harvest["page_size"]
    page_rows = rng.randint(OVERLAP_PAGE_ROWS_MIN, LARGE_PAGE_ROWS_MAX) if is_large else usual_rows
    has_yesterday = not night.is_quiet and rng.random() < 1 / 5
    harvest = {"page_size": page_rows, "pages_ahead": rng.randint(0, 8), "counters": not has_yesterday}
    server = _server(night.server, rng, page_rows, is_large=is_large)
    return replace(
        night,
        server=server if night.is_quiet else _restless(server, rng, page_rows),
        harvest=night.harvest | harvest,
        has_yesterday=has_yesterday,
    )


def _server(server: Options, rng: Random, page_rows: int, *, is_large: bool) -> Options:
    """Return the server with what costs no call: pages of another length, repeated rows, odd values, ends."""
    oddness: dict[str, Any] = {"odd_share": rng.choice([0.0, 0.0, 0.05, 0.3])}
    clamp_rows = rng.choice([None, None, rng.randint(40, page_rows + 3)]) if is_large else server.answers.clamp_rows
    return replace(
        server,
        world=_world(server.world, rng, page_rows),
        answers=replace(server.answers, clamp_rows=clamp_rows, empty=rng.choice([None, *PastEnd])),
        repeats=RepeatOptions(share=rng.choice([0.0, 0.0, 0.3, 1.0]), each=rng.randint(1, 3), page_rows=page_rows),
        quirks=QuirkOptions(**oddness),
    )


def _world(world: WorldOptions, rng: Random, page_rows: int) -> WorldOptions:
    even_rows, most_rows = page_rows * rng.randint(1, 6), page_rows * rng.randint(2, 20)
    return replace(
        world,
        campaigns=min(world.campaigns, CAMPAIGNS_MAX),
        recipients=None if world.recipients is None else even_rows,
        recipients_max=most_rows,
    )


def _restless(server: Options, rng: Random, page_rows: int) -> Options:
    """Return the server with what costs calls: sets that move, unreadable rows, and a clamp that comes later."""
    damaged_share = rng.choice([0.0, 0.0, 0.0, 0.02])
    is_clamped_later = rng.random() < 1 / 4
    return replace(
        server,
        shifts=_shifts(rng, page_rows),
        quirks=replace(server.quirks, damaged_share=damaged_share, damages=DAMAGES),
        answers=_clamped_later(server.answers, rng, page_rows) if is_clamped_later else server.answers,
        counters=rng.choice([CounterOptions(), server.counters]),
    )


def _shifts(rng: Random, page_rows: int) -> ShiftOptions:
    return ShiftOptions(
        share=rng.choice([0.0, 0.0, 0.3, 1.0]),
        every_pages=rng.randint(1, 3),
        rows=rng.choice([1, 3, page_rows // 2]),
        moves_max=rng.randint(1, 10),
        kinds=rng.choice([(Shift.FRONT,), (Shift.BACK,), (Shift.REMOVED,), tuple(Shift)]),
    )


def _clamped_later(answers: AnswerOptions, rng: Random, page_rows: int) -> AnswerOptions:
    later_rows = rng.randint(max(1, page_rows // 3), page_rows - 1)
    return replace(answers, later_clamp_rows=later_rows, later_clamp_calls=rng.randint(1, 60))
