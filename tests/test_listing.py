"""What a run takes for its campaigns: the listing of a date, the filters upon it, and the halves of A/B campaigns."""

import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from factories import DATE
from listed import DAY_MS, DETAILS, RECENT, SENDER, SENT_AT_MS, Host, Place, keys_of, listed_row, listing_run

from harvester.errors import CredentialsError, StoppedError
from harvester.events import CampaignsUnsteady, ChildrenMissing, OffsetsDiffer
from harvester.listing import CampaignFilter, CampaignType
from harvester.model import Discovery
from harvester.store.splits import Splits

PAGE_ROWS = 100
"""Of the listing: the second page begins with the last row of the first."""

TOMORROW = DATE + dt.timedelta(days=1)
REFUSED = {"status": "error", "code": "2206", "message": "Campaign is deleted."}
LOCKED = {"status": "error", "code": "2008", "message": "Calls limit exceeded."}


def rows(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [listed_row(f"k{number}", SENT_AT_MS - number) for number in range(first, first + count)]


def ab_host(*keys: str, age_days: int = 6, **more: Any) -> Host:
    """An account of A/B campaigns, each with two halves."""
    sent_at_ms = SENT_AT_MS + (6 - age_days) * DAY_MS
    splits = {key: {"a_child_campaignkey": f"{key}a", "b_child_campaignkey": f"{key}b"} for key in keys}
    plain: dict[str, Any] = {"rows": [listed_row(key, sent_at_ms, campaigntype="A/B") for key in keys]}
    return Host(**plain | {"splits": splits} | more)


def once(change: Any) -> Any:
    """Call `change` before the second page, and never again."""
    changes = iter([change])

    def before_page(from_index: int) -> None:
        if from_index > 1:
            next(changes, lambda: None)()

    return before_page


# --- the listing ----------------------------------------------------------------------------------------------------


async def test_all_pages_are_listed_planned_and_kept(tmp_path: Path) -> None:
    """Every sent campaign of 250 stands in the file and in the plan, and going on asks nothing."""
    host = Host(rows(250))
    async with listing_run(tmp_path, host) as place:
        await place.plan()
        planned, listing, calls = place.planned_keys, place.listing, host.calls(RECENT)
        await place.plan()

        assert place.planned_keys == planned == keys_of(host.rows)
        assert place.listing == listing
        assert (listing.campaigns, host.calls(RECENT), calls) == (250, 4, 4)
        assert [record["raw"] for record in place.records] == host.rows
        assert place.store.ledger.open_harvest("acme", DATE).discovery is Discovery.WHOLE


async def test_an_account_without_campaigns_has_an_empty_file(tmp_path: Path) -> None:
    """6101 is an empty view, and is listed as such; whoever goes on asks again, as it may have been said by mistake."""
    host = Host()
    async with listing_run(tmp_path, host) as place:
        await place.plan()
        await place.plan()

        assert (place.records, place.planned, host.calls(RECENT)) == ([], [], 2)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: os.truncate(path, 3)])
async def test_a_file_that_is_not_as_it_was_is_listed_again(tmp_path: Path, damage: Any) -> None:
    """The plan of a date is made from its file, so the file must be there."""
    host = Host(rows(3))
    async with listing_run(tmp_path, host) as place:
        await place.plan()
        damage(place.path)
        host.rows = rows(4)
        await place.plan()

        assert place.planned_keys == [record["campaign_key"] for record in place.records] == keys_of(host.rows)


async def test_refresh_lists_again(tmp_path: Path) -> None:
    """What came since stands in the file and in the plan."""
    host = Host(rows(3))
    async with listing_run(tmp_path, host) as place:
        await place.plan()
        host.rows = rows(5)
        await place.plan(is_refresh=True)

        assert place.listing.campaigns == len(place.planned) == 5


async def test_a_campaign_sent_meanwhile_moves_nothing_out_of_sight(tmp_path: Path) -> None:
    """The second reading finds it too, and nobody needs to hear of it."""
    host = Host(rows(250, first=1))
    host.before_page = once(lambda: host.rows.insert(0, listed_row("new")))
    async with listing_run(tmp_path, host) as place:
        await place.plan()

        assert sorted(place.planned_keys) == sorted(keys_of(host.rows))
        assert place.told(CampaignsUnsteady) == []


