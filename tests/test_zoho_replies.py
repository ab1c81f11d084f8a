import json
import re
import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.model import Action, Echo, Failure, FailureKind, Page, PageRequest, ResponseFormat
from harvester.zoho import contacts
from harvester.zoho.codes import Endpoint
from harvester.zoho.envelopes import ROW_DEPTH_MAX
from harvester.zoho.lockout import RETRY_AFTER_S_MAX, LockoutSigns, retry_after_s
from harvester.zoho.redaction import redact
from harvester.zoho.replies import (
    Grant,
    Listing,
    RefusalReason,
    TokenRefusal,
    read_listing,
    read_page,
    read_token,
)
from harvester.zoho.wire import HttpReply
from harvester.zoho.xml_document import XML_BYTES_MAX

REQUEST = PageRequest("3zabc", Action.OPENED, 1, 100)
ROW = {"contactid": "303000014269257", "contactemailaddress": "john.doe@example.com", "contactfn": "John"}
SECONDS_MAX = 10.0
"""Of processor time: far more than linear time needs, far less than quadratic time would."""

CONTEXT = contacts.RecordContext("acme", "3zabc", None, Action.OPENED, "2026-01-01T00:00:00Z", "r1")


def reply(body: bytes, status: int = 200, content_type: str = "application/json", **headers: str) -> HttpReply:
    kept = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpReply(status, content_type, kept, body, received_at_s=1_000_000_000.0)


def good(**changes: Any) -> dict[str, Any]:
    details = {"range": 100, "action": "openedcontacts", "fromindex": 1}
    return {"status": "success", "code": "0", "requestdetails": details, "list_of_details": [ROW], **changes}


def read(document: Any, status: int = 200, **headers: str) -> Page | Failure:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_page(reply(body, status, **headers), REQUEST, ResponseFormat.JSON)


def kind_of(outcome: object) -> FailureKind | None:
    return outcome.kind if isinstance(outcome, Failure) else None


def rows_of(outcome: Page | Failure) -> list[Any]:
    assert isinstance(outcome, Page), outcome
    return list(outcome.rows)


def xml(inner: str) -> bytes:
    return f'<response uri="/api/v1.1/x" version="1.1">{inner}</response>'.encode()


XML_PAGE = xml(
    "<status>success</status><code>0</code><range>20</range><action>openedcontacts</action><fromindex>1</fromindex>"
    '<campaign_details><fl val="campaign_name">Survey</fl></campaign_details>'
    '<contacts><contact><fl val="first_name">J</fl><fl val="phone"/></contact></contacts>'
)


def test_a_good_page_is_read_whole() -> None:
    """Rows, echo and details come as the server sent them."""
    page = read(good(campaign_details={"campaign_name": "Survey"}))

    assert page == Page((ROW,), Echo(100, "openedcontacts", 1), "0", {"campaign_name": "Survey"})


@pytest.mark.parametrize("code", [0, "0", " 0 "])
def test_A_07_code_zero_as_number_or_text_is_success(code: object) -> None:
    """The server's number and its text are the same code; status is read in any case."""
    assert rows_of(read(good(code=code, status="SUCCESS"))) == [ROW]


@pytest.mark.parametrize("code", [None, True, False, 0.0, [], "", "0x0"])
def test_A_07_any_other_code_gives_no_page(code: object) -> None:
    """What is not a form of 0 announces no rows."""
    assert kind_of(read(good(code=code))) in {FailureKind.MALFORMED, FailureKind.UNKNOWN}


def test_A_08_success_without_a_list_is_malformed() -> None:
    """No list is never the same as no rows."""
    document = good()
    del document["list_of_details"]

    assert kind_of(read(document)) is FailureKind.MALFORMED


@pytest.mark.parametrize("rows", [None, {}, "", "[]", 0, [1], [None], [[]]])
def test_A_09_a_list_that_is_none_is_malformed(rows: object) -> None:
    """Null, objects, text and lists of anything but objects are no rows."""
    assert kind_of(read(good(list_of_details=rows))) is FailureKind.MALFORMED


def test_A_10_an_empty_list_with_success_is_a_page_without_rows() -> None:
    """An empty list says so itself."""
    assert rows_of(read(good(list_of_details=[]))) == []


