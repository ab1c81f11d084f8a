"""Odd values: what cannot be written as it came costs its own row and no other."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.model import Action, Echo, Failure, FailureKind, Page, PageRequest, ResponseFormat
from harvester.zoho import contacts, salvage
from harvester.zoho.codes import Endpoint
from harvester.zoho.envelopes import ROW_DEPTH_MAX
from harvester.zoho.replies import read_listing, read_page
from harvester.zoho.wire import HttpReply

REQUEST = PageRequest("3zabc", Action.CLICKED, 1, 500)
CONTEXT = contacts.RecordContext("acme", "3zabc", None, Action.CLICKED, "2026-01-01T00:00:00Z", "r1")
NEIGHBOURS = [{"contactid": "1", "urlclicks": [{"n": 1}, {"n": 2}]}, {"contactid": "3", "contactfn": 'a "}, {" b\\'}]
SECONDS_MAX = 300.0
"""Far more than the worst body takes on a busy machine, far less than quadratic time would."""


def reply(body: bytes, status: int = 200) -> HttpReply:
    return HttpReply(status, "application/json", {}, body)


def read(body: bytes, status: int = 200) -> Page | Failure:
    return read_page(reply(body, status), REQUEST, ResponseFormat.JSON)


def body_of(*rows: bytes, head: bytes = b'"status":"success","code":"0"') -> bytes:
    """A page whose rows are these texts; echo before them and uri after, as in the documentation's sample."""
    details = b'"requestdetails":{"range":500,"action":"clickedcontacts","fromindex":1}'
    return b'{%b,%b,"list_of_details" : [ %b ] ,"uri":"/api","version":"1.1"}' % (details, head, b" ,\n".join(rows))


def page_with(odd: bytes) -> bytes:
    """A page of three rows, the odd one in the middle."""
    first, last = (json.dumps(row).encode() for row in NEIGHBOURS)
    return body_of(first, odd, last)


def page_of(body: bytes) -> Page:
    outcome = read(body)
    assert isinstance(outcome, Page), outcome
    return outcome


def kind_of(outcome: object) -> FailureKind | None:
    return outcome.kind if isinstance(outcome, Failure) else None


UNREADABLE: Mapping[str, bytes] = {
    "A-20-a-number": b"7",
    "A-20-null": b"null",
    "A-20-text": b'"a, ]"',
    "A-20-a-list": b'[{"contactid":"2"},{"contactid":"2"}]',
    "A-23-invalid-utf8": b'{"contactfn":"\xff"}',
    "A-23-cut-utf8": b'{"contactfn":"\xe2\x82"}',
    "A-23-invalid-utf8-beside-a-list": b'{"contactfn":"\xff","urlclicks":[{"n":1},{"n":2}]}',
    "A-23-a-surrogate-as-utf8": b'{"contactfn":"\xed\xa0\x80"}',
    "A-29-a-million-levels": b'{"a":' + b"[" * 10**6 + b"]" * 10**6 + b"}",
    "A-29-a-million-objects": b'{"a":' * 10**6 + b"0" + b"}" * 10**6,
    "A-29-too-deep-to-write": b'{"a":' + b"[" * ROW_DEPTH_MAX + b"]" * ROW_DEPTH_MAX + b"}",
    "A-30-nan": b'{"n":NaN}',
    "A-30-infinity": b'{"n":[Infinity]}',
    "A-30-minus-infinity": b'{"n":{"m":-Infinity}}',
    "A-30-1e999": b'{"n":1e999,"urlclicks":[{},{}]}',
    "A-30-minus-1e999": b'{"n":-1e999}',
    "A-30-a-number-without-end": b'{"n":%b}' % (b"1" * 5_000),
    "a-word-that-is-no-value": b'{"n":undefined}',
    "a-blank-that-is-none": b'{"contactid":"2"}\x0b',
    "a-quotation-mark-too-many": b'{"company":"the "best" one"}',
}


@pytest.mark.parametrize("odd", UNREADABLE.values(), ids=UNREADABLE)
def test_A_25_one_odd_row_costs_no_other(odd: bytes) -> None:
    """Its place is told, its neighbours come whole, and the page holds the body for whoever looks at it."""
    body = page_with(odd)

    page = page_of(body)

    assert list(page.rows) == NEIGHBOURS
    assert (page.unreadable, page.received_rows, list(page.places)) == (frozenset({1}), 3, [0, 2])
    assert page.body == body
    assert (page.echo, page.code) == (Echo(500, "clickedcontacts", 1), "0")
    assert body.decode(errors="replace")[:100] not in repr(page)


