"""A row of the listing to the record of a campaign, and the test halves of A/B campaigns behind their parents (pure).

The file is made in two steps, as what completes it is known last: the account's offset, and the halves.
"""

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from harvester.listing import CampaignType, SentCampaign, Split
from harvester.model import Row
from harvester.zoho.campaigns import MILLISECONDS_MAX, milliseconds
from harvester.zoho.envelopes import read_document
from harvester.zoho.privacy import KEEP_ALL, Privacy

COLUMNS: Mapping[str, str] = {
    "account": "the account's name in the configuration",
    "campaign_key": "by which the campaign is asked for",
    "campaign_id": "Zoho's id, as text; null for a test half that the listing does not show",
    "parent_campaign_key": "the A/B campaign that this one is a test half of, else null",
    "variant": "which half: `a` or `b`, else null",
    "name": "as given",
    "subject": "as given",
    "type": "`normal` or `abtesting`; whatever does not say A/B is normal",
    "status": "as given",
    "sent_at": "UTC, ISO 8601: `sent_time_gmt`, or `sent_time` less the account's offset; null where neither is known",
    "sent_time_ms": "the server's `sent_time`, milliseconds; **not** UTC",
    "created_at": "UTC, ISO 8601: `created_time_gmt`",
    "sent_time_zone": "as given",
    "folder_id": "as given",
    "listed_at": "when the row was read, UTC, ISO 8601",
    "run_id": "the run that read it",
    "raw": "the row of the listing, verbatim; null for a test half that the listing does not show",
}
"""Every key of a record, in order, and what it means."""

_NAMES = {
    "campaign_id": "campaignId",
    "name": "campaign_name",
    "subject": "subject",
    "status": "campaign_status",
    "sent_time_zone": "sent_time_zone",
    "folder_id": "folder_id",
}
_NULL = frozenset({"", "null"})
"""What the server writes for "nothing"; null in the columns, untouched in `raw`."""

_OWN = ("campaign_key", "campaign_id", "listed_at", "run_id", "raw")
"""What a test half that the listing shows has of its own; all else it has of its parent."""


@dataclass(frozen=True, slots=True)
class ListingContext:
    """What the records of one page share.

    Attributes:
        account: the account's name in the configuration.
        listed_at: when the page came, ISO 8601 in UTC, ending in "Z".
        run_id: the run that asked.
        privacy: what is kept of the addresses of senders.
    """

    account: str
    listed_at: str
    run_id: str
    privacy: Privacy = KEEP_ALL


@dataclass(frozen=True, slots=True)
class Survey:
    """What has to be known of all records before the first is completed.

    Attributes:
        splits: the halves of the A/B campaigns among them, by the key of the parent.
        unsplit: keys of A/B campaigns whose halves are not known.
        listed_halves: records of halves that the listing shows by themselves, by their keys.
    """

    splits: Mapping[str, Split]
    unsplit: frozenset[str]
    listed_halves: Mapping[str, Mapping[str, Any]]


def lines(campaigns: Iterable[SentCampaign], context: ListingContext) -> bytes:
    r"""Return the records of listed campaigns as UTF-8 JSON, one a line, each ended by "\n"; halves are not told."""
    return b"".join(_line(_record(campaign, context)) for campaign in campaigns)


def surveyed(records: Iterable[bytes], splits: Mapping[str, Split]) -> Survey:
    """Look through all records once.

    Args:
        records: the lines of a listing, with or without halves behind their parents.
        splits: the known halves of the account's A/B campaigns, of today or not.
    """
    parent_of = {key: parent for parent, split in splits.items() for key in split.child_keys.values()}
    parents, unsplit, listed = set(), set(), {}
    for record in map(read_document, records):
        key = record["campaign_key"]
        if key in parent_of and record["raw"] is not None:
            listed[key] = record
        elif key in splits:
            parents.add(key)
        elif record["type"] == CampaignType.ABTESTING and record["parent_campaign_key"] is None:
            unsplit.add(key)
    # A half whose parent the listing does not show stands for itself.
    halves = {key: record for key, record in listed.items() if parent_of[key] in parents}
    return Survey({key: splits[key] for key in parents}, frozenset(unsplit), halves)


def completed(records: Iterable[bytes], survey: Survey, offset_ms: int | None) -> Iterator[bytes]:
    """Yield the lines of the finished file: every campaign once, the halves of each right behind it.

    Args:
        records: the lines of the listing, the same as were surveyed.
        survey: of them.
        offset_ms: by how much the account's `sent_time` runs ahead of UTC; None where nobody knows.
    """
    halves = {key for split in survey.splits.values() for key in split.child_keys.values()}
    for line in records:
        record = read_document(line)
        key = record["campaign_key"]
        if key in halves:
            continue  # it stands behind its parent
        dated = _dated(record, offset_ms)
        yield line if dated is record else _line(dated)
        if (split := survey.splits.get(key)) is not None:
            for variant, child_key in split.child_keys.items():
                yield _line(_half(dated, child_key, variant, survey.listed_halves.get(child_key)))


def _record(campaign: SentCampaign, context: ListingContext) -> dict[str, Any]:
    row = context.privacy.listed(campaign.row)
    known = {
        "account": context.account,
        "campaign_key": campaign.key,
        "type": campaign.type.value,
        "sent_at": _moment(campaign.sent_at_ms),
        "sent_time_ms": milliseconds(row.get("sent_time")),
        "created_at": _moment(milliseconds(row.get("created_time_gmt"))),
        "listed_at": context.listed_at,
        "run_id": context.run_id,
        "raw": row if context.privacy.has_raw else {},
        **{column: _text(row, name) for column, name in _NAMES.items()},
    }
    return {column: known.get(column) for column in COLUMNS}


def _half(parent: Mapping[str, Any], key: str, variant: str, listed: Mapping[str, Any] | None) -> dict[str, Any]:
    own = {"campaign_key": key, "campaign_id": None, "raw": None}
    if listed is not None:
        own = {column: listed[column] for column in _OWN}
    return {**parent, **own, "parent_campaign_key": parent["campaign_key"], "variant": variant}


def _dated(record: Mapping[str, Any], offset_ms: int | None) -> Mapping[str, Any]:
    """Return a record with `sent_at` worked out where the server told the account's own time alone."""
    sent_time_ms = record["sent_time_ms"]
    if record["sent_at"] is not None or sent_time_ms is None or offset_ms is None:
        return record
    return {**record, "sent_at": _moment(sent_time_ms - offset_ms)}


def _moment(moment_ms: int | None) -> str | None:
    if moment_ms is None or not 0 <= moment_ms <= MILLISECONDS_MAX:
        return None
    moment = dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(milliseconds=moment_ms)
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def _text(row: Row, name: str) -> str | None:
    """Return a value as the text of its column; what is no text is written as JSON."""
    value = row.get(name)
    if value is None or isinstance(value, str):
        return None if value in _NULL else value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _line(record: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:  # integers beyond 64 bits, lone surrogates, more than 254 levels
        return json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
