"""The way through a listing that may move while it is read."""

from collections.abc import Callable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from harvester.engine.listing_walk import REPEATS_MAX, ListingWalk
from harvester.listing import CampaignPage

CALLS_MAX = 200


def walked(
    listing: list[str], page_rows: int, move: Callable[[int, list[str]], None] = lambda _call, _rows: None
) -> tuple[ListingWalk, list[str]]:
    """Read a listing to its end, changed by `move` before each call; return the walk and all keys that came."""
    walk, seen = ListingWalk(), list[str]()
    for call in range(CALLS_MAX):
        move(call, listing)
        keys = tuple(listing[walk.from_index - 1 : walk.from_index - 1 + page_rows])
        walk.take(CampaignPage((), keys, len(listing) if keys else None))
        if walk.is_over:
            return walk, seen
        seen += keys
    raise AssertionError("no end")


def names(count: int) -> list[str]:
    return [f"k{number}" for number in range(count)]


@given(st.integers(0, 60), st.integers(1, 20))
def test_a_listing_that_holds_still_is_read_whole_and_without_doubt(rows: int, page_rows: int) -> None:
    """Every row comes, whatever length the server gives its pages."""
    walk, seen = walked(names(rows), page_rows)

    assert list(dict.fromkeys(seen)) == names(rows)
    assert walk.doubt == ""


@given(st.integers(5, 40), st.integers(2, 20), st.integers(1, 6), st.data())
def test_one_change_while_it_is_read_is_doubted_or_costs_nothing(
    rows: int, page_rows: int, at_call: int, data: st.DataObject
) -> None:
    """A campaign that was there all the time is never missing from a reading that nothing speaks against."""
    gone = data.draw(st.integers(0, rows - 1) | st.none())

    def move(call: int, listing: list[str]) -> None:
        if call == at_call:
            if gone is None:
                listing.insert(0, "new")
            else:
                del listing[gone]

    walk, seen = walked(names(rows), page_rows, move)

    stayed = set(names(rows)) - ({f"k{gone}"} if gone is not None else set())
    assert walk.doubt or stayed <= set(seen)


def test_a_campaign_sent_meanwhile_shows_at_the_joint_of_two_pages() -> None:
    """The first row of the second page is no longer the last of the first."""

    def send(call: int, listing: list[str]) -> None:
        if call == 1:
            listing.insert(0, "new")

    walk, seen = walked(names(5), 3, send)

    assert set(names(5)) <= set(seen)
    assert walk.doubt == "campaigns came or went while it was read"


def test_a_server_that_ends_before_its_own_count_is_doubted() -> None:
    """What the server counts and what it gave are told."""
    walk = ListingWalk()
    pages: Sequence[CampaignPage] = [CampaignPage((), ("a", "b"), 300), CampaignPage((), ("b",), 300)]
    for page in pages:
        walk.take(page)

    assert walk.is_over
    assert walk.doubt == "the server counts 300 and gave 2"


def test_a_server_that_does_not_heed_the_index_is_found_out() -> None:
    """The same page again is no progress; a single campaign again is the end."""
    circling, single = ListingWalk(), ListingWalk()
    for _ in range(1 + REPEATS_MAX):
        circling.take(CampaignPage((), ("a", "b")))
        single.take(CampaignPage((), ("a",)))

    assert circling.is_circling
    assert single.is_over


def test_rows_that_repeat_within_a_listing_are_no_doubt() -> None:
    """A campaign that stands twice fills two rows of the server's count."""
    walk, _ = walked(["a", "b", "a", "c"], 10)

    assert walk.doubt == ""
