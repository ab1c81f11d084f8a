"""How readings are put together, and what a manifest says is a reading."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.warehouse.batches import batches, by_action, fingerprint
from harvester.warehouse.holdings import Holdings, Reading, StrangePathError

ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst")
READINGS = st.lists(
    st.tuples(st.integers(0, 50), st.sampled_from(ENDINGS), st.integers(1, 9)),
    max_size=12,
    unique_by=lambda each: each[0],
).map(lambda each: [reading(f"{number}{ending}", size) for number, ending, size in each])


def reading(file: str = "k.jsonl", size_bytes: int = 1, sha256: str = "s", action: str = "sentcontacts") -> Reading:
    path = f"recipients/account=acme/dt=2026-03-14/action={action}/{file}"
    return Reading("acme", "2026-03-14", action, path, 1, size_bytes, sha256)


@given(readings=READINGS, file_bytes=st.integers(1, 30))
def test_batches_hold_every_reading_once(readings: list[Reading], file_bytes: int) -> None:
    """In files of one compression, each as large as it may be; larger only where it is of one reading."""
    made = list(batches(readings, file_bytes))

    assert sorted(each.path for batch in made for each in batch) == sorted(each.path for each in readings)
    for batch in made:
        assert len({each.path.rpartition(".")[2] for each in batch}) == 1
        assert len(batch) == 1 or sum(each.bytes for each in batch) <= file_bytes
    for one, other in pairwise(made):
        is_like = one[0].path.rpartition(".")[2] == other[0].path.rpartition(".")[2]
        assert not is_like or sum(each.bytes for each in one) + other[0].bytes > file_bytes


def test_a_fingerprint_changes_with_everything_that_makes_a_file() -> None:
    """Another source, another content, another order, another way of making."""
    one, other = reading("a.jsonl"), reading("b.jsonl")
    told = [
        fingerprint([one, other], "x"),
        fingerprint([other, one], "x"),
        fingerprint([one], "x"),
        fingerprint([one, reading("b.jsonl", sha256="t")], "x"),
        fingerprint([one, other], "y"),
    ]

    assert len(set(told)) == len(told)
    assert fingerprint([one, other], "x") == told[0]


def test_actions_are_apart() -> None:
    """Each with its readings in the order of their paths."""
    readings = [reading("b"), reading("a"), reading("c", action="openedcontacts")]

    assert {action: [each.path[-1] for each in group] for action, group in by_action(readings).items()} == {
        "openedcontacts": ["c"],
        "sentcontacts": ["a", "b"],
    }


def job(state: str, **changes: Any) -> dict[str, Any]:
    plain = {
        "campaign_key": "k",
        "action": "sentcontacts",
        "state": state,
        "path": "recipients/account=acme/dt=2026-03-14/action=sentcontacts/k.jsonl",
        "rows": 1,
        "bytes": 1,
        "sha256": "s",
        "changes": None,
    }
    return plain | changes


HEAD = {"account": "acme", "date": "2026-03-14", "listing": None}


@pytest.mark.parametrize(
    ("state", "readings", "current"),
    [("done", 1, 1), ("partial", 1, 0), ("carried", 0, 1), ("failed", 0, 0), ("pending", 0, 0), ("skipped", 0, 0)],
)
def test_states_say_what_a_partition_is(state: str, readings: int, current: int) -> None:
    """A partial set was read and is not whole; a file that waits for another reading is neither."""
    holdings = Holdings()

    holdings.add([HEAD, job(state)])

    assert (len(holdings.readings), len(holdings.current)) == (readings, current)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "recipients/account=acme/dt=2026-03-14/action=sentcontacts/../../k.jsonl",
        "recipients/../state/ledger.sqlite",
        "s3://bucket/k.jsonl",
    ],
)
def test_a_path_that_is_none_of_ours_is_refused(path: str) -> None:
    """Wherever in a manifest it stands."""
    for manifest in (
        [HEAD, job("done", path=path)],
        [HEAD, job("carried", path=path)],
        [HEAD, job("done", changes={"path": path})],
        [{**HEAD, "listing": {"path": path}}],
    ):
        with pytest.raises(StrangePathError):
            Holdings().add(manifest)