@pytest.mark.parametrize("code", ["6303", 6303])
def test_A_03_no_contacts_is_a_page_without_rows(code: object) -> None:
    """6303 is how the live service says "nothing (more) here"; the page keeps the code."""
    page = read({"status": "error", "code": code, "message": "There are no contacts."})

    assert page == Page((), code="6303")


def test_no_rows_beside_rows_or_an_http_error_is_a_contradiction() -> None:
    """Where the parts of an answer disagree, the job must not end."""
    empty = {"status": "error", "code": "6303"}

    assert kind_of(read({**empty, "list_of_details": [ROW]})) is FailureKind.MALFORMED
    assert kind_of(read(empty, 404)) is FailureKind.MALFORMED
    assert kind_of(read(good(status="error"))) is FailureKind.MALFORMED


def test_A_06_an_error_in_http_200_is_a_failure() -> None:
    """The code decides before the list is looked at."""
    failure = read({**good(), "status": "error", "code": 6002, "message": "Invalid campaign key"})

    assert isinstance(failure, Failure)
    assert (failure.kind, failure.code, failure.status) == (FailureKind.CAMPAIGN, "6002", 200)
    assert "campaign key" in failure.remedy


def test_A_05_an_unknown_code_is_shown_as_it_came() -> None:
    """Nobody knows it, so it is never read as the end of the data, and code and message are told, redacted."""
    failure = read({"Code": 4711, "Message": "Something new for john.doe@example.com"})

    assert isinstance(failure, Failure)
    assert (failure.kind, failure.signature) == (FailureKind.UNKNOWN, "4711")
    assert failure.message.startswith("Something new for [e-mail]")


def test_6502_asks_for_fewer_rows() -> None:
    """More rows than the server gives at once is a matter of the page's size and not of the job."""
    failure = read({"status": "error", "code": "6502", "message": "Limit given is more than the maximum."})

    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.OVERSIZE
    assert "page_size" in failure.remedy


def test_H_22_unauthorized_with_capital_code_is_a_token_failure() -> None:
    """The live 401 writes Code and URI with capitals."""
    body = {"message": "Unauthorized request.", "URI": "/api", "Code": "1007", "status": "error"}

    assert kind_of(read(body, 401)) is FailureKind.TOKEN
    assert kind_of(read(body, 200)) is FailureKind.TOKEN
    assert kind_of(read(b"", 401)) is FailureKind.TOKEN


@pytest.mark.parametrize(
    "changes",
    [
        {"action": "sentcontacts"},
        {"fromindex": 2},
    ],
)
def test_A_18_an_echo_of_another_request_is_malformed(changes: dict[str, object]) -> None:
    """A contradicting echo means that these rows belong elsewhere."""
    details = {"range": 100, "action": "openedcontacts", "fromindex": 1, **changes}

    failure = read(good(requestdetails=details))

    assert isinstance(failure, Failure)
    assert "belongs to another request" in failure.message


@pytest.mark.parametrize(
    ("details", "echo"),
    [
        ("{range=5, status=All, fromindex=1}", Echo(5, None, 1)),
        ("nonsense", Echo()),
        ("{ range = 5 ,fromindex=1", Echo(5, None, 1)),
        ("{range=5, fromindex=1, x=%s}" % ("x" * 4_000), Echo()),
        ({"range": "20", "action": " openedcontacts "}, Echo(20, "openedcontacts", None)),
        (None, Echo(7, None, 1)),
    ],
)
def test_A_19_A_33_echoes_are_read_in_every_shape(details: object, echo: Echo) -> None:
    """Object, Java's map text and top level fields mean the same; blanks do not count."""
    page = read(good(requestdetails=details, range=7, fromindex=1))

    assert isinstance(page, Page)
    assert page.echo == echo


@pytest.mark.parametrize("text", ["x" * 10**7, "x " * 10**6, "x" * 3_999, "x=" * 1_999, "x" + " " * 3_998])
def test_A_19_the_text_of_a_map_takes_bounded_time(text: str) -> None:
    """A text that is no echo costs less than the reading of its page, however long it is."""
    body = json.dumps(good(requestdetails=text)).encode()
    started_s = time.process_time()

    page = read(body)

    assert isinstance(page, Page)
    assert time.process_time() - started_s < SECONDS_MAX


