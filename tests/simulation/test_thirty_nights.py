"""Thirty nights, a process each, on one folder: what they cost and what they leave, held against an oracle.

The world is small here; `python tests/simulation/thirty_nights.py` plays the full one.
"""

import datetime as dt
from dataclasses import replace
from random import Random

import pytest
from simulation.audit import Audit
from simulation.change_replay import ChangeReplay
from simulation.many_nights import Look, play
from simulation.night import Night, settings_of
from simulation.oracle import USUAL
from simulation.scenario import Death
from simulation.thirty_nights import (
    CONFIRMING_CALLS,
    EVERY_NIGHT,
    FEW_ACTIONS,
    SMALL,
    YOUNG,
    Size,
    aged,
    audited,
    calendar,
    harvesting,
    peopled,
)
from simulation.wire import REPORTS_PATH

from harvester.model import Action, JobState
from harvester.operations.workshop import RECIPIENTS, REPORTS
from harvester.simulator.options import FaultKind, FaultOptions
from harvester.snapshot import Carry

OLD = Size(campaigns=15, per_day=0.1, recipients_max=120, page_rows=60)
"""All sent more than a year before: nothing moves any more."""

CONCURRENCY, PAGES_AHEAD = 4, 2
"""Few calls under way, so that what a kill may cost is little."""


@pytest.mark.parametrize(("size", "confirming_calls"), [(SMALL, 0), (YOUNG, CONFIRMING_CALLS)])
def test_every_night_equals_the_truth_for_little_more_than_the_oracle_spends(size: Size, confirming_calls: int) -> None:
    """Looked at every night, the newest snapshot is the server's on every night, row for row, within 10 % of the calls.

    The endpoints beside it are asked no more than once for what is due: the audit sees to that after each night.
    """
    audit = audited(calendar(5, size), Audit())

    audit.check_price(calls_per_night=confirming_calls)
    assert len(audit.bills) == 30
    assert sum(len(bill.wish.read) for bill in audit.bills[1:]) > 30


def test_by_the_default_schedule_every_set_is_as_old_as_its_last_look() -> None:
    """Daily, then weekly, then monthly, then never: each set equals the truth of the night when it was last due."""
    audit = audited(calendar(5, SMALL, nightly={}), Audit(ages=USUAL))

    audit.check_price()
    looked_at = [len(bill.wish.looked_at) for bill in audit.bills]
    assert looked_at[0] > 20
    assert min(looked_at) < 10


@pytest.mark.parametrize("carry", Carry)
def test_a_night_on_which_nothing_changed_costs_no_call_to_the_recipients(carry: Carry) -> None:
    """The manifest describes the whole snapshot all the same, wherever its partitions lie."""
    nights = calendar(5, OLD, nights=3, nightly=EVERY_NIGHT | {"carry": carry})
    nights = replace(nights, first_date=nights.first_date.replace(year=nights.first_date.year + 1))

    audit = audited(nights, Audit())

    assert [bill.calls[RECIPIENTS] for bill in audit.bills[1:]] == [0, 0]
    assert audit.snapshot is not None
    assert {each.state for each in audit.snapshot.sets.values()} == {JobState.CARRIED}


def test_the_sum_of_the_changes_rebuilds_the_last_snapshot() -> None:
    """From the first night's snapshot the change files alone lead to the last one, row for row."""
    replay, last = ChangeReplay(), list[Night]()
    nights = aged(calendar(5, YOUNG, changes={"enabled": True}), restless_share=0.1)
    nights = harvesting(nights, actions=FEW_ACTIONS)

    def look(night: Night, number: int) -> None:
        replay.look(night, number)
        if number == nights.nights - 1:
            replay.check(night)
            last.append(night)

    play(replace(nights, look=look))

    assert last
    assert replay.files > 100


def test_P3_nights_that_are_killed_go_on_and_repeat_little() -> None:
    """Killed at random steps on every other night, all is as without, but for the calls that were in flight."""
    rng = Random(1)  # noqa: S311  moments of death, no secret
    deaths = {
        number: [Death(step=round(10 ** rng.uniform(0, 3)), pause_s=rng.choice([0.0, 600.0])) for _ in range(2)]
        for number in range(0, 30, 2)
    }
    nights = harvesting(calendar(1, YOUNG), actions=FEW_ACTIONS, concurrency=CONCURRENCY, pages_ahead=PAGES_AHEAD)

    audit = audited(replace(nights, deaths=deaths), Audit())

    audit.check_price(calls_per_kill=CONCURRENCY + PAGES_AHEAD, calls_per_night=CONFIRMING_CALLS)
    assert sum(bill.kills for bill in audit.bills) > 15


