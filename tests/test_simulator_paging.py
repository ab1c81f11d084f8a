"""Wrong pages: what a server does that ignores, clamps or never ends; and what it says where there are no rows."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_caller import Caller, caller_of, json_of, pages_of

from harvester.simulator.options import AnswerOptions, PastEnd, QuotaOptions, WorldOptions
from harvester.simulator.set_options import PagingFault, PagingOptions

SENT = "sentcontacts"


def caller_with(*faults: PagingFault, recipients: int = 100, **options: Any) -> Caller:
    paging = PagingOptions(kinds=faults, **options.pop("paging", {}))
    return caller_of(
        world=WorldOptions(campaigns=20, recipients=recipients),
        quota=QuotaOptions(calls=100_000),
        paging=paging,
        **options,
    )


def ids_at(caller: Caller, from_index: int, range_rows: int = 10) -> list[str]:
    document = json_of(caller.page(fromindex=from_index, range=range_rows))
    return [row["contactid"] for row in document.get("list_of_details", ())]


def truth_of(caller: Caller) -> list[str]:
    return list(caller.world.truth(caller.key(), SENT))


def test_A_11_the_same_page_comes_for_ever() -> None:
    """Whatever index is asked, the first page comes, and its echo is that of the page asked for."""
    caller = caller_with(PagingFault.SAME_PAGE)

    document = json_of(caller.page(fromindex=91, range=10))

    assert [row["contactid"] for row in document["list_of_details"]] == truth_of(caller)[:10]
    assert document["requestdetails"]["fromindex"] == 91
    assert ids_at(caller, 5_001) == truth_of(caller)[:10]


@given(first=st.integers(0, 500))
def test_A_12_two_pages_take_turns_without_a_seam(first: int) -> None:
    """The first two pages come again and again, and a reader whose pages overlap finds no gap."""
    caller = caller_with(PagingFault.TWO_PAGES)
    circle = truth_of(caller)[:20] * 30

    assert ids_at(caller, first + 1) == circle[first : first + 10]


@pytest.mark.parametrize("recipients", [0, 1, 7])
def test_A_12_a_set_of_less_than_two_pages_comes_again_as_well(recipients: int) -> None:
    """A small set repeats itself within a page; an empty one stays empty."""
    caller = caller_with(PagingFault.TWO_PAGES, recipients=recipients)

    assert ids_at(caller, 1) == (truth_of(caller) * 10)[:10]


def test_A_12_an_endless_set_always_has_new_contacts() -> None:
    """Behind the last row there is another one, and no contact comes twice."""
    caller = caller_with(PagingFault.ENDLESS)

    pages = pages_of(caller, caller.key(), SENT, 30)
    ids = [row["contactid"] for _, page in zip(range(40), pages, strict=False) for row in page]

    assert len(set(ids)) == len(ids) == 1_200
    assert ids[:100] == truth_of(caller)
    assert ids_at(caller, 101)[0] == ids[100]


def test_A_13_a_page_is_longer_than_asked() -> None:
    """An oversize page holds 150 rows too many, clamped or not."""
    caller = caller_with(PagingFault.OVERSIZE, recipients=400, answers=AnswerOptions(clamp_rows=5))

    assert ids_at(caller, 1) == truth_of(caller)[:155]
    assert ids_at(caller, 399) == truth_of(caller)[398:]


def test_a_set_may_end_too_early() -> None:
    """A set says that it ends after its first page, or that it is empty, although it has more rows."""
    early, empty = caller_with(PagingFault.EARLY_END), caller_with(PagingFault.FALSE_EMPTY)

    assert ids_at(early, 1) == truth_of(early)[:10]
    assert json_of(early.page(fromindex=10, range=10))["code"] == "6303"
    assert json_of(empty.page(fromindex=1, range=10))["code"] == "6303"


def test_a_wrong_set_may_come_right() -> None:
    """After `until_calls` calls for a set it pages rightly; other sets are counted by themselves."""
    caller = caller_with(PagingFault.FALSE_EMPTY, paging={"until_calls": 2})

    seen = [ids_at(caller, 1) for _ in range(3)]

    assert seen == [[], [], truth_of(caller)[:10]]
    assert caller.read(campaignkey=caller.key(), action="openedcontacts")["code"] == "6303"


def test_only_a_share_of_the_sets_pages_wrongly() -> None:
    """Each set is drawn once and stays what it is."""
    caller = caller_with(PagingFault.FALSE_EMPTY, paging={"share": 0.5})
    keys = [campaign.key for campaign in caller.world.campaigns]

    codes = [[caller.read(campaignkey=key, action=SENT)["code"] for key in keys] for _ in range(2)]

    assert codes[0] == codes[1]
    assert 3 <= codes[0].count("6303") <= 17


def test_A_14_the_clamp_may_become_smaller() -> None:
    """After so many calls pages are shorter, and the echo says so."""
    answers = AnswerOptions(clamp_rows=20, later_clamp_rows=7, later_clamp_calls=2)
    caller = caller_with(answers=answers)

    documents = [json_of(caller.page(fromindex=first, range=30)) for first in (1, 21, 41, 48)]

    assert [len(document["list_of_details"]) for document in documents] == [20, 20, 7, 7]
    assert [document["requestdetails"]["range"] for document in documents] == [20, 20, 7, 7]


@pytest.mark.parametrize("past_end", [end for end in PastEnd if end is not PastEnd.EMPTY_LIST])
def test_A_03_past_the_end_each_code_says_so(past_end: PastEnd) -> None:
    """The page past the end has the code that is set, and the referee takes it for an end."""
    caller = caller_with(answers=AnswerOptions(past_end=past_end))

    document = json_of(caller.page(fromindex=101))

    assert (document["status"], document["code"]) == ("error", past_end.value)
    assert caller.sheet()["kinds"] == {"end": 1}


def test_A_10_the_first_page_may_say_it_otherwise() -> None:
    """An empty set has a code of its own where one is set, and the page past an end keeps its own."""
    caller = caller_with(recipients=20, answers=AnswerOptions(empty=PastEnd.NO_CONTACT, past_end=PastEnd.EMPTY_LIST))

    assert caller.read(campaignkey=caller.key(), action="unsentcontacts")["code"] == "993"
    assert json_of(caller.page(fromindex=21))["list_of_details"] == []
