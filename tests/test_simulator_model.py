"""The whole model without sockets: envelopes, refusals, tokens, faults, referee."""

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st
from simulated_caller import CLIENT, RECIPIENTS, caller_of, json_of, pages_of

from harvester.simulator.model import Zoho
from harvester.simulator.options import (
    AnswerOptions,
    EchoStyle,
    FaultKind,
    FaultOptions,
    FieldNames,
    LockedAnswer,
    NetworkOptions,
    Options,
    PastEnd,
    QuotaOptions,
    TokenOptions,
    WorldOptions,
)
from harvester.simulator.wire import TOKEN_PATH, Mishap, Request
from harvester.simulator.world import ACTIONS

URI = "/api/v1.1/getcampaignrecipientsdata"


def test_the_page_is_the_documented_envelope() -> None:
    """Keys, their order, the text "0" and whole-number echoes are those of the published sample; 20 rows by default."""
    document = json_of(caller_of().page())

    assert list(document) == ["requestdetails", "status", "list_of_details", "code", "uri", "version"]
    assert document["requestdetails"] == {"range": 20, "action": "sentcontacts", "fromindex": 1}
    assert (document["status"], document["code"], document["uri"]) == ("success", "0", URI)
    assert len(document["list_of_details"]) == 20


@given(
    recipients=st.integers(0, 130),
    range_rows=st.integers(1, 60),
    clamp_rows=st.none() | st.integers(1, 40),
    past_end=st.sampled_from(PastEnd),
    action=st.sampled_from(ACTIONS),
)
def test_A_14_pages_together_are_the_truth(
    recipients: int,
    range_rows: int,
    clamp_rows: int | None,
    past_end: PastEnd,
    action: str,
) -> None:
    """Whatever range is asked and however it is clamped, the pages give every row once, in order."""
    caller = caller_of(
        world=WorldOptions(campaigns=1, recipients=recipients),
        answers=AnswerOptions(clamp_rows=clamp_rows, past_end=past_end),
        quota=QuotaOptions(calls=10_000),
    )

    rows = [row for page in pages_of(caller, caller.key(), action, range_rows) for row in page]

    assert rows == list(caller.zoho.world(CLIENT).rows(caller.key(), action))
    assert [row["contactid"] for row in rows] == list(caller.zoho.world(CLIENT).truth(caller.key(), action))
    sheet = caller.sheet()
    assert (sheet["rows_new"], sheet["calls_wasted"], sheet["kinds"]["end"]) == (len(rows), 0, 1)


@pytest.mark.parametrize("action", ACTIONS)
def test_xml_and_json_carry_the_same_contacts(action: str) -> None:
    """Asked either way, the same contacts come in the same order; without resfmt it is XML."""
    caller = caller_of(world=WorldOptions(campaigns=1, recipients=300))
    asked: dict[str, str | int] = {"campaignkey": caller.key(), "action": action, "range": 50}

    root = fromstring(caller.call(RECIPIENTS, **asked, resfmt="").body)
    rows = caller.read(RECIPIENTS, **asked)["list_of_details"]

    emails = [field.text for field in root.iterfind("contacts/contact/fl[@val='contact_email']")]
    names = [field.text or "" for field in root.iterfind("contacts/contact/fl[@val='first_name']")]
    assert emails == [row["contactemailaddress"] for row in rows]
    assert names == [row["firstname"] for row in rows]
    order = ["status", "code", "range", "action", "fromindex", "campaign_details", "contacts"]
    assert [element.tag for element in root] == order
    assert root.attrib == {"uri": URI, "version": "1.1"}


