"""Two readings of a set held against each other: what comes out turns the one into the other, and names no more."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nights import apply, substances

from harvester.engine.differences import KEY_CHARS, Change, ChangeKind, differences, keyed
from harvester.model import Action, Row
from harvester.zoho.contacts import RecordContext, identity_of_record, lines

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([1.0, 0.5, 2**70, "", "null", "a", "\ud800"])
VALUES = st.recursive(SCALARS, lambda inner: st.dictionaries(st.sampled_from("xyz"), inner, max_size=2), max_leaves=4)
ROWS = st.fixed_dictionaries(
    {},
    optional={
        "contactid": st.sampled_from(["1", "2", "3", "0", 2**64 + 1, 2**64 + 2]),
        "contactemailaddress": st.sampled_from(["a@example.com", "A@example.com", "b@example.com", "null"]),
        "contactfn": st.sampled_from(["Ann", "Bob", "null"]),
        "custom": VALUES,
    },
)
"""Few ids and addresses, so that contacts meet, stand several times on a side, and are nobody at all."""

SETS = st.lists(ROWS, max_size=8)


def written(rows: Sequence[Row], night: int = 1) -> list[bytes]:
    """The lines of a partition; what says when and by whom a row was read differs from night to night."""
    context = RecordContext("acme", "k1", None, Action.SENT, f"2026-03-{night:02}T02:00:00.000Z", f"run-{night}")
    positions = range(night, night + len(rows))
    return lines(rows, positions, context).splitlines(keepends=True)


def ordered(partition: Sequence[bytes]) -> list[bytes]:
    return sorted(keyed(line, identity_of_record) for line in partition)


def changes(old: Sequence[Row], new: Sequence[Row]) -> list[Change]:
    return list(differences(ordered(written(old, 1)), ordered(written(new, 2))))


def told(change: Change) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(change.to_line())
    return record


@given(SETS, SETS)
def test_the_changes_turn_the_old_set_into_the_new_one(old: list[Row], new: list[Row]) -> None:
    """Whatever the two sets are, multisets of records modulo the columns of the reading itself."""
    found = [change.to_line() for change in changes(old, new)]

    assert apply(found, substances(iter(written(old)))) == substances(iter(written(new)))


@given(SETS, st.randoms())
def test_a_set_that_stands_still_has_no_changes(rows: list[Row], random: Any) -> None:
    """Neither order, nor position, time or run make a difference, nor the order of a row's keys."""
    again = [dict(reversed(row.items())) for row in random.sample(rows, len(rows))]

    assert changes(rows, again) == []


@given(SETS, SETS)
def test_no_change_is_told_that_cancels_another(old: list[Row], new: list[Row]) -> None:
    """There are as few lines as can be: no record is both added and removed."""
    found = changes(old, new)
    texts = {kind: substances(iter(each.line for each in found if each.kind is kind)) for kind in ChangeKind}

    assert not texts[ChangeKind.ADDED] & texts[ChangeKind.REMOVED]


@given(st.lists(SETS, min_size=1, max_size=4))
def test_the_sum_over_the_nights_rebuilds_the_last_set_from_nothing(nights: list[list[Row]]) -> None:
    """The first night adds all of its rows; each later one tells how it differs from the one before."""
    rebuilt: Counter[str] = Counter()

    for old, new in zip([[], *nights], nights, strict=False):
        rebuilt = apply([change.to_line() for change in changes(old, new)], rebuilt)

    assert rebuilt == substances(iter(written(nights[-1])))


def test_each_contact_is_told_in_its_way() -> None:
    """Added and removed contacts show their record, changed ones the new record and what stood there before."""
    old = [{"contactid": "1", "contactfn": "Ann"}, {"contactid": "2"}, {"contactid": "3"}]
    new = [{"contactid": "1", "contactfn": "Anna"}, {"contactid": "3"}, {"contactid": "4"}]

    found = {record["contact_id"]: record for record in map(told, changes(old, new))}

    assert {key: record["change"] for key, record in found.items()} == {"1": "changed", "2": "removed", "4": "added"}
    assert found["1"]["changed_columns"] == ["first_name", "raw"]
    assert found["1"]["before"] == {"first_name": "Ann", "raw": {"contactid": "1", "contactfn": "Ann"}}
    assert (found["1"]["first_name"], found["1"]["run_id"]) == ("Anna", "run-2")
    assert (found["2"]["run_id"], found["2"]["changed_columns"], found["2"]["before"]) == ("run-1", None, None)