def test_A_14_an_echoed_clamp_is_no_failure() -> None:
    """A smaller range than asked is said, not refused."""
    assert rows_of(read(good(requestdetails={"range": 20}))) == [ROW]


def test_A_21_large_integers_keep_their_digits() -> None:
    """An integer beyond 64 bits is no float."""
    identity = 303000014269257999999999

    assert rows_of(read(good(list_of_details=[{"contactid": identity}]))) == [{"contactid": identity}]


def test_A_23_invalid_utf8_names_the_byte() -> None:
    """The message holds an offset and no body."""
    failure = read(b'{"status":"\xff john.doe@example.com"}')

    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.MALFORMED
    assert "byte 11" in failure.message
    assert "john" not in failure.message


def test_A_25_a_lone_surrogate_loses_no_row() -> None:
    """One odd name does not cost the page its other rows."""
    body = json.dumps(good(list_of_details=[{"contactfn": "\ud800"}, ROW])).encode()

    assert rows_of(read(body)) == [{"contactfn": "\ud800"}, ROW]


@pytest.mark.parametrize(("brackets", "is_taken"), [(ROW_DEPTH_MAX - 1, True), (ROW_DEPTH_MAX, False)])
@pytest.mark.parametrize("flat_rows", [0, 500])
def test_A_28_a_row_is_taken_up_to_the_depth_that_can_be_written(
    brackets: int, flat_rows: int, *, is_taken: bool
) -> None:
    """The row itself is the first level, and the rows around it neither hide one too deep nor make one so."""
    deep = json.loads("[" * brackets + "]" * brackets)
    rows = [*({"contactid": str(number)} for number in range(flat_rows)), {"contactid": "deep", "notes": deep}]

    outcome = read(json.dumps(good(list_of_details=rows)).encode())

    assert rows_of(outcome) == rows[: flat_rows + is_taken]


def test_A_22_the_last_of_two_equal_keys_wins() -> None:
    """Both readers agree on duplicate keys."""
    body = json.dumps(good()).encode().replace(b'"John"', b'"A","contactfn":"B"')

    assert rows_of(read(body))[0]["contactfn"] == "B"


def test_A_24_an_escaped_nul_is_kept() -> None:
    """An escape is data, whatever it stands for."""
    body = json.dumps(good()).encode()

    assert rows_of(read(body.replace(b"John", b"\\u0000")))[0]["contactfn"] == "\0"


def test_A_31_A_32_rows_pass_untouched() -> None:
    """Null texts, blanks and unknown fields stay as they are."""
    row = {"phone": "null", "lastname": "", "last seen yymmdd": "x", "urlclicks": [{"n": 1}]}

    assert rows_of(read(good(list_of_details=[row]))) == [row]


@pytest.mark.parametrize("cut", [1, 60, 150, -1])
def test_H_07_a_cut_body_is_malformed(cut: int) -> None:
    """A document that did not close is no page, whatever HTTP says, and its rows no sign of a lock."""
    body = json.dumps(good(list_of_details=[{"note": "too many, locked, try again after"}] * 9)).encode()

    assert kind_of(read(body[:cut])) is FailureKind.MALFORMED


def test_H_13_html_with_200_is_malformed() -> None:
    """A login page is neither rows nor none, and none of it is told."""
    html = b"<!DOCTYPE html><html><title>Sign in john.doe@example.com</title></html>"

    failure = read_page(reply(html, content_type="text/html; charset=UTF-8"), REQUEST, ResponseFormat.JSON)

    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.MALFORMED
    assert "not JSON" in failure.message
    assert "text/html" in failure.message
    assert "john" not in failure.message


@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, FailureKind.OVERSIZE), (401, FailureKind.TOKEN), (429, FailureKind.LOCKED), (500, FailureKind.TRANSIENT)],
)
def test_A_27_too_much_xml_asks_for_fewer_rows(status: int, kind: FailureKind) -> None:
    """With a good status, fewer rows may be small enough to be parsed; any other says more than the size."""
    failure = read(XML_PAGE.replace(b"</contacts>", b" " * XML_BYTES_MAX + b"</contacts>"), status)

    assert isinstance(failure, Failure)
    assert failure.kind is kind
    assert status != 200 or "page too large" in failure.message


ADDRESS = "sender@example.com"