FAITHFUL: Mapping[str, tuple[bytes, Any]] = {
    "A-21-beyond-64-bits": (b"303000014269257999999999", 303000014269257999999999),
    "A-24-raw-control-characters": (b'"a\0b\nc\x1f\x7f"', "a\0b\nc\x1f\x7f"),
    "A-25-a-lone-surrogate": (b'"\\ud800"', "\ud800"),
    "A-26-line-separators": ('"\u2028\u0085🙂"'.encode(), "\u2028\u0085🙂"),
    "A-28-300-levels": (b"[" * 299 + b"]" * 299, json.loads("[" * 299 + "]" * 299)),
    "A-28-the-deepest": (b"[" * (ROW_DEPTH_MAX - 1) + b"]" * (ROW_DEPTH_MAX - 1), None),
}


@pytest.mark.parametrize(("text", "value"), FAITHFUL.values(), ids=FAITHFUL)
def test_A_20_a_strange_value_that_can_be_written_is_written(text: bytes, value: Any) -> None:
    """It is read without loss, its line reads back equal, and nothing is put aside."""
    page = page_of(page_with(b'{"contactid":"2","x":%b}' % text))

    written = contacts.lines(page.rows, [1, 2, 3], CONTEXT)

    assert (page.unreadable, page.body) == (frozenset(), b"")
    assert page.rows[1]["x"] == value or value is None
    assert [json.loads(line)["raw"] for line in written.split(b"\n")[:-1]] == list(page.rows)


def test_A_22_of_two_equal_keys_the_last_wins_in_a_salvaged_page_too() -> None:
    """Whether a neighbour is odd changes nothing about a row."""
    page = page_of(body_of(b'{"contactfn":"A","contactfn":"B"}', b'{"n":NaN}'))

    assert page.rows == ({"contactfn": "B"},)


def test_a_page_may_be_odd_throughout() -> None:
    """Rows that none of them can be written are still rows: the set does not end here."""
    page = page_of(body_of(b'{"n":NaN}', b'{"n":"\xff"}'))

    assert (page.rows, page.unreadable, page.received_rows) == ((), frozenset({0, 1}), 2)


MERGED = b'{"company":"x"y"},{"company":"z"w"}'
BROKEN: Mapping[str, bytes] = {
    "cut-in-a-row": page_with(b'{"n":NaN}')[:-80],
    "cut-after-the-list": page_with(b'{"n":NaN}')[:-5],
    "an-open-string": page_with(b'{"n":"x}'),
    "bracket-too-many": page_with(b'{"n":NaN}}'),
    "bracket-missing": page_with(b'{"n":NaN'),
    "A-09-no-objects": body_of(b"NaN", b'"\xff"'),
    "A-08-no-list": b'{"status":"success","code":"0","x":NaN}',
    "A-09-list-is-text": b'{"status":"success","code":"0","list_of_details":"\xff"}',
    "a-trailing-comma": page_with(b'{"n":NaN},'),
    "a-missing-comma": page_with(b'{"n":NaN}{"contactid":"2"}'),
    "perhaps-two-rows": page_with(MERGED),
    "odd-outside-of-the-rows": page_with(b'{"n":NaN}').replace(b'"1.1"', b"NaN"),
    "A-24-control-outside-of-the-rows": page_with(b'{"n":NaN}').replace(b'"1.1"', b'"\0"'),
    "H-27-another-request": page_with(b'{"n":NaN}').replace(b'"fromindex":1', b'"fromindex":2'),
    "A-06-error": body_of(b'{"n":NaN}', head=b'"status":"error","code":"0"'),
    "A-03-no-rows": body_of(b'{"n":NaN}', head=b'"status":"error","code":"6303"'),
    "A-07-no-code": body_of(b'{"n":NaN}', head=b'"status":"success"'),
    "two-lists": page_with(b'{"n":NaN}')[:-1] + b',"list_of_details":[{}]}',
    "a-list-within-a-row": b'{"status":"success","code":"0","x":{"list_of_details":[{"n":NaN}]}}',
    "H-13-html": b"<html><contacts><contact>\xff</contact></contacts></html>",
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_H_07_what_is_broken_beyond_rows_is_malformed(body: bytes) -> None:
    """Envelope and list are judged as strictly as ever, and where rows cannot be counted there is no page."""
    assert kind_of(read(body)) is FailureKind.MALFORMED


def test_a_salvaged_page_needs_status_200() -> None:
    """Odd rows make no success of a failure."""
    assert kind_of(read(page_with(b'{"n":NaN}'), 500)) is FailureKind.TRANSIENT
    assert kind_of(read(page_with(b'{"n":NaN}'), 206)) is FailureKind.MALFORMED


def test_a_wrapped_list_is_salvaged_as_well() -> None:
    """Some answers stand in an object `response`."""
    page = page_of(b'\xef\xbb\xbf {"response":%b}\n' % page_with(b'{"n":NaN}'))

    assert list(page.rows) == NEIGHBOURS
    assert page.unreadable == {1}


def test_A_06_the_words_of_an_odd_page_are_no_lockout() -> None:
    """A page that cannot be read as a whole is searched for no signs, byte order mark or not."""
    odd = b'{"company":"too many, locked, try again after 5 minutes","n":NaN}'

    assert page_of(b"\xef\xbb\xbf" + page_with(odd)).unreadable == {1}


def test_a_listing_is_never_salvaged() -> None:
    """A campaign left out would be rows lost in silence."""
    listing = read_listing(reply(page_with(b'{"n":NaN}')), "list_of_details", Endpoint.CAMPAIGNS)

    assert kind_of(listing) is FailureKind.MALFORMED


ODD_ROWS = st.sampled_from([text for text in UNREADABLE.values() if len(text) < 10_000])
GOOD_ROWS = st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.just({"n": 1})), max_size=3)


