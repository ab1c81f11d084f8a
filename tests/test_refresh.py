"""Which sets a night reads again: by age, by counter, by the time since they were last read."""

import datetime as dt
from dataclasses import replace

import pytest
from factories import DATE
from hypothesis import given
from hypothesis import strategies as st

from harvester.engine.refresh import Decision, FillRules, Interval, RefreshRules
from harvester.model import Action, Campaign, Job, Published
from harvester.snapshot import Snapshot

INTERVALS = (Interval(7, 1), Interval(60, 7), Interval(365, 30))
RULES = RefreshRules(dict.fromkeys(Action, INTERVALS), full_refresh_days=90)
PARTITION = Published("recipients/k.jsonl", rows=3, bytes=30, sha256="ab" * 32)

days = st.integers(0, 500)
counters = st.none() | st.integers(0, 3)


def job(age_days: int | None, action: Action = Action.OPENED) -> Job:
    sent_at_ms = None
    if age_days is not None:
        noon = dt.datetime.combine(DATE - dt.timedelta(days=age_days), dt.time(12), dt.UTC)
        sent_at_ms = int(noon.timestamp() * 1000)
    return Job(1, "acme", Campaign("k", sent_at_ms=sent_at_ms), action, DATE)


def snapshot(read_days_ago: int, checked_days_ago: int | None = None, counter_rows: int | None = 3) -> Snapshot:
    checked = read_days_ago if checked_days_ago is None else checked_days_ago
    return Snapshot(
        7, DATE - dt.timedelta(days=read_days_ago), DATE - dt.timedelta(days=checked), counter_rows, PARTITION
    )


@pytest.mark.parametrize(
    ("age_days", "checked_days_ago", "decision"),
    [
        (0, 1, Decision.ASK),
        (7, 1, Decision.ASK),
        (8, 1, Decision.CARRY),
        (14, 6, Decision.CARRY),
        (14, 7, Decision.ASK),
        (60, 7, Decision.ASK),
        (61, 7, Decision.CARRY),
        (61, 29, Decision.CARRY),
        (366, 29, Decision.CARRY),
    ],
)
def test_campaign_is_looked_at_less_often_the_older_it_is(
    age_days: int, checked_days_ago: int, decision: Decision
) -> None:
    """Daily to day 7, weekly to day 60, monthly to day 365, then never."""
    assert RULES.decide(job(age_days), snapshot(checked_days_ago)) is decision


def test_set_that_was_never_read_is_read_while_its_campaign_is_not_frozen() -> None:
    """A new campaign is harvested at once; one that is too old to begin with is left to a backfill."""
    assert RULES.decide(job(365), None) is Decision.HARVEST
    assert RULES.decide(job(366), None) is Decision.LEAVE_OUT
    assert FillRules().decide(job(366), None) is Decision.HARVEST


def test_full_refresh_comes_whatever_the_counter_says() -> None:
    """A set that is looked at and was last read so many days ago is read although its counter stands."""
    stale, fresh = snapshot(90, 1), snapshot(59, 1)

    assert RULES.decide(job(3), stale) is Decision.HARVEST
    assert RULES.why_read(job(3), stale, 3) == "not read for 90 days"
    assert RULES.decide(job(3), fresh) is Decision.ASK


def test_full_refreshes_of_campaigns_are_spread_over_days() -> None:
    """What was first read on one night does not all come back on one night, and nothing comes later than promised."""
    jobs = [replace(job(3), campaign=replace(job(3).campaign, key=f"k{number}")) for number in range(300)]
    first_days = [
        next(days for days in range(91) if RULES.decide(each, snapshot(days, 1)) is Decision.HARVEST) for each in jobs
    ]

    assert min(first_days) >= 60
    assert max(first_days) <= 90
    assert max(first_days.count(days) for days in first_days) < 30


def test_monthly_look_asks_the_counter_first() -> None:
    """With the defaults a full refresh does not fall due with each monthly look."""
    assert RULES.decide(job(100), snapshot(35)) is Decision.ASK


def test_frozen_campaign_is_not_even_read_in_full() -> None:
    """Beyond the last age nothing is asked, however long ago it was read."""
    assert RULES.decide(job(1000), snapshot(500)) is Decision.CARRY


@given(before=counters, now=counters)
def test_set_is_carried_only_on_two_equal_counters(before: int | None, now: int | None) -> None:
    """An unknown counter, then or now, proves nothing: the set is read."""
    reason = RULES.why_read(job(1), snapshot(1, counter_rows=before), now)

    assert (reason is None) == (before is not None and before == now)


@given(age=days, read=days, checked=days, counter=counters)
def test_decision_and_reason_never_contradict_each_other(
    age: int, read: int, checked: int, counter: int | None
) -> None:
    """What is to be read without asking has a reason whatever the counter says."""
    known = snapshot(read, min(read, checked))

    if RULES.decide(job(age), known) is Decision.HARVEST:
        assert RULES.why_read(job(age), known, counter) is not None


@given(age=days, read=st.integers(1, 500), checked=days)
def test_next_look_is_the_first_date_on_which_the_set_is_not_carried(age: int, read: int, checked: int) -> None:
    """The date that people are told is the one on which the rules look, as long as the interval is the same."""
    known, today = snapshot(read, min(read, checked)), job(age)
    look = RULES.next_look(today, known)

    if look is None:
        assert RULES.decide(today, known) is Decision.CARRY
    else:
        assert (look == DATE) == (RULES.decide(today, known) is not Decision.CARRY)


def test_look_for_a_later_date_silences_no_earlier_one() -> None:
    """After a harvest for a date that has not come, by mistake, the dates before it ask their counters all the same."""
    assert RULES.decide(job(3), snapshot(1, -20)) is Decision.ASK


def test_action_may_have_ages_of_its_own() -> None:
    """Sent messages do not change after some days, opens do."""
    rules = replace(RULES, intervals={**RULES.intervals, Action.SENT: (Interval(2, 1),)})

    assert rules.decide(job(5, Action.SENT), snapshot(1)) is Decision.CARRY
    assert rules.decide(job(5, Action.OPENED), snapshot(1)) is Decision.ASK


def test_campaign_of_unknown_age_is_looked_at_every_day() -> None:
    """Where the server does not say when a campaign was sent, nothing may be saved by its age."""
    assert RULES.decide(job(None), snapshot(1)) is Decision.ASK


def test_campaign_sent_after_the_harvest_date_is_new() -> None:
    """A harvest date in the past does not make an age negative."""
    assert RULES.decide(job(-3), snapshot(1)) is Decision.ASK


def test_backfill_reads_what_was_never_read_and_nothing_else() -> None:
    """What was read whole for any date is carried, whatever its counter says."""
    assert FillRules().decide(job(3), snapshot(400)) is Decision.CARRY
    assert FillRules().why_read(job(3), snapshot(400), 99) is None
    assert FillRules().why_read(job(3), None, 3) is not None