@pytest.mark.parametrize("is_xml", [False, True])
def test_S_01_the_details_of_a_campaign_hold_no_address(*, is_xml: bool) -> None:
    """They go into ledger and manifest, and the sender's address stands in them."""
    details = {"from_email": ADDRESS, "subject": f"Write to {ADDRESS}", f"by {ADDRESS}": "x", "zuid": "7"}
    fields = "".join(f'<fl val="{name}">{value}</fl>' for name, value in details.items())
    survey = b'<fl val="campaign_name">Survey</fl>'

    page = read(XML_PAGE.replace(survey, fields.encode()) if is_xml else good(campaign_details=details))

    assert isinstance(page, Page)
    assert page.campaign_details == {
        "from_email": "[e-mail]", "subject": "Write to [e-mail]", "by [e-mail]": "x", "zuid": "7",
    }  # fmt: skip


def test_A_25_the_details_of_a_campaign_can_be_written_anywhere() -> None:
    """Half a character, which no file takes, is left out of them."""
    page = read(rb'{"campaign_details":{"a\ud800":"b\ud800","c":null,"d":[1]},' + json.dumps(good()).encode()[1:])

    assert isinstance(page, Page)
    assert page.campaign_details == {"a": "b", "c": None}


def test_H_15_an_empty_body_is_malformed() -> None:
    """Nothing is not the same as no rows."""
    assert kind_of(read(b"")) is FailureKind.MALFORMED


def test_H_14_xml_is_read_whatever_was_asked() -> None:
    """The XML of the documentation's sample gives the same parts as JSON."""
    page = read(XML_PAGE)

    assert page == Page(
        ({"first_name": "J", "phone": ""},), Echo(20, "openedcontacts", 1), "0", {"campaign_name": "Survey"}
    )


def test_H_14_xml_errors_are_read_by_their_code() -> None:
    """Whatever the message's element is called, the code counts."""
    failure = read(xml("<code>1004</code><p>Wrong URL entered.</p>"))

    assert isinstance(failure, Failure)
    assert (failure.kind, failure.code) == (FailureKind.ACCOUNT, "1004")
    assert rows_of(read(xml("<status>error</status><code>6303</code><message>none</message>"))) == []
    assert kind_of(read(xml("<status>success</status><code>0</code>"))) is FailureKind.MALFORMED


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_H_16_a_redirect_is_an_account_failure_that_names_the_host(status: int) -> None:
    """Only a person can mend base_url, and the rest of the address stays unsaid."""
    failure = read(b"", status, Location="https://user:pw@evil.example/x?token=abc")

    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.ACCOUNT
    assert "evil.example" in failure.message
    assert "abc" not in failure.message
    assert "pw" not in failure.message


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_H_18_server_errors_are_transient(status: int) -> None:
    """A 5xx says nothing about the request, even where its body does."""
    assert kind_of(read(b"<html>oops</html>", status)) is FailureKind.TRANSIENT
    assert kind_of(read({"status": "error", "code": "6002"}, status)) is FailureKind.TRANSIENT


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("-5", 0.0),
        ("1000000000", RETRY_AFTER_S_MAX),
        ("Sun, 09 Sep 2001 01:47:40 GMT", 60.0),
        ("Sun, 09 Sep 2001 01:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
    ],
)
def test_H_19_retry_after_is_read_and_bounded(value: str, wait_s: float | None) -> None:
    """Seconds and dates count, within a day; garbage counts as absent."""
    failure = read(b"", 429, Retry_After=value)

    assert isinstance(failure, Failure)
    assert (failure.kind, failure.retry_after_s) == (FailureKind.LOCKED, wait_s)


@given(st.text(max_size=400))
def test_H_19_any_retry_after_is_bounded(value: str) -> None:
    """No header makes the wait negative or longer than a day."""
    wait_s = retry_after_s(reply(b"", 429, Retry_After=value), value)

    assert wait_s is None or 0 <= wait_s <= RETRY_AFTER_S_MAX


