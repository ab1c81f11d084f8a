"""One seed to one night: the server and its moods, the settings, and what befalls the machine (pure)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from harvester.model import Action, ResponseFormat
from harvester.simulator.options import (
    AnswerOptions,
    CountedAt,
    Counting,
    EchoStyle,
    FaultKind,
    FaultOptions,
    FieldNames,
    LockedAnswer,
    LocksAt,
    NetworkOptions,
    Options,
    PastEnd,
    QuotaOptions,
    TokenOptions,
    WorldOptions,
)
from harvester.simulator.set_options import CounterFault, CounterOptions

LOCKED_ANSWERS = [style for style in LockedAnswer if style is not LockedAnswer.UNKNOWN]
"""A refusal that says nothing of a limit cannot be known for a lock; it is an unknown code."""

LATE_S_MAX = 120.0
"""Call timeout and grace: the engine's assumption about the network, which the network must keep."""

SWIFT_S_MAX = 10.0
"""A third of the call timeout: answers that come within it are never given up."""

TROUBLE_ENDS_S = 14_400.0
"""Four hours after the start nothing goes wrong any more, so that every night must end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """How a process is killed: at a step of its disk or wire, or after a while; and what follows.

    Attributes:
        step: the step, counted from its start; None for a kill by the clock.
        after_s: or so long after its start.
        pause_s: how long nobody starts another.
        is_reboot: whether the machine goes down with it.
        wall_jump_s: by how much the wall clock is off after that.
    """

    step: int | None = None
    after_s: float = math.inf
    pause_s: float = 0.0
    is_reboot: bool = False
    wall_jump_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """All that makes one night; equal scenarios take the same course.

    Attributes:
        seed: of everything that is drawn during the night.
        server: how the simulated Zoho behaves.
        accounts: names of the accounts.
        budget: the settings' section.
        harvest: the settings' section.
        sections: further ones, by name.
        refresh_tokens: of accounts that have one of their own.
        deaths: of the first processes, in order.
        foreign_at_s: when somebody else uses up the limit.
        wall_steps: when the wall clock is set, and by how much.
        suspends: when the machine sleeps, and for how long.
        outages: spans in which no host can be reached.
        slowest_disk_s: the longest that a piece of disk work takes.
        has_yesterday: whether the day before was harvested, so that the sizes of sets are known.
    """

    seed: int
    server: Options
    accounts: tuple[str, ...] = ("acme",)
    budget: dict[str, Any] = field(default_factory=dict)
    harvest: dict[str, Any] = field(default_factory=dict)
    sections: dict[str, Any] = field(default_factory=dict)
    refresh_tokens: dict[str, str] = field(default_factory=dict)
    deaths: tuple[Death, ...] = ()
    foreign_at_s: tuple[float, ...] = ()
    wall_steps: tuple[tuple[float, float], ...] = ()
    suspends: tuple[tuple[float, float], ...] = ()
    outages: tuple[tuple[float, float], ...] = ()
    slowest_disk_s: float = 0.0
    has_yesterday: bool = False

    @property
    def is_undisturbed(self) -> bool:
        """Whether nothing befalls the machine or the network."""
        network, faults = self.server.network, self.server.faults
        trouble = (*self.deaths, *self.foreign_at_s, *self.wall_steps, *self.suspends, *self.outages)
        is_swift = network.latency_s + network.jitter_s <= SWIFT_S_MAX
        return is_swift and not (trouble or faults.share or network.late_share)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing at all goes wrong, with the sets neither, so that not a call may be wasted."""
        server = self.server
        has_restless_sets = server.shifts.share or server.quirks.damaged_share or server.counters.share
        return self.is_undisturbed and not has_restless_sets and server.answers.later_clamp_rows is None

    @property
    def trouble_ends_s(self) -> float:
        """When the last thing has gone wrong, so that from then on every run must do all that can be done."""
        return 0.0 if self.is_undisturbed else TROUBLE_ENDS_S


def plain(seed: int) -> Scenario:
    """Return the night of a seed, with sets that keep still and rows that can be read."""
    rng = Random(f"{seed}/scenario")  # noqa: S311  a night, no secret
    is_quiet = rng.random() < 1 / 8
    counting = rng.choice(list(Counting))
    is_robust = counting is Counting.WEIGHTED or rng.random() < 3 / 4
    page_rows = rng.randint(5, 30)
    calls, period_s = rng.choice([20, 50, 120, 500]), 300.0
    trouble = {} if is_quiet else _trouble(rng)
    return Scenario(
        seed=seed,
        server=Options(
            seed=seed,
            world=_world(rng, page_rows),
            quota=QuotaOptions(
                calls=calls,
                period_s=period_s,
                counting=counting,
                locks_at=rng.choice(list(LocksAt)),
                is_lock_extended=rng.random() < 1 / 2,
                phase_s=rng.random() * period_s,
            ),
            answers=_answers(rng, page_rows),
            network=_network(rng, is_quiet=is_quiet),
            faults=FaultOptions() if is_quiet else _faults(rng),
            tokens=TokenOptions(life_s=rng.choice([400.0, 900.0, 3600.0])),
            counters=CounterOptions() if is_quiet else _counters(seed),
        ),
        accounts=("acme", "globex") if rng.random() < 1 / 5 else ("acme",),
        budget={"calls": calls, "admission": "robust" if is_robust else "window"},
        harvest={
            "actions": tuple(rng.sample(list(Action), rng.randint(1, 9))),
            "response_format": rng.choice(list(ResponseFormat)),
            "page_size": page_rows,
            "concurrency": rng.choice([1, 4, 16]),
            "compression": rng.choice(["none", "gzip"]),
        },
        slowest_disk_s=rng.choice([0.0, 0.01, 3.0]),
        **trouble,
    )


