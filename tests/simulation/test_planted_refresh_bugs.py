"""Known mistakes in what a night reads again, put back on purpose: nights that do not find them would prove nothing."""

import sqlite3

import pytest
from simulation.audit import Audit
from simulation.thirty_nights import (
    CONFIRMING_CALLS,
    EVERY_NIGHT,
    FEW_ACTIONS,
    YOUNG,
    aged,
    audited,
    calendar,
    harvesting,
)
from simulation.truth import ViolationError

from harvester.engine.refresh import NO_COUNTER, RefreshRules
from harvester.model import Job
from harvester.snapshot import Snapshot
from harvester.store.snapshots import remember

NIGHTS = 12
FULL_REFRESH_DAYS = 6


def play(restless_share: float = 0.2) -> Audit:
    """Play some nights, judge them and return what was judged; `restless_share` as in `AgeOptions`.

    Raises:
        ViolationError: a snapshot was not the truth, or cost too much.
    """
    nightly = EVERY_NIGHT | {"full_refresh_days": FULL_REFRESH_DAYS}
    nights = aged(calendar(5, YOUNG, nights=NIGHTS, nightly=nightly), restless_share=restless_share)
    audit = audited(harvesting(nights, actions=FEW_ACTIONS), Audit(full_refresh_days=FULL_REFRESH_DAYS))
    audit.check_price(calls_per_night=CONFIRMING_CALLS)
    return audit


def test_without_a_planted_bug_nothing_is_found() -> None:
    """What the others find is theirs: all nights are judged, and calls were made in them."""
    audit = play()

    assert len(audit.bills) == NIGHTS
    assert audit.total() >= audit.oracle_calls > 0


def test_a_counter_that_fell_taken_for_no_change_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who have not opened dwindle."""
    why_read = RefreshRules.why_read

    def careless(rules: RefreshRules, job: Job, snapshot: Snapshot | None, counter_rows: int | None) -> str | None:
        if snapshot is not None and counter_rows is not None and snapshot.counter_rows is not None:
            counter_rows = max(counter_rows, snapshot.counter_rows)
        return why_read(rules, job, snapshot, counter_rows)

    monkeypatch.setattr(RefreshRules, "why_read", careless)

    with pytest.raises(ViolationError, match="are not the server's"):
        play()


def test_a_full_refresh_a_day_late_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no counter tells of is a day too old then."""

    def late(rules: RefreshRules, job: Job, snapshot: Snapshot) -> bool:
        return (job.date - snapshot.date).days > rules.full_refresh_days

    monkeypatch.setattr(RefreshRules, "_is_stale", late)

    with pytest.raises(ViolationError, match="are not the server's"):
        play()


def test_a_counter_told_after_the_reading_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a new counter is put beside an older partition, the set stands still in our eyes."""

    def mismatched(connection: sqlite3.Connection, job_id: int) -> None:
        same_set = "(campaign_id, action) = (SELECT campaign_id, action FROM jobs WHERE id = ?)"
        counter = "(SELECT counter_at_start FROM jobs WHERE id = ?)"
        kept = connection.execute(
            f"UPDATE snapshots SET counter_rows = {counter} WHERE {same_set}",  # noqa: S608  constants
            (job_id, job_id),
        )
        if not kept.rowcount:
            remember(connection, job_id)

    monkeypatch.setattr("harvester.store.ledger.remember", mismatched)

    with pytest.raises(ViolationError, match="are not the server's"):
        play()


def test_reading_what_stands_still_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """It loses no row, and costs more than the oracle spends."""
    monkeypatch.setattr(RefreshRules, "why_read", lambda *_: NO_COUNTER)

    with pytest.raises(ViolationError, match="the oracle spends"):
        play(restless_share=0.0)
