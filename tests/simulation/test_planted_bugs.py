"""Each bug that we know of, planted, must be found within a few nights; or the nights that pass would say nothing."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from aiolimiter import AsyncLimiter
from simulation.run import play_scenario
from simulation.scenario import LATE_S_MAX, Death, Scenario

from harvester.clock import Clock
from harvester.engine import budget, lockout, paging
from harvester.engine.budget import Budget, BudgetRules
from harvester.engine.paging import PageFacts, Trust
from harvester.engine.writer import Closing, Order, Writer
from harvester.leases import Lease, Lockout, Slot, Standing
from harvester.model import Action, Failure, Job, PageRequest, Published
from harvester.operations import workshop
from harvester.simulator.options import (
    AnswerOptions,
    CountedAt,
    Counting,
    FaultKind,
    FaultOptions,
    LockedAnswer,
    NetworkOptions,
    Options,
    QuotaOptions,
    WorldOptions,
)
from harvester.store.boot import adopt_boot
from harvester.store.calls import CallBook
from harvester.store.database import Database
from harvester.store.partitions import Partitions
from harvester.zoho.auth import Tokens

SEEDS_MAX = 5
"""Within so many nights each planted bug is found."""

CALLS, PERIOD_S = 20, 300.0
ENVELOPE = AnswerOptions(locked=LockedAnswer.ENVELOPE)


def night(
    seed: int, answers: AnswerOptions = ENVELOPE, *, is_faulty: bool = False, late_share: float = 0.0, **more: Any
) -> Scenario:
    """Return a night of some hundred calls over a slow network, where the limit bites and answers get out of order.

    Nobody asks for counters: these seeds are about the limit of one endpoint.
    """
    quota = QuotaOptions(calls=CALLS, counting=Counting.SLIDING, is_lock_extended=True)
    server = Options(
        seed=seed,
        world=WorldOptions(campaigns=8, recipients=60),
        quota=quota,
        answers=answers,
        network=NetworkOptions(
            latency_s=0.1, jitter_s=25.0, counted_at=CountedAt.UNIFORM, late_share=late_share, late_s=LATE_S_MAX
        ),
        faults=FaultOptions(share=0.3, kinds=(FaultKind.HTTP_500,), until_s=3_600) if is_faulty else FaultOptions(),
    )
    actions = (Action.SENT, Action.OPENED, Action.SPAM)
    return Scenario(
        seed=seed,
        server=server,
        budget={"calls": CALLS, "admission": "window"},
        harvest={"actions": actions, "page_size": 10, "concurrency": 16, "compression": "none", "counters": False},
        **more,
    )


def killed_often(seed: int) -> Scenario:
    """Return a night of many small jobs, with no limit in the way and ninety kills, each after a few calls."""
    rng = Random(seed)  # noqa: S311  a night, no secret
    server = Options(seed=seed, world=WorldOptions(campaigns=150, recipients=4))
    return Scenario(
        seed=seed,
        server=server,
        harvest={"actions": (Action.SENT,), "page_size": 5, "concurrency": 1, "compression": "none"},
        deaths=tuple(Death(step=rng.randint(40, 300), pause_s=1.0) for _ in range(90)),
    )


def rebooted(seed: int) -> Scenario:
    """Return a night whose machine goes down and up at once, with its first calls under way and some of them late."""
    rng = Random(seed)  # noqa: S311  a night, no secret
    return night(seed, late_share=0.3, deaths=(Death(after_s=rng.uniform(60, 150), is_reboot=True),))


def used_by_strangers(seed: int) -> Scenario:
    """Return such a night with one lockout that somebody else causes while calls are under way."""
    return night(seed, foreign_at_s=(30.0 + 10 * seed,))


def clamped(seed: int) -> Scenario:
    """Return such a night on a server that gives at most seven rows and does not say so."""
    return night(seed, AnswerOptions(clamp_rows=7, is_clamp_echoed=False))


def faulty(seed: int) -> Scenario:
    """Return such a night on a server that fails every third call."""
    return night(seed, is_faulty=True)


def found(stage: Callable[[int], Scenario]) -> str:
    """Return the first violation that nights of this kind show; empty if none does."""
    violations = (play_scenario(stage(seed)).violation for seed in range(SEEDS_MAX))
    return next((violation for violation in violations if violation), "")


@pytest.mark.parametrize("stage", [night, killed_often, rebooted, used_by_strangers, clamped, faulty])
def test_without_a_bug_nothing_is_found(stage: Callable[[int], Scenario]) -> None:
    """The same nights pass with the code as it is, so what is found below is the planted bug."""
    assert found(stage) == ""


def test_a_limiter_that_stamps_at_the_send_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted from the send, calls that the network holds back meet those of the next window."""
    lease, settle = CallBook.lease, CallBook.settle

    def lease_unheld(self: CallBook, job_id: int | None, hold_s: float, rule: Callable[[Standing], Slot]) -> Any:
        return lease(self, job_id, hold_s * 0, rule)

    def settle_unmoved(self: CallBook, held: Lease, code: str, turn: Any, late_s: float | None = None) -> Lockout:
        del late_s
        return settle(self, held, code, turn, late_s=-1e9)

    monkeypatch.setattr(CallBook, "lease", lease_unheld)
    monkeypatch.setattr(CallBook, "settle", settle_unmoved)

    assert "P1" in found(night)


