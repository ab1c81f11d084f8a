"""An XML answer as the object that a JSON answer would be (pure).

Nothing of an answer is believed to be harmless: no DTD, and with it no entity and no foreign file, and bounds for what
the tree of it may cost. Bodies are parsed in one piece: expat before 2.6 takes quadratic time for a long attribute
that is handed over in many.
"""

from typing import Any
from xml.etree.ElementTree import TreeBuilder  # noqa: TID251  it only builds; defusedxml parses

from defusedxml.ElementTree import ParseError, XMLParser

from harvester.zoho.wire import UnreadableError

XML_DEPTH_MAX = 16
"""Deepest nesting that is taken: a time in a timeline, the deepest known, is at level 6."""

XML_ELEMENTS_MAX = 1_000_000
"""Most elements that are taken: 10,000 contacts, the largest page, have some 70,000; each costs 0.3 KiB of memory."""


def read_xml(body: bytes) -> dict[str, Any]:
    """Read `<response>`.

    Returns:
        The elements that hold text alone, by their tag; `requestdetails`; `campaign_details` and `list_of_details`
        where there are `<campaign_details>` and `<contacts>`.

    Raises:
        UnreadableError: no XML, no `<response>`, a DTD, or more than the bounds allow.

    Source: the sample of getcampaignrecipientsdata. Element names of errors are not documented; code and message
    are taken where they stand, else the message is the whole text.
    """
    root = _tree(body)
    if root.tag != "response":
        raise UnreadableError("XML without a <response>")
    plain = {child.tag: (child.text or "").strip() for child in root if not len(child)}
    document: dict[str, Any] = {
        **plain,
        "requestdetails": {name: plain[name] for name in ("range", "action", "fromindex") if name in plain},
    }
    details, contacts = root.find("campaign_details"), root.find("contacts")
    if details is not None:
        document["campaign_details"] = _fields(details)
    if contacts is not None:
        document["list_of_details"] = [_fields(contact) for contact in contacts.findall("contact")]
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
    """Read `<fl val="name">text</fl>`, the last of equal names; a timeline becomes a list of such objects."""
    fields: dict[str, Any] = {fl.get("val", ""): fl.text or "" for fl in element.findall("fl")}
    reports = element.find("reports")
    if reports is not None:
        fields["reports"] = [_fields(report) for report in reports.findall("report")]
    return fields