@pytest.mark.parametrize("status", [200, 400, 403, 503])
def test_H_20_the_throttle_notice_is_a_lockout(status: int) -> None:
    """The shape seen live in a sister product is known under every status, with its remaining minutes."""
    details = {"message": "Cannot execute more than 100 requests per API in 2 minutes. Try again after 22 minutes."}
    title = "URL_ROLLING_THROTTLES_LIMIT_EXCEEDED"

    failure = read({"error": {"status_code": 400, "title": title, "details": details}}, status)

    assert isinstance(failure, Failure)
    assert (failure.kind, failure.retry_after_s) == (FailureKind.LOCKED, 1_320.0)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"code": "2008", "message": "Calls limit exceeded"}, 200),
        ({"code": 409909}, 200),
        ({"status": "error", "code": "6303", "message": "This API is locked"}, 200),
        (b"<html>Too many requests</html>", 403),
        (b"Too many requests", 200),
        (b"", 429),
    ],
)
def test_H_20_every_form_of_a_lock_is_seen(body: object, status: int) -> None:
    """Status, code or words: a lock is never taken for the end of the data."""
    assert kind_of(read(body, status)) is FailureKind.LOCKED


def test_A_06_rows_that_speak_of_locks_are_rows() -> None:
    """Only what is no row is searched for signs."""
    row = {"companyname": "Throttle & Too Many Ltd, locked; try again after 5 minutes"}
    document = good(list_of_details=[row], campaign_details={"campaign_name": "calls limit exceeded"})

    assert rows_of(read(document)) == [row]
    assert kind_of(read({**document, "code": "6001", "status": "error"})) is FailureKind.TRANSIENT


def test_the_operator_adds_signs_of_a_lock() -> None:
    """What the operator has learnt about the account counts beside what is built in."""
    signs = LockoutSigns(frozenset({"4711"}), re.compile("cool down"))

    for document in ({"code": 4711}, {"code": 1, "message": "please cool down"}):
        outcome = read_page(reply(json.dumps(document).encode()), REQUEST, ResponseFormat.JSON, signs)

        assert kind_of(outcome) is FailureKind.LOCKED


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, FailureKind.UNKNOWN),
        (403, FailureKind.UNKNOWN),
        (404, FailureKind.ACCOUNT),
        (405, FailureKind.ACCOUNT),
        (415, FailureKind.ACCOUNT),
        (408, FailureKind.TRANSIENT),
        (204, FailureKind.MALFORMED),
    ],
)
def test_H_21_H_23_statuses_without_an_envelope(status: int, kind: FailureKind) -> None:
    """A bare refusal is not understood and asked about once more; a wrong path, verb or content type is everybody's."""
    assert kind_of(read(b"", status)) is kind


def test_a_listing_gives_rows_total_and_end() -> None:
    """6101 ends a listing; other codes are failures; code 200 is success for a neighbour."""

    def listed(document: dict[str, Any]) -> Listing | Failure:
        return read_listing(reply(json.dumps(document).encode()), "recent_campaigns", Endpoint.CAMPAIGNS)

    rows = [{"campaign_key": "3z"}]
    assert listed({"code": "0", "recent_campaigns": rows, "total_record_count": "44"}) == Listing(tuple(rows), 44)
    assert listed({"code": 200, "status": "success", "recent_campaigns": []}) == Listing(())
    assert listed({"code": "6101", "status": "error"}) == Listing(())
    assert kind_of(listed({"code": "6303"})) is None
    assert kind_of(listed({"code": "6601"})) is FailureKind.ACCOUNT


KEYS = st.sampled_from(
    ["status", "code", "Code", "message", "requestdetails", "list_of_details", "response", "action", "fromindex"]
)
WORDS = st.sampled_from(["success", "error", "0", "6303", "openedcontacts", "null", "", "locked"])
SCALARS = st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False) | WORDS | st.text()
NEARLY = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS | st.text(), inner), max_leaves=20)
SURROGATES = st.text(st.characters())
VALUES = st.recursive(
    SCALARS.filter(lambda value: value not in {float("inf"), float("-inf")}) | SURROGATES,
    lambda inner: st.lists(inner) | st.dictionaries(SURROGATES, inner),
    max_leaves=8,
)
FIELDS = st.sampled_from(["contactid", "sent_time", "clickcount", "contactemailaddress", "firstname"]) | SURROGATES


