import resource
import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.zoho.envelopes import read_document
from harvester.zoho.wire import UnreadableError
from harvester.zoho.xml_document import XML_DEPTH_MAX, read_contact, read_xml

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
from harvester.zoho.envelopes import read_document
from harvester.zoho.wire import UnreadableError

SIZE = 60_000_000
assert read_document(b'<response a="%b"/>' % (b"x" * SIZE)) == {"requestdetails": {}, "message": ""}
assert len(read_document(b"<response><code>%b</code></response>" % (b"x" * SIZE))["code"]) == SIZE
try:
    read_document(b"<response>%b</response>" % (b"<a/>" * (SIZE // 4)))
except UnreadableError:
    pass
else:
    raise SystemExit("so many elements should be refused")
"""
MEMORY_BYTES_MAX = 1 << 30
SECONDS_MAX = 300
"""Wall time, on a machine that others use too; alone it takes 5 s."""


def test_A_27_S_13_the_largest_body_takes_bounded_time_and_memory() -> None:
    """A huge attribute, a huge text and elements without number are read or refused."""
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
