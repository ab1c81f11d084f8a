"""Which claimed job may start: scouts ahead, siblings in hand, nobody forgotten."""

import pytest
from factories import claimed, job
from hypothesis import given
from hypothesis import strategies as st

from harvester.engine.schedule import Schedule
from harvester.model import Action, ClaimedJob

ACTIONS = list(Action)


def siblings(key: str = "k", count: int = 3, *, is_known: bool = False, first_id: int = 1) -> list[ClaimedJob]:
    return [
        claimed(job(first_id + number, key, ACTIONS[number % len(ACTIONS)]), is_known=is_known)
        for number in range(count)
    ]


def filled(jobs: list[ClaimedJob]) -> Schedule:
    schedule = Schedule()
    for each in jobs:
        schedule.add(each)
    return schedule


def drained(schedule: Schedule) -> list[ClaimedJob]:
    started = []
    while (each := schedule.next()) is not None:
        started.append(each)
    return started


def test_jobs_of_known_campaigns_start_in_order() -> None:
    """Where a campaign has had a good answer nobody waits."""
    jobs = siblings(is_known=True)

    schedule = filled(jobs)

    assert schedule.ready_jobs == 3
    assert drained(schedule) == jobs
    assert schedule.ready_jobs == 0


def test_unknown_campaign_sends_one_scout() -> None:
    """Of a campaign that nothing is known of one job starts; other campaigns do not wait for it."""
    jobs, others = siblings("k1"), siblings("k2", first_id=10)

    assert drained(filled([*jobs, *others])) == [jobs[0], others[0]]


def test_good_answer_lets_the_siblings_go() -> None:
    """Once the scout had a good answer all of its campaign may start."""
    jobs = siblings()
    schedule = filled(jobs)
    drained(schedule)

    schedule.campaign_known("k")

    assert drained(schedule) == jobs[1:]


def test_bad_answer_hands_the_siblings_back() -> None:
    """Where the scout's answer speaks for its campaign the siblings never start."""
    jobs = siblings()
    schedule = filled(jobs)
    drained(schedule)

    assert list(schedule.campaign_over("k")) == jobs[1:]
    schedule.campaign_known("k")
    assert drained(schedule) == []


def test_postponed_scout_is_relieved_by_a_sibling() -> None:
    """A scout that has to wait costs its campaign no time: the next sibling goes ahead, the others stay."""
    jobs = siblings()
    schedule = filled(jobs)
    drained(schedule)

    schedule.scout_left(jobs[0].job)

    assert drained(schedule) == [jobs[1]]


def test_postponed_scout_that_returns_waits_like_a_sibling() -> None:
    """There is one scout at a time: the first one, claimed again, is held while another is under way."""
    jobs = siblings()
    schedule = filled(jobs)
    drained(schedule)
    schedule.scout_left(jobs[0].job)
    drained(schedule)

    schedule.add(jobs[0])

    assert drained(schedule) == []
    schedule.campaign_known("k")
    assert drained(schedule) == [jobs[2], jobs[0]]


def test_last_scout_that_leaves_leaves_nothing_behind() -> None:
    """With no sibling in hand the campaign is as new, and the next claim of it is a scout again."""
    (only,) = siblings(count=1)
    schedule = filled([only])
    drained(schedule)

    schedule.scout_left(only.job)
    schedule.add(only)

    assert drained(schedule) == [only]


@pytest.mark.parametrize("told", ["known", "over", "left"])
def test_word_of_a_campaign_that_nobody_scouts_is_harmless(told: str) -> None:
    """Later pages of a known campaign report as the first did, and nothing happens."""
    schedule = filled(siblings(is_known=True, count=1))
    (started,) = drained(schedule)

    if told == "known":
        schedule.campaign_known("k")
    elif told == "over":
        assert list(schedule.campaign_over("k")) == []
    else:
        schedule.scout_left(started.job)

    assert drained(schedule) == []


@given(
    campaigns=st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=6),
    outcomes=st.lists(st.sampled_from(["good", "failed", "over", "postponed"]), max_size=200),
)
def test_R_16_every_job_starts_or_is_handed_back_and_never_twice_at_once(
    campaigns: list[tuple[int, bool]], outcomes: list[str]
) -> None:
    """Whatever the answers, no job is forgotten, and an unknown campaign never has two scouts under way."""
    waiting = [
        each
        for number, (count, is_known) in enumerate(campaigns)
        for each in siblings(f"k{number}", count, is_known=is_known, first_id=number * 10)
    ]
    everybody = {each.job.id for each in waiting}
    known = {each.job.campaign.key for each in waiting if each.is_campaign_known}
    schedule, told = filled(waiting), iter(outcomes)
    ended: list[int] = []

    while started := drained(schedule):
        scouts = [each.job.campaign.key for each in started if each.job.campaign.key not in known]
        assert len(scouts) == len(set(scouts))
        for each in started:
            key, outcome = each.job.campaign.key, next(told, "good")
            if outcome == "postponed":
                schedule.scout_left(each.job)
                schedule.add(each)
                continue
            ended.append(each.job.id)
            if outcome == "over":
                ended.extend(held.job.id for held in schedule.campaign_over(key))
            else:
                schedule.campaign_known(key)
                known.add(key)

    assert sorted(ended) == sorted(everybody)
