"""Sets that age: who has come and gone by which day, and what the counters say of it."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_caller import CLIENT, Caller, pages_of

from harvester.simulator.age_options import AgeOptions
from harvester.simulator.ageing import CHANGED_STATUS, RESTLESS_DAYS
from harvester.simulator.counters import ACTION_OF_COUNTER, counters_of
from harvester.simulator.model import Zoho
from harvester.simulator.options import Options, QuotaOptions, WorldOptions
from harvester.simulator.rows import ACTIVE, Contact
from harvester.simulator.set_options import RepeatOptions, Shift, ShiftOptions
from harvester.simulator.world import ACTIONS, World

OPENED, UNOPENED, CLICKED = "openedcontacts", "unopenedcontacts", "clickedcontacts"
GROWING = [action for action in ACTIONS if action != UNOPENED]
LATE_MAX_DAYS = AgeOptions().late_max_days
A_WHILE = AgeOptions().open_max_days

days = st.floats(0, LATE_MAX_DAYS + 10) | st.floats(0, 1) | st.integers(0, 70).map(float)
histories = st.lists(days, min_size=2, max_size=4).map(sorted)
seeds = st.integers(0, 50)


def zoho_of(day: float | None, seed: int = 1, recipients: int = 300, **options: Any) -> Zoho:
    """A service with two campaigns, sent on days 0 and 1."""
    age = replace(options.pop("age", AgeOptions()), day=day)
    world = WorldOptions(recipients=recipients, **({"campaigns": 2} | options.pop("world", {})))
    return Zoho(Options(seed=seed, world=world, age=age, quota=QuotaOptions(calls=100_000), **options))


def world_on(day: float | None, seed: int = 1, **options: Any) -> World:
    return zoho_of(day, seed, **options).world(CLIENT)


def sets_of(world: World) -> dict[str, set[str]]:
    """The first campaign's sets by action."""
    return {action: set(world.truth(world.campaigns[0].key, action)) for action in ACTIONS}


def contacts_of(world: World) -> Iterator[Contact]:
    return (row for campaign in world.campaigns for action in ACTIONS for row in world.recipients(campaign, action))


def all_sets(world: World) -> dict[tuple[str, str], list[str]]:
    keys = [key for campaign in world.campaigns for key in (campaign.key, *campaign.child_keys)]
    return {(key, action): list(world.truth(key, action)) for key in keys for action in ACTIONS}


@given(day=days, seed=seeds, recipients=st.integers(0, 350))
def test_the_sets_agree_on_every_day(day: float, seed: int, recipients: int) -> None:
    """Opened and unopened share nobody and are what was delivered; clicks, opt-outs and complaints follow an open."""
    sets = sets_of(world_on(day, seed, recipients=recipients))

    sent, bounced = sets["sentcontacts"], sets["senthardbounce"] | sets["sentsoftbounce"]
    assert len(sent) == recipients
    assert not sets[OPENED] & sets[UNOPENED]
    assert sets[OPENED] | sets[UNOPENED] == sent - bounced
    assert not sets["senthardbounce"] & sets["sentsoftbounce"]
    assert sets[CLICKED] | sets["optoutcontacts"] | sets["spamcontacts"] <= sets[OPENED]


@given(history=histories, seed=seeds)
def test_sets_grow_and_the_unopened_dwindle(history: list[float], seed: int) -> None:
    """Who opened once has opened; who has left the unopened does not come back."""
    zoho = zoho_of(history[0], seed)
    before = sets_of(zoho.world(CLIENT))

    for day in history[1:]:
        zoho.advance_to(day)
        after = sets_of(zoho.world(CLIENT))

        assert all(before[action] <= after[action] for action in GROWING)
        assert after[UNOPENED] <= before[UNOPENED]
        before = after


@given(day=days, seed=seeds)
def test_counters_are_the_sizes_of_the_sets_on_every_day(day: float, seed: int) -> None:
    """What campaignreports tells is what a harvest of the same day finds."""
    world = world_on(day, seed)

    for campaign in world.campaigns:
        counters = counters_of(world, campaign)

        sizes = {counter: len(list(world.truth(campaign.key, action))) for counter, action in ACTION_OF_COUNTER.items()}
        assert counters == counters | sizes
        assert counters["delivered_count"] == counters["opens_count"] + counters["unopened"]


