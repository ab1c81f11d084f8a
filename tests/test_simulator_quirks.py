"""Odd values that must come through, damaged rows that must cost nothing else, and the timeline."""

import datetime as dt
import json
from typing import Any

import orjson
import pytest
from defusedxml.ElementTree import ParseError, fromstring
from simulated_caller import Caller, caller_of

from harvester.simulator.options import AnswerOptions, FieldNames, Options, WorldOptions
from harvester.simulator.rows import ACCOUNT_ZONE
from harvester.simulator.set_options import Damage, Oddity, QuirkOptions

SENT = "sentcontacts"
XML_DAMAGES = (Damage.INVALID_UTF8, Damage.RAW_CONTROL)


def caller_with(recipients: int = 40, names: FieldNames = FieldNames.LIVE, **quirks: Any) -> Caller:
    world, answers = WorldOptions(campaigns=1, recipients=recipients), AnswerOptions(names=names)
    return caller_of(world=world, answers=answers, quirks=QuirkOptions(**quirks))


def all_odd(oddity: Oddity) -> Caller:
    return caller_with(odd_share=1.0, oddities=(oddity,))


def body_of(caller: Caller, **params: str | int) -> bytes:
    return caller.page(range=500, **params).body


def rows_of(caller: Caller) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(body_of(caller))["list_of_details"]
    return rows


@pytest.mark.parametrize("names", FieldNames)
@pytest.mark.parametrize("oddity", Oddity)
def test_A_20_odd_rows_are_the_truth(oddity: Oddity, names: FieldNames) -> None:
    """What a parser that loses nothing reads is what the world says, whatever the field names."""
    caller = caller_with(names=names, odd_share=1.0, oddities=(oddity,))

    rows = rows_of(caller)

    assert rows == list(caller.world.rows(caller.key(), SENT))
    assert [str(row["contactid"]) for row in rows] == list(caller.world.truth(caller.key(), SENT))
    assert not caller.world.damaged(caller.key(), SENT)


@pytest.mark.parametrize(("oddity", "least"), [(Oddity.ID_OVER_2_53, 2**53), (Oddity.ID_OVER_2_64, 2**64)])
def test_A_21_large_ids_are_numbers(oddity: Oddity, least: int) -> None:
    """Such ids are JSON numbers, and no two are the same."""
    ids = [row["contactid"] for row in rows_of(all_odd(oddity))]

    assert all(isinstance(contact_id, int) and contact_id > least for contact_id in ids)
    assert len(set(ids)) == len(ids)


def test_A_20_numbers_stand_where_texts_are_documented() -> None:
    """Times, telephone numbers and names are numbers, null stands for a zone, and a further field is true."""
    row = rows_of(all_odd(Oddity.NUMBERS))[0]

    kinds = [type(row[name]) for name in ("sent_time", "phone", "companyname", "timezone", "subscribed")]
    assert kinds == [int, int, float, type(None), bool]


@pytest.mark.parametrize(
    ("oddity", "on_the_wire"),
    [
        (Oddity.NUL, rb"be\u0000fore"),
        (Oddity.LONE_SURROGATE, rb"half \ud83d a face"),
        (Oddity.LINE_SEPARATORS, "a\u2028b\u2029c\u0085d".encode()),
        (Oddity.EMOJI, "👩🏽\u200d🚀".encode()),
        (Oddity.CUSTOM_FIELDS, b'"last seen yymmdd":"260214"'),
        (Oddity.NESTED, b'{"name":{"short":"Acme"'),
    ],
)
def test_A_24_A_25_A_26_odd_texts_are_written_as_a_server_would(oddity: Oddity, on_the_wire: bytes) -> None:
    """Escapes only where JSON has no other way; all other characters as they are."""
    assert body_of(all_odd(oddity)).count(on_the_wire) == 40