def test_a_change_line_begins_with_what_changed_and_ends_with_the_record_byte_for_byte() -> None:
    """Who reads lines by eye sees the change first; nothing of the record is written anew, and so nothing rounded."""
    (change,) = changes([], [{"contactid": 2**70, "custom": [1e16, 0.1, {"deep": "\ud800"}]}])
    (line,) = written([{"contactid": 2**70, "custom": [1e16, 0.1, {"deep": "\ud800"}]}], 2)

    assert change.to_line() == b'{"change":"added","changed_columns":null,"before":null,' + line[1:]


@pytest.mark.parametrize(
    ("was", "now"),
    [(2**64 + 1, 2**64 + 2), (1, True), (1, 1.0), (0, False), ("\ud800", "\udfff"), ({"a": [1, 2]}, {"a": [2, 1]})],
)
def test_values_that_nearly_agree_differ(was: Any, now: Any) -> None:
    """Numbers beyond 64 bits, lone surrogates and nested values are compared and written exactly."""
    (change,) = changes([{"contactid": "1", "custom": was}], [{"contactid": "1", "custom": now}])

    assert (told(change)["changed_columns"], told(change)["before"]["raw"]["custom"]) == (["raw"], was)
    assert type(told(change)["raw"]["custom"]) is type(now)


def test_ids_beyond_64_bits_are_contacts_of_their_own() -> None:
    """Read as floating point the two would be one contact that changed."""
    kinds = [change.kind for change in changes([{"contactid": 2**64 + 1}], [{"contactid": 2**64 + 2}])]

    assert sorted(kinds) == [ChangeKind.ADDED, ChangeKind.REMOVED]


def test_the_same_id_at_another_address_is_another_contact() -> None:
    """As in the harvest itself: an id that two addresses share is a placeholder."""
    old, new = ({"contactid": "1", "contactemailaddress": f"{name}@example.com"} for name in "ab")

    assert sorted(change.kind for change in changes([old], [new])) == [ChangeKind.ADDED, ChangeKind.REMOVED]


def test_rows_that_name_nobody_are_never_changed() -> None:
    """Erased contacts are a multiset: each row that is there no more was removed, each new one added."""
    old = [{"custom": "a"}, {"custom": "a"}, {"custom": "b"}]

    kinds = Counter(change.kind for change in changes(old, [{"custom": "a"}, {"custom": "c"}]))

    assert kinds == {ChangeKind.REMOVED: 2, ChangeKind.ADDED: 1}


def test_a_contact_that_stands_several_times_pairs_up() -> None:
    """Equal rows cancel, an old one and a new one of the rest are a change, what is left over was added."""
    old = [{"contactid": "1", "custom": value} for value in "ab"]
    new = [{"contactid": "1", "custom": value} for value in "bcd"]

    kinds = Counter(change.kind for change in changes(old, new))

    assert kinds == {ChangeKind.CHANGED: 1, ChangeKind.ADDED: 1}


def test_a_column_that_an_earlier_version_did_not_write_counts_as_null() -> None:
    """A new version that adds a column of nulls does not change every contact."""
    (line,) = written([{"contactid": "1"}])
    older = line.replace(b'"event_times":null,', b"")
    assert older != line

    assert list(differences(ordered([older]), ordered([line]))) == []


def test_IN_11_rows_that_name_nobody_are_let_go_of_as_they_come() -> None:
    """A million erased contacts look like one: they are not gathered before the first of them is told."""
    rest = iter([keyed(written([{"custom": "erased"}])[0], identity_of_record)] * 10)

    first = next(differences([], rest))

    assert first.kind is ChangeKind.ADDED
    assert len(list(rest)) >= 8


@pytest.mark.parametrize("line", [b"{\n", b"[]\n", b"{}\n", b"1\n", b"\xff\n"])
def test_a_line_that_is_no_record_is_refused(line: bytes) -> None:
    """Whoever compares hears of it, and can say which file it was."""
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        keyed(line, identity_of_record)


def test_the_key_of_a_line_stands_before_it() -> None:
    """So that lines in the order of their bytes are in the order of their keys."""
    (line,) = written([{"contactid": "1"}])

    assert keyed(line, identity_of_record)[KEY_CHARS:] == line