def test_what_no_counter_tells_of_is_seen_by_the_full_refresh() -> None:
    """Where the status of contacts changes unseen, no row is staler than `full_refresh_days`."""
    nights = aged(calendar(5, YOUNG, nightly=EVERY_NIGHT | {"full_refresh_days": 10}), restless_share=0.2)

    audit = audited(harvesting(nights, actions=FEW_ACTIONS), Audit(full_refresh_days=10))

    audit.check_price(calls_per_night=CONFIRMING_CALLS)
    assert min(len(bill.wish.read) for bill in audit.bills[10:]) > 0
    assert audit.snapshot is not None
    oldest = min(standing.read_on for standing in audit.snapshot.sets.values())
    assert (dt.date.fromisoformat(audit.bills[-1].date) - dt.date.fromisoformat(oldest)).days < 10


def test_campaigns_that_refuse_cost_a_call_a_night() -> None:
    """Forbidden campaigns and A/B campaigns too small to send: nobody asks for each of their actions every night."""
    nights = peopled(calendar(5, YOUNG), forbidden_share=0.05, tiny_ab_share=0.05)

    audit = audited(harvesting(nights, actions=FEW_ACTIONS), Audit())

    audit.check_price(calls_per_night=CONFIRMING_CALLS)
    assert max(len(bill.wish.refused) for bill in audit.bills) > 2


BAD_NIGHT = 5


def locked_reports(night: Night, number: int) -> None:
    """Let somebody else lock the reports before our run asks for them."""
    if number == BAD_NIGHT:
        night.wire.call_as_a_stranger(night.scenario.server.quota.calls + 1, REPORTS_PATH)


def failing_reports(night: Night, number: int) -> None:
    """Let the endpoint of the reports fail for a night."""
    faults = FaultOptions(share=float(number == BAD_NIGHT), kinds=(FaultKind.HTTP_500,), endpoints=(REPORTS,))
    night.wire.zoho.options = replace(night.scenario.server, faults=faults)


@pytest.mark.parametrize("befall", [locked_reports, failing_reports])
def test_a_night_without_counters_reads_all_that_is_due(befall: Look) -> None:
    """Nothing is lost and nothing taken on trust: what cannot be looked at is read, on that night and the next."""
    audit = audited(replace(calendar(5, YOUNG, nights=BAD_NIGHT + 4), befall=befall), Audit())

    bad, again, good = audit.bills[BAD_NIGHT : BAD_NIGHT + 3]
    blind = len(bad.wish.looked_at) * len(Action)
    assert blind / 2 < bad.calls[RECIPIENTS] < blind + 20
    assert again.calls[RECIPIENTS] < blind + 50
    assert good.calls[RECIPIENTS] < 1.1 * good.wish.calls + 5


def test_an_account_that_is_refused_stops_no_other() -> None:
    """While the refresh token of one account is bad, the nights of the other go on; then the first catches up."""
    nights = harvesting(calendar(5, YOUNG, nights=12), actions=FEW_ACTIONS)
    both = replace(nights.scenario, accounts=("acme", "globex"))
    acme, globex = Audit("acme"), Audit("globex")

    def befall(night: Night, number: int) -> None:
        is_bad = 4 <= number < 8
        acme.exit_code = 4 if is_bad else None
        bad = {"globex": "bad-token"} if is_bad else {}
        night.settings = settings_of(replace(both, refresh_tokens=bad), night.settings.output.parent)

    def look(night: Night, number: int) -> None:
        acme.look(night, number)
        if acme.exit_code is None:
            globex.look(night, number)

    play(replace(nights, scenario=both, befall=befall, look=look))

    acme.check_price(calls_per_night=CONFIRMING_CALLS)
    globex.check_price(calls_per_night=CONFIRMING_CALLS)
    assert len(acme.bills) == 12
    assert len(globex.bills) == 8
