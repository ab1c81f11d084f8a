import json
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.model import Action
from harvester.zoho.contacts import COLUMNS, RecordContext, contact_identity, identity_of_record, lines, record
from harvester.zoho.envelopes import ROW_DEPTH_MAX

EIGHT_HOURS_MS = 28_800_000
SAMPLE = {
    "phone": "null",
    "timezone": "null",
    "contactstatus": "active",
    "contactemailaddress": "john.doe@example.com",
    "sent_time": "1375456161000",
    "lastname": "",
    "sentdate": "02 Aug 2013, 12:39 PM",
    "firstname": "meganath.v",
    "contactid": "303000014269257",
    "companyname": "null",
}


def context(offset_ms: int | None = EIGHT_HOURS_MS) -> RecordContext:
    return RecordContext("acme", "3za", "3zparent", Action.OPENED, "2026-01-01T00:00:00Z", "r1", offset_ms)


def test_the_documented_row_becomes_the_documented_columns() -> None:
    """Every column stands in its place; null texts and blanks are null, and raw is the row."""
    written = record(SAMPLE, 7, context())

    assert tuple(written) == COLUMNS
    assert {name: value for name, value in written.items() if value is not None} == {
        "account": "acme",
        "campaign_key": "3za",
        "parent_campaign_key": "3zparent",
        "action": "openedcontacts",
        "contact_id": "303000014269257",
        "email": "john.doe@example.com",
        "first_name": "meganath.v",
        "contact_status": "active",
        "sent_time_ms": 1_375_456_161_000,
        "sent_date": "02 Aug 2013, 12:39 PM",
        "sent_at": "2013-08-02T07:09:21.000Z",
        "harvested_at": "2026-01-01T00:00:00Z",
        "run_id": "r1",
        "position": 7,
        "raw": SAMPLE,
    }


def test_A_31_raw_keeps_what_the_columns_call_null() -> None:
    """The verbatim row is untouched."""
    assert record(SAMPLE, 1, context())["raw"] is SAMPLE


@pytest.mark.parametrize(
    "row",
    [
        {"contactfn": "A", "contactln": "B", "companyname": "C", "contactemailaddress": "a@b.example"},
        {"firstname": "A", "lastname": "B", "companyname": "C", "contactemailaddress": "a@b.example"},
        {"first_name": "A", "last_name": "B", "company_name": "C", "contact_email": "a@b.example"},
        {"firstname": "x", "contactfn": "A", "contactln": "B", "company_name": "C", "contact_email": "a@b.example"},
        {"contactfn": "null", "firstname": "A", "lastname": "B", "company_name": "C", "contact_email": "a@b.example"},
    ],
)
def test_A_32_all_spellings_of_a_field_share_its_column(row: dict[str, Any]) -> None:
    """Live, documented and XML names mean the same; the strongest that holds something wins."""
    written = record(row, 1, context())

    found = [written[name] for name in ("first_name", "last_name", "company", "email")]
    assert found == ["A", "B", "C", "a@b.example"]


def test_sent_at_needs_a_known_offset() -> None:
    """Without the account's offset no moment is called UTC."""
    written = record(SAMPLE, 1, context(None))

    assert (written["sent_time_ms"], written["sent_at"]) == (1_375_456_161_000, None)


@pytest.mark.parametrize("text", ["soon", "-1", "1.5", "9" * 15, "9" * 40, "²"])
def test_a_sent_time_that_is_none_is_null(text: str) -> None:
    """What is no moment up to the year 9999 leaves both columns null."""
    written = record({"sent_time": text, "clickcount": text}, 1, context())

    assert (written["sent_time_ms"], written["sent_at"], written["click_count"]) == (None, None, None)


def test_A_20_values_that_are_no_text_are_written_as_json() -> None:
    """Text columns hold text, numbers columns numbers, whatever the server's types."""
    row = {"contactid": 303, "phone": None, "clickedurls": ["x"], "clickcount": 2, "sent_time": 0, "timezone": 1.5}

    written = record(row, 1, context())

    names = ("contact_id", "phone", "clicked_urls", "click_count", "sent_time_ms", "timezone")
    assert [written[name] for name in names] == ["303", None, '["x"]', 2, 0, "1.5"]


def test_action_fields_have_their_columns() -> None:
    """Reports of opens, clicks, bounces and opt-outs stand in columns of their own."""
    row = {"openreports": "{m=t}", "clickcount": "2", "bouncedDate": "12 Feb", "optOutTime": "13 Feb"}

    written = record(row, 1, context())

    names = ("open_reports", "click_count", "bounced_date", "opted_out_date")
    assert [written[name] for name in names] == ["{m=t}", 2, "12 Feb", "13 Feb"]


def test_A_26_lines_end_only_where_a_record_ends() -> None:
    """Line separators of Unicode stay inside their record, and positions are those that were given."""
    rows: list[dict[str, Any]] = [{"contactfn": "a\u2028b\u0085c\nd"}, {"contactfn": "\ud800"}, {"contactid": 2**70}]

    written = lines(rows, [11, 12, 14], context())

    records = [json.loads(line) for line in written.split(b"\n")[:-1]]
    assert written.endswith(b"\n")
    assert [found["position"] for found in records] == [11, 12, 14]
    assert [found["raw"] for found in records] == rows
    assert [contact_identity(row) for row in rows] == [identity_of_record(found) for found in records]


def test_every_row_needs_its_position() -> None:
    """A row too many or too few is a mistake of ours that must not pass for a page."""
    with pytest.raises(ValueError, match="shorter"):
        lines([SAMPLE, SAMPLE], [1], context())