@given(since=days | st.floats(-2, 0), passed=st.just(0.0) | st.floats(0, 3), seed=seeds, recipients=st.integers(0, 350))
def test_what_changed_is_told_rightly(since: float, passed: float, seed: int, recipients: int) -> None:
    """changed_on says True where the set of the earlier day was another one, and nowhere else."""
    world = world_on(since + passed, seed, recipients=recipients, world={"ab_share": 0.5})
    then, now = all_sets(world_on(since, seed, recipients=recipients, world={"ab_share": 0.5})), all_sets(world)

    told = {(key, action): world.changed_on(key, action, since) for key, action in now}

    assert told == {which: then[which] != now[which] for which in now}


def test_nothing_changes_in_a_world_that_does_not_age() -> None:
    """Without a present day all is over, and changed_on is False for every day."""
    world = world_on(None)

    assert not any(world.changed_on(world.campaigns[0].key, action, since_day=-5) for action in ACTIONS)


def test_changed_on_knows_its_words() -> None:
    """An unknown campaign or action is a KeyError."""
    world = world_on(3.0)

    with pytest.raises(KeyError):
        world.changed_on("none", OPENED, 2.0)
    with pytest.raises(KeyError):
        world.changed_on(world.campaigns[0].key, "nosuchcontacts", 2.0)


@given(history=histories, seed=seeds)
def test_a_contact_is_the_same_on_all_days(history: list[float], seed: int) -> None:
    """Id, address and all else of a row stay, and rows stand in the order of their positions."""
    zoho = zoho_of(history[0], seed)
    known: dict[str, Contact] = {}

    for day in history:
        zoho.advance_to(day)
        world = zoho.world(CLIENT)

        assert all(known.setdefault(contact.email, contact) == contact for contact in contacts_of(world))
        places = [contact.position for contact in world.recipients(world.campaigns[0], OPENED)]
        assert places == sorted(places)


@given(history=histories, seed=seeds)
def test_a_day_is_the_same_whichever_way_it_was_reached(history: list[float], seed: int) -> None:
    """A service that has lived through days has the sets of one that is started on the last of them."""
    zoho = zoho_of(history[0], seed)

    for day in history:
        zoho.advance_to(day)
        all_sets(zoho.world(CLIENT))

    assert all_sets(zoho.world(CLIENT)) == all_sets(world_on(history[-1], seed))


def test_a_day_is_the_same_in_another_process() -> None:
    """Equal options and days give equal answers, whatever the seed of Python's hashes."""
    program = (
        "from hashlib import sha256; from test_simulator_ageing import all_sets, world_on;"
        "print(sha256(repr(all_sets(world_on(2.5))).encode()).hexdigest())"
    )

    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(told) == 1
    assert all(told)


@given(seed=seeds, recipients=st.integers(0, 350))
def test_old_campaigns_are_those_of_a_world_that_does_not_age(seed: int, recipients: int) -> None:
    """At the age of late_max_days all is over: the sets are then the arithmetic ones."""
    old = world_on(LATE_MAX_DAYS + 1.0, seed, recipients=recipients)

    assert all_sets(old) == all_sets(world_on(None, seed, recipients=recipients))


def test_most_people_act_soon_and_some_late() -> None:
    """Half open within a day, all but the late share within a week; bounces are over within hours."""
    world = world_on(None, recipients=20_000, world={"campaigns": 1})
    whole = {action: len(ids) for action, ids in sets_of(world).items()}

    week, day, hours = (sets_of(world_on(age, recipients=20_000, world={"campaigns": 1})) for age in (A_WHILE, 1, 0.25))

    assert len(day[OPENED]) / whole[OPENED] == pytest.approx(0.62, abs=0.03)
    assert len(week[OPENED]) / whole[OPENED] == pytest.approx(0.98, abs=0.01)
    assert len(hours["senthardbounce"]) == whole["senthardbounce"]
    assert len(hours["sentsoftbounce"]) == whole["sentsoftbounce"]
    assert len(hours[CLICKED]) < len(day[CLICKED]) < len(week[CLICKED]) < whole[CLICKED]


