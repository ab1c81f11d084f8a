"""Bugs in how sets are read, planted: each must be found within a few nights of sets that misbehave."""

import asyncio
from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from simulation.run import play_scenario
from simulation.scenario import Death, Scenario

from harvester.engine import paging
from harvester.engine.errand import Errand
from harvester.engine.lookahead import Answer, Lookahead
from harvester.engine.paging import LOOKAHEAD_PAGES_MIN, Identity, Join, PageFacts, Progress, Trust
from harvester.engine.seen import Seen
from harvester.model import Action, Job, Page, PageRequest
from harvester.simulator.options import AnswerOptions, NetworkOptions, Options, WorldOptions
from harvester.simulator.set_options import Damage, QuirkOptions, RepeatOptions, Shift, ShiftOptions
from harvester.store.partitions import Partitions

SEEDS_MAX = 5
"""Within so many nights each planted bug is found."""

PAGE_ROWS = 60
"""Long enough to overlap."""


def night(seed: int, harvest: Mapping[str, Any] | None = None, **server: Any) -> Scenario:
    """Return a night of a few sets of six pages, far from any limit, over a network that changes the order."""
    usual: dict[str, Any] = {
        "world": WorldOptions(campaigns=4, recipients=6 * PAGE_ROWS - 7),
        "network": NetworkOptions(latency_s=0.1, jitter_s=2.0),
    }
    settings: dict[str, Any] = {
        "actions": (Action.SENT, Action.OPENED),
        "page_size": PAGE_ROWS,
        "concurrency": 4,
        "compression": "none",
    }
    return Scenario(seed=seed, server=Options(seed=seed, **(usual | server)), harvest=settings | dict(harvest or {}))


def large(seed: int) -> Scenario:
    """Return a night of two sets that are large enough to be read ahead."""
    return night(seed, world=WorldOptions(campaigns=2, recipients=2 * LOOKAHEAD_PAGES_MIN * PAGE_ROWS))


def clamped(seed: int) -> Scenario:
    """Return a night of a server that clamps and does not say so, and of no counters that would show it."""
    return night(seed, {"counters": False}, answers=AnswerOptions(clamp_rows=40, is_clamp_echoed=False))


def clamped_later(seed: int) -> Scenario:
    """Return a night of a server that clamps from its tenth call on and does not say so, with counters that show it."""
    answers = AnswerOptions(later_clamp_rows=55, later_clamp_calls=10, is_clamp_echoed=False)
    return night(seed, answers=answers)


def grown(seed: int) -> Scenario:
    """Return a night of sets that grow at their front."""
    return night(seed, shifts=ShiftOptions(share=1.0, rows=3, kinds=(Shift.FRONT,)))


def shrunk(seed: int) -> Scenario:
    """Return a night of sets whose contacts leave."""
    return night(seed, shifts=ShiftOptions(share=1.0, rows=3, kinds=(Shift.REMOVED,)))


def repeated(seed: int) -> Scenario:
    """Return a night of sets that hold contacts twice."""
    return night(seed, repeats=RepeatOptions(share=1.0, each=3, page_rows=PAGE_ROWS))


def repeated_and_killed(seed: int) -> Scenario:
    """Return such a night with six kills, each in the midst of sets."""
    rng = Random(seed)  # noqa: S311  a night, no secret
    deaths = tuple(Death(after_s=rng.uniform(6, 12), pause_s=1.0) for _ in range(6))
    return replace(repeated(seed), deaths=deaths)


def damaged(seed: int) -> Scenario:
    """Return a night of sets with some rows that cannot be read."""
    quirks = QuirkOptions(damaged_share=0.01, damages=(Damage.NAN, Damage.INVALID_UTF8))
    return night(seed, quirks=quirks)


def found(stage: Callable[[int], Scenario]) -> str:
    """Return the first violation that nights of this kind show; empty if none does."""
    violations = (play_scenario(stage(seed)).violation for seed in range(SEEDS_MAX))
    return next((violation for violation in violations if violation), "")


STAGES = (night, large, clamped, clamped_later, grown, shrunk, repeated, repeated_and_killed, damaged)


@pytest.mark.parametrize("stage", STAGES)
def test_without_a_bug_nothing_is_found(stage: Callable[[int], Scenario]) -> None:
    """The same nights pass with the code as it is, so what is found below is the planted bug."""
    assert found(stage) == ""