@given(
    st.binary()
    | st.dictionaries(KEYS, NEARLY).map(lambda document: json.dumps(document).encode())
    | st.text().map(lambda text: xml(text.replace("\0", "")).replace(b"\xed", b"")),
    st.sampled_from([200, 200, 204, 302, 400, 401, 403, 404, 429, 500, 503]),
)
def test_S_10_any_body_is_a_page_or_a_failure(body: bytes, status: int) -> None:
    """Whatever comes, nothing is raised, and messages are short and printable."""
    outcome = read_page(reply(body, status), REQUEST, ResponseFormat.JSON)

    if isinstance(outcome, Failure):
        assert len(outcome.message) <= 200
        assert outcome.message.isprintable()
    assert isinstance(read_token(reply(body, status)), Grant | TokenRefusal)
    assert isinstance(read_listing(reply(body, status), "rows", Endpoint.CAMPAIGNS), Listing | Failure)


@given(st.lists(st.dictionaries(FIELDS, VALUES), max_size=4))
def test_A_20_A_26_every_accepted_row_is_written_and_reads_back(rows: list[dict[str, Any]]) -> None:
    """Rows survive the way from body to file, whatever characters and numbers they hold."""
    page = read(json.dumps(good(list_of_details=rows)).encode())
    assert rows_of(page) == rows

    written = contacts.lines(rows, range(1, len(rows) + 1), CONTEXT)

    records = [json.loads(line) for line in written.split(b"\n")[:-1]]
    assert [found["raw"] for found in records] == rows
    assert all(tuple(found) == contacts.COLUMNS for found in records)


@given(st.text())
def test_S_12_redacted_text_is_one_short_printable_line(text: str) -> None:
    """No control character, no line break and no address comes out."""
    line = redact(text)

    assert len(line) <= 200
    assert line.isprintable()
    assert "@" not in line


@pytest.mark.parametrize(
    "text",
    [
        "for o'brien.secret@example.com",
        "header Zoho-oauthtoken hush.secret",
        "token 1000.secret0.secret1 refused",
        'x {"refresh_token":"secret"}',
        "client_secret=secret&x=1",
        "1000.\u200bsecret.x",
        "se\x00cret@example.com",
        f"{'x ' * 1_999}secret@example.com",
    ],
)
def test_S_01_S_15_secrets_and_addresses_are_redacted(text: str) -> None:
    """Nothing that looks like a secret or an address survives, whatever stands around it."""
    assert "secret" not in redact(text).replace("[secret]", "")


def test_S_12_ansi_sequences_are_removed() -> None:
    """A terminal is not painted by a server's text."""
    assert redact("\x1b[31mred\x1b[0m\r\nnext\u202e") == "red next"


@pytest.mark.parametrize(
    ("given_life", "life_s"),
    [(None, 3_600), ("3600", 3_600), (0, 1), (10**9, 86_400), ("soon", 3_600), ([], 3_600), (True, 3_600)],
)
def test_U_04_the_life_of_a_token_is_bounded(given_life: object, life_s: int) -> None:
    """Missing and unreadable lives are an hour; all others lie within a second and a day."""
    body = orjson.dumps({"access_token": "1000.a.b", "expires_in": given_life})

    assert read_token(reply(body)) == Grant("1000.a.b", life_s)


@pytest.mark.parametrize("token", ["a\r\nX: y", "é", "", "a b", 7, ["x"], "x" * 5_000])
def test_U_06_a_token_that_is_no_header_text_is_refused(token: object) -> None:
    """What could split a header never becomes one."""
    assert isinstance(read_token(reply(orjson.dumps({"access_token": token}))), TokenRefusal)


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"error": "invalid_code"}, 200, RefusalReason.REFRESH_TOKEN),
        ({"error": "invalid_grant"}, 400, RefusalReason.REFRESH_TOKEN),
        ({"error": "invalid_client"}, 200, RefusalReason.CLIENT),
        ({"error": "Access Denied", "error_description": "too many"}, 400, RefusalReason.THROTTLED),
        ({"error": "Access Denied"}, 200, RefusalReason.THROTTLED),
        ({"error": "general_error"}, 200, RefusalReason.UNCLEAR),
        ({}, 500, RefusalReason.UNCLEAR),
    ],
)
def test_U_02_U_03_U_13_refusals_are_told_apart(body: object, status: int, reason: RefusalReason) -> None:
    """The same words mean the same with 200 and with 400."""
    refusal = read_token(reply(orjson.dumps(body), status))

    assert isinstance(refusal, TokenRefusal)
    assert refusal.reason is reason
