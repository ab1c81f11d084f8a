import resource
import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.zoho.envelopes import read_document
from harvester.zoho.wire import UnreadableError
from harvester.zoho.xml_document import XML_ATTRIBUTES_MAX, XML_DEPTH_MAX, read_contact, read_xml

PAGE = (
    b'<response uri="/api/v1.1/x" version="1.1"><status>success</status><code>0</code><range>20</range>'
    b"<action>openedcontacts</action><fromindex>1</fromindex>"
    b'<campaign_details><fl val="campaign_name">Survey</fl></campaign_details><contacts>'
    b'<contact><fl val="contact_email">john.doe@example.com</fl><fl val="phone"/>'
    b'<reports><report><fl val="time">Feb 12, 2026 12:08 PM</fl></report>'
    b'<report><fl val="time">Feb 13, 2026 1:00 AM</fl></report></reports></contact>'
    b'<contact><fl val="contact_email"> a&amp;b </fl><reports/></contact></contacts></response>'
)


def test_a_page_with_a_timeline_becomes_what_json_would_be() -> None:
    """Plain elements stand at the top, fields by their names, and each contact has its moments."""
    document = read_xml(PAGE)

    assert (document["status"], document["code"]) == ("success", "0")
    assert document["requestdetails"] == {"range": "20", "action": "openedcontacts", "fromindex": "1"}
    assert document["campaign_details"] == {"campaign_name": "Survey"}
    assert document["list_of_details"] == [
        {
            "contact_email": "john.doe@example.com",
            "phone": "",
            "reports": [{"time": "Feb 12, 2026 12:08 PM"}, {"time": "Feb 13, 2026 1:00 AM"}],
        },
        {"contact_email": " a&b ", "reports": []},
    ]


def test_a_contact_by_itself_is_read_like_one_among_others() -> None:
    """Where a page is taken apart, its contacts stay the same."""
    contact = PAGE[PAGE.index(b"<contact>") : PAGE.index(b"</contact>") + len(b"</contact>")]

    assert read_contact(contact) == read_xml(PAGE)["list_of_details"][0]


def test_A_06_the_words_of_contacts_are_no_message() -> None:
    """A message is searched for signs of a lock, and a contact may have any name."""
    assert "message" not in read_xml(PAGE)
    assert read_xml(b"<response><code>9</code><p>Wrong <b>URL</b></p></response>")["message"] == "9 Wrong URL"


CONTACT = b'<contact><fl val="a">1</fl></contact>'
STRANGE_LISTS = {
    "another-name": b"<contacts><Contact><fl val='a'>1</fl></Contact></contacts>",
    "another-name-beside-contacts": b"<contacts>%b<person/></contacts>" % CONTACT,
    "text": b"<contacts>some text</contacts>",
    "text-before": b"<contacts>some text%b</contacts>" % CONTACT,
    "text-between": b"<contacts>%b and %b</contacts>" % (CONTACT, CONTACT),
    "twice": b"<contacts>%b</contacts><contacts>%b</contacts>" % (CONTACT, CONTACT),
    "twice-and-empty": b"<contacts/><contacts>%b</contacts>" % CONTACT,
}


@pytest.mark.parametrize("contacts", STRANGE_LISTS.values(), ids=STRANGE_LISTS)
def test_A_08_a_list_that_is_not_understood_is_no_end(contacts: bytes) -> None:
    """What is passed over among the contacts may be all rows of the set."""
    with pytest.raises(UnreadableError):
        read_xml(b"<response><status>success</status><code>0</code>%b</response>" % contacts)


def test_A_10_blanks_are_no_contacts() -> None:
    """An empty list may be broken into lines."""
    assert read_xml(b"<response><code>0</code><contacts>\n \t</contacts></response>")["list_of_details"] == []


STRANGE_CONTACTS = {
    "an-element-in-a-value": b'<fl val="a">a<b/>cd</fl>',
    "an-unknown-element": b'<fl val="a">1</fl><extra>2</extra>',
    "text-beside-values": b'<fl val="a">1</fl>2',
    "a-repeated-name": b'<fl val="a">1</fl><fl val="a">2</fl>',
    "two-timelines": b"<reports/><reports/>",
    "a-value-called-reports": b'<fl val="reports">1</fl><reports/>',
    "text-in-a-timeline": b"<reports>1</reports>",
    "a-strange-timeline": b"<reports><entry/></reports>",
    "a-strange-event": b"<reports><report><at>1</at></report></reports>",
}


@pytest.mark.parametrize("content", STRANGE_CONTACTS.values(), ids=STRANGE_CONTACTS)
def test_A_20_a_contact_that_is_not_understood_is_refused(content: bytes) -> None:
    """Nothing that a contact holds is dropped or overwritten in silence."""
    with pytest.raises(UnreadableError):
        read_contact(b"<contact>%b</contact>" % content)


def test_strange_details_of_a_campaign_cost_no_row() -> None:
    """They are a remark, of which only the values that are understood are taken."""
    details = b'<campaign_details>x<fl val="a">1</fl><fl val="a">2</fl><lists><list/></lists></campaign_details>'

    document = read_xml(b"<response>%b<contacts>%b</contacts></response>" % (details, CONTACT))

    assert (document["campaign_details"], document["list_of_details"]) == ({"a": "2"}, [{"a": "1"}])


