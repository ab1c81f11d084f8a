"""One person as found in a line, and what is left of it without them."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from factories import DATE
from hypothesis import given
from hypothesis import strategies as st

from harvester.model import Action
from harvester.zoho.contacts import RecordContext, lines
from harvester.zoho.forgetting import FORGOTTEN, Person, is_address, is_contact_id
from harvester.zoho.privacy import normalised

ADA = Person("ada+news@example.org", ("ab" * 32,), ("77",))
CONTEXT = RecordContext("acme", "k1", None, Action.SENT, f"{DATE}T02:00:00.000Z", "run-1")

ADDRESSES = st.builds(
    "{}@{}.example".format,
    st.text(st.sampled_from("abksfzAZ09._+-äÖßſıẞﬁİ\u212a\U00010400"), min_size=1, max_size=12).filter(
        lambda text: text[-1] != "."
    ),
    st.text(st.sampled_from("abz09-"), min_size=1, max_size=8),
)
"""As people have them, and with letters whose cases are not one to one."""

FORMS = st.sampled_from(
    [
        str,
        str.casefold,
        quote,
        lambda text: quote(quote(text)),
        lambda text: text.replace("@", "&#64;").replace(".", "&period;"),
        lambda text: "".join(f"&#x{ord(each):x};" for each in text),
        lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
        lambda text: json.dumps(text.replace("@", "\uff20"))[1:-1],
        lambda text: quote(f"https://x.example/?u={quote(text)}&b=1"),
    ]
)
"""In how many ways an address is written within other texts."""


def line(row: dict[str, Any]) -> bytes:
    return lines([row], [1], CONTEXT)


def left_of(row: dict[str, Any]) -> dict[str, Any] | None:
    left = ADA.without(line(row))
    return None if left is None else dict(json.loads(left)["raw"])


@pytest.mark.parametrize(
    "row",
    [
        {"contactemailaddress": "Ada+News@Example.ORG"},
        {"contact_email": " ada+news@example.org "},
        {"contactemailaddress": "ab" * 32},
        {"contactid": "77", "contactemailaddress": "other@example.org"},
        {"contactemailaddress": "first@example.org", "contact_email": "ada+news@example.org"},
        {"contactemailaddress": "ada+news%40example.org", "note": "\ud800"},
        {"contactemailaddress": "ada+news&#64;example.org"},
        {"contactemailaddress": "Ada <ada+news@example.org>"},
        {"contactemailaddress": ["b@example.org", "ada+news@example.org"]},
    ],
)
def test_P5_a_row_of_the_person_goes_as_a_whole(row: dict[str, Any]) -> None:
    """Known by the address in any case, by its pseudonym, or by the contact's id."""
    assert left_of(row) is None


@pytest.mark.parametrize("kind", ["added", "removed", "changed"])
def test_P5_a_change_of_the_person_goes_as_a_whole(kind: str) -> None:
    """Whether the person stands in what was or in what is."""
    theirs, others = ({"email": email} for email in ("ada+news@example.org", "b@example.org"))
    now, before = (others, theirs) if kind == "changed" else (theirs, None)

    change = json.dumps({"change": kind, "before": before, **now}).encode() + b"\n"

    assert ADA.without(change) is None


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "<{}>",
        "mailto:{}?subject=x",
        "https://x.example/?e={}&b=1",
        "see {}.",
        "Ünal told {}",
        "a,{};b",
        "u%3D{}%26b",
        "\ud800{}",
    ],
)
@pytest.mark.parametrize(
    "form", ["ada+news@example.org", "ADA%2BNEWS%40EXAMPLE.ORG", "Ada%2bnews@example.org", "ab" * 32]
)
def test_P5_within_the_rows_of_others_the_address_is_replaced(text: str, form: str) -> None:
    """Plain or percent-encoded, in any case, between whatever signs."""
    row = {"contactid": "1", "contactemailaddress": "b@example.org", "k": [{text.format(form): text.format(form)}]}

    assert left_of(row) == {**row, "k": [{text.format(FORGOTTEN): text.format(FORGOTTEN)}]}


@pytest.mark.parametrize(
    "other",
    [
        *(
            "xada+news@example.org",
            "ada+news@example.org.uk",
            "ada+news@example.orgs",
            "x.ada+news@example.org",
            "news",
        ),
        *(
            "o'ada+news@example.org",
            "joe%2Bada%2Bnews%40example.org",
            "ada+news@example.org%2Euk",
            "joe%2dada+news@example.org",
        ),
    ],
)
def test_addresses_of_others_stay(other: str) -> None:
    """One that ends or begins like the person's is somebody else's."""
    row = {"contactid": "1", "contactemailaddress": other, "note": f"see {other}"}

    assert left_of(row) == row
    assert not ADA.is_in(line(row))


