"""What is kept of a contact: addresses, fields and the row itself, before anything of them reaches a disk."""

import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest
from factories import page
from hypothesis import given
from hypothesis import strategies as st

from harvester.model import Action, Page
from harvester.setting_values import CONTACT_FIELDS
from harvester.zoho.contacts import (
    SOURCES,
    RecordContext,
    contact_identity,
    contents,
    identity_of_record,
    line_of,
    lines,
    record,
)
from harvester.zoho.privacy import EmailPolicy, Privacy, key_id, normalised, note_instead, pseudonym
from harvester.zoho.record_schema import valid_record

KEY = bytes(range(32))
HMAC = Privacy(EmailPolicy.HMAC, KEY)
DROP = Privacy(EmailPolicy.DROP)
RAWLESS = Privacy(has_raw=False)
RULES = {
    "hmac": HMAC,
    "drop": DROP,
    "raw = false": RAWLESS,
    "hmac, raw = false": replace(HMAC, has_raw=False),
    "drop, fields": replace(DROP, deny_fields=("phone", "raw.note")),
    "allow": Privacy(allow_fields=("contact_id", "email", "raw.note")),
}
CONTEXT = RecordContext("acme", "k1", None, Action.SENT, "2026-03-14T02:00:00.000Z", "run-1", 28_800_000)
ROW: dict[str, Any] = {
    "contactid": "7",
    "contactemailaddress": "Ada@Example.org",
    "phone": "1",
    "companyname": "X",
    "sent_time": "1773000000000",
    "note": "write to ada@example.org, or to bob%40example.org.",
    "nested": [{"to ada@example.org": 1, "n": 2**70}],
}

LOCALS = st.text(st.sampled_from("abzAZ09._+-!#$&'*^`{}~"), min_size=1, max_size=12)
ADDRESSES = st.builds(
    "{}@{}.{}".format,
    LOCALS,
    st.text(st.sampled_from("abzAZ09-"), min_size=1, max_size=8),
    st.sampled_from(["example", "Example", "test"]),
)
TEXTS = st.text(max_size=20) | ADDRESSES | st.builds("see {} now".format, ADDRESSES)
VALUES = st.recursive(TEXTS | st.none() | st.integers(), lambda inner: st.lists(inner, max_size=3), max_leaves=5)
ROWS = st.dictionaries(st.sampled_from([name for names in SOURCES.values() for name in names]) | TEXTS, VALUES)
PRIVACIES = st.builds(
    Privacy,
    email=st.sampled_from(EmailPolicy),
    key=st.just(KEY),
    allow_fields=st.lists(st.sampled_from(CONTACT_FIELDS), unique=True).map(tuple),
    deny_fields=st.lists(st.sampled_from(CONTACT_FIELDS), unique=True).map(tuple),
    has_raw=st.booleans(),
)


def written(privacy: Privacy, row: Any) -> dict[str, Any]:
    """The record of a row as it came, as it is read back."""
    context = replace(CONTEXT, has_raw=privacy.has_raw)
    found: dict[str, Any] = json.loads(lines([privacy.row(row)], [1], context))
    return found


def test_the_columns_that_settings_know_are_those_of_a_record() -> None:
    """What can be named in the configuration is exactly what is filled from a row."""
    assert tuple(SOURCES) == CONTACT_FIELDS


def test_nothing_is_changed_by_default() -> None:
    """Without a section on privacy rows, replies and listings are kept as they came: the very same objects."""
    came = page(count=2)

    assert Privacy().page(came) is came
    assert Privacy().reply(b"x") == b"x"
    assert Privacy().listed(ROW) is ROW
    assert Privacy().record(ROW) is ROW
    assert Privacy().line(b"{}\n") == b"{}\n"


def test_P5_hashed_addresses_are_equal_wherever_they_stand() -> None:
    """The pseudonym is the HMAC-SHA256 of the trimmed, case-folded address, in columns, raw, keys and texts."""
    ada = hmac.new(KEY, b"ada@example.org", hashlib.sha256).hexdigest()
    bob = hmac.new(KEY, b"bob@example.org", hashlib.sha256).hexdigest()

    found = written(HMAC, ROW)

    assert found["email"] == found["raw"]["contactemailaddress"] == ada
    assert found["raw"]["note"] == f"write to {ada}, or to {bob}."
    assert found["raw"]["nested"] == [{f"to {ada}": 1, "n": 2**70}]
    assert (found["phone"], found["sent_at"]) == ("1", "2026-03-08T12:00:00.000Z")
    assert pseudonym(KEY, " ADA%40example.ORG ") == ada