@pytest.mark.parametrize("quote", [b'"', b"'"])
def test_S_13_more_than_a_handful_of_attributes_is_refused(quote: bytes) -> None:
    """The bound is held for each element by itself, whatever stands between the attributes."""

    def page(attributes: int) -> bytes:
        element = b"<a%b/>" % b"".join(b"\n b%d = %b>%b" % (n, quote, quote) for n in range(attributes))
        return b"<response>%b%b</response>" % (element, element)

    assert read_document(page(XML_ATTRIBUTES_MAX)) is not None
    with pytest.raises(UnreadableError, match="attributes"):
        read_document(page(XML_ATTRIBUTES_MAX + 1))


def test_S_13_utf_16_is_refused() -> None:
    """Its attributes could not be counted before the parser has them all in memory."""
    with pytest.raises(UnreadableError, match="NUL"):
        read_document("<response><code>0</code></response>".encode("utf-16-le"))


DTDS = {
    "billion-laughs": b'<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><response><code>&b;</code></response>',
    "quadratic": b'<!DOCTYPE r [<!ENTITY a "%b">]><response>%b</response>' % (b"x" * 10_000, b"&a;" * 10_000),
    "external-entity": b'<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/hostname">]><response>&a;</response>',
    "external-dtd": b'<!DOCTYPE response SYSTEM "http://127.0.0.1:9/x.dtd"><response/>',
    "parameter-entity": b'<!DOCTYPE r [<!ENTITY % a SYSTEM "http://127.0.0.1:9/x"> %a;]><response/>',
    "bare": b"<!DOCTYPE response><response/>",
}


@pytest.mark.parametrize("body", DTDS.values(), ids=DTDS)
def test_S_13_a_dtd_is_refused(body: bytes) -> None:
    """Entities, and with them bombs and foreign files, need a DTD."""
    with pytest.raises(UnreadableError, match="DTD"):
        read_document(body)


@pytest.mark.parametrize("name", [b"nbsp", b"undeclared"])
def test_S_13_an_entity_that_nobody_declared_is_refused(name: bytes) -> None:
    """Only the five that XML itself knows are expanded."""
    with pytest.raises(UnreadableError):
        read_document(b"<response><code>&%b;</code></response>" % name)


@pytest.mark.parametrize("body", [b"<a>" * 10**6, b"<a>" * 10**6 + b"</a>" * 10**6])
def test_A_29_a_million_nested_elements_are_refused(body: bytes) -> None:
    """No depth crashes the reader, whether or not the elements are closed."""
    with pytest.raises(UnreadableError, match="levels"):
        read_document(b"<response>" + body + b"</response>")


def test_the_depth_is_bounded_and_not_the_length_of_a_branch() -> None:
    """The bound counts open elements, so that it is no bound on contacts."""
    deepest = b"<response>" + b"<a>" * (XML_DEPTH_MAX - 1) + b"</a>" * (XML_DEPTH_MAX - 1)

    assert read_document(deepest + b"</response>")
    assert read_document(deepest + b"<b/>" * 100 + b"</response>")
    with pytest.raises(UnreadableError, match="levels"):
        read_document(deepest.replace(b"</a>", b"<b/></a>", 1) + b"</response>")


EXPENSIVE = """
import resource

from harvester.zoho.envelopes import read_document
from harvester.zoho.wire import UnreadableError
from harvester.zoho.xml_document import XML_BYTES_MAX

SIZE = XML_BYTES_MAX - 100
CONTACT = b'<contact><fl val="a">b</fl></contact>'

def refused(body):
    try:
        read_document(body)
    except UnreadableError as error:
        return str(error)
    return ""

many = bytearray(b"<response")
for number in range(SIZE // 11):
    many += b' a%x=""' % number
body = bytes(many + b"/>")
with open("/proc/self/statm") as pages:
    held_bytes = int(pages.read().split()[0]) * resource.getpagesize()
soft, hard = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (held_bytes + 2 * SIZE, hard))
assert "attributes" in refused(body)
resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

assert read_document(b'<response a="%b"/>' % (b"x" * SIZE)) == {"requestdetails": {}, "message": ""}
assert len(read_document(b"<response><code>%b</code></response>" % (b"x" * SIZE))["code"]) == SIZE
assert "too large" in refused(b"<response>%b</response>" % (b"x" * XML_BYTES_MAX))
assert "elements" in refused(b"<response>%b</response>" % (b"<a/>" * (SIZE // 4)))
page = b"<response><contacts>%b</contacts></response>" % (CONTACT * (SIZE // len(CONTACT)))
assert len(read_document(page)["list_of_details"]) == SIZE // len(CONTACT)
"""
MEMORY_BYTES_MAX = 1 << 29
SECONDS_MAX = 300
"""Wall time, on a machine that others use too; alone it takes 5 s."""


def test_A_27_S_13_the_largest_body_takes_bounded_time_and_memory() -> None:
    """A huge attribute, a huge text, attributes, elements and contacts without number are read or refused."""
    done = subprocess.run(
        [sys.executable, "-c", EXPENSIVE],
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX)),
    )

    assert done.returncode == 0, done.stderr


TAGS = [f"<{slash}{name}>" for name in ("response", "contacts", "contact", "reports", "report") for slash in ("", "/")]
MARKUP = st.lists(
    st.sampled_from([*TAGS, '<fl val="a">', "</fl>", "<fl/>", "&amp;", "&#0;", "<![CDATA[", "]]>", "<code>0</code>"])
    | st.text(max_size=5)
).map(lambda parts: "<response>" + "".join(parts) + "</response>")


@given(MARKUP)
def test_S_10_any_markup_is_a_document_or_unreadable(text: str) -> None:
    """Nothing else is raised, and what is read has the shape of JSON."""
    with suppress(UnreadableError):
        document = read_document(text.encode(errors="replace"))

        assert isinstance(document.get("list_of_details", []), list)