@given(st.lists(st.tuples(GOOD_ROWS, ODD_ROWS | st.none()), min_size=1))
def test_A_25_good_rows_keep_their_places_among_any_odd_ones(drawn: list[tuple[dict[str, Any], bytes | None]]) -> None:
    """Whatever stands beside them, no good row is lost, none is moved and none is changed."""
    good = {place: row for place, (row, odd) in enumerate(drawn) if odd is None}
    texts = [json.dumps(row, ensure_ascii=False).encode() if odd is None else odd for row, odd in drawn]

    outcome = read(body_of(*texts))

    if not any(text.startswith(b"{") for text in texts):
        assert kind_of(outcome) is FailureKind.MALFORMED
    else:
        assert isinstance(outcome, Page)
        assert dict(zip(outcome.places, outcome.rows, strict=True)) == good
        assert outcome.unreadable == set(range(len(drawn))) - good.keys()


@given(st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_S_10_a_page_with_any_bytes_in_it_is_read_or_refused(at: int, bytes_in_it: bytes) -> None:
    """Bytes changed anywhere never raise, and what is put aside is told."""
    body = page_with(b'{"contactid":"2","contactfn":"NaN"}')
    changed = body[:at] + bytes_in_it + body[at + len(bytes_in_it) :]

    outcome = read(changed)

    if isinstance(outcome, Page):
        assert bool(outcome.body) == bool(outcome.unreadable)
        assert contacts.lines(outcome.rows, outcome.places, CONTEXT)


HOSTILE: Mapping[str, bytes] = {
    "open-strings": b'{"list_of_details":[{"' + b'\\"' * 10_000_000,
    "brackets": b'{"list_of_details":[' + b"[]" * 10_000_000,
    "objects": b'{"list_of_details":[' + b'{"' * 10_000_000,
    "rows": b'{"list_of_details":[' + b"{}," * 5_000_000,
    "levels": b"{" * 20_000_000,
    "keys": b'{"a":"list_of_details",' * 500_000,
    "xml-contacts": b"<response><contacts>" + b"<contact></contact>" * 1_000_000 + b"\xff</contacts></response>",
    "xml-openings": b"<response><contacts>" + b"<contact>" * 2_000_000 + b"\xff</contacts></response>",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_A_27_no_body_takes_the_time_of_its_square(body: bytes) -> None:
    """Where nothing can be had, that is found out in time."""
    began_s = time.process_time()

    outcome = read(body)

    assert isinstance(outcome, Failure)
    assert time.process_time() - began_s < SECONDS_MAX


def test_rows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than can be asked for are no page."""
    monkeypatch.setattr(salvage, "ROWS_MAX", 2)

    assert kind_of(read(page_with(b'{"n":NaN}'))) is FailureKind.MALFORMED
    assert page_of(body_of(b'{"n":NaN}', b"{}")).unreadable == {0}


LARGE = """
import json, resource, sys
from harvester.model import Action, Page, PageRequest, ResponseFormat
from harvester.zoho.replies import read_page
from harvester.zoho.wire import HttpReply

row = json.dumps({f"key {n}": f"value {n}" for n in range(24)}).encode()
rows = (60 << 20) // (len(row) + 1)
body = b'{"status":"success","code":"0","list_of_details":[%b,{"n":NaN}]}' % b",".join([row] * min(rows, 90_000))
reply = HttpReply(200, "application/json", {}, body)
page = read_page(reply, PageRequest("3z", Action.SENT, 1, 500), ResponseFormat.JSON)
assert isinstance(page, Page) and len(page.unreadable) == 1, page
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
MEMORY_MIB_MAX = 1_500


def test_A_27_a_large_page_is_salvaged_within_bounds() -> None:
    """The largest page that is taken, with one odd row, needs neither all memory nor all time."""
    limit = MEMORY_MIB_MAX << 20

    done = subprocess.run(
        [sys.executable, "-c", LARGE],
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )

    assert done.returncode == 0, done.stderr


def xml_page(*contacts: bytes, head: bytes = b"", code: bytes = b"0") -> bytes:
    return (
        b'%b<response uri="/api" version="1.1"><status>success</status><code>%b</code><range>500</range>'
        b"<action>clickedcontacts</action><fromindex>1</fromindex>"
        b"<contacts>\n%b</contacts></response>" % (head, code, b"\n".join(contacts))
    )


def contact(value: bytes) -> bytes:
    return b'<contact><fl val="first_name">%b</fl></contact>' % value


@pytest.mark.parametrize(
    "value", [b"\x00", b"\x0b", b"&#0;", b"\xff", b"a & b", b"a < b", b"&nbsp;", b"</fl></contacts>", b"<a>" * 20]
)
def test_A_23_A_24_one_odd_contact_of_xml_costs_no_other(value: bytes) -> None:
    """What XML forbids is put aside with its contact, in its place."""
    body = xml_page(contact(b"A"), contact(value), contact(b"\xc3\x84"))

    page = page_of(body)

    assert page.rows == ({"first_name": "A"}, {"first_name": "Ä"})
    assert (page.unreadable, page.body) == (frozenset({1}), body)


@pytest.mark.parametrize(
    "content",
    [
        b'<fl val="a">1</fl><fl val="a">2</fl>',
        b'<fl val="a">a<b/>cd</fl>',
        b"<fl val='a'>1</fl><extra>2</extra>",
        b"<reports/><reports/>",
        b"<fl%b/>" % b"".join(b" a%d=''" % n for n in range(20)),
    ],
)
def test_A_20_a_contact_that_is_not_understood_costs_its_own_place(content: bytes) -> None:
    """It goes into quarantine as it came, and nothing of it is dropped in silence."""
    body = xml_page(contact(b"A"), b"<contact>%b</contact>" % content, contact(b"B"))

    page = page_of(body)

    assert page.rows == ({"first_name": "A"}, {"first_name": "B"})
    assert (page.unreadable, page.body) == (frozenset({1}), body)


def test_A_23_a_salvaged_contact_is_read_in_the_encoding_of_its_document() -> None:
    """The declaration speaks for every contact."""
    head = b'<?xml version="1.0" encoding="ISO-8859-1"?>'

    page = page_of(xml_page(contact(b"\xc4"), contact(b"\0"), head=head))

    assert (page.rows, page.unreadable) == (({"first_name": "Ä"},), frozenset({1}))


@pytest.mark.parametrize(
    "body",
    [
        xml_page(contact(b"\0"), b"<contact>"),
        xml_page(contact(b"\0"), b"</contact>"),
        xml_page(contact(b"\0"), b"<contact/>", contact(b"A")),
        xml_page(contact(b"\0"), b"<!-- x -->"),
        xml_page(contact(b"\0"), b"text"),
        xml_page(contact(b"\0"), contact(contact(b"A"))),
        xml_page(contact(b"\0"), code=b"6303"),
        xml_page(contact(b"\0"), head=b"\0"),
        xml_page(contact(b"\0"), head=b"<!DOCTYPE response>"),
        xml_page(contact(b"\0")).replace(b"</response>", b""),
        xml_page(b"\0"),
        xml_page(contact(b"A").replace(b"contact>", b"Contact>")),
        xml_page(contact(b"A"), b"<person/>"),
        xml_page(contact(b"A"), b"</contacts><contacts>", contact(b"A")),
        xml_page(contact(b"A")).replace(b"<contacts>", b"<contacts/><contacts>"),
        xml_page(contact(b"A")).replace(b"</contacts>", b"</contacts><contacts></contacts>"),
        xml_page(b"some text"),
    ],
    ids=range(17),
)
def test_H_07_broken_xml_that_is_not_plain_is_malformed(body: bytes) -> None:
    """Where contacts cannot be counted for certain, the page is asked for again."""
    assert kind_of(read(body)) is FailureKind.MALFORMED