def _world(rng: Random, page_rows: int) -> WorldOptions:
    is_even = rng.random() < 1 / 3
    return WorldOptions(
        campaigns=rng.randint(1, 40),
        recipients=page_rows * rng.randint(1, 12) if is_even else None,
        recipients_max=page_rows * rng.randint(2, 40),
        drafts_share=rng.choice([0.0, 0.2]),
        ab_share=rng.choice([0.0, 0.2]),
        tiny_ab_share=rng.choice([0.0, 0.2]),
        forbidden_share=rng.choice([0.0, 0.0, 0.2]),
    )


def _counters(seed: int) -> CounterOptions:
    """Draw counters that are wrong, from a source of their own: the other draws of known seeds stay as they are."""
    rng = Random(f"{seed}/counters")  # noqa: S311  a night, no secret
    kinds = tuple(rng.sample(list(CounterFault), 2))
    return CounterOptions(share=rng.choice([0.0, 0.3, 1.0]), kinds=kinds, off_by=rng.randint(1, 50))


def _answers(rng: Random, page_rows: int) -> AnswerOptions:
    return AnswerOptions(
        locked=rng.choice(LOCKED_ANSWERS),
        past_end=rng.choice(list(PastEnd)),
        echo=rng.choice(list(EchoStyle)),
        names=rng.choice(list(FieldNames)),
        clamp_rows=rng.choice([None, None, rng.randint(2, page_rows + 3)]),
        is_clamp_echoed=rng.random() < 1 / 2,
    )


def _network(rng: Random, *, is_quiet: bool) -> NetworkOptions:
    return NetworkOptions(
        latency_s=rng.choice([0.0, 0.1, 1.0]),
        jitter_s=rng.choice([0.0, 2.0]) if is_quiet else rng.choice([0.0, 2.0, 28.0, 35.0]),
        counted_at=rng.choice(list(CountedAt)),
        late_share=0.0 if is_quiet else rng.choice([0.0, 0.0, 0.03]),
        late_s=LATE_S_MAX,
        drip_s=rng.choice([10.0, 60.0]),
    )


def _faults(rng: Random) -> FaultOptions:
    kinds = tuple(rng.sample(list(FaultKind), rng.randint(1, len(FaultKind))))
    return FaultOptions(share=rng.choice([0.0, 0.02, 0.1, 0.2]), kinds=kinds, until_s=TROUBLE_ENDS_S)


def _trouble(rng: Random) -> dict[str, Any]:
    return {
        "deaths": tuple(_death(rng) for _ in range(rng.choice([0, 0, 1, 2, 5]))),
        "foreign_at_s": _moments(rng, rng.choice([0, 0, 1, 2])),
        "wall_steps": tuple((at_s, rng.uniform(-4_000, 4_000)) for at_s in _moments(rng, rng.choice([0, 0, 1, 3]))),
        "suspends": tuple((at_s, rng.uniform(30, 4_000)) for at_s in _moments(rng, rng.choice([0, 0, 0, 2]))),
        "outages": tuple((at_s, at_s + rng.uniform(5, 1_500)) for at_s in _moments(rng, rng.choice([0, 0, 0, 1]))),
    }


def _death(rng: Random) -> Death:
    is_reboot = rng.random() < 1 / 4
    is_by_clock = rng.random() < 1 / 3
    return Death(
        step=None if is_by_clock else round(10 ** rng.uniform(0, 3.5)),
        after_s=rng.uniform(0, 2_000) if is_by_clock else math.inf,
        pause_s=rng.choice([0.0, 1.0, rng.uniform(0, 700)]),
        is_reboot=is_reboot,
        wall_jump_s=rng.choice([0.0, rng.uniform(-4_000, 4_000)]) if is_reboot else 0.0,
    )


def _moments(rng: Random, count: int) -> Sequence[float]:
    """Return moments, most of them early: many nights are short."""
    return tuple(sorted(10 ** rng.uniform(0, 3.8) for _ in range(count)))