@pytest.mark.parametrize("damage", Damage)
def test_A_23_A_28_A_30_a_damaged_row_is_refused_and_its_neighbours_are_whole(damage: Damage) -> None:
    """The page cannot be read and written again as it is; without its damaged rows it can."""
    caller = caller_with(damaged_share=0.2, damages=(damage,))
    damaged = caller.world.damaged(caller.key(), SENT)
    body = body_of(caller)

    with pytest.raises((TypeError, ValueError)):
        [row["contactid"] for row in orjson.loads(orjson.dumps(orjson.loads(body)))["list_of_details"]]

    truth = set(caller.world.truth(caller.key(), SENT))
    whole = {row["contactid"] for row in caller.world.rows(caller.key(), SENT)}
    assert damaged
    assert whole == truth - damaged
    assert all(contact_id.encode() in body for contact_id in whole)
    if damage is not Damage.NOT_OBJECT:
        assert all(contact_id.encode() in body for contact_id in damaged)


def test_A_20_only_a_share_of_the_contacts_is_odd_and_always_the_same_ones() -> None:
    """A contact is as odd in one set as in another, and half as many are damaged as are odd."""
    options = Options(
        world=WorldOptions(campaigns=1, recipients=2_000), quirks=QuirkOptions(odd_share=0.2, damaged_share=0.1)
    )
    world = caller_of(**{name: getattr(options, name) for name in ("world", "quirks")}).world
    key = world.campaigns[0].key

    sent, opened = (
        {contact.position: contact.quirk for contact in world.recipients(world.campaigns[0], action)}
        for action in (SENT, "openedcontacts")
    )

    assert opened.items() <= sent.items()
    assert len(world.damaged(key, SENT)) == pytest.approx(200, abs=60)
    assert sum(isinstance(quirk, Oddity) for quirk in sent.values()) == pytest.approx(400, abs=80)


@pytest.mark.parametrize("oddity", Oddity)
def test_xml_holds_what_it_can_of_odd_texts(oddity: Oddity) -> None:
    """Odd texts come in XML too, without the characters that it cannot hold; the document is well formed."""
    caller = all_odd(oddity)

    contact = next(fromstring(body_of(caller, resfmt="XML")).iterfind("contacts/contact"))

    fields = {field.get("val"): field.text or "" for field in contact.iterfind("fl")}
    row = rows_of(caller)[0]
    name = "".join(letter for letter in row["contactfn"] if letter not in "\x00\ud83d")
    assert fields["first_name"] == name
    assert ("last seen yymmdd" in fields) == (oddity is Oddity.CUSTOM_FIELDS)
    assert (fields["phone"] == "491701234567") == (oddity is Oddity.NUMBERS)


@pytest.mark.parametrize("damage", Damage)
def test_xml_is_damaged_by_bytes_alone(damage: Damage) -> None:
    """Invalid UTF-8 and a raw control character make XML unreadable; the damages of JSON are none to it."""
    body = body_of(caller_with(damaged_share=0.2, damages=(damage,)), resfmt="XML")

    if damage in XML_DAMAGES:
        with pytest.raises(ParseError):
            fromstring(body)
    else:
        assert len(fromstring(body).findall("contacts/contact")) == 40


@pytest.mark.parametrize(
    ("action", "kind"), [("openedcontacts", "open_timeline"), ("clickedcontacts", "click_timeline")]
)
def test_the_timeline_has_every_event_of_the_truth(action: str, kind: str) -> None:
    """XML with `type` lists one to three moments for each contact, to the minute and in the account's zone."""
    caller = caller_with(recipients=300)

    body = caller.call(campaignkey=caller.key(), action=action, resfmt="XML", type=kind, range=500).body

    told = {
        contact.findtext("fl[@val='contact_email']"): [
            dt.datetime.strptime(field.text or "", "%b %d, %Y %I:%M %p").replace(tzinfo=ACCOUNT_ZONE)
            for field in contact.iterfind("reports/report/fl[@val='time']")
        ]
        for contact in fromstring(body).iterfind("contacts/contact")
    }
    truth = caller.world.event_times_ms(caller.key(), action)
    minutes = {email: [time_ms // 60_000 for time_ms in times_ms] for email, times_ms in truth.items()}
    assert {email: [int(time.timestamp()) // 60 for time in times] for email, times in told.items()} == minutes
    assert {len(times) for times in told.values()} == {1, 2, 3}


def test_quirks_need_kinds() -> None:
    """A share without any kind to draw from is refused by name."""
    with pytest.raises(ValueError, match=r"quirks\.damages"):
        Options(quirks=QuirkOptions(damaged_share=0.5, damages=()))
