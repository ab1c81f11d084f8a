"""Every row, each once, over real HTTP from servers that clamp, move, repeat, fail and write oddly."""

import json
import stat
from collections import Counter
from typing import Any

import pytest
from end_to_end.rehearsal import SHORT_CALL_TIMEOUT_S, Rehearsal, Rehearse, assert_is_truth, assert_is_whole

from harvester.engine.paging import OVERLAP_PAGE_ROWS_MIN
from harvester.simulator.options import (
    ALL_FAULTS,
    AnswerOptions,
    FaultOptions,
    NetworkOptions,
    Options,
    PastEnd,
    QuotaOptions,
    TokenOptions,
    WireFault,
    WorldOptions,
)
from harvester.simulator.set_options import Damage, QuirkOptions, RepeatOptions, Shift, ShiftOptions

NO_LIMIT = QuotaOptions(calls=100_000)
"""Clamps of one row and failing calls need many calls; what they meet here is not the limit."""

SPREAD = [(clamp, pages * clamp + off) for clamp, pages in ((1, 40), (7, 9), (20, 6), (50, 4)) for off in (-1, 0, 1)]
LONG = [
    (51, 51 + 50 * 3),
    (52, 52 + 51 * 2 - 1),
    (199, 400),
    (200, 600),
    (499, 997),
    (500, 1_000),
    (501, 999),
    (650, 1_500),
]

EXIT_PARTIAL = 3
EVERY_PAGES = 2
RUNS_MAX = 20
"""A redirect ends a run at once, and some two of them are met on the way; each run goes on where the last one ended."""
OF_THE_RUN = {"harvested_at", "run_id", "raw"}
NOT_IN_XML = {"contact_id", "timezone", "contact_status", "sent_time_ms", "sent_at"}


def unlimited(**sections: Any) -> Options:
    return Options(time_scale=50.0, **{"quota": NO_LIMIT, **sections})


OVER_THE_LIMIT = {"allow_over_documented_limit": True, "admission": "window"}


def jobs_of(rehearsal: Rehearsal) -> dict[tuple[str, str], dict[str, Any]]:
    return {(job["campaign_key"], job["action"]): job for job in rehearsal.manifest()["jobs"]}


@pytest.mark.parametrize("is_echoed", [True, False], ids=["echoed", "silent"])
@pytest.mark.parametrize(("clamp_rows", "recipients"), [*SPREAD, *LONG])
async def test_A_14_A_15_every_row_whatever_the_clamp(
    rehearse: Rehearse, clamp_rows: int, recipients: int, *, is_echoed: bool
) -> None:
    """Clamps of any size, told or not, and sets that end around a page's end: all rows, each once, in order."""
    end = PastEnd.EMPTY_LIST if recipients % 2 else PastEnd.NO_CONTACTS
    answers = AnswerOptions(clamp_rows=clamp_rows, is_clamp_echoed=is_echoed, past_end=end)
    rehearsal = await rehearse(
        unlimited(world=WorldOptions(campaigns=2, recipients=recipients), answers=answers), budget=OVER_THE_LIMIT
    )

    ended = await rehearsal.run()

    assert ended.code == 0, ended.stderr
    assert_is_truth(rehearsal)
    assert_is_whole(rehearsal)
    assert rehearsal.total("calls_wasted") == 0


