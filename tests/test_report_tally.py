from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.events import (
    BudgetHeld,
    BudgetUsed,
    CampaignsDiscovered,
    CampaignsUnsteady,
    ChildrenMissing,
    CounterMisfits,
    CountersMissing,
    DrainStarted,
    Event,
    HarvestFinished,
    HarvestJudged,
    HarvestStarted,
    JobCarried,
    JobDone,
    JobFailed,
    JobPostponed,
    JobsDoubted,
    JobSkipped,
    JobStarted,
    LockoutClosed,
    LockoutOpened,
    OffsetsDiffer,
    OutageClosed,
    OutageOpened,
    PageStored,
)
from harvester.report.attention import ATTENTION_MAX
from harvester.report.rate import MEMORY_S, WARM_UP_S, Rate
from harvester.report.tally import RECIPIENTS_ENDPOINT, AccountTally, Tally

STARTED = HarvestStarted("acme", "2026-11-22", "run-1", jobs=100, jobs_open=80)
LOCKED = LockoutOpened("acme", RECIPIENTS_ENDPOINT, 1800.0, "2026-11-22T14:05:00Z", 1, 499)


def tally_of(*events: Event, now_s: float = 0.0) -> Tally:
    tally = Tally(calls=500, period_s=300.0)
    for event in events:
        tally.fold(event, now_s)
    return tally


def acme_of(*events: Event, now_s: float = 0.0) -> AccountTally:
    return tally_of(*events, now_s=now_s).accounts[0]


def done(number: int) -> JobDone:
    return JobDone("acme", f"key-{number}", "sentcontacts", 10, 1000, "short page")


def failed(reason: str, *, jobs: int = 9, key: str = "key-0") -> JobFailed:
    return JobFailed("acme", key, "sentcontacts", "6002", reason, "check the keys", jobs)


def steady(tally: Tally, jobs: int, every_s: float, start_s: float = 0.0) -> float:
    """Fold `jobs` jobs of one call each, one every `every_s` seconds; return the moment of the last."""
    now_s = start_s
    for number in range(jobs):
        now_s = start_s + (number + 1) * every_s
        tally.fold(BudgetUsed("acme", RECIPIENTS_ENDPOINT, 400), now_s)
        tally.fold(done(number), now_s)
    return now_s


def test_jobs_closed_before_the_run_count_as_done() -> None:
    """A resumed harvest begins where the last one stopped."""
    counts = acme_of(STARTED).counts

    assert (counts.jobs, counts.done, counts.open) == (100, 20, 80)


def test_end_states_are_counted_with_their_siblings() -> None:
    """A failed or skipped job takes the siblings that go with it along."""
    skipped = JobSkipped("acme", "key-2", "sentcontacts", "6601", "not applicable", 9)
    counts = acme_of(STARTED, done(1), failed("bad key"), skipped).counts

    assert (counts.done, counts.failed, counts.skipped, counts.open) == (21, 9, 9, 61)


def test_jobs_in_hand_are_those_begun_and_not_ended() -> None:
    """A job leaves the hand when it is done or postponed."""
    begun = [JobStarted("acme", f"key-{number}", "sentcontacts", 1) for number in range(3)]
    postponed = JobPostponed("acme", "key-1", "sentcontacts", 1, 5.0, "http-502")

    assert acme_of(STARTED, *begun, done(0), postponed).in_hand == {("key-2", "sentcontacts")}


def test_pages_rows_and_bytes_add_up_over_accounts() -> None:
    """The total is the sum of the accounts."""
    pages = [PageStored(account, "key", "sentcontacts", 1, 500, 9000) for account in ("acme", "beta", "acme")]
    tally = tally_of(*pages, CampaignsDiscovered("beta", 12))

    assert [account.account for account in tally.accounts] == ["acme", "beta"]
    total = tally.total
    assert (total.pages, total.rows, total.bytes, total.campaigns) == (3, 1500, 27_000, 12)


def test_only_calls_to_the_recipients_endpoint_count() -> None:
    """Another endpoint has a budget of its own and moves no figure."""
    used = BudgetUsed("acme", RECIPIENTS_ENDPOINT, 42)
    others = [
        BudgetUsed("acme", "recentcampaigns", 3),
        BudgetHeld("acme", "recentcampaigns", 60.0),
        LockoutOpened("acme", "recentcampaigns", 1800.0, "", 1, 499),
        LockoutClosed("acme", "recentcampaigns"),
    ]
    acme = acme_of(used, *others)

    assert (acme.counts.calls, acme.free_calls, acme.held_until_s, acme.locked_until_s) == (1, 42, None, None)


def test_hold_counts_down_and_ends_with_the_next_call() -> None:
    """A hold shrinks with time, never below 0, and a call that was admitted ends it."""
    held = acme_of(BudgetHeld("acme", RECIPIENTS_ENDPOINT, 12.0), now_s=100.0)

    assert [held.held_s(now_s) for now_s in (100.0, 105.0, 200.0)] == [12.0, 7.0, 0.0]
    tally = tally_of(BudgetHeld("acme", RECIPIENTS_ENDPOINT, 12.0), BudgetUsed("acme", RECIPIENTS_ENDPOINT, 1))
    assert tally.accounts[0].held_s(0.0) == 0.0


