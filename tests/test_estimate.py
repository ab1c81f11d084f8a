"""Which sets a plan reads, carries and leaves out, why, and what they come to."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

import pytest
from factories import DATE
from hypothesis import given
from hypothesis import strategies as st

from harvester.engine.estimate import LARGEST_MAX, Estimator, Intent, Reason, calls_expected
from harvester.engine.pricing import calls_of
from harvester.engine.refresh import FillRules, Interval, RefreshRules, Rules
from harvester.history import Habits, KnownCampaign, KnownSet, OpenSet, Typical
from harvester.model import Action, Campaign, Counters, JobState, Published
from harvester.snapshot import Snapshot

SETS = (Action.SENT, Action.OPENED)
NIGHTLY = RefreshRules({action: [Interval(7, 1), Interval(60, 7)] for action in Action}, full_refresh_days=30)
NOBODY = KnownCampaign()


def estimator(rules: Rules | None = NIGHTLY, habits: Habits | None = None, *, is_refresh: bool = False) -> Estimator:
    intent = Intent("acme", DATE, SETS, rules, 500, is_refresh)
    return Estimator(intent, habits or Habits(longest_page_rows=500))


def sent(days_ago: int, key: str = "3zab") -> Campaign:
    moment = dt.datetime.combine(DATE, dt.time(12), dt.UTC) - dt.timedelta(days=days_ago)
    return Campaign(key, sent_at_ms=int(moment.timestamp() * 1000))


def read_before(days_ago: int, rows: int | None = 100, counter_rows: int | None = 100) -> Snapshot:
    date = DATE - dt.timedelta(days=days_ago)
    partition = None if rows is None else Published("p", rows, 1, "0")
    return Snapshot(1, date, date, counter_rows, partition)


def known(*sets: KnownSet) -> KnownCampaign:
    return KnownCampaign(dict(zip(SETS, sets, strict=False)))


def taken(
    campaign: Campaign, of: KnownCampaign, counters: dict[Action, int] | None = None, rules: Rules | None = NIGHTLY
) -> Estimator:
    whole = estimator(rules)
    whole.take(whole.prospect(campaign, "Spring", of), None if counters is None else Counters(counters))
    return whole


def test_a_new_campaign_is_read_and_priced_by_its_counters() -> None:
    """Never read: each set costs what its counter says."""
    whole = taken(sent(1), NOBODY, {Action.SENT: 5_000, Action.OPENED: 700})

    assert whole.estimate.reasons == {Reason.NEVER_READ: 2}
    assert whole.total.likely == calls_of(5_000, 500) + calls_of(700, 500)
    assert whole.estimate.rows == 5_700


@pytest.mark.parametrize(
    ("counter_rows", "reason"), [(100, None), (101, Reason.COUNTER_MOVED), (None, Reason.NO_COUNTER)]
)
def test_the_counter_settles_whether_a_set_is_read(counter_rows: int | None, reason: Reason | None) -> None:
    """Where it stands the set is carried; where it moved, or is not to be had, the set is read."""
    standing = KnownSet(read_before(1))
    counters = {Action.SENT: 100} | ({} if counter_rows is None else {Action.OPENED: counter_rows})

    estimate = taken(sent(3), known(standing, standing), counters).estimate

    assert estimate.jobs_carried == (2 if reason is None else 1)
    assert estimate.reasons == ({} if reason is None else {reason: 1})


def test_a_set_that_was_not_read_for_a_month_is_read_whatever_its_counter_says() -> None:
    """The full refresh is told by its name."""
    whole = taken(sent(50), known(KnownSet(read_before(31)), KnownSet(read_before(31))), {Action.SENT: 100})

    assert whole.estimate.reasons == {Reason.FULL_REFRESH: 2}


@pytest.mark.parametrize(
    ("campaign", "of", "carried", "left_out"),
    [
        (sent(300), NOBODY, 0, 2),
        (sent(300), known(KnownSet(read_before(200)), KnownSet(read_before(200))), 2, 0),
        (sent(30), known(KnownSet(read_before(2)), KnownSet(read_before(2))), 2, 0),
    ],
)
def test_sets_that_are_not_due_cost_neither_calls_nor_questions(
    campaign: Campaign, of: KnownCampaign, carried: int, left_out: int
) -> None:
    """Too old to begin with, frozen, or looked at lately."""
    whole = estimator()
    prospect = whole.prospect(campaign, "", of)
    whole.take(prospect, None)

    assert not prospect.is_due
    assert (whole.estimate.jobs_carried, whole.estimate.jobs_left_out) == (carried, left_out)
    assert (whole.estimate.jobs, whole.total.likely) == (0, 0)


def test_what_is_done_on_the_date_is_not_paid_again() -> None:
    """The same command again costs what is open: pages that are stored are paid as well."""
    done, begun = KnownSet(state=JobState.DONE), KnownSet(state=JobState.PENDING, pages=4, counter_rows=5_000)

    whole = taken(sent(1), known(done, begun))

    assert whole.estimate.jobs_settled == 1
    assert whole.estimate.reasons == {Reason.BEGUN: 1}
    assert whole.total.likely == calls_of(5_000, 500) - 4


def test_a_refresh_pays_for_all() -> None:
    """What is done is asked for again."""
    whole = estimator(is_refresh=True)
    done = KnownSet(state=JobState.DONE, counter_rows=10)
    whole.take(whole.prospect(sent(300), "", known(done, done)), None)

    assert whole.estimate.reasons == {Reason.ASKED_FOR: 2}


@pytest.mark.parametrize(("rules", "jobs"), [(None, 2), (FillRules(), 1)])
def test_a_run_reads_all_and_a_backfill_what_was_never_read(rules: Rules | None, jobs: int) -> None:
    """By the same rules as the commands themselves."""
    assert taken(sent(400), known(KnownSet(read_before(300)), KnownSet()), rules=rules).estimate.jobs == jobs


@pytest.mark.parametrize("is_told_now", [True, False])
def test_a_campaign_that_refuses_costs_one_call(is_told_now: bool) -> None:  # noqa: FBT001
    """The first answer speaks for all of its sets, whether the reports or an earlier harvest told of it."""
    whole = estimator()
    of = NOBODY if is_told_now else replace(NOBODY, is_refused=True)
    whole.take(whole.prospect(sent(1), "", of), None, is_refused=is_told_now)

    assert whole.estimate.jobs == 2
    assert (whole.total.low, whole.total.likely) == (1, 1)


def test_sets_of_unknown_size_cost_the_mean_of_the_account() -> None:
    """Without counters and without a harvest of their own."""
    typical = {action: Typical(rows=900.0, calls=2.5, calls_max=7) for action in SETS}
    whole = estimator(habits=Habits(longest_page_rows=500, typical=typical))
    whole.take(whole.prospect(sent(1), "", NOBODY), None)

    assert (whole.total.low, whole.total.likely) == (2, 5.0)
    assert whole.total.high >= 14
    assert whole.estimate.rows == 1_800


def test_a_server_that_clamps_pages_costs_more_calls() -> None:
    """Where no page was ever longer than 100 rows, sets are priced by 100."""
    whole = estimator(habits=Habits(longest_page_rows=100, page_rows_max=100))
    whole.take(whole.prospect(sent(1), "", NOBODY), Counters({Action.SENT: 5_000, Action.OPENED: 0}))

    assert whole.total.likely == calls_of(5_000, 100) + 1


def test_the_calls_expected_of_a_run_are_those_of_its_open_sets() -> None:
    """By counter, by the last harvest, by the mean of the action, less what is stored; unknown if one is."""
    habits = Habits(typical={Action.SENT: Typical(rows=900.0, calls=2.5, calls_max=7)})
    counted, earlier = OpenSet(Action.SENT, 5_000, None, 4), OpenSet(Action.OPENED, None, 998, 0)
    by_mean, unknown = OpenSet(Action.SENT, None, None, 0), OpenSet(Action.OPENED, None, None, 0)

    assert calls_expected([counted, earlier, by_mean, by_mean], habits, 500) == (11 - 4) + 2 + 5
    assert calls_expected([counted, unknown], habits, 500) is None


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 20_000)), max_size=20), st.floats(0, 0.2))
def test_the_range_holds_the_likely_price_and_the_parts_add_up(
    sizes: Sequence[tuple[int, int]], retry_share: float
) -> None:
    """The likely price lies within; actions come to the whole but for confirming calls; the dearest are named."""
    whole = estimator(None, Habits(retry_share=retry_share))
    for number, rows in enumerate(sizes):
        prospect = whole.prospect(sent(9, f"key-{number}"), "", NOBODY)
        whole.take(prospect, Counters(dict(zip(SETS, rows, strict=True))))

    total, estimate = whole.total, whole.estimate
    prices = [sum(calls_of(each, 500) for each in rows) for rows in sizes]
    assert total.low <= total.likely <= total.high
    assert total.likely == sum(price.likely for price in estimate.prices.values()) + estimate.confirming.calls
    assert estimate.jobs == sum(estimate.action_jobs.values()) == 2 * len(sizes)
    assert [each.calls for each in estimate.largest] == sorted(prices, reverse=True)[:LARGEST_MAX]