@pytest.mark.parametrize(
    ("timeline", "action", "is_there"),
    [
        ("open_timeline", "openedcontacts", True),
        ("click_timeline", "clickedcontacts", True),
        ("open_timeline", "senthardbounce", False),
        ("", "openedcontacts", False),
    ],
)
def test_a_timeline_is_given_where_it_is_asked(timeline: str, action: str, is_there: bool) -> None:  # noqa: FBT001
    """XML lists the moments of opens or clicks for the matching `type` alone."""
    caller = caller_of(world=WorldOptions(campaigns=1, recipients=300))

    body = caller.call(campaignkey=caller.key(), action=action, resfmt="XML", type=timeline).body

    assert (fromstring(body).find("contacts/contact/reports/report/fl[@val='time']") is not None) == is_there


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        (EchoStyle.OBJECT, {"range": 30, "action": "sentcontacts", "fromindex": 2}),
        (EchoStyle.TEXT, "{range=30, action=sentcontacts, fromindex=2}"),
        (EchoStyle.ABSENT, None),
    ],
)
def test_A_19_the_echo_takes_each_form(style: EchoStyle, expected: object) -> None:
    """The echo is an object, a map as text, or not there."""
    caller = caller_of(answers=AnswerOptions(echo=style))

    assert json_of(caller.page(range=30, fromindex=2)).get("requestdetails") == expected


@pytest.mark.parametrize(("is_echoed", "echo"), [(True, 7), (False, 30)])
def test_A_14_a_clamp_shows_in_the_echo_or_not(is_echoed: bool, echo: int) -> None:  # noqa: FBT001
    """A clamped page has fewer rows than asked, and its echo admits it only where so set."""
    document = json_of(caller_of(answers=AnswerOptions(clamp_rows=7, is_clamp_echoed=is_echoed)).page(range=30))

    assert len(document["list_of_details"]) == 7
    assert document["requestdetails"]["range"] == echo


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"campaignkey": "none", "action": "sentcontacts"}, {"code": "6002"}),
        ({"action": "sentcontacts"}, {"code": "903"}),
        ({"campaignkey": "none"}, {"code": "903"}),
        ({"campaignkey": "none", "action": "allcontacts"}, {"Code": 1001, "Message": "Pattern doesn't Match"}),
        ({"campaignkey": "none", "action": "sentcontacts", "range": "-1"}, {"Code": 1001}),
        ({"campaignkey": "none", "action": "sentcontacts", "fromindex": "9" * 5000}, {"Code": 1001}),
        ({"campaignkey": "none", "action": "sentcontacts", "fromindex": "\N{SUPERSCRIPT TWO}"}, {"Code": 1001}),
    ],
)
def test_A_06_bad_requests_have_their_codes(params: dict[str, str], expected: dict[str, object]) -> None:
    """An unknown key, missing fields and bad patterns are answered with the documented codes in HTTP 200."""
    document = caller_of().read(RECIPIENTS, **params)

    assert expected.items() <= document.items()


def test_A_03_an_empty_action_is_6303() -> None:
    """An action without rows and the page past the end are both answered 6303, unless set to an empty list."""
    caller, other = caller_of(), caller_of(answers=AnswerOptions(past_end=PastEnd.EMPTY_LIST))

    assert json_of(caller.page(fromindex=46))["code"] == "6303"
    assert caller.read(campaignkey=caller.key(), action="unsentcontacts")["code"] == "6303"
    assert json_of(other.page(fromindex=46))["list_of_details"] == []


def test_a_range_over_the_maximum_is_6502_where_set() -> None:
    """A server that refuses instead of clamping says 6502."""
    caller = caller_of(answers=AnswerOptions(refuse_range_over_rows=100))

    assert json_of(caller.page(range=101))["code"] == "6502"
    assert json_of(caller.page(range=100))["code"] == "0"


def test_an_unknown_path_is_1004_in_xml() -> None:
    """A wrong URL needs no token to be told so, in XML where no format is asked."""
    answer = Zoho(Options()).answer(Request("/api/v1.1/nothing"), 0.0)

    assert (answer.status, fromstring(answer.body).findtext("code")) == (200, "1004")


