"""What a record looks like: one description of its columns, and all that follows from it (pure).

From `DESCRIPTION` come the JSON Schema that `harvester schema` prints, the check of a written line, and the table of
docs/records.md, which a test holds against it.
"""

from collections.abc import Mapping
from types import NoneType
from typing import Any

from harvester.json_schema import DRAFT, Key, object_schema
from harvester.model import Action
from harvester.zoho.envelopes import read_document

_PYTHON: Mapping[str, type] = {
    "string": str,
    "integer": int,
    "array": list,
    "object": dict,
    "null": NoneType,
}
"""The type names of JSON Schema, and what JSON text becomes when it is read."""


class RecordError(ValueError):
    """A line is no record of ours; the message says in what way, never what stood there."""


_TEXT = ("string",)
_TEXT_OR_NULL = ("string", "null")
_INTEGER = ("integer",)
_INTEGER_OR_NULL = ("integer", "null")
_NOT_NEGATIVE = {"minimum": 0}

DESCRIPTION: tuple[Key, ...] = (
    Key("account", _TEXT, "the account's name in the configuration"),
    Key("campaign_key", _TEXT, "the campaign that was asked for"),
    Key("parent_campaign_key", _TEXT_OR_NULL, "the A/B campaign that this key is a test half of"),
    Key("action", _TEXT, "one of the nine actions", {"enum": [action.value for action in Action]}),
    Key("contact_id", _TEXT_OR_NULL, "Zoho's id of the contact; text, as it may exceed 64 bits"),
    Key("email", _TEXT_OR_NULL, "the address, as given"),
    Key("first_name", _TEXT_OR_NULL, "as given"),
    Key("last_name", _TEXT_OR_NULL, "as given"),
    Key("company", _TEXT_OR_NULL, "as given"),
    Key("phone", _TEXT_OR_NULL, "as given"),
    Key("timezone", _TEXT_OR_NULL, "the contact's, as given"),
    Key("contact_status", _TEXT_OR_NULL, "as given, such as `active`"),
    Key(
        "sent_time_ms",
        _INTEGER_OR_NULL,
        "the server's `sent_time`, milliseconds; **not** UTC: 8 hours ahead wherever both were seen",
        _NOT_NEGATIVE,
    ),
    Key("sent_date", _TEXT_OR_NULL, "the server's text, in the account's time zone, to the minute"),
    Key(
        "sent_at",
        _TEXT_OR_NULL,
        "UTC, ISO 8601; only where the account's offset is known from its campaign listing",
        {"format": "date-time"},
    ),
    Key("harvested_at", _TEXT, "when the page was stored, UTC, ISO 8601", {"format": "date-time"}),
    Key("run_id", _TEXT, "the run that asked"),
    Key(
        "position",
        _INTEGER,
        "the row's place in the set, from 1; places of rows that were left out are missing",
        {"minimum": 1},
    ),
    Key("open_reports", _TEXT_OR_NULL, "openedcontacts: as given"),
    Key("click_count", _INTEGER_OR_NULL, "clickedcontacts", _NOT_NEGATIVE),
    Key("clicked_urls", _TEXT_OR_NULL, "clickedcontacts: as given"),
    Key("click_reports", _TEXT_OR_NULL, "clickedcontacts: as given"),
    Key("bounced_date", _TEXT_OR_NULL, "bounces: as given"),
    Key("opted_out_date", _TEXT_OR_NULL, "optoutcontacts: as given"),
    Key(
        "event_times",
        ("array", "null"),
        "with `timeline` in XML: every open or click, `2026-02-12T12:08` in the account's time zone, else as given",
        {"items": {"type": "string"}},
    ),
    Key("raw", ("object", "null"), "the row, verbatim; null with `raw = false`"),
)
"""Every column, in the order of `contacts.COLUMNS`; a test holds both together."""

SCHEMA: Mapping[str, Any] = {
    "$schema": DRAFT,
    "title": "harvester record",
    "description": "One line of a partition: one contact of one campaign and action.",
    **object_schema(DESCRIPTION),
    "additionalProperties": False,
}
"""The JSON Schema of a record, draft 2020-12."""

_PYTHON_TYPES = {column.name: frozenset(_PYTHON[name] for name in column.types) for column in DESCRIPTION}


_BIGQUERY: Mapping[str, str] = {"string": "STRING", "integer": "INTEGER", "array": "JSON", "object": "JSON"}
"""Types of its columns. A list is JSON, as a repeated column cannot be null."""


def bigquery_fields() -> list[dict[str, str]]:
    """Return the columns as the schema file of `bq load` has them.

    Source: BigQuery's documentation, "Specifying a JSON schema file".
    """
    return [
        {
            "name": column.name,
            "type": "TIMESTAMP" if column.limits.get("format") == "date-time" else _BIGQUERY[column.types[0]],
            "mode": "NULLABLE" if "null" in column.types else "REQUIRED",
            "description": column.meaning,
        }
        for column in DESCRIPTION
    ]


def valid_record(line: bytes) -> Mapping[str, Any]:
    """Return the record of a line, read without loss; its columns and their types are those of `SCHEMA`.

    Values are not held against `limits`: a schema validator does that.

    Raises:
        ValueError: the line is no JSON object (`UnreadableError`) or has other columns (`RecordError`).
    """
    record = read_document(line)
    if record.keys() != _PYTHON_TYPES.keys():
        missing = [name for name in _PYTHON_TYPES if name not in record]
        unknown = len(record.keys() - _PYTHON_TYPES.keys())
        raise RecordError(f"{len(missing)} columns missing ({', '.join(missing)}), {unknown} unknown")
    for name, types in _PYTHON_TYPES.items():
        if type(record[name]) not in types:
            raise RecordError(f"{name} is of another type")
    return record