@pytest.mark.parametrize("is_counted", [True, False])
async def test_a_campaign_deleted_meanwhile_pushes_no_other_past_the_pages(tmp_path: Path, *, is_counted: bool) -> None:
    """The row that slipped from the second page to the first is found, whether the server counts or not."""
    host = Host(rows(250), is_counted=is_counted)
    host.before_page = once(lambda: host.rows.pop(5))
    async with listing_run(tmp_path, host) as place:
        await place.plan()

        assert set(keys_of(host.rows)) <= set(place.planned_keys)
        assert len(place.planned_keys) == len(set(place.planned_keys))


async def test_a_listing_that_never_holds_still_is_taken_as_both_readings_give_it(tmp_path: Path) -> None:
    """Bounded, each campaign once, and told."""
    host, counter = Host(rows(150)), iter(range(1_000, 2_000))

    def send_at_the_joint(from_index: int) -> None:
        if from_index == PAGE_ROWS:
            host.rows.insert(0, listed_row(f"k{next(counter)}"))

    host.before_page = send_at_the_joint
    async with listing_run(tmp_path, host) as place:
        await place.plan()

        assert set(keys_of(rows(150))) <= set(place.planned_keys)
        assert len(place.planned_keys) == len(set(place.planned_keys)) == place.listing.campaigns
        assert place.told(CampaignsUnsteady) == [CampaignsUnsteady("acme", "campaigns came or went while it was read")]


async def test_a_campaign_that_stands_twice_is_kept_once(tmp_path: Path) -> None:
    """The first of its rows counts; that is no doubt, so it costs no second reading."""
    host = Host([*rows(3), listed_row("k1", campaign_name="again"), *rows(2, first=3)])
    async with listing_run(tmp_path, host) as place:
        await place.plan()

        assert place.planned_keys == ["k0", "k1", "k2", "k3", "k4"]
        assert place.records[1]["name"] == "Name of k1"
        assert host.calls(RECENT) == 2


async def test_a_listing_that_repeats_itself_ends_the_account(tmp_path: Path) -> None:
    """A server that does not heed the index gives no whole listing, and nothing is planned on half a one."""

    class Deaf(Host):
        def _answer(self, endpoint: str, params: Any) -> dict[str, Any]:
            return super()._answer(endpoint, {**params, "fromindex": "1"})

    async with listing_run(tmp_path, Deaf(rows(150))) as place:
        with pytest.raises(StoppedError, match="repeats itself"):
            await place.plan()

        assert place.planned == []
        assert place.store.ledger.open_harvest("acme", DATE).discovery is Discovery.PARTIAL


async def test_a_refused_listing_is_a_matter_for_a_person(tmp_path: Path) -> None:
    """6601 for the listing stops the account."""
    refusal = {"status": "error", "code": "6601", "message": "Insufficient privileges"}
    async with listing_run(tmp_path, Host(rows(3), refusals={RECENT: refusal})) as place:
        with pytest.raises(CredentialsError, match="listing of campaigns"):
            await place.plan()


async def test_a_run_that_is_asked_to_stop_leaves_the_listing_to_the_next(tmp_path: Path) -> None:
    """Nothing is planned and nothing is taken for whole."""
    host = Host(rows(150))
    async with listing_run(tmp_path, host) as place:
        host.before_page = lambda _: place.stop.ask("a test")
        await place.plan()

        assert place.planned == []
        assert place.store.ledger.open_harvest("acme", DATE).discovery is Discovery.PARTIAL
    host.before_page = lambda _: None
    async with listing_run(tmp_path, host) as place:
        await place.plan()

        assert len(place.planned) == 150


async def test_the_offset_of_most_new_campaigns_is_learned(tmp_path: Path) -> None:
    """It dates a campaign without UTC, for the ledger as well, and those that disagree are told."""
    odd = [listed_row("odd", sent_time=str(SENT_AT_MS)), listed_row("bare", SENT_AT_MS + 5, sent_time_gmt="")]
    async with listing_run(tmp_path, Host([*odd, *rows(3)])) as place:
        await place.plan()

        assert place.store.servers.sent_time_offset_ms("acme") == 28_800_000
        assert place.told(OffsetsDiffer) == [OffsetsDiffer("acme", 28_800_000, 1)]
        sent = dict(place.store.database.durable.execute("SELECT key, sent_at_ms FROM campaigns").fetchall())
        assert sent["bare"] == SENT_AT_MS + 5


