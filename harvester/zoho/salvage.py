"""What can be had of a page that cannot be read as a whole: its rows one by one (pure).

One contact with a broken name must not cost the other 499. So where the readers of `envelopes` give up, the text of the
list is cut into the texts of its rows, and each is read by itself. A row is good if it can be written exactly as it
came; that includes raw control characters, which are written as escapes. What may be one row or two is no row: a wrong
number of rows would shift all pages that follow, so then the whole page stays unreadable.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from harvester.model import Row
from harvester.zoho.envelopes import BLANKS, ROW_DEPTH_MAX, bare, depth_of
from harvester.zoho.wire import UnreadableError
from harvester.zoho.xml_document import read_contact

TOKENS_MAX = 5_000_000
"""Most brackets, commas and strings that are looked at: a level of a million brackets needs 2 million, a row some 25,
and all of them some 3 s."""

ROWS_MAX = 100_000
"""Most rows of a page: ten times as many as can be asked for."""

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_TOKEN = re.compile(
    # A flat object as a whole, which nearly all rows are; or a step of the way through a deeper one. A quotation mark
    # by itself opens a string that does not end; to search behind it would take quadratic time.
    rb"\{(?:[^][{}\"]++|" + _STRING + rb")*+\}|" + _STRING + rb'|[][{},"]',
    re.DOTALL,
)
_STEPS = {b"{": 1, b"[": 1, b"}": -1, b"]": -1}
_LIST_LEVEL_MAX = 2
"""The list stands in the outermost object, or in one that is wrapped in `response`."""

_OPENING = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*\[")
_XML_DECLARATION = re.compile(rb"<\?xml[^<>]*\?>")
_DECODER = json.JSONDecoder(strict=False)


@dataclass(frozen=True, slots=True)
class Salvage:
    """A page taken apart.

    Attributes:
        envelope: the body without its rows, to be read and judged like any other.
        rows: those that can be written exactly as they came, in server order.
        unreadable: the places in the page, from 0, of the others.
    """

    envelope: bytes = field(repr=False)
    rows: tuple[Row, ...]
    unreadable: frozenset[int]


def salvage(body: bytes, list_key: str) -> Salvage:
    """Take a page apart whose document cannot be read.

    Args:
        body: JSON or XML, as its first character says.
        list_key: where JSON has its rows; XML has them in `<contacts>`.

    Raises:
        UnreadableError: the trouble is not within single rows: the list is missing, cut or empty, has nothing but
            values that are no objects, or it is not certain where a row ends.
    """
    body = bare(body)
    if body.startswith(b"<"):
        start, end, texts = _xml_rows(body)
        declaration = _XML_DECLARATION.match(body)
        encoding = declaration[0] if declaration else b""
        rows = [_xml_row(encoding + text) for text in texts]
    else:
        start, end, texts = _json_rows(body, list_key.encode())
        if not any(text.startswith(b"{") for text in texts):
            raise UnreadableError("a list of anything but rows")
        rows = [_json_row(text) for text in texts]
    return Salvage(
        envelope=body[:start] + body[end:],
        rows=tuple(row for row in rows if row is not None),
        unreadable=frozenset(place for place, row in enumerate(rows) if row is None),
    )


def _json_rows(body: bytes, list_key: bytes) -> tuple[int, int, Sequence[bytes]]:
    """Return where the list's content begins and ends, and the texts of its rows."""
    start = _list_start(body, list_key)
    texts: list[bytes] = []
    depth, begin = 0, start
    for token in _tokens(body, start):
        step = token[0]
        if depth == 0 and step in {b",", b"]"}:
            texts.append(body[begin : token.start()].strip(BLANKS))
            begin = token.end()
            if step == b"]":
                return start, token.start(), texts
            if len(texts) >= ROWS_MAX:
                raise UnreadableError(f"more than {ROWS_MAX} rows")
        depth += _STEPS.get(step, 0)
    raise UnreadableError("the list of rows does not end")


def _list_start(body: bytes, list_key: bytes) -> int:
    quoted, depth = b'"%b"' % list_key, 0
    for token in _tokens(body, 0):
        depth += _STEPS.get(token[0], 0)
        if token[0] == quoted and depth <= _LIST_LEVEL_MAX and (opening := _OPENING.match(body, token.end())):
            return opening.end()
    raise UnreadableError("no list of rows")


def _tokens(body: bytes, start: int) -> Iterator[re.Match[bytes]]:
    for number, token in enumerate(_TOKEN.finditer(body, start)):
        if number >= TOKENS_MAX:
            raise UnreadableError(f"more than {TOKENS_MAX} brackets, commas and strings")
        if token[0] == b'"':
            raise UnreadableError("a string does not end")
        yield token


def _json_row(text: bytes) -> Row | None:
    """Return a row, or None where it cannot be taken and it is certain that it is one."""
    try:
        value = _DECODER.decode(text.decode(errors="replace"))
    except (ValueError, RecursionError):
        # Its brackets alone say where it ends, and a quotation mark too few or too many misleads them.
        if not text or text.find(b"}") < text.rfind(b"{"):
            raise UnreadableError("a broken row that may be two") from None
        return None
    return value if isinstance(value, dict) and _is_faithful(value, text) else None


def _is_faithful(row: Row, text: bytes) -> bool:
    """Tell whether a row can be written as it came: valid UTF-8, finite numbers, no deeper than the writers go."""
    try:
        text.decode()
        json.dumps(row, allow_nan=False)
    except (ValueError, RecursionError):
        return False
    return depth_of(row) <= ROW_DEPTH_MAX


def _xml_rows(body: bytes) -> tuple[int, int, Sequence[bytes]]:
    """Return where the content of `<contacts>` begins and ends, and the texts of its elements.

    Only the plain form that the API is known to send is taken apart: no comments, no CDATA, no empty elements.
    """
    opening = body.find(b"<contacts>")
    start, end = opening + len(b"<contacts>"), body.rfind(b"</contacts>")
    if opening < 0 or end < start or b"<!" in body:
        raise UnreadableError("no <contacts> that could be taken apart")
    *contents, rest = body[start:end].split(b"</contact>", ROWS_MAX)
    texts = [content.strip(BLANKS) + b"</contact>" for content in contents]
    is_plain = all(_is_one_contact(text) for text in texts)
    if rest.strip(BLANKS) or not texts or not is_plain:
        raise UnreadableError("it is not certain where a <contact> ends")
    return start, end, texts


def _is_one_contact(text: bytes) -> bool:
    return text.startswith((b"<contact>", b"<contact ")) and text.count(b"<contact") == 1


def _xml_row(text: bytes) -> Row | None:
    try:
        return read_contact(text)
    except UnreadableError:
        return None