def test_lockout_lasts_until_the_probe_is_answered() -> None:
    """After its time a lockout stands at 0 until it is closed."""
    locked = acme_of(LOCKED)

    assert [locked.locked_s(now_s) for now_s in (0.0, 1790.0, 1900.0)] == [1800.0, 10.0, 0.0]
    assert acme_of(LOCKED, LockoutClosed("acme", RECIPIENTS_ENDPOINT)).locked_s(0.0) is None


def test_the_ledgers_figures_end_the_harvest() -> None:
    """At the end the jobs are those of `harvest.finished`, rows and calls stay the run's own, and time stands still."""
    tally = tally_of(STARTED, done(1))
    tally.fold(HarvestFinished("acme", "2026-11-22", done=90, failed=4, skipped=5, open=1, rows=7, calls=8), 60.0)
    (acme,) = tally.accounts

    counts = acme.counts
    assert (counts.jobs, counts.done, counts.failed, counts.skipped, counts.open) == (100, 90, 4, 5, 1)
    assert (counts.rows, counts.calls, acme.elapsed_s(999.0)) == (0, 0, 60.0)


@given(st.floats(0.05, 20.0))
def test_rate_of_steady_work_is_its_rate(every_s: float) -> None:
    """Jobs closed at even distance give that rate, within what one job may weigh."""
    rate = Rate()
    for _ in range(1 + int(max(2 * WARM_UP_S, 3 * MEMORY_S) / every_s)):
        rate = rate.after(every_s, 1)

    assert rate.per_s == pytest.approx(1 / every_s, rel=0.02 + every_s / MEMORY_S)


def test_rate_is_unknown_at_first_and_after_a_long_silence() -> None:
    """Nothing is promised from one burst, nor from what was long ago."""
    assert Rate().after(0.5, 16).per_s is None
    assert Rate().after(2.0, 1).per_s is not None
    assert Rate().after(2.0, 1).after(600.0).per_s is None


def test_eta_follows_the_rate_while_the_server_is_slow() -> None:
    """One job each 2 s is slower than the budget (one call each 0.6 s), so the rate decides."""
    tally = tally_of(STARTED)
    now_s = steady(tally, 60, every_s=2.0)

    assert tally.eta_s(now_s) == pytest.approx(20 * 2.0, rel=0.1)


def test_eta_follows_the_budget_once_the_burst_is_over() -> None:
    """1,000 jobs of one call each cannot end before the budget has given 1,000 calls, however fast the burst was."""
    tally = tally_of(HarvestStarted("acme", "2026-11-22", "run-1", 1400, 1400))
    now_s = steady(tally, 400, every_s=0.05)
    tally.fold(BudgetHeld("acme", RECIPIENTS_ENDPOINT, 30.0), now_s)

    assert tally.eta_s(now_s) == pytest.approx(30.0 + 1000 * 0.6)


def test_a_lockout_delays_the_end_and_spoils_no_rate() -> None:
    """The wait adds to the estimate; afterwards the rate is what it was before."""
    tally = tally_of(STARTED)
    now_s = steady(tally, 40, every_s=2.0)
    before_s = tally.eta_s(now_s)
    tally.fold(LOCKED, now_s)
    assert before_s is not None

    assert tally.eta_s(now_s) == pytest.approx(before_s + 1800.0)
    assert tally.eta_s(now_s + 900.0) == pytest.approx(before_s + 900.0)
    tally.fold(LockoutClosed("acme", RECIPIENTS_ENDPOINT), now_s + 1800.0)
    assert tally.eta_s(now_s + 1800.0) == pytest.approx(before_s)


@pytest.mark.parametrize("event", [OutageOpened("acme", "refused"), DrainStarted("acme", "SIGTERM")])
def test_eta_is_unknown_when_nobody_can_know(event: Event) -> None:
    """An outage ends when it ends, and a run that stops reaches no end."""
    tally = tally_of(STARTED)
    now_s = steady(tally, 40, every_s=2.0)
    assert tally.eta_s(now_s) is not None

    tally.fold(event, now_s)

    assert tally.eta_s(now_s) is None


def test_eta_is_unknown_before_the_plan_and_zero_at_the_end() -> None:
    """Without a plan there is no estimate, without open jobs there is nothing left."""
    assert tally_of().eta_s(0.0) is None
    assert tally_of(CampaignsDiscovered("acme", 5)).eta_s(0.0) is None
    assert tally_of(HarvestStarted("acme", "2026-11-22", "run-1", 10, 0)).eta_s(0.0) == 0.0


def test_eta_of_all_is_the_longest_and_needs_each() -> None:
    """The run ends with its last account; one that is unknown makes the whole unknown."""
    tally = tally_of(STARTED, HarvestStarted("beta", "2026-11-22", "run-1", 10, 0))
    now_s = steady(tally, 40, every_s=2.0)

    assert tally.eta_s(now_s) == tally.account_eta_s(tally.accounts[0], now_s)
    tally.fold(CampaignsDiscovered("gamma", 1), now_s)
    assert tally.eta_s(now_s) is None