async def test_no_address_of_a_sender_leaves_the_file(tmp_path: Path) -> None:
    """It may stand in the output, which is 0600, and in no ledger and no event."""
    async with listing_run(tmp_path, ab_host("p", refusals={DETAILS: REFUSED})) as place:
        await place.plan()

        assert SENDER in place.path.read_text(encoding="utf-8")
        assert not any(SENDER in str(event) for event in place.events)
    assert not any(SENDER.encode() in path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())


# --- filters --------------------------------------------------------------------------------------------------------


def _filters() -> Iterator[tuple[dict[str, Any], CampaignFilter, list[str]]]:
    everything = ["old", "pa", "p", "pb", "news"]
    yield {}, CampaignFilter(), everything
    yield {"sent_since": dt.date(2026, 3, 1)}, CampaignFilter(), ["p", "pa", "pb", "news"]
    yield {}, CampaignFilter(sent_until=dt.date(2026, 3, 1)), ["old"]
    yield {"types": ["abtesting"]}, CampaignFilter(), ["p", "pa", "pb"]
    yield {"names": ["*NEWS"]}, CampaignFilter(types=(CampaignType.NORMAL,)), ["news"]
    yield {"names": ["*news"]}, CampaignFilter(types=(CampaignType.ABTESTING,)), []


@pytest.mark.parametrize(("discovery", "campaign_filter", "planned"), list(_filters()))
async def test_settings_and_flags_must_both_let_a_campaign_through(
    tmp_path: Path, discovery: dict[str, Any], campaign_filter: CampaignFilter, planned: list[str]
) -> None:
    """Halves go with their parent, and the file holds every campaign that was listed all the same."""
    host = ab_host("p")
    host.rows += [listed_row("news"), listed_row("old", SENT_AT_MS - 100 * DAY_MS)]
    async with listing_run(tmp_path, host, discovery=discovery) as place:
        await place.plan(campaign_filter=campaign_filter)

        assert sorted(place.planned_keys) == sorted(planned)
        assert {"p", "news", "old"} <= {record["campaign_key"] for record in place.records}


async def test_halves_that_a_filter_left_out_are_asked_for_by_a_run_that_wants_them(tmp_path: Path) -> None:
    """On the same date, with no call for the listing."""
    host = ab_host("p")
    async with listing_run(tmp_path, host) as place:
        await place.plan(campaign_filter=CampaignFilter(types=(CampaignType.NORMAL,)))
        assert (place.planned, host.calls(DETAILS), place.listing.children_missing) == ([], 0, 1)

        await place.plan()

        assert place.planned == [("p", None), ("pa", "p"), ("pb", "p")]
        assert (host.calls(RECENT), host.calls(DETAILS), place.listing.children_missing) == (2, 1, 0)


# --- test halves ----------------------------------------------------------------------------------------------------


async def test_A_34_halves_are_campaigns_of_their_own(tmp_path: Path) -> None:
    """They are planned with their parent and its moment of sending, and asked for once for good."""
    host = ab_host("p", "q")
    async with listing_run(tmp_path, host) as place:
        await place.plan()

        assert place.planned == [("p", None), ("pa", "p"), ("pb", "p"), ("q", None), ("qa", "q"), ("qb", "q")]
        sent = place.store.database.durable.execute("SELECT DISTINCT sent_at_ms FROM campaigns").fetchall()
        assert [row[0] for row in sent] == [SENT_AT_MS]
        assert {params["campaigntype"] for endpoint, params in host.asked if endpoint == DETAILS} == {"abtesting"}
    async with listing_run(tmp_path, host, TOMORROW) as place:
        await place.plan()

        assert len(place.planned) == 6
        assert host.calls(DETAILS) == 2


async def test_a_young_campaign_without_halves_is_asked_about_on_later_dates(tmp_path: Path) -> None:
    """Not on the same date, and not once it is a week old."""
    host = ab_host("p", age_days=5)
    host.splits = {"p": None}
    calls, planned = [], []
    for date in (DATE, DATE, TOMORROW, DATE + dt.timedelta(days=2), DATE + dt.timedelta(days=3)):
        async with listing_run(tmp_path, host, date) as place:
            await place.plan()
            calls.append(host.calls(DETAILS))
            planned.append(len(place.planned))
            assert place.told(ChildrenMissing) == []

    assert (calls, planned) == ([1, 1, 2, 2, 2], [1] * 5)