@pytest.mark.parametrize("kind", list(Shift))
@pytest.mark.parametrize("rows", [1, 40, 150])
async def test_A_16_sets_that_move_are_read_whole_or_said_to_be_shifted(
    rehearse: Rehearse, kind: Shift, rows: int
) -> None:
    """Who was there all the time is there once, and nobody who never was; newcomers missed are said."""
    shifts = ShiftOptions(share=1.0, every_pages=EVERY_PAGES, rows=rows, moves_max=4, kinds=(kind,))
    rehearsal = await rehearse(
        unlimited(world=WorldOptions(campaigns=3, recipients=900), shifts=shifts),
        budget=OVER_THE_LIMIT,
        harvest={"page_size": 100, "counters": False},
    )

    ended = await rehearsal.run("--json")

    assert ended.code in {0, EXIT_PARTIAL}, ended.stderr
    jobs = jobs_of(rehearsal)
    for (key, action), records in rehearsal.harvested().items():
        ids, history = [record["contact_id"] for record in records], rehearsal.world.history(key, action)
        assert len(set(ids)) == len(ids)
        assert history.throughout <= set(ids) <= history.ever
        if kind is Shift.REMOVED:
            assert jobs[key, action]["consistency"] == "steady", "going back mends what removals hide"
        if kind is Shift.FRONT and jobs[key, action]["calls"] > EVERY_PAGES:
            assert jobs[key, action]["consistency"] == "shifted", "newcomers before the reader are missed"


@pytest.mark.parametrize("page_size", [1, 30, 100, 500])
async def test_A_17_repeated_rows_are_written_once_and_counted(rehearse: Rehearse, page_size: int) -> None:
    """A contact that a set names twice stands in the file once, and the manifest tells how many rows were dropped."""
    recipients = 1_100 if page_size > 1 else 60
    options = unlimited(
        world=WorldOptions(campaigns=2, recipients=recipients),
        repeats=RepeatOptions(share=1.0, each=2, page_rows=page_size),
    )
    rehearsal = await rehearse(options, budget=OVER_THE_LIMIT, harvest={"page_size": page_size})

    ended = await rehearsal.run()

    assert ended.code == 0, ended.stderr
    jobs = jobs_of(rehearsal)
    for (key, action), records in rehearsal.harvested().items():
        assert [record["contact_id"] for record in records] == list(rehearsal.world.truth(key, action))
        assert jobs[key, action]["duplicates"] == rehearsal.world.history(key, action).repeats_served
        is_whole = len(records) + jobs[key, action]["duplicates"] < page_size
        assert jobs[key, action]["consistency"] == (
            "steady" if page_size >= OVERLAP_PAGE_ROWS_MIN or is_whole else "unchecked"
        )
    assert sum(job["duplicates"] for job in jobs.values()) > 0


async def test_H_05_U_01_eight_percent_of_calls_fail_in_every_way_and_tokens_live_seconds(rehearse: Rehearse) -> None:
    """With every fault of answers and wire, and tokens that die in mid-run, the harvest converges on the truth."""
    kinds = tuple(kind for kind in ALL_FAULTS if kind is not WireFault.HUGE)  # 100 MB each: shown elsewhere
    options = Options(
        time_scale=50.0,
        seed=8,
        world=WorldOptions(campaigns=12, recipients_max=1_500),
        quota=QuotaOptions(calls=5_000, period_s=100.0),
        faults=FaultOptions(share=0.08, kinds=kinds),
        network=NetworkOptions(latency_s=0.01, drip_s=0.5),
        tokens=TokenOptions(life_s=60.0, creations=100),
    )
    rehearsal = await rehearse(
        options, budget=OVER_THE_LIMIT, harvest={"page_size": 100, "call_timeout_s": SHORT_CALL_TIMEOUT_S}
    )

    for _ in range(RUNS_MAX):
        if (await rehearsal.run()).code == 0:
            break

    assert_is_truth(rehearsal)
    assert_is_whole(rehearsal)
    assert rehearsal.total("lockouts") == 0
    assert rehearsal.total("tokens_issued") > 1


async def test_A_20_A_26_odd_values_are_written_as_they_came(rehearse: Rehearse) -> None:
    """Long ids, numbers, nested objects, strange names, emoji, separators and half surrogates are kept verbatim."""
    options = unlimited(world=WorldOptions(campaigns=3, recipients=400), quirks=QuirkOptions(odd_share=0.3))
    rehearsal = await rehearse(options, budget=OVER_THE_LIMIT)

    ended = await rehearsal.run()

    assert ended.code == 0, ended.stderr
    for (key, action), records in rehearsal.harvested().items():
        assert [record["raw"] for record in records] == list(rehearsal.world.rows(key, action))