def test_H_22_without_a_good_token_it_is_401() -> None:
    """A token that is missing, unknown or expired is answered 401 with capital keys."""
    caller = caller_of(tokens=TokenOptions(life_s=100.0))
    missing = caller.zoho.answer(Request(URI), 0.0)
    caller.now_s = 100.0

    expired = caller.page()

    assert (missing.status, expired.status) == (401, 401)
    assert missing.body == expired.body
    assert list(json_of(missing)) == ["message", "version", "URI", "Code", "status"]
    assert caller.sheet()["unauthorized"] == 1


@pytest.mark.parametrize("style", LockedAnswer)
def test_H_20_a_locked_caller_reads_what_is_set(style: LockedAnswer) -> None:
    """Each form of a locked answer has its status, and only one of them a Retry-After."""
    caller = caller_of(quota=QuotaOptions(calls=1), answers=AnswerOptions(locked=style))
    caller.page()
    caller.page()
    caller.now_s = 90.5

    answer = caller.page()

    status = {LockedAnswer.ENVELOPE: 200, LockedAnswer.HTML: 200, LockedAnswer.THROTTLE: 400, LockedAnswer.UNKNOWN: 403}
    assert answer.status == status.get(style, 429)
    assert answer.headers == ({"Retry-After": "1710"} if style is LockedAnswer.RETRY_AFTER else {})
    assert (b"Try again after 29 minutes" in answer.body) == (style in (LockedAnswer.THROTTLE, LockedAnswer.HTML))
    assert (caller.sheet()["lockouts"], caller.sheet()["calls_into_lock"]) == (1, 1)


def test_R_06_a_lock_is_one_endpoints_and_one_accounts() -> None:
    """A locked endpoint leaves the account's other endpoints and the other accounts alone."""
    caller = caller_of(quota=QuotaOptions(calls=1))
    caller.page()
    caller.page()

    assert caller.page().status == 400
    assert caller.call("recentcampaigns").status == 200
    caller.token = caller.new_token(refresh_token="another")["access_token"]
    assert caller.page().status == 200
    assert set(caller.zoho.referee.report()["accounts"]) == {CLIENT, f"{CLIENT}#2"}


def test_R_03_every_call_counts_whatever_its_answer() -> None:
    """Errors, 401s and spoiled answers of a known account take from its limit too."""
    caller = caller_of(quota=QuotaOptions(calls=4), faults=FaultOptions(share=1.0, kinds=(FaultKind.RESET,)))
    caller.page()
    caller.read(action="nothing")
    caller.call(campaignkey="none", action="sentcontacts")
    caller.page()

    assert caller.page().status == 400
    assert caller.sheet()["worst_calls"]["sliding"] == 5


def test_a_fast_clock_tells_waits_in_the_clients_seconds() -> None:
    """At 50 times the speed, Retry-After and expires_in are fiftieths."""
    caller = caller_of(
        time_scale=50.0, quota=QuotaOptions(calls=1), answers=AnswerOptions(locked=LockedAnswer.RETRY_AFTER)
    )
    caller.page()

    assert caller.page().headers == {"Retry-After": "36"}
    assert caller.new_token()["expires_in"] == 72


@pytest.mark.parametrize("endpoint", ["recentcampaigns", "campaignreports", "getcampaigndetails"])
def test_neighbours_answer_xml_without_resfmt(endpoint: str) -> None:
    """The neighbours' XML is well formed and a success."""
    caller = caller_of()

    body = caller.call(endpoint, campaignkey=caller.key(), campaigntype="normal", resfmt="").body

    assert fromstring(body).findtext("status") == "success"


@pytest.mark.parametrize("fault", FaultKind)
def test_each_fault_spoils_the_answer_its_own_way(fault: FaultKind) -> None:
    """A spoiled answer differs from the good one, is counted by kind, and its rows are not held as served."""
    good = caller_of().page()
    caller = caller_of(faults=FaultOptions(share=1.0, kinds=(fault,)))

    spoiled = caller.page()

    assert spoiled != good
    mishaps = {FaultKind.CUT: Mishap.CUT, FaultKind.RESET: Mishap.RESET, FaultKind.HANG: Mishap.HANG}
    assert spoiled.mishap is (mishaps | {FaultKind.DRIP: Mishap.DRIP}).get(fault, Mishap.NONE)
    assert caller.sheet()["kinds"] == {f"fault-{fault}": 1}
    assert caller.sheet()["rows_served"] == 0


