"""The memory of contacts: exact whatever identities look like, and small."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from harvester.engine.seen import Seen

IDENTITIES_MB_MAX = 3.5
"""Of 100,000 contacts; a set of strings takes 11 MB."""

texts = st.text(st.characters(exclude_categories=()), min_size=1)
similar = st.sampled_from(["1", "11", "111", "id:1", "id:11", "1\n", "\n", "ÿ", "\x00", "\udcff", "\ud800"])


def seen(*identities: str) -> Seen:
    memory = Seen()
    memory.update(identities)
    return memory


@given(st.sets(texts | similar), st.sets(texts | similar))
def test_A_17_seen_are_exactly_the_contacts_that_were_added(added: set[str], others: set[str]) -> None:
    """Every identity that was added is known, and no other, whatever characters it is made of."""
    memory = seen(*added)

    assert all(identity in memory for identity in added)
    assert not any(identity in memory for identity in others - added)


@given(st.lists(similar, min_size=1))
def test_A_17_neighbours_in_a_bucket_never_look_like_another_contact(added: list[str]) -> None:
    """Contacts are told apart also where all of them share a bucket: no text is found within or across others."""
    memory = Seen()
    memory._buckets = OneBucket(memory._buckets)
    memory.update(added)

    assert {identity for identity in (*added, "1", "11", "111", "\n", "1\n11") if identity in memory} == set(added)


class OneBucket(list[bytes]):
    """A list whose places are all the same one."""

    def __getitem__(self, _: object) -> bytes:  # type: ignore[override]
        return super().__getitem__(0)

    def __setitem__(self, _: object, value: bytes) -> None:  # type: ignore[override]
        super().__setitem__(0, value)


def test_A_17_what_is_no_text_was_never_added() -> None:
    """A number is not the contact whose id is written so."""
    number: object = 7

    assert number not in seen("7")


def test_seen_contacts_take_little_memory() -> None:
    """100,000 contacts take a third of what a set of their texts would."""
    tracemalloc.start()
    try:
        memory = Seen()
        memory.update(f"id:{303_000_000_000_000 + number}" for number in range(100_000))
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert "id:303000000099999" in memory
    assert held_bytes / 1e6 < IDENTITIES_MB_MAX