def test_A_28_the_deepest_row_is_written_from_a_deep_stack() -> None:
    """The bound of the nesting leaves room for those who call."""
    row: dict[str, Any] = {"contactid": "1", "notes": json.loads("[" * (ROW_DEPTH_MAX - 1) + "]" * (ROW_DEPTH_MAX - 1))}

    def written(frames: int) -> bytes:
        return written(frames - 1) if frames else lines([row], [1], context())

    assert json.loads(written(sys.getrecursionlimit() // 4))["raw"] == row


@pytest.mark.parametrize("contact_id", ["7", " ", "0", "-1", "null", None, 0, [], "undefined"])
def test_A_17_two_addresses_are_two_contacts_whatever_their_id(contact_id: object) -> None:
    """An id that stands for nobody, or for everybody, never makes one contact of two."""
    one, other = ({"contactid": contact_id, "contactemailaddress": f"{name}@b.example"} for name in "ac")

    assert contact_identity(one) != contact_identity(other)
    assert contact_identity(one) == contact_identity({**one, "phone": "1"})
    assert "@" not in contact_identity(one)


def test_A_17_identity_is_the_id_else_the_address() -> None:
    """The same contact is known again, no address is told, and who has no name may be anybody."""
    by_address = contact_identity({"contactemailaddress": "A@B.example"})

    assert contact_identity({"contactid": 7}) == contact_identity({"contactid": "7", "phone": "x"})
    assert by_address == contact_identity({"contactid": "null", "contact_email": "a@b.EXAMPLE"})
    assert "@" not in by_address
    assert [contact_identity(row) for row in ({"a": "1"}, {"contactid": " "}, {"contactid": "0"})] == ["", "", ""]


def timeline(*texts: str) -> list[dict[str, str]]:
    return [{"time": text} for text in texts]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Feb 12, 2026 12:08 PM", "2026-02-12T12:08"),
        ("Feb 1, 2026 12:08 AM", "2026-02-01T00:08"),
        ("Dec 31, 2026 9:59 AM", "2026-12-31T09:59"),
        ("Feb 28, 2026 11:00 PM", "2026-02-28T23:00"),
    ],
)
def test_an_event_time_is_local_iso_time_to_the_minute(text: str, written: str) -> None:
    """The server's text becomes a time that sorts, and no zone is made up for it."""
    assert record({"reports": timeline(text)}, 1, context())["event_times"] == [written]


@pytest.mark.parametrize(
    "text",
    [
        "Feb 30, 2026 12:08 PM",
        "Feb 12, 2026 13:08 PM",
        "Feb 12, 2026 00:08 AM",
        "Feb 12, 0000 11:08 AM",
        "Foo 12, 2026 11:08 AM",
        "12 Feb 2026, 12:01 PM",
        "12. Februar 2026",
        "Feb ²2, 2026 12:08 PM",
    ],
)
def test_an_event_time_of_another_form_is_kept_as_it_came(text: str) -> None:
    """What we cannot read, somebody else may."""
    assert record({"reports": timeline(text)}, 1, context())["event_times"] == [text]


def test_all_events_are_kept_in_their_order() -> None:
    """A contact that opened twice in a minute opened twice."""
    row = {"reports": timeline("Feb 12, 2026 12:08 PM", "Feb 11, 2026 12:08 PM", "Feb 11, 2026 12:08 PM")}

    times = record(row, 1, context())["event_times"]

    assert times == ["2026-02-12T12:08", "2026-02-11T12:08", "2026-02-11T12:08"]


@pytest.mark.parametrize("reports", [None, "", "{m=t}", 7, {}, [], [None, "x"], [{}], timeline("", "null")])
def test_event_times_are_null_where_nothing_is_known(reports: object) -> None:
    """No timeline, an empty one, and a custom field of the same name tell of no event."""
    assert record({"reports": reports}, 1, context())["event_times"] is None


JSON_ROW = {
    "contactemailaddress": "a@b.example",
    "contactfn": "A",
    "contactln": "",
    "companyname": "null",
    "phone": "7",
    "sentdate": "02 Aug 2013, 12:39 PM",
}
XML_ROW = {
    "contact_email": "a@b.example",
    "first_name": "A",
    "last_name": "",
    "company_name": "",
    "phone": "7",
    "added_time": "02 Aug 2013, 12:39 PM",
}


def test_H_14_json_and_xml_rows_of_a_contact_make_the_same_record() -> None:
    """Every column that both formats have agrees, and both know the contact by the same name."""

    def columns(row: Mapping[str, Any]) -> dict[str, Any]:
        return {**record(row, 1, context()), "raw": None}

    assert columns(JSON_ROW) == columns(XML_ROW)
    assert contact_identity(JSON_ROW) == contact_identity(XML_ROW)


@given(st.dictionaries(st.sampled_from(sorted(SAMPLE)), st.text() | st.integers() | st.none()))
def test_A_32_any_row_has_all_columns_with_their_types(row: dict[str, Any]) -> None:
    """The shape of a record does not depend on the row."""
    written = record(row, 1, context())

    assert tuple(written) == COLUMNS
    types = dict.fromkeys(("sent_time_ms", "click_count", "position"), int) | {"raw": dict, "event_times": list}
    for name, value in written.items():
        assert value is None or isinstance(value, types.get(name, str))
    assert "@" not in contact_identity({**row, "contactid": None}), "an id may be anything, an address is a digest"
