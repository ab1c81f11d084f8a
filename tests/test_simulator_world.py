"""The world: deterministic, lazy, and consistent with itself."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.simulator.options import AnswerOptions, FieldNames, Options, WorldOptions
from harvester.simulator.world import ACTIONS, Kind, World

CLIENT = "acme-client"


def _world(recipients: int | None = 1234, seed: int = 1, **options: object) -> World:
    world = WorldOptions(recipients=recipients, **options)  # type: ignore[arg-type]
    return World(Options(seed=seed, world=world), CLIENT)


def _sets(world: World, key: str) -> dict[str, list[str]]:
    return {action: list(world.truth(key, action)) for action in ACTIONS}


@given(recipients=st.integers(0, 1500), seed=st.integers(0, 50))
def test_the_sets_of_a_campaign_agree(recipients: int, seed: int) -> None:
    """Bounces exclude each other, opened and unopened make up the delivered, clicked is within opened."""
    world = _world(recipients, seed, campaigns=1)

    sets = {action: set(ids) for action, ids in _sets(world, world.campaigns[0].key).items()}

    sent, opened, unopened = sets["sentcontacts"], sets["openedcontacts"], sets["unopenedcontacts"]
    hard, soft = sets["senthardbounce"], sets["sentsoftbounce"]
    assert len(sent) == recipients
    assert hard | soft <= sent
    assert not hard & soft
    assert not opened & unopened
    assert opened | unopened == sent - hard - soft
    assert sets["clickedcontacts"] <= opened
    assert sets["optoutcontacts"] | sets["spamcontacts"] <= opened
    assert not sets["unsentcontacts"] & sent


@given(
    recipients=st.integers(0, 700), action=st.sampled_from(ACTIONS), start=st.integers(0, 720), rows=st.integers(1, 90)
)
def test_a_slice_of_recipients_is_the_slice_of_their_list(recipients: int, action: str, start: int, rows: int) -> None:
    """Computed slices and single rows are those of the whole list, and no row comes twice."""
    world = _world(recipients, campaigns=1)
    campaign = world.campaigns[0]
    lazy, whole = world.recipients(campaign, action), list(world.recipients(campaign, action))

    assert lazy[start : start + rows] == whole[start : start + rows]
    assert len(lazy) == len(whole) == len({contact.contact_id for contact in whole})
    assert [lazy[i] for i in range(len(lazy))] == whole


def test_equal_options_give_equal_worlds() -> None:
    """Another process with the same options and client knows exactly which rows exist."""
    first, second = _world(None, ab_share=0.5), _world(None, ab_share=0.5)

    assert first.campaigns == second.campaigns
    key = first.campaigns[3].key
    assert list(first.rows(key, "openedcontacts")) == list(second.rows(key, "openedcontacts"))


def test_each_account_has_its_own_world() -> None:
    """Two clients share no campaign key."""
    options = Options()

    keys = [{campaign.key for campaign in World(options, client).campaigns} for client in ("a", "b")]

    assert not keys[0] & keys[1]


def test_contact_ids_are_unique_over_campaigns_and_test_halves() -> None:
    """No contact id appears in two campaigns, so a row in the wrong file is always noticed."""
    world = _world(50, campaigns=6, ab_share=0.6)
    keys = [key for campaign in world.campaigns for key in (campaign.key, *campaign.child_keys)]

    ids = [contact_id for key in keys for contact_id in world.truth(key, "sentcontacts")]

    assert len(keys) > 6
    assert len(ids) == len(set(ids))
    assert all(contact_id.isdigit() and len(contact_id) >= 15 for contact_id in ids)


@pytest.mark.parametrize(("campaigns", "recipients"), [(2, 500_000), (2000, 5000)])
def test_a_large_world_costs_no_memory(campaigns: int, recipients: int) -> None:
    """Reading one page out of millions of rows needs less than 5 MB."""
    world = _world(recipients, campaigns=campaigns)

    tracemalloc.start()
    page = world.recipients(world.campaigns[-1], "openedcontacts")[1000:1500]
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(page) == 500
    assert peak_bytes < 5_000_000


def test_the_shares_of_campaign_kinds_are_kept() -> None:
    """Drafts, A/B, tiny A/B and forbidden campaigns come in about their shares."""
    world = _world(campaigns=2000, drafts_share=0.2, ab_share=0.2, tiny_ab_share=0.1, forbidden_share=0.1)

    kinds = [campaign.kind for campaign in world.campaigns]

    expected = {Kind.DRAFT: 400, Kind.AB: 400, Kind.TINY_AB: 200, Kind.FORBIDDEN: 200, Kind.NORMAL: 800}
    assert {kind: kinds.count(kind) for kind in expected} == pytest.approx(expected, abs=80)


def test_most_campaigns_are_small_and_some_are_large() -> None:
    """Without a fixed size, half of the campaigns stay below 500 rows and some pass 20,000."""
    sizes = sorted(campaign.recipients for campaign in _world(None, campaigns=400).campaigns)

    assert sizes[200] < 500
    assert sizes[-1] > 20_000


def test_documented_rows_have_the_documented_keys() -> None:
    """The documented form has the ten keys of the published sample, in its order; all values are texts."""
    options = Options(answers=AnswerOptions(names=FieldNames.DOCUMENTED), world=WorldOptions(recipients=30))
    world = World(options, CLIENT)

    rows = list(world.rows(world.campaigns[0].key, "sentcontacts"))

    sample = (
        "phone timezone contactstatus contactemailaddress sent_time lastname sentdate firstname contactid companyname"
    )
    assert all(list(row) == sample.split() for row in rows)
    assert all(isinstance(value, str) for row in rows for value in row.values())
    assert rows[0]["phone"] == "null"


def test_live_names_alternate_by_default() -> None:
    """By default campaigns of odd index have the wider, live rows."""
    world = _world(3, campaigns=2)

    rows = [next(world.rows(campaign.key, "sentcontacts")) for campaign in world.campaigns]

    assert ["contactfn" in row for row in rows] == [False, True]
    assert ["firstname" in row for row in rows] == [True, False]


def test_sent_time_runs_eight_hours_ahead() -> None:
    """A row's sent_time is true UTC plus 8 h, and its sentdate is the account's local minute."""
    world = _world(1, campaigns=1)
    campaign = world.campaigns[0]

    row = next(world.rows(campaign.key, "sentcontacts"))

    assert int(row["sent_time"]) - campaign.sent_ms == 8 * 3600 * 1000
    assert row["sentdate"] == "09 Oct 2025, 02:23 PM"


def test_an_impossible_world_is_refused() -> None:
    """A campaign too large for its contact ids is refused by name."""
    with pytest.raises(ValueError, match=r"world\.recipients"):
        Options(world=WorldOptions(recipients=10_000_000))
