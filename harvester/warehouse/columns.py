"""The types that columns of our files have in SQL and in Parquet (pure)."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from harvester.json_schema import Key


class ColumnType(StrEnum):
    """A type, by the name that DuckDB has for it."""

    TEXT = "VARCHAR"
    INTEGER = "BIGINT"
    MOMENT = "TIMESTAMP WITH TIME ZONE"
    TEXTS = "VARCHAR[]"
    JSON = "JSON"
    DAY = "DATE"


Columns = Mapping[str, ColumnType]
"""Names in their order, each with its type."""

_OF_JSON: Mapping[str, ColumnType] = {
    "integer": ColumnType.INTEGER,
    "array": ColumnType.TEXTS,
    "object": ColumnType.JSON,
}

_CHANGE: Columns = {"change": ColumnType.TEXT, "changed_columns": ColumnType.TEXTS, "before": ColumnType.JSON}


def columns_of(keys: Iterable[Key]) -> Columns:
    """Return the columns of records with these keys; an id beyond 64 bits is text in them already."""
    return {key.name: _type_of(key) for key in keys}


def change_columns(record: Columns) -> Columns:
    """Return the columns of a change file whose lines end in such records."""
    return {**_CHANGE, **record}


def campaign_columns(names: Iterable[str]) -> Columns:
    """Return the columns of a listing: what its names promise by their endings, else text."""
    return {name: _type_of_name(name) for name in names}


def _type_of(key: Key) -> ColumnType:
    if key.limits.get("format") == "date-time":
        return ColumnType.MOMENT
    return next((_OF_JSON[name] for name in key.types if name in _OF_JSON), ColumnType.TEXT)


def _type_of_name(name: str) -> ColumnType:
    if name == "raw":
        return ColumnType.JSON
    if name.endswith("_at"):
        return ColumnType.MOMENT
    return ColumnType.INTEGER if name.endswith("_ms") else ColumnType.TEXT