async def test_refused_details_cost_the_halves_of_one_campaign(tmp_path: Path) -> None:
    """The others are planned, it is told, and the next run of the date asks again, for nothing but these."""

    class Picky(Host):
        def _answer(self, endpoint: str, params: Any) -> dict[str, Any]:
            is_deleted = endpoint == DETAILS and params["campaignkey"] in self.refusals
            return REFUSED if is_deleted else super()._answer(endpoint, params)

    plain = ab_host("p", "q")
    picky = Picky(plain.rows, plain.splits, {"p": REFUSED})
    async with listing_run(tmp_path, picky) as place:
        await place.plan()

        assert place.planned_keys == ["p", "q", "qa", "qb"]
        (told,) = place.told(ChildrenMissing)
        assert isinstance(told, ChildrenMissing)
        assert (told.campaigns, "deleted" in told.reason) == (1, True)
        assert place.listing.children_missing == 1
        picky.refusals.clear()
        await place.plan()

        assert sorted(place.planned_keys) == ["p", "pa", "pb", "q", "qa", "qb"]
        assert (picky.calls(RECENT), picky.calls(DETAILS), place.listing.children_missing) == (2, 3, 0)


@pytest.mark.parametrize("refusal", [LOCKED, {"status": "error", "code": "1004", "message": "Wrong URL"}])
async def test_a_shut_endpoint_of_details_stops_nothing_else(tmp_path: Path, refusal: dict[str, Any]) -> None:
    """A lockout, or a refusal for all, ends the asking at once and is told; the campaigns are planned."""
    host = ab_host(*(f"p{number}" for number in range(30)), refusals={DETAILS: refusal})
    async with listing_run(tmp_path, host) as place:
        await place.plan()

        assert len(place.planned) == 30
        assert host.calls(DETAILS) <= 4
        (told,) = place.told(ChildrenMissing)
        assert isinstance(told, ChildrenMissing)
        assert told.campaigns == place.listing.children_missing == 30
        assert not place.bench.tools.stop.is_asked
        assert place.bench.lockout is None


async def test_an_endpoint_that_refuses_every_campaign_is_not_asked_about_all(tmp_path: Path) -> None:
    """Ten refusals of one kind and not one answer: it is not the campaigns."""
    host = ab_host(*(f"p{number}" for number in range(60)), refusals={DETAILS: REFUSED})
    async with listing_run(tmp_path, host) as place:
        await place.plan()

        assert host.calls(DETAILS) < 20
        assert len(place.planned) == 60


async def test_too_few_recipients_for_a_test_means_no_halves(tmp_path: Path) -> None:
    """6601 about A/B recipients is an answer, and nothing is missing."""
    few = {"status": "error", "code": "6601", "message": "AB campaign cannot be sent to less than 4 recipients."}
    host = ab_host("p", refusals={DETAILS: few})
    async with listing_run(tmp_path, host) as place:
        await place.plan()

        assert (place.listing.children_missing, place.told(ChildrenMissing)) == (0, [])
        assert await _known(place) == {"p": {}}


async def test_a_kill_after_the_answer_loses_no_halves(tmp_path: Path) -> None:
    """What the ledger knows and the file does not is put into the file by the next run, without a call."""
    host = ab_host("p", refusals={DETAILS: REFUSED})
    async with listing_run(tmp_path, host) as place:
        await place.plan()
    host.refusals.clear()
    async with listing_run(tmp_path, host) as place:
        await place.bench.splitting().run(["p"])  # and then the process dies, before the file is written
    calls = len(host.asked)
    async with listing_run(tmp_path, host) as place:
        await place.plan()

        assert place.planned_keys == ["p", "pa", "pb"]
        assert [record["variant"] for record in place.records] == [None, "a", "b"]
    assert len(host.asked) == calls


async def test_halves_that_the_listing_shows_are_planned_once(tmp_path: Path) -> None:
    """With their parent, wherever they stand."""
    host = ab_host("p")
    host.rows = [listed_row("pb"), *host.rows, listed_row("pa")]
    async with listing_run(tmp_path, host) as place:
        await place.plan()

        assert place.planned == [("p", None), ("pa", "p"), ("pb", "p")]
        assert [record["raw"] is None for record in place.records] == [False, False, False]


async def _known(place: Place) -> dict[str, Any]:
    splits = Splits(place.store.database).of("acme")
    return {key: dict(split.child_keys) for key, split in splits.items()}
