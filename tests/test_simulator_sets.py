"""Sets that move while they are read, and sets that hold contacts twice."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_caller import CLIENT, Caller, caller_of, pages_of

from harvester.simulator.options import Options, QuotaOptions, WorldOptions
from harvester.simulator.set_options import RepeatOptions, Shift, ShiftOptions
from harvester.simulator.world import ACTIONS, World

SENT = "sentcontacts"


def caller_with(recipients: int = 100, **options: object) -> Caller:
    quota = QuotaOptions(calls=100_000)
    return caller_of(world=WorldOptions(campaigns=2, recipients=recipients), quota=quota, **options)


def ids_read(caller: Caller, action: str = SENT, range_rows: int = 10) -> list[str]:
    return [row["contactid"] for page in pages_of(caller, caller.key(), action, range_rows) for row in page]


@pytest.mark.parametrize(
    ("shift", "twice", "missed"),
    [(Shift.FRONT, [9, 18, 27, 36], []), (Shift.BACK, [], []), (Shift.REMOVED, [], [10, 21, 32, 43])],
)
def test_A_16_a_set_moves_under_its_reader(shift: Shift, twice: list[int], missed: list[int]) -> None:
    """What comes in front makes a reader that counts read rows again; what leaves makes it miss the next row."""
    caller = caller_with(shifts=ShiftOptions(share=1.0, moves_max=4, kinds=(shift,)))
    before = list(caller.world.truth(caller.key(), SENT))

    counts = Counter(ids_read(caller))

    assert [place for place, contact_id in enumerate(before) if counts[contact_id] == 2] == twice
    assert [place for place, contact_id in enumerate(before) if not counts[contact_id]] == missed


@given(
    seed=st.integers(0, 99),
    rows=st.integers(1, 4),
    every_pages=st.integers(1, 3),
    action=st.sampled_from(ACTIONS),
    kinds=st.sets(st.sampled_from(Shift), min_size=1).map(sorted).map(tuple),
)
def test_A_16_the_history_bounds_what_a_reader_sees(
    seed: int, rows: int, every_pages: int, action: str, kinds: tuple[Shift, ...]
) -> None:
    """Nobody is served who was never there, and who was there throughout is among those there at some time."""
    shifts = ShiftOptions(share=1.0, rows=rows, every_pages=every_pages, kinds=kinds)
    caller = caller_with(seed=seed, shifts=shifts)
    before = set(caller.world.truth(caller.key(), action))

    read = set(ids_read(caller, action, 7))

    history, after = caller.world.history(caller.key(), action), set(caller.world.truth(caller.key(), action))
    assert read <= history.ever
    assert history.throughout == before & after
    assert history.ever >= before | after


@given(rows=st.integers(1, 15), seed=st.integers(0, 20))
def test_A_16_only_contacts_that_were_read_leave(rows: int, seed: int) -> None:
    """Several leave in one move, but none that the reader has yet to read."""
    caller = caller_with(seed=seed, shifts=ShiftOptions(share=1.0, rows=rows, moves_max=1, kinds=(Shift.REMOVED,)))
    before = list(caller.world.truth(caller.key(), SENT))

    caller.page(range=10)

    gone = set(before) - set(caller.world.truth(caller.key(), SENT))
    assert len(gone) == min(rows, 10)
    assert gone <= set(before[:10])


def test_A_16_a_reader_from_the_end_of_the_moves_on_sees_the_truth() -> None:
    """A set moves so many times and then keeps still, so that a second reading is the truth."""
    caller = caller_with(shifts=ShiftOptions(share=1.0, moves_max=3))
    ids_read(caller)
    caller.world.watch()

    read = ids_read(caller)

    history = caller.world.history(caller.key(), SENT)
    assert read == list(caller.world.truth(caller.key(), SENT))
    assert history.moves == 3
    assert set(read) == history.throughout == history.ever


def test_A_16_moves_depend_on_the_pages_served_alone() -> None:
    """Two servers whose sets were read alike, at other times and with other sets between, are in the same state."""
    callers = [caller_with(shifts=ShiftOptions(share=1.0)) for _ in range(2)]
    for step in range(8):
        for caller in callers:
            caller.page(fromindex=10 * step + 1, range=10)
        callers[1].now_s += 100.0
        callers[1].read(campaignkey=callers[1].key(), action="openedcontacts")

    truths = [list(caller.world.truth(caller.key(), SENT)) for caller in callers]

    assert truths[0] == truths[1]


def test_newcomers_are_in_no_other_set() -> None:
    """Whoever comes into a set has an id and an address that nobody else has."""
    options = Options(world=WorldOptions(campaigns=40, recipients=50))
    world = World(options, CLIENT)

    contacts = [
        world.newcomer(campaign, action, number)
        for campaign in world.campaigns
        for action in ACTIONS
        for number in (0, 1, 999_999, 1_000_000)
    ]
    contacts += [contact for campaign in world.campaigns for contact in world.recipients(campaign, SENT)]

    assert len({contact.contact_id for contact in contacts}) == len(contacts)
    assert len({contact.email for contact in contacts}) == len(contacts)


def test_only_a_share_of_the_sets_moves_or_repeats() -> None:
    """About a third of the sets is drawn for each, and the others are as they always were."""
    options = Options(
        world=WorldOptions(campaigns=60, recipients=60),
        shifts=ShiftOptions(share=0.3),
        repeats=RepeatOptions(share=0.3),
    )
    world, plain = World(options, CLIENT), World(Options(world=options.world), CLIENT)
    repeated = 0
    for campaign in world.campaigns:
        rows = world.recipients(campaign, SENT)
        repeated += any(contact.is_repeat for contact in rows)

        assert list(world.truth(campaign.key, SENT)) == list(plain.truth(campaign.key, SENT))

    assert 8 <= repeated <= 30


def test_A_17_contacts_are_repeated_in_three_ways() -> None:
    """One contact comes again right after itself, one over a border between pages, one far away."""
    caller = caller_with(recipients=200, repeats=RepeatOptions(share=1.0, page_rows=50))

    read = ids_read(caller, range_rows=50)

    places = sorted(
        tuple(n for n, contact_id in enumerate(read) if contact_id == twice)
        for twice, count in Counter(read).items()
        if count == 2
    )
    distances = sorted(second - first for first, second in places)
    assert distances[:2] == [1, 1]
    assert len(distances) == 3
    assert distances[2] > 1
    assert any(second % 50 == 0 for first, second in places if second - first == 1)
    assert list(dict.fromkeys(read)) == list(caller.world.truth(caller.key(), SENT))


@given(recipients=st.integers(0, 60), seed=st.integers(0, 50), action=st.sampled_from(ACTIONS))
def test_A_17_the_truth_names_each_contact_once(recipients: int, seed: int, action: str) -> None:
    """However small the set, its truth and its rows are those without repeats, and served repeats are counted."""
    repeats = RepeatOptions(share=1.0, each=2, page_rows=10)
    caller = caller_with(recipients, seed=seed, repeats=repeats)
    key = caller.key()

    read = ids_read(caller, action)

    truth = list(caller.world.truth(key, action))
    assert list(dict.fromkeys(read)) == truth == [row["contactid"] for row in caller.world.rows(key, action)]
    assert caller.world.history(key, action).repeats_served == len(read) - len(truth)
    assert caller.world.count(caller.world.campaign(key), action) == len(truth)
    assert (len(read) > len(truth)) == bool(truth)


def test_A_17_repeats_that_were_not_served_do_not_count() -> None:
    """A reader that stopped at the first page has met only the repeats in it."""
    caller = caller_with(recipients=200, repeats=RepeatOptions(share=1.0, page_rows=50))

    caller.page(range=1)

    assert caller.world.history(caller.key(), SENT).repeats_served == 0
