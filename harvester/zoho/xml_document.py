"""An XML answer as the object that a JSON answer would be (pure).

Nothing of an answer is believed to be harmless: no DTD, and with it no entity and no foreign file, and bounds for what
the tree of it may cost. Nor is anything among the contacts passed over: what is not understood there may be rows.
Bodies are parsed in one piece: expat before 2.6 takes quadratic time for a long attribute that is handed over in many.
"""

import re
from typing import Any
from xml.etree.ElementTree import TreeBuilder  # noqa: TID251  it only builds; defusedxml parses

from defusedxml.ElementTree import ParseError, XMLParser

from harvester.zoho.wire import OversizeError, UnreadableError

XML_BYTES_MAX = 16 * 1024 * 1024
"""Largest body that is parsed, at up to 20 bytes of memory for each byte: 500 contacts have some 0.2 MiB, with a
timeline of 250 events each some 8 MiB."""

XML_DEPTH_MAX = 16
"""Deepest nesting that is taken: a time in a timeline, the deepest known, is at level 6."""

XML_ELEMENTS_MAX = 1_000_000
"""Most elements that are taken: 10,000 contacts, the largest page, have some 70,000; each costs 0.3 KiB of memory."""

XML_ATTRIBUTES_MAX = 16
"""Most attributes of one element that are taken: two, the most that are known, are on `<response>`."""

_MANY_ATTRIBUTES = re.compile(
    rb"<[^\s<>=]++(?:\s++[^\s<>=]++\s*+=\s*+(?:\"[^\"<]*+\"|'[^'<]*+')){%d}" % (XML_ATTRIBUTES_MAX + 1)
)
"""Looked for before the parser sees them: it gathers all attributes of an element, 30 bytes of memory for each byte of
the shortest, before anybody can refuse it."""


def read_xml(body: bytes) -> dict[str, Any]:
    """Read `<response>`.

    Returns:
        The elements that hold text alone, by their tag; `requestdetails`; `campaign_details` and `list_of_details`
        where there are `<campaign_details>` and `<contacts>`.

    Raises:
        OversizeError: more than `XML_BYTES_MAX`.
        UnreadableError: no XML, no `<response>`, a DTD, or more than the bounds allow; anything in `<contacts>` that is
            not understood, or a second one of it.

    Source: the sample of getcampaignrecipientsdata. Element names of errors are not documented; code and message
    are taken where they stand, else the message is the whole text.
    """
    if len(body) > XML_BYTES_MAX:
        raise OversizeError(f"page too large: more than {XML_BYTES_MAX} bytes of XML; ask for fewer rows (page_size)")
    root = _tree(body)
    if root.tag != "response":
        raise UnreadableError("XML without a <response>")
    plain = {child.tag: (child.text or "").strip() for child in root if not len(child)}
    document: dict[str, Any] = {
        **plain,
        "requestdetails": {name: plain[name] for name in ("range", "action", "fromindex") if name in plain},
    }
    details, lists = root.find("campaign_details"), root.findall("contacts")
    if details is not None:
        # Not as strict as contacts: a remark that is not understood must not cost the rows beside it.
        document["campaign_details"] = {fl.get("val", ""): fl.text or "" for fl in details.findall("fl")}
    if len(lists) > 1:
        raise UnreadableError("XML with more than one <contacts>")
    if lists:
        document["list_of_details"] = [_fields(contact) for contact in _children(lists[0], "contact")]
    elif not plain.keys() & {"message", "Message"}:
        document["message"] = " ".join(part.strip() for part in root.itertext() if part.strip())
    return document


def read_contact(text: bytes) -> dict[str, Any]:
    """Read one `<contact>` by itself, as `read_xml` reads it among others; `text` may begin with an XML declaration.

    Raises:
        UnreadableError: as for `read_xml`.
    """
    return _fields(_tree(text))


class _BoundedTree(TreeBuilder):
    """Builds the tree, and gives up at the first element beyond the bounds."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = self._elements = 0

    def start(self, tag: Any, attrs: dict[Any, Any], /) -> Any:
        self._depth += 1
        self._elements += 1
        if self._depth > XML_DEPTH_MAX or self._elements > XML_ELEMENTS_MAX:
            raise UnreadableError(f"XML with more than {XML_DEPTH_MAX} levels or {XML_ELEMENTS_MAX} elements")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Any:
        self._depth -= 1
        return super().end(tag)


def _tree(text: bytes) -> Any:
    if b"\0" in text:  # no character of XML, and in UTF-16 attributes could not be counted
        raise UnreadableError("XML with a NUL")
    if _MANY_ATTRIBUTES.search(text):
        raise UnreadableError(f"XML with more than {XML_ATTRIBUTES_MAX} attributes of an element")
    parser = XMLParser(target=_BoundedTree(), forbid_dtd=True)
    try:
        parser.feed(text)
        return parser.close()
    except ParseError as error:
        line, column = error.position
        raise UnreadableError(f"invalid XML at line {line}, column {column}") from None
    except UnreadableError:
        raise
    except (ValueError, LookupError):
        raise UnreadableError("XML with a DTD, an entity or an unknown encoding") from None


def _fields(element: Any) -> dict[str, Any]:
    """Read `<fl val="name">text</fl>`, each name once; a timeline becomes a list of such objects."""
    fields: dict[str, Any] = {}
    for child in _children(element, "fl", "reports"):
        name = child.get("val", "") if child.tag == "fl" else child.tag
        if name in fields:
            raise UnreadableError("XML with a name that stands twice in a contact")
        fields[name] = _text(child) if child.tag == "fl" else [_fields(report) for report in _children(child, "report")]
    return fields


def _text(element: Any) -> str:
    if len(element):
        raise UnreadableError("XML with an element within a value")
    return element.text or ""


def _children(element: Any, *tags: str) -> list[Any]:
    """Return the elements in `element`, which may hold these tags and blanks alone."""
    children = list(element)
    if any(child.tag not in tags for child in children):
        raise UnreadableError(f"XML with anything but {' and '.join(tags)} in their place")
    if any(text and text.strip() for text in (element.text, *(child.tail for child in children))):
        raise UnreadableError(f"XML with text in the place of {' and '.join(tags)}")
    return children