def test_test_halves_age_with_their_parent() -> None:
    """An A/B campaign's halves are sent with it, and their sets fill in the same days."""
    zoho = zoho_of(0.0, recipients=3000, world={"ab_share": 1.0})
    world = zoho.world(CLIENT)
    parent = world.campaigns[1]
    halves = [world.campaign(key) for key in parent.child_keys]

    before = [world.count(half, "sentcontacts") for half in halves]
    zoho.advance_to(1.0)
    sent = [(world.count(half, "sentcontacts"), world.count(half, OPENED)) for half in halves]
    zoho.advance_to(3.0)

    assert [half.sent_ms for half in halves] == [parent.sent_ms] * 2
    assert before == [0, 0]
    assert sent == [(300, 0)] * 2
    assert all(world.count(half, OPENED) > 50 for half in halves)


def served(caller: Caller, key: str, action: str) -> list[str]:
    return [row["contactid"] for page in pages_of(caller, key, action, 70) for row in page]


def test_what_is_served_is_the_truth_of_the_day() -> None:
    """Pages, truth, rows and history follow the present day."""
    caller = Caller(zoho_of(1.0))
    key, found = caller.key(), []

    for day in (1.0, 2.0, 9.0):
        caller.zoho.advance_to(day)
        ids = served(caller, key, OPENED)

        assert ids == list(caller.world.truth(key, OPENED))
        assert ids == [row["contactid"] for row in caller.world.rows(key, OPENED)]
        assert caller.world.history(key, OPENED).throughout == set(ids)
        found.append(len(ids))

    assert found == sorted(set(found))


def test_A_16_a_set_that_moves_begins_anew_on_another_day() -> None:
    """Who came while a set was read is gone on the next day, which has the members of that day."""
    zoho = zoho_of(2.0, shifts=ShiftOptions(share=1.0, kinds=(Shift.FRONT,)))
    caller = Caller(zoho)
    key, still = caller.key(), zoho_of(3.0).world(CLIENT)
    served(caller, key, OPENED)
    moved = caller.world.history(key, OPENED).moves

    zoho.advance_to(3.0)

    assert moved > 0
    assert caller.world.history(key, OPENED).moves == 0
    assert list(caller.world.truth(key, OPENED)) == list(still.truth(key, OPENED))


def test_repeated_rows_are_there_on_every_day() -> None:
    """A set that ages may hold contacts twice, and its counter counts them once."""
    world = world_on(2.0, repeats=RepeatOptions(share=1.0))
    campaign = world.campaigns[0]

    rows = world.recipients(campaign, OPENED)

    assert len(rows) > world.count(campaign, OPENED) == len(set(world.truth(campaign.key, OPENED)))


def statuses(world: World) -> dict[str, str]:
    campaign = world.campaigns[0]
    return {row["contactid"]: row["contactstatus"] for row in world.rows(campaign.key, "sentcontacts")}


def test_restless_contacts_change_once_and_stay() -> None:
    """About the share changes its status some days after the sending, in all sets at once and unseen by counters."""
    restless = AgeOptions(restless_share=0.2)
    worlds = [world_on(day, recipients=1000, age=restless) for day in (0.5, 15.0, RESTLESS_DAYS[1], None)]

    young, half, old, ended = [
        {key for key, status in statuses(world).items() if status == CHANGED_STATUS} for world in worlds
    ]

    assert not young
    assert young < half < old == ended
    assert len(old) == pytest.approx(200, abs=40)
    assert set(statuses(worlds[1]).values()) == {ACTIVE, CHANGED_STATUS}
    opened = {row["contactid"]: row["contactstatus"] for row in worlds[1].rows(worlds[1].campaigns[0].key, OPENED)}
    assert opened.items() <= statuses(worlds[1]).items()
    assert counters_of(worlds[1], worlds[1].campaigns[0])["opens_count"] == len(opened)


def test_nobody_is_restless_by_default() -> None:
    """Every status is the documented one unless a share says otherwise."""
    assert {contact.status for contact in contacts_of(world_on(50.0))} == {ACTIVE}


def test_an_age_changes_nothing_but_the_sets() -> None:
    """Keys, names and sizes of the campaigns are those of the world that does not age."""
    assert world_on(None).campaigns == world_on(1.0).campaigns
