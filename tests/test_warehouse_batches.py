"""How readings are put together, and what a manifest says is a reading."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.warehouse.batches import batches, by_action
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
        "quarantine": [],
    }
    return plain | changes


HEAD = {"account": "acme", "date": "2026-03-14", "state": "complete", "listing": None}


@pytest.mark.parametrize(
    ("state", "readings", "current"),
    [("done", 1, 1), ("partial", 1, 0), ("carried", 0, 1), ("failed", 1, 1), ("pending", 1, 1), ("running", 1, 1)],
)
def test_states_say_what_a_partition_is(state: str, readings: int, current: int) -> None:
    """A partial set was read and is not whole; a file that waits for another reading is what it was."""
    holdings = Holdings()

    holdings.add([HEAD, job(state)])

    assert (len(holdings.readings), len(holdings.current)) == (readings, current)


@pytest.mark.parametrize("state", ["partial", "pending", "failed"])
def test_a_set_with_rows_in_quarantine_is_not_whole(state: str) -> None:
    """Also while it waits for another reading."""
    holdings = Holdings()

    holdings.add([HEAD, job(state, quarantine=["q"])])

    assert (len(holdings.readings), len(holdings.current)) == (1, 0)


@pytest.mark.parametrize("state", ["skipped", "failed", "pending"])
def test_a_set_without_a_file_is_nothing(state: str) -> None:
    """It was never read."""
    holdings = Holdings()

    holdings.add([HEAD, job(state, path=None)])

    assert (len(holdings.readings), len(holdings.current)) == (0, 0)


def test_what_later_dates_carry_is_a_reading_of_a_date_without_a_manifest() -> None:
    """Once, however many carry it, as the newest tells of it; a date that has a manifest tells itself what it read."""
    old, date = "2026-03-14", "2026-03-15"
    carrying = [{**HEAD, "date": date}, job("carried")]
    newer = [{**HEAD, "date": "2026-03-16"}, job("carried", sha256="t")]
    purged, whole = Holdings(), Holdings()

    for manifest in (carrying, newer):
        purged.add(manifest)
    for manifest in ([HEAD, job("failed", path=None)], carrying):
        whole.add(manifest)

    assert [(each.date, each.sha256) for each in purged.readings] == [(old, "t")]
    assert whole.readings == []
    assert len(purged.current) == len(whole.current) == 1


def test_sizes_are_those_of_all_files() -> None:
    """Partitions, listings and change files."""
    folder = "account=acme/dt=2026-03-14"
    changes = {"path": f"changes/{folder}/action=sentcontacts/k.jsonl.gz", "bytes": 2}
    listing = {"path": f"campaigns/{folder}/campaigns.jsonl", "bytes": 3}
    holdings = Holdings()

    holdings.add([{**HEAD, "listing": listing}, job("done", changes=changes)])

    assert holdings.sizes == {job("done")["path"]: 1, changes["path"]: 2, listing["path"]: 3}


@pytest.mark.parametrize("spoiled", [{"rows": "many"}, {"bytes": None}, {"bytes": 1.5}])
def test_a_number_that_is_none_is_told(spoiled: dict[str, Any]) -> None:
    """Whatever reads on may count on numbers."""
    with pytest.raises(TypeError):
        Holdings().add([HEAD, job("done", **spoiled)])


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "recipients/account=acme/dt=2026-02-31/action=sentcontacts/k.jsonl",
        "recipients/account=acme/dt=2026-03-14/action=sentcontacts/*.jsonl",
        "recipients/account=acme/dt=2026-03-14/action=sentcontacts/k\n.jsonl",
        "recipients/account=ac[m]e/dt=2026-03-14/action=sentcontacts/k.jsonl",
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