@pytest.mark.parametrize(
    "text",
    [
        "?e=ada%2Bnews%40example.org&b=1",
        "u=https%3A%2F%2Fq.example%3Fe%3DAda%2Bnews%40Example.org%26z%3D1",
        "u=https%253A%252F%252Fq.example%253Fe%253Dada%252Bnews%2540example.org%2526z",
        "ada&#43;news&#64;example.org",
        '{"e": "ada+news\\u0040example.org"}',
        "told 'ada+news@example.org'",
        "*[ada+news@example.org]*",
        "\u201cada+news\uff20example.org\u201d",
        "ada+news&amp;#64;example.org",
        "ada+news&amp;commat;example.org",
        "ada%2Bnews%26%2364%3Bexample.org",
        "ada+news&#37;40example.org",
        "ada+news%25&#52;0example.org",
        "ada+news\\u002540example.org",
        "ada+news%5Cu0040example.org",
        "ada+news&#00000064;example.org",
        "ada+news&#x0000000040;example.org",
    ],
)
def test_P5_a_text_has_the_hash_of_the_address_however_it_is_written(text: str) -> None:
    """Whatever is escaped around it or in it: so joins work, and the hash is found by whoever forgets them."""
    found = HMAC.row({"contactid": "1", "note": text})["note"]

    assert pseudonym(KEY, "ada+news@example.org") in found
    assert "example.org" not in found.casefold()


@pytest.mark.parametrize("address", ["ada@[10.0.0.1]", "Ada@[IPv6:2001:db8::1]"])
def test_P5_an_address_at_a_literal_host_is_hashed(address: str) -> None:
    """RFC 5321, section 4.1.3: brackets belong to it there, and stand around one everywhere else."""
    assert HMAC.row({"note": f"mail {address}, now"})["note"] == f"mail {pseudonym(KEY, address)}, now"
    assert DROP.row({"note": "@[10 of us]"})["note"] == "@[10 of us]"


def test_P5_dropped_addresses_leave_nothing_behind() -> None:
    """Neither column nor key of raw says anything; within texts a mark stands in their place."""
    found = written(DROP, ROW)

    assert found["email"] is None
    assert "contactemailaddress" not in found["raw"]
    assert found["raw"]["note"] == "write to [e-mail], or to [e-mail]."
    assert found["contact_id"] == "7"


def test_P5_denied_fields_are_in_neither_column_nor_raw() -> None:
    """A column takes with it the keys of raw that fill it; a key of raw may be named by itself."""
    found = written(Privacy(deny_fields=("company", "sent_time_ms", "raw.note")), ROW)

    assert (found["company"], found["sent_time_ms"], found["sent_at"]) == (None, None, None)
    assert found["raw"].keys() == {"contactid", "contactemailaddress", "phone", "nested"}


def test_P5_only_allowed_fields_are_kept_and_denied_ones_are_not() -> None:
    """What a later version of the API adds is left out by itself; to deny wins over to allow."""
    privacy = Privacy(allow_fields=("contact_id", "phone", "raw.note"), deny_fields=("phone",))

    found = written(privacy, ROW)

    assert {name for name in SOURCES if found[name] is not None} == {"contact_id"}
    assert found["raw"] == {"contactid": "7", "note": ROW["note"]}


def test_P5_without_raw_the_columns_are_the_same() -> None:
    """The row is left out, and nothing else changes."""
    with_raw = record(ROW, 1, CONTEXT)

    assert written(RAWLESS, ROW) == json.loads(line_of({**with_raw, "raw": None}))
    assert valid_record(lines([RAWLESS.row(ROW)], [1], replace(CONTEXT, has_raw=False)))["raw"] is None