def test_failures_of_one_reason_are_one_notice() -> None:
    """Hundreds of campaigns that fail alike take one line, which says how many."""
    events = [failed("Invalid campaign key.", key=f"key-{number}") for number in range(300)]
    (notice,) = tally_of(*events).attention

    assert str(notice) == (
        "acme: campaign key-299, 9 jobs given up: 6002 Invalid campaign key - check the keys (and 299 more)"
    )


def test_only_the_last_notices_are_kept() -> None:
    """The list is bounded and the latest stands last."""
    attention = tally_of(*(failed(f"reason {number}") for number in range(20))).attention

    assert len(attention) == ATTENTION_MAX
    assert "reason 19" in str(attention[-1])


def test_what_is_over_needs_no_attention() -> None:
    """The notice of a lockout or an outage goes when it ends, and others stay."""
    opened = tally_of(LOCKED, OutageOpened("acme", "refused"), DrainStarted("", "SIGTERM"))
    assert [str(notice).split(";")[0] for notice in opened.attention] == [
        "acme: getcampaignrecipientsdata is locked until 14:05 UTC, after 499 calls in the window",
        "acme: no working server: refused",
        "stopping: SIGTERM",
    ]

    opened.fold(LockoutClosed("acme", RECIPIENTS_ENDPOINT), 0.0)
    opened.fold(OutageClosed("acme"), 0.0)

    assert [str(notice).split(";")[0] for notice in opened.attention] == ["stopping: SIGTERM"]


def test_an_event_of_no_account_opens_no_account() -> None:
    """What concerns the whole run is a notice only."""
    assert tally_of(DrainStarted("", "SIGTERM")).accounts == ()


def test_partial_jobs_are_closed_and_counted_apart() -> None:
    """A partition without some of its rows needs nothing more in this run, and is not called done."""
    partial = replace(done(1), unreadable_rows=2)
    account = acme_of(replace(STARTED, jobs=2, jobs_open=2), done(0), partial)

    assert (account.counts.done, account.counts.partial, account.counts.open) == (1, 1, 0)
    ended = acme_of(HarvestFinished("acme", "2026-11-22", 1, 0, 0, 0, 20, 2, partial=1))
    assert (ended.counts.jobs, ended.counts.closed, ended.counts.partial) == (2, 2, 1)


def test_doubted_jobs_are_open_again() -> None:
    """What is harvested again is not done, and the estimate counts it."""
    account = acme_of(replace(STARTED, jobs=2, jobs_open=2), done(0), done(1), JobsDoubted("acme", 1, 0))

    assert (account.counts.done, account.counts.open) == (1, 1)


def test_verdicts_are_told_in_words() -> None:
    """The live view shows what the counters said."""
    assert acme_of(HarvestJudged("acme", "2026-11-22", 107, 1, 0, 0)).proof == "107 proven, 1 short"


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (replace(done(1), unreadable_rows=2), "acme: campaign key-1: 2 rows unreadable, in quarantine"),
        (CountersMissing("acme", 3, "no privilege"), "acme: the counters of 3 campaigns stay unknown: no privilege"),
        (CampaignsUnsteady("acme", "it moved"), "acme: the listing of campaigns may lack some: it moved"),
        (
            ChildrenMissing("acme", 2, "no details"),
            "acme: the test halves of 2 A/B campaigns stay unknown: no details",
        ),
        (
            OffsetsDiffer("acme", 28_800_000, 1),
            "acme: the offset of sent_time is not the same for all: another one in 1 new campaign",
        ),
        (JobsDoubted("acme", 2, 0), "acme: 2 jobs with fewer rows than counted: harvested again"),
        (
            CounterMisfits("acme", "openedcontacts", "short", 40),
            "acme: the counter of openedcontacts does not fit: 40 sets short",
        ),
    ],
)
def test_doubts_are_noticed(event: Event, sentence: str) -> None:
    """What may need a person is shown under the figures."""
    assert [str(notice) for notice in tally_of(event).attention] == [sentence]


def test_a_plan_gives_an_estimate_before_the_first_job_is_closed() -> None:
    """Calls expected beyond the window have their time from the start; within it nobody knows how fast they go."""
    large = HarvestStarted("acme", "2026-11-22", "run-1", 900, 900, calls_expected=2_500)
    small = HarvestStarted("acme", "2026-11-22", "run-1", 90, 90, calls_expected=400)

    assert tally_of(large).eta_s(0.0) == pytest.approx(2_000 * 0.6)
    assert tally_of(small).eta_s(0.0) is None


def test_a_carried_job_is_closed_without_a_call() -> None:
    """It counts as closed, and lets the rest seem cheaper."""
    acme = acme_of(STARTED, JobCarried("acme", "key-1", "sentcontacts", "2026-11-21"))

    assert (acme.counts.carried, acme.counts.closed, acme.counts.calls) == (1, 21, 0)
