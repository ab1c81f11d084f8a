"""The memory of contacts: exact whatever identities look like, and small."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.engine import seen as module
from harvester.engine.seen import Seen

CONTACTS = 200_000
MEMORY_MB_MAX = 12.0
"""Of so many contacts; a set of their texts takes 23 MB."""

texts = st.text(st.characters(exclude_categories=()), min_size=1)
similar = st.sampled_from(["1", "11", "111", "id:1", "id:11", "1\n", "\n", "ÿ", "\x00", "\udcff", "\ud800"])


@pytest.fixture(autouse=True, params=[(3, 1), (3, 5), (50, 2)], ids=str)
def sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few loose ones and few buckets, so that small sets are packed as giant ones are, and share buckets."""
    monkeypatch.setattr(module, "LOOSE_MAX", request.param[0])
    monkeypatch.setattr(module, "BUCKETS", request.param[1])


@given(st.lists(st.sets(texts | similar)), st.sets(texts | similar))
def test_A_17_seen_are_exactly_the_contacts_that_were_added(pages: list[set[str]], others: set[str]) -> None:
    """Every identity that was added is known, and no other, whatever it is made of and whatever stands beside it."""
    seen = Seen()
    for page in pages:
        seen.update(page)

    added = set().union(*pages)
    assert all(identity in seen for identity in added)
    assert not any(identity in seen for identity in others - added)


def test_A_17_neighbours_never_look_like_another_contact() -> None:
    """No identity is found within another one, nor across two of them."""
    seen = Seen()
    seen.update(["id:11", "x\nid:2", "ÿ", "3", "4", "5", "6"])

    assert not [nearly for nearly in ("id:1", "1", "11", "id:2", "x", "\n", "34", "ÿ3", "") if nearly in seen]


def test_A_17_what_is_no_text_was_never_added() -> None:
    """A number is not the contact whose id is written so."""
    seen = Seen()
    seen.update("123456789")
    number: object = 7

    assert "7" in seen
    assert number not in seen


def test_contacts_of_a_giant_job_take_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take half of what a set of their texts takes, those that are still loose included."""
    monkeypatch.undo()
    tracemalloc.start()
    try:
        seen = Seen()
        seen.update(f"id:{303_000_000_000_000 + number}" for number in range(CONTACTS))
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert f"id:{303_000_000_000_000 + CONTACTS - 1}" in seen
    assert held_bytes / 1e6 < MEMORY_MB_MAX