@pytest.mark.parametrize("damage", [Damage.INVALID_UTF8, Damage.NAN, Damage.HUGE_NUMBER, Damage.NOT_OBJECT])
async def test_A_25_one_bad_row_never_costs_its_neighbours(rehearse: Rehearse, damage: Damage) -> None:
    """Damaged rows go to quarantine, for their owner alone and listed; all others are written at their own places."""
    options = unlimited(
        world=WorldOptions(campaigns=2, recipients=700), quirks=QuirkOptions(damaged_share=0.01, damages=(damage,))
    )
    rehearsal = await rehearse(options, budget=OVER_THE_LIMIT, harvest={"page_size": 300})

    ended = await rehearsal.run()

    assert ended.code == EXIT_PARTIAL, ended.stderr
    jobs, states = jobs_of(rehearsal), Counter(job["state"] for job in jobs_of(rehearsal).values())
    assert states["partial"] > 0
    assert set(states) <= {"partial", "done"}
    for (key, action), records in rehearsal.harvested().items():
        damaged, job = rehearsal.world.damaged(key, action), jobs[key, action]
        assert [record["raw"] for record in records] == list(rehearsal.world.rows(key, action))
        places = [number for number, name in enumerate(rehearsal.world.truth(key, action), 1) if name not in damaged]
        assert [record["position"] for record in records] == places
        assert (job["unreadable_rows"], job["state"]) == (len(damaged), "partial" if damaged else "done")
        replies = [rehearsal.output / path for path in job["quarantine"]]
        assert bool(replies) == bool(damaged)
        assert [stat.S_IMODE(reply.stat().st_mode) for reply in replies] == [0o600] * len(replies)
    assert rehearsal.manifest()["state"] == "partial"


async def test_json_and_xml_agree_on_every_common_column(rehearse: Rehearse) -> None:
    """The same campaigns harvested in both formats give the same records, but for what a format does not tell."""
    rehearsal = await rehearse(unlimited(world=WorldOptions(campaigns=3, recipients=300)), budget=OVER_THE_LIMIT)
    assert (await rehearsal.run()).code == 0
    as_json = rehearsal.harvested()

    rehearsal.configure(budget=OVER_THE_LIMIT, harvest={"response_format": "xml", "timeline": True})
    assert (await rehearsal.run("--refresh")).code == 0
    as_xml = rehearsal.harvested()

    assert as_json.keys() == as_xml.keys()
    compared: Counter[str] = Counter()
    for job, records in as_json.items():
        for one, other in zip(records, as_xml[job], strict=True):
            assert one.keys() == other.keys()
            common = [name for name in one.keys() - OF_THE_RUN if one[name] is not None and other[name] is not None]
            compared.update(common)
            assert [one[name] for name in common] == [other[name] for name in common], json.dumps([*job, common])
    told = {name for name, count in compared.items() if count}
    assert {"account", "campaign_key", "action", "email", "first_name", "last_name", "position", "sent_date"} <= told


async def test_timeline_brings_every_open_and_click(rehearse: Rehearse) -> None:
    """With `timeline` each opener has all of his opens in `event_times`, and no other set has any."""
    rehearsal = await rehearse(
        unlimited(world=WorldOptions(campaigns=2, recipients=300)),
        budget=OVER_THE_LIMIT,
        harvest={"response_format": "xml", "timeline": True},
    )

    assert (await rehearsal.run()).code == 0

    for (key, action), records in rehearsal.harvested().items():
        if action not in {"openedcontacts", "clickedcontacts"}:
            assert {str(record["event_times"]) for record in records} <= {"None"}
            continue
        events = rehearsal.world.event_times_ms(key, action)
        assert [len(record["event_times"]) for record in records] == [
            len(events[record["email"]]) for record in records
        ]
        assert records