def test_A_08_success_without_a_list_has_no_list() -> None:
    """The fault leaves a good envelope behind, only without rows."""
    document = json_of(caller_of(faults=FaultOptions(share=1.0, kinds=(FaultKind.NO_LIST,))).page())

    assert (document["status"], document["code"]) == ("success", "0")
    assert "list_of_details" not in document


def test_A_18_a_wrong_echo_belongs_to_the_rows_that_come() -> None:
    """The page with a wrong echo is truly another page: one row further on."""
    good = json_of(caller_of().page(fromindex=2))
    caller = caller_of(faults=FaultOptions(share=1.0, kinds=(FaultKind.WRONG_ECHO,)))

    assert json_of(caller.page(fromindex=1)) == good


def test_faults_come_at_their_share_and_end_in_time() -> None:
    """About a fifth of the answers is spoiled, none after `until_s`."""
    caller = caller_of(quota=QuotaOptions(calls=10_000), faults=FaultOptions(share=0.2, until_s=50.0))
    for _ in range(2000):
        caller.page()
    spoiled = 2000 - sum(caller.sheet()["kinds"].get(kind, 0) for kind in ("page", "page-repeated"))
    caller.zoho.referee.reset()
    caller.now_s = 50.0
    for _ in range(100):
        caller.page()

    assert spoiled == pytest.approx(400, abs=80)
    assert set(caller.sheet()["kinds"]) <= {"page", "page-repeated"}


def test_the_referee_names_wasted_calls() -> None:
    """A page asked again, an end asked again and every error but 6002 are wasted; a first end and a 6002 are not."""
    caller = caller_of()
    for from_index in (1, 1, 46, 46):
        caller.page(fromindex=from_index, range=45)
    caller.read(campaignkey="none", action="sentcontacts")
    caller.read()

    sheet = caller.sheet()

    assert sheet["wasted"] == {"page-repeated": 1, "end-repeated": 1, "error-903": 1}
    assert (sheet["calls"], sheet["calls_wasted"], sheet["pages_served_twice"]) == (6, 3, 1)
    assert (sheet["rows_served"], sheet["rows_new"]) == (90, 45)


def test_A_15_the_last_row_asked_again_is_a_question_for_the_end() -> None:
    """Pages that overlap by one row find the end by getting the last row alone: no waste, but for the second time."""
    caller = caller_of()
    for from_index in (1, 45, 45, 44):
        caller.page(fromindex=from_index, range=45)

    assert caller.sheet()["kinds"] == {"page": 1, "end": 1, "page-repeated": 2}


def test_equal_calls_give_equal_answers() -> None:
    """Two models of equal options, called alike, agree in every byte, delay and count."""
    callers = [
        caller_of(seed=7, faults=FaultOptions(share=0.5), network=NetworkOptions(jitter_s=1.0)) for _ in range(2)
    ]

    answers = [[(caller.zoho.delay(), caller.page(fromindex=n)) for n in range(1, 60)] for caller in callers]

    assert answers[0] == answers[1]
    assert callers[0].zoho.referee.report() == callers[1].zoho.referee.report()


def test_time_never_goes_back() -> None:
    """A driver that calls out of order is told so, because every count would be wrong."""
    caller = caller_of()
    caller.now_s = 5.0
    caller.page()
    caller.now_s = 4.9

    with pytest.raises(ValueError, match="now_s"):
        caller.page()


def test_S_no_secret_and_no_address_in_any_repr() -> None:
    """Requests and answers show neither parameters, headers nor bodies when they are printed."""
    caller = caller_of(answers=AnswerOptions(names=FieldNames.LIVE))
    request = Request(TOKEN_PATH, {"client_secret": "canary"}, {"authorization": "canary"})

    assert "canary" not in repr(request)
    assert "@" not in repr(caller.page())