def test_P2_a_short_page_trusted_without_a_longer_one_seen_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that clamps its pages silently was never seen to give longer ones: none of them is short."""
    proves_end = paging._proves_end

    def trusting(request: PageRequest, page: PageFacts, trust: Trust, advance_rows: int) -> bool:
        return proves_end(request, page, replace(trust, longest_rows=request.range_rows), advance_rows)

    monkeypatch.setattr(paging, "_proves_end", trusting)

    assert "P2" in found(clamped)


def test_P2_a_doubted_job_that_trusts_a_short_page_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set that fell short of its counter is read again for nothing if the same short page ends it."""
    proves_end = paging._proves_end

    def undoubting(request: PageRequest, page: PageFacts, trust: Trust, advance_rows: int) -> bool:
        return proves_end(request, page, replace(trust, is_doubted=False), advance_rows)

    monkeypatch.setattr(paging, "_proves_end", undoubting)

    assert "are not where they must be" in found(clamped_later)


def test_P2_pages_whose_overlap_nobody_checks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set that grows at its front while it is read would be called steady."""

    def steady(
        page: Page, named: Mapping[int, str], request: PageRequest, progress: Progress, seen: Container[str]
    ) -> tuple[Join, int]:
        del page, named, seen
        return Join.STEADY, progress.next_index - request.from_index

    monkeypatch.setattr(paging, "_join", steady)

    assert "the set is called steady" in found(grown)


def test_P2_a_reader_that_does_not_go_back_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where contacts leave, others slip past a reader who only counts rows."""
    join_of = paging._join

    def onwards(
        page: Page, named: Mapping[int, str], request: PageRequest, progress: Progress, seen: Container[str]
    ) -> tuple[Join, int]:
        join, known_rows = join_of(page, named, request, progress, seen)
        return (Join.STEADY, 0) if join is Join.APART else (join, known_rows)

    monkeypatch.setattr(paging, "_join", onwards)

    assert "rows missed that were there all the time" in found(shrunk)


def test_P2_repeated_rows_that_are_not_dropped_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A contact that stands twice in a set is written once."""

    def all_of_them(named: Mapping[int, str], known_rows: int, seen: Container[str]) -> Mapping[int, str]:
        del seen
        return {place: identity for place, identity in named.items() if place >= known_rows}

    monkeypatch.setattr(paging, "_new_rows", all_of_them)

    assert "a contact twice" in found(repeated)


def test_P2_contacts_that_are_not_read_back_after_a_restart_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A contact that a killed process had written stands there again further on."""
    remember_written = Errand._remember_written

    def remember_the_last(self: Errand) -> Any:
        last = remember_written(self)
        self._seen = Seen()
        return last

    monkeypatch.setattr(Errand, "_remember_written", remember_the_last)

    assert "a contact twice" in found(repeated_and_killed)


def test_P2_pages_ahead_taken_out_of_order_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is taken in the order of the set, not of the answers."""

    async def take_first(self: Lookahead, request: PageRequest) -> Answer:
        del request
        done, _ = await asyncio.wait(self._calls.values(), return_when=asyncio.FIRST_COMPLETED)
        first = next(asked for asked, call in self._calls.items() if call in done)
        self._sent.discard(first)
        return self._calls.pop(first).result()

    monkeypatch.setattr(Lookahead, "take", take_first)

    assert found(large)


def test_P2_an_unreadable_row_that_is_dropped_silently_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that lacks a row which could not be read is not done."""

    def facts_without(
        page: Page, request: PageRequest, progress: Progress, seen: Container[str], identity: Identity
    ) -> tuple[PageFacts, Mapping[int, str]]:
        facts, chosen = paging.facts_of(page, request, progress, seen, identity)
        return replace(facts, unreadable_rows=0), chosen

    monkeypatch.setattr("harvester.engine.framing.facts_of", facts_without)

    assert "not where they must be" in found(damaged)


def test_P2_an_unreadable_row_without_quarantine_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be read is kept as it came."""

    def forget(self: Partitions, job: Job, from_index: int, reply: bytes) -> None:
        del self, job, from_index, reply

    monkeypatch.setattr(Partitions, "quarantine", forget)

    assert "is not in quarantine" in found(damaged)