@pytest.mark.parametrize(
    "other",
    [
        *(f"o{sign}ada+news@example.org" for sign in ("&#39;", "&#x27;", "&apos;", "&rsquo;", "&amp;#39;")),
        *(f"o{sign}ada+news@example.org" for sign in ("\\'", "\\u0027", "%2527")),
        *(f"o{sign}ada+news@example.org" for sign in ("&#43;", "&plus;", "&#46;", "&#95;", "\\u002b", "%252B")),
        *(f"{letter}ada+news@example.org" for letter in ("&eacute;", "%C3%A9", "&amp;eacute;")),
        *(f"ada+news@example.org{sign}corp.org" for sign in ("&#45;", "\\u002d", "%252d", "&amp;#45;", "%5Cu002d")),
        *(f"ada+news@example.org{sign}uk" for sign in ("&#46;", "\\u002e", "%252e", "&period;")),
    ],
)
def test_P2_addresses_of_others_stay_however_their_signs_are_escaped(other: str) -> None:
    """What stands beside a find counts as it reads once all of its escapes are taken away."""
    row = {"contactid": "1", "contactemailaddress": other, "note": f"see {other}"}

    assert left_of(row) == row
    assert not ADA.is_in(other.encode())
    assert not ADA.is_in(line(row))


@pytest.mark.parametrize("sign", "!#$%&'*/=?^`{|}~\u2019")
def test_no_address_of_another_is_touched_whatever_sign_makes_it_one(sign: str) -> None:
    """In a field that is there for an address nothing else stands around one."""
    row = {"contactid": "1", "contactemailaddress": f"o{sign}ada+news@example.org"}

    assert left_of(row) == row


def recased(address: str) -> str:
    """Return an address in other cases, but for letters that share a capital with another: nobody can tell these."""
    return "".join(other if (other := each.swapcase()).casefold() == each.casefold() else each for each in address)


@given(
    address=ADDRESSES, form=FORMS, before=st.text("ab=<(,: ", max_size=3).filter(lambda text: not text[-1:].isalnum())
)
def test_P5_nothing_is_left_of_any_address(address: str, form: Callable[[str], str], before: str) -> None:
    """In a row of their own or of others, in whatever case, however it is written and however many times."""
    person = Person(normalised(address))
    note = f"{before}{form(address)} and {form(recased(address))}"

    theirs = person.without(line({"contactemailaddress": recased(address)}))
    left = person.without(line({"contactid": "1", "note": note}))

    assert theirs is None
    assert left is not None
    assert json.loads(left)["raw"]["note"].count(FORGOTTEN) == 2
    assert not person.is_in(left)


@given(text=st.text('ß%C39Fa&#64;\\\\u0\ud83d/"@x.İ', max_size=40))
def test_whatever_stands_around_the_address_stays(text: str) -> None:
    """Half an escape, one of nothing, letters that fold to several: each stays where it stands."""
    row = {"contactid": "1", "note": f"{text} ada+news@example.org {text}"}

    left = left_of(row)

    assert left is not None
    assert left["note"] == f"{text} {FORGOTTEN} {text}"


@given(row=st.dictionaries(st.text(max_size=5), st.text(max_size=10) | st.integers() | st.none(), max_size=5))
def test_lines_that_say_nothing_of_them_come_back_as_they_are(row: dict[str, Any]) -> None:
    """To the byte: their files are not touched."""
    assert ADA.without(line(row)) == line(row)


@pytest.mark.parametrize(
    "body",
    [
        b"ada+news@example.org",
        b'{"e": "ADA+news\\u0040example.org"}',
        b"<fl>ada+news&#64;example.org</fl>",
        b"<fl>ada&#x2b;news&#x40;example.org</fl>",
        b"e=ada%2Bnews%40example.org",
        b"\xff\xfe ada+news@example.org \x00",
        b"e=ada%252Bnews%2540example.org",
        b"ab" * 32,
    ],
)
def test_P5_replies_are_searched_however_they_escape(body: bytes) -> None:
    """Nobody could read them, so what may be there counts as being there."""
    assert ADA.is_in(body)


def test_other_replies_are_left() -> None:
    """A reply is kept for its rows; only the person's goes."""
    assert not ADA.is_in(b'{"e": "bob@example.org"}')


@pytest.mark.parametrize("text", ["", " ", "0", "-1", "null", " 77"])
def test_placeholders_are_no_contact_ids(text: str) -> None:
    """They are those of many: whoever gave one would erase them all."""
    assert not is_contact_id(text)
    assert is_contact_id("77")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("a@b.example", True),
        (" A@B.example\n", True),
        ("o'a@b.example", True),
        ('"a@b"@c.example', False),
        ("a@b@c.example", False),
        ("<a@b.example>", False),
        ("mailto:a@b.example", False),
        ("a@b.example,c@d.example", False),
        ("a@b.example;", False),
        ("a@b.example.", False),
        ("", False),
        ("a", False),
        ("@b", False),
        ("a@", False),
        ("a b@c", False),
        ("a\x00@c", False),
        ("a" * 320 + "@b.example", False),
    ],
)
def test_what_can_be_an_address(text: str, *, is_one: bool) -> None:
    """One address and nothing else: whoever gives more would be told that they are forgotten, and are not."""
    assert is_address(text) is is_one


def test_P5_a_person_is_not_printed() -> None:
    """Neither logs nor errors show who it is."""
    assert repr(ADA) == "Person()"


def test_a_line_that_is_no_record_is_told() -> None:
    """Such a file is damaged, and told as such."""
    with pytest.raises(ValueError, match="no object"):
        ADA.without(b'["ada+news@example.org"]\n')
