"""Records of campaigns: their columns, and test halves behind their parents."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from listed import EIGHT_HOURS_MS, SENT_AT_MS, listed_row

from harvester.listing import Split
from harvester.zoho.campaign_records import COLUMNS, ListingContext, completed, lines, surveyed
from harvester.zoho.campaigns import sent_campaigns

CONTEXT = ListingContext("acme", "2026-03-14T01:00:00.000Z", "run-1")
PAGE = (Path(__file__).parent.parent / "docs" / "records.md").read_text(encoding="utf-8")

VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers())


def listing(*rows: Mapping[str, Any]) -> list[bytes]:
    campaigns = sent_campaigns(rows)
    assert isinstance(campaigns, tuple)
    return lines(campaigns, CONTEXT).splitlines(keepends=True)


def finished(
    listed: list[bytes], splits: Mapping[str, Split] | None = None, offset_ms: int | None = None
) -> list[bytes]:
    return list(completed(listed, surveyed(listed, splits or {}), offset_ms))


def read(listed: list[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in listed]


def named(records: list[dict[str, Any]]) -> list[tuple[str, str | None, str | None]]:
    return [(record["campaign_key"], record["parent_campaign_key"], record["variant"]) for record in records]


def test_a_record_has_the_facts_of_its_row() -> None:
    """Times are UTC, text is as given, what says nothing is null, and the row stands in raw."""
    row = listed_row("3za", created_time_gmt="1772900000000", sent_time_zone="null", campaignId=12)

    (record,) = read(listing(row))

    assert tuple(record) == tuple(COLUMNS)
    assert (record["sent_at"], record["created_at"]) == ("2026-03-08T20:00:00.000Z", "2026-03-07T16:13:20.000Z")
    assert (record["campaign_id"], record["sent_time_zone"], record["type"]) == ("12", None, "normal")
    assert record["sent_time_ms"] == SENT_AT_MS + EIGHT_HOURS_MS
    assert record["raw"] == row


def test_every_column_is_documented() -> None:
    """docs/records.md has each column with its meaning."""
    assert [name for name, meaning in COLUMNS.items() if f"| `{name}` | {meaning} |" not in PAGE] == []


@given(st.dictionaries(st.sampled_from(["campaign_name", "subject", "sent_time", "campaignId", "own"]), VALUES))
def test_S_12_whatever_a_row_holds_is_written_faithfully(changes: dict[str, Any]) -> None:
    """Control characters, numbers beyond 64 bits and unknown columns come back equal; a line is one record."""
    row = listed_row("3za") | changes | {"odd": "\x1b[31m\u202e\n\ud800", "large": 2**70}

    (record,) = read(finished(listing(row), offset_ms=EIGHT_HOURS_MS))

    assert record["raw"] == row
    assert tuple(record) == tuple(COLUMNS)


def test_halves_stand_behind_their_parent_with_its_facts() -> None:
    """Each half is a campaign of its own: the parent's name, type and time, its own key, and no row."""
    listed = listing(listed_row("p", campaigntype="abtesting"), listed_row("q"))

    records = read(finished(listed, {"p": Split({"a": "pa", "b": "pb"}), "elsewhere": Split({"a": "x"})}))

    assert named(records) == [("p", None, None), ("pa", "p", "a"), ("pb", "p", "b"), ("q", None, None)]
    assert all(records[1][name] == records[0][name] for name in ("name", "type", "sent_at", "subject"))
    assert (records[1]["raw"], records[1]["campaign_id"]) == (None, None)


def test_a_half_that_the_listing_shows_is_kept_once_with_its_parent() -> None:
    """Its own row stays in raw, wherever it stood."""
    listed = listing(listed_row("pb", campaign_name="Variant B"), listed_row("p", campaigntype="AB"))

    records = read(finished(listed, {"p": Split({"a": "pa", "b": "pb"})}))

    assert named(records) == [("p", None, None), ("pa", "p", "a"), ("pb", "p", "b")]
    assert (records[2]["raw"]["campaign_name"], records[2]["name"]) == ("Variant B", "Name of p")
    assert records[2]["campaign_id"] == "id-pb"


def test_a_half_whose_parent_is_not_listed_stands_for_itself() -> None:
    """Nothing that the server listed is lost."""
    listed = listing(listed_row("pb"))

    assert named(read(finished(listed, {"p": Split({"b": "pb"})}))) == [("pb", None, None)]


def test_a_finished_listing_can_be_completed_again() -> None:
    """Halves that are known later are added, and nothing stands twice."""
    listed = listing(listed_row("p", campaigntype="AB"), listed_row("q", campaigntype="AB"), listed_row("pb"))
    once = finished(listed, {"p": Split({"a": "pa", "b": "pb"})})

    assert surveyed(once, {"p": Split({"a": "pa", "b": "pb"})}).unsplit == {"q"}
    again = finished(once, {"p": Split({"a": "pa", "b": "pb"}), "q": Split({"a": "qa"})})

    assert [key for key, *_ in named(read(again))] == ["p", "pa", "pb", "q", "qa"]
    assert read(again)[2]["raw"] == listed_row("pb")


def test_the_accounts_offset_dates_a_campaign_without_sent_time_gmt() -> None:
    """Without an offset its moment stays unknown; what the server told in UTC is never replaced."""
    listed = listing(listed_row("3za", sent_time_gmt=None), listed_row("3zb"))

    assert [record["sent_at"] for record in read(finished(listed))] == [None, "2026-03-08T20:00:00.000Z"]
    dated = read(finished(listed, offset_ms=EIGHT_HOURS_MS))
    assert {record["sent_at"] for record in dated} == {"2026-03-08T20:00:00.000Z"}
    assert read(finished(listed, offset_ms=2**60))[0]["sent_at"] is None


@given(st.lists(st.sampled_from("abcdef"), unique=True), st.permutations("abcdef"), st.integers(0, 2))
def test_every_listed_campaign_stands_in_the_file_once(keys: list[str], names: list[str], known: int) -> None:
    """Whatever halves are known and wherever they stand, no campaign is lost or doubled."""
    splits = dict(list({names[0]: Split({"a": names[1], "b": names[2]}), names[3]: Split({"b": "z"})}.items())[:known])

    found = [key for key, *_ in named(read(finished(listing(*map(listed_row, keys)), splits)))]

    assert len(found) == len(set(found))
    assert set(keys) <= set(found)
