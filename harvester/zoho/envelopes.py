"""Bytes of a reply to one document, the same shape for JSON and XML; nothing is lost or rounded on the way."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import orjson

from harvester.model import Row
from harvester.zoho.wire import UnreadableError
from harvester.zoho.xml_document import read_xml

ROW_DEPTH_MAX = 400
"""Deepest nesting of a row that is taken. Known rows are flat. orjson loads 1,024 levels but writes only 254; the
standard library, which writes the deeper ones, spends a level of Python's 1,000 on each, and its callers need some."""

BLANKS = b" \t\r\n"
"""What JSON and XML both take for blanks, and nothing that Python alone does."""

_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_DIGITS_AS_ZERO = bytes(ord("0") if byte in b"0123456789" else ord(" ") for byte in range(256))
_LONG_NUMBER = b"0" * 19
"""As `_DIGITS_AS_ZERO` makes it of any number that may not fit into 64 bits."""

_CONTAINERS = frozenset({dict, list})


def read_document(body: bytes) -> Mapping[str, Any]:
    """Read the body of a reply, JSON or XML as its first character says.

    Returns:
        The JSON object; for XML an object of the same shape, with `requestdetails`, `campaign_details` and,
        only where there is a `<contacts>`, `list_of_details`. A payload wrapped in `response` is unwrapped.

    Raises:
        UnreadableError: neither, or cut, or not UTF-8, or a number that is none.
    """
    body = bare(body)
    if not body:
        raise UnreadableError("the body is empty")
    if _HTML.match(body):
        raise UnreadableError("an HTML page")
    document = read_xml(body) if body.startswith(b"<") else _json_document(body)
    if not isinstance(document, Mapping):
        raise UnreadableError("the document is no object")
    inner = document.get("response")
    return inner if isinstance(inner, Mapping) else document


def bare(body: bytes) -> bytes:
    """Return a body without a byte order mark and without the blanks around it."""
    return body.removeprefix(b"\xef\xbb\xbf").strip(BLANKS)


def _json_document(body: bytes) -> Any:
    """Read JSON with orjson, and again with the standard library where orjson refuses or rounds.

    orjson refuses a lone surrogate escape, for which one contact would cost the page its other rows, and turns
    an integer beyond 64 bits silently into a float.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    else:
        # Digits are looked for first: that reads the bytes once, and the search for a float walks 12,000 values.
        if not (_LONG_NUMBER in body.translate(_DIGITS_AS_ZERO) and _has_float(document)):
            return document
    return _exact_json(body)


def _has_float(document: Any) -> bool:
    """Tell whether a float stands anywhere: only then may digits have been lost."""
    return any(float in types for _, types in _containers(document))


def _containers(document: Any) -> Iterator[tuple[int, set[type]]]:
    """Yield (depth, types of its values) for every object and list, without recursion.

    The types are gathered a container at a time because a page holds some 12,000 values and nearly all are text.
    """
    waiting: list[tuple[int, Any]] = [(0, [document])]
    while waiting:
        depth, container = waiting.pop()
        values = container.values() if isinstance(container, dict) else container
        types = set(map(type, values))
        yield depth, types
        if not types.isdisjoint(_CONTAINERS):
            waiting.extend((depth + 1, value) for value in values if isinstance(value, (dict, list)))


def _exact_json(body: bytes) -> Any:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise UnreadableError(f"invalid UTF-8 at byte {error.start}") from None
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except json.JSONDecodeError as error:
        offset_bytes = len(text[: error.pos].encode())
        raise UnreadableError(f"invalid JSON at byte {offset_bytes} of {len(body)}") from None
    except UnreadableError as error:
        raise UnreadableError(f"{error} at byte {_refused_at(body)}") from None
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else "a number without end"
        raise UnreadableError(f"invalid JSON: {reason}") from None


def _refused_at(body: bytes) -> int:
    """Return the byte at which orjson, which also refuses such numbers, gave up."""
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return len(error.doc[: error.pos].encode())
    return len(body)


def _no_number(_name: str) -> NoReturn:
    raise UnreadableError("NaN or Infinity is no JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise UnreadableError("a number too large")
    return value


def _may_be_deep(body: bytes, rows: int) -> bool:
    """Tell whether a body holds enough brackets for one of its rows to be nested deeper than `ROW_DEPTH_MAX`.

    Rows from XML have three levels at most, so that its lack of brackets is no risk.
    """
    return body.count(b"{") + body.count(b"[") - rows >= ROW_DEPTH_MAX


def depth_of(row: Row) -> int:
    """Return how many levels a row has; 1 for a flat one."""
    return max(depth for depth, _ in _containers(row))


def checked_rows(value: Any, body: bytes) -> tuple[Row, ...]:
    """Return the rows of a reply's list, exactly as they stand.

    Args:
        value: the list, as the body was read.
        body: of the reply; counting its brackets spares a page of flat rows a walk over 12,000 values.

    Raises:
        UnreadableError: not a list, a row that is no object, or one nested deeper than `ROW_DEPTH_MAX`.
    """
    if not isinstance(value, list):
        raise UnreadableError("no list of rows")
    may_be_deep = _may_be_deep(body, len(value))
    for number, row in enumerate(value, start=1):
        if not isinstance(row, dict):
            raise UnreadableError(f"row {number} is no object")
        if may_be_deep and not _CONTAINERS.isdisjoint(map(type, row.values())) and depth_of(row) > ROW_DEPTH_MAX:
            raise UnreadableError(f"row {number} is nested deeper than {ROW_DEPTH_MAX} levels")
    return tuple(value)