@pytest.mark.parametrize("privacy", RULES.values(), ids=RULES)
def test_A_25_a_reply_that_nobody_can_read_is_not_kept_where_anything_is_left_out(privacy: Privacy) -> None:
    """A note stands in its place, so that the manifest's path leads to the reason."""
    assert privacy.reply(b"ada@example.org") == note_instead(15)
    assert json.loads(note_instead(15)) == {
        "not_kept": "personal data: see [privacy] and harvester forget",
        "bytes": 15,
    }


def test_P5_the_listing_names_no_sender() -> None:
    """Addresses in a campaign's row are treated likewise."""
    row = {"campaign_key": "k1", "from_email": "News <news@example.org>", "reply_to": None}

    assert HMAC.listed(row)["from_email"] == f"News <{pseudonym(KEY, 'news@example.org')}>"
    assert DROP.listed(row) == {**row, "from_email": "News <[e-mail]>"}


def test_what_a_manifest_tells_names_no_key() -> None:
    """Dates whose hashes can be compared are known by an id that says nothing of the key."""
    told = replace(HMAC, deny_fields=("phone",)).told()

    assert told == {
        "email": "hmac",
        "key_id": key_id(KEY),
        "raw": True,
        "allow_fields": [],
        "deny_fields": ["phone"],
    }
    assert key_id(KEY) != key_id(bytes(32))
    assert KEY.hex() not in repr(HMAC) + str(told)
    assert DROP.told()["key_id"] is None


def test_what_says_nothing_stays_as_it_is() -> None:
    """There is no hash of "null", and no hash of a hash."""
    rows: list[dict[str, Any]] = [{"contact_email": value} for value in (None, "", "null")]

    assert [HMAC.row(row) for row in rows] == rows
    assert HMAC.row(HMAC.row(ROW)) == HMAC.row(ROW)
    assert HMAC.row({"contact_email": 7})["contact_email"] == pseudonym(KEY, "7")


@given(address=ADDRESSES, row=ROWS, key=st.sampled_from([*SOURCES["email"], "note", "phone"]))
@pytest.mark.parametrize("privacy", [HMAC, DROP], ids=["hmac", "drop"])
def test_P5_no_address_comes_through(privacy: Privacy, address: str, row: dict[str, Any], key: str) -> None:
    """Whatever a row holds besides, and wherever its address stands: no text of the record has an at sign in it."""
    found = written(privacy, {**row, key: f" {address} ", "k": [{"deep": f"<{address}>"}]})

    left = [text for text in _texts(found) if normalised(address) in normalised(text)]
    assert left == []


@given(privacy=PRIVACIES, row=ROWS)
def test_a_restart_knows_every_contact_again(privacy: Privacy, row: dict[str, Any]) -> None:
    """The identity by which a row is known in memory is that of its record read back, under all rules."""
    kept = privacy.row(row)

    in_memory = contact_identity(kept) if privacy.has_raw else identity_of_record(kept)
    assert identity_of_record(written(privacy, row)) == in_memory


@given(privacy=PRIVACIES, row=ROWS)
def test_older_records_are_compared_as_if_these_rules_had_been_in_force(privacy: Privacy, row: dict[str, Any]) -> None:
    """A record that was written whole, put under the rules once or twice, is the record that they would have made."""
    whole = record(row, 1, CONTEXT)

    put_under = privacy.record(whole)

    assert put_under == record(privacy.row(row), 1, replace(CONTEXT, has_raw=privacy.has_raw))
    assert privacy.record(put_under) == put_under


@given(row=ROWS)
def test_contents_are_the_columns_of_the_record(row: dict[str, Any]) -> None:
    """One table says which key fills which column, with and without raw."""
    whole = record(row, 1, CONTEXT)

    assert contents(row) == {name: whole[name] for name in SOURCES}


def test_a_page_is_kept_row_by_row_and_all_else_of_it_stays() -> None:
    """What the server said of its range, and rows that could not be read, are as they were."""
    came = Page((ROW,), code="0", unreadable=frozenset({1}), body=b"reply")

    kept = DROP.page(came)

    assert replace(kept, rows=came.rows) == came
    assert kept.rows == (DROP.row(ROW),)


def _texts(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [text for item in value.items() for each in item for text in _texts(each)]
        case list():
            return [text for each in value for text in _texts(each)]
        case _:
            return []