def test_a_short_page_taken_for_the_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a server that clamps its pages silently, the first page would be the last."""

    def is_short(request: PageRequest, page: PageFacts, trust: Trust, advance_rows: int) -> bool:
        del trust, advance_rows
        return page.received_rows < request.range_rows

    monkeypatch.setattr(paging, "_proves_end", is_short)

    assert "P2" in found(clamped)


def test_a_ledger_that_speaks_before_the_disk_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the word and the rename, a job is done and has no file."""
    apply = Writer._apply

    def word_first(self: Writer, orders: Sequence[Order]) -> list[Published | None]:
        closings = [order for order in orders if isinstance(order, Closing)]
        promised = [(order.contents.job, _promised(self._parts, order)) for order in closings]
        others = [order for order in orders if not isinstance(order, Closing)]
        apply(self, others)
        self._ledger.commit([], [], promised, 0.0)
        published = iter(self._parts.publish([order.contents for order in closings]))
        return [next(published) if isinstance(order, Closing) else None for order in orders]

    monkeypatch.setattr(Writer, "_apply", word_first)

    assert "has no file" in found(killed_often)


def _promised(parts: Any, order: Closing) -> Published:
    job = order.contents.job
    part = parts._open[job.id]
    return Published(str(parts.relative_path(job)), order.contents.rows, part.size_bytes, part.sha256.hexdigest())


def test_a_retry_that_does_not_count_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed call that gives its token back at once lets one more into the window."""
    settle = Budget.settle

    async def settle_for_nothing(self: Budget, lease: Lease, failure: Failure | None, code: str) -> None:
        await settle(self, lease, failure and replace(failure, is_sent=False), code)

    monkeypatch.setattr(Budget, "settle", settle_for_nothing)

    assert "P1" in found(faulty)


def test_aiolimiter_as_the_whole_limiter_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leaky bucket refills while it bursts: twice the limit in the first window."""

    def at_once(self: BudgetRules, standing: Standing) -> Slot:
        del self
        return Slot(standing.now_s, standing.lockout)

    monkeypatch.setattr(BudgetRules, "slot", at_once)
    monkeypatch.setattr(budget, "AsyncLimiter", lambda *_: AsyncLimiter(CALLS, PERIOD_S))

    assert "P1" in found(night)


def test_a_pause_from_the_first_locked_answer_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that extends its lock is still locked when the pause from the first locked answer ends."""
    locked, answered, aged = lockout.locked, lockout.answered, lockout.aged

    def locked_once(standing: Standing, lock_s: float, asked_s: float | None) -> Lockout:
        return standing.lockout if standing.lockout.is_draining else locked(standing, lock_s, asked_s)

    def answered_unheard(standing: Standing, lock_s: float, period_s: float, **how: bool) -> Lockout:
        after = answered(standing, lock_s, period_s, **how)
        return replace(after, until_s=standing.lockout.until_s) if standing.lockout.is_draining else after

    def aged_unheard(standing: Standing, lock_s: float) -> Lockout:
        return aged(replace(standing, stamps=()), lock_s)

    monkeypatch.setattr(lockout, "aged", aged_unheard)
    monkeypatch.setattr(lockout, "locked", locked_once)
    monkeypatch.setattr(lockout, "answered", answered_unheard)

    assert "a pause was too short" in found(used_by_strangers)


def test_a_part_that_is_not_cut_back_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed process wrote and never committed would stand beside the same rows fetched again."""
    cut = Partitions.cut

    def cut_nothing(self: Partitions, job: Job, size_bytes: int, sha256: bytes) -> bool:
        path = self.part_path(job)
        tail = path.read_bytes()[size_bytes:] if path.exists() else b""
        is_whole = cut(self, job, size_bytes, sha256)
        part = self._open[job.id]
        os.pwrite(part.file, tail, part.size_bytes)
        part.size_bytes += len(tail)
        part.sha256.update(tail)
        return is_whole

    monkeypatch.setattr(Partitions, "cut", cut_nothing)

    assert found(killed_often)


def test_a_token_for_every_call_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten tokens in ten minutes are all that there are; who asks for one each time gets none."""

    async def renewed(self: Tokens) -> str:
        return await self._renew()

    monkeypatch.setattr(Tokens, "token", renewed)
    monkeypatch.setattr(Tokens, "_is_usable", lambda *_: False)

    assert found(night)


def test_a_boot_that_forgets_the_calls_under_way_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call sent before the boot may be counted after it: taken as seen at the boot, it is forgotten too early."""

    def adopt_as_seen(database: Database, clock: Clock) -> bool:
        was_booted = adopt_boot(database, clock)
        if was_booted:
            database.brief.execute("UPDATE calls SET stamp_s = ?", (clock.now_s(),))
        return was_booted

    monkeypatch.setattr(workshop, "adopt_boot", adopt_as_seen)

    assert "P1" in found(rebooted)
