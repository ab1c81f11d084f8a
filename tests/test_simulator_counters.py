"""campaignreports: counters that agree with the rows of the moment, and those that do not."""

from typing import Any

import pytest
from defusedxml.ElementTree import fromstring
from simulated_caller import Caller, caller_of, json_of

from harvester.simulator.counters import ACTION_OF_COUNTER
from harvester.simulator.options import FaultKind, FaultOptions, QuotaOptions, WorldOptions
from harvester.simulator.set_options import CounterFault, CounterOptions, RepeatOptions, Shift, ShiftOptions
from harvester.simulator.world import ACTIONS, Kind

REPORTS = "campaignreports"


def caller_with(campaigns: int = 1, **options: Any) -> Caller:
    world = WorldOptions(campaigns=campaigns, recipients=200, ab_share=options.pop("ab_share", 0.0))
    return caller_of(**({"quota": QuotaOptions(calls=10_000)} | options), world=world)


def report_of(caller: Caller, key: str = "") -> dict[str, str]:
    sections: list[dict[str, str]] = caller.read(REPORTS, campaignkey=key or caller.key())["campaign-reports"]
    return sections[0]


def rows_of(caller: Caller, key: str = "") -> dict[str, str]:
    return {
        counter: str(len(list(caller.world.truth(key or caller.key(), action))))
        for counter, action in ACTION_OF_COUNTER.items()
    }


def wrong(kind: CounterFault, **options: Any) -> Caller:
    return caller_with(counters=CounterOptions(share=1.0, kinds=(kind,), **options))


def test_all_nine_actions_are_counted() -> None:
    """Each action has a counter, and only complaints and spam share one action."""
    assert set(ACTION_OF_COUNTER.values()) == set(ACTIONS)
    assert len(ACTION_OF_COUNTER) == len(ACTIONS) + 1


def test_repeated_rows_count_once() -> None:
    """A contact that a set holds twice is one contact."""
    caller = caller_with(repeats=RepeatOptions(share=1.0))

    report = report_of(caller)

    assert report == report | rows_of(caller)


def test_A_16_counters_of_a_moving_set_are_those_of_the_moment() -> None:
    """After each page that made a contact come, the counter is one higher."""
    caller = caller_with(shifts=ShiftOptions(share=1.0, kinds=(Shift.BACK,)))
    counted = []
    for _ in range(3):
        counted.append(report_of(caller)["emails_sent_count"])
        caller.page()

    assert counted == ["200", "201", "202"]


def test_A_34_a_parents_counters_are_those_of_its_final_send() -> None:
    """Parent and halves are counted each by its own rows."""
    caller = caller_with(campaigns=4, ab_share=1.0)
    parent = caller.world.campaign(caller.key(Kind.AB))

    for key in (parent.key, *parent.child_keys):
        report = report_of(caller, key)

        assert report == report | rows_of(caller, key)


@pytest.mark.parametrize(
    ("kind", "told"), [(CounterFault.BLANK, ""), (CounterFault.NEGATIVE, "-1"), (CounterFault.NULL, "null")]
)
def test_a_counter_may_be_no_count(kind: CounterFault, told: str) -> None:
    """Blank, negative and "null" counters are told for all nine actions."""
    report = report_of(wrong(kind))

    assert {report[counter] for counter in ACTION_OF_COUNTER} == {told}


def test_counters_may_be_missing() -> None:
    """The nine counters are gone, the sum of the bounces is still there."""
    report = report_of(wrong(CounterFault.MISSING))

    assert not ACTION_OF_COUNTER.keys() & report.keys()
    assert report["bounces_count"] == "14"


@pytest.mark.parametrize("off_by", [5, -5])
def test_counters_may_be_off(off_by: int) -> None:
    """Each counter is off by the same number, and none falls below zero."""
    caller = wrong(CounterFault.OFF, off_by=off_by)

    expected = {counter: str(max(0, int(rows) + off_by)) for counter, rows in rows_of(caller).items()}
    report = report_of(caller)

    assert report == report | expected
    assert report["campaign_name"]


def test_opens_may_be_counted_each_time() -> None:
    """Opens and clicks are then more than the contacts that opened and clicked; the others are right."""
    caller = wrong(CounterFault.TOTAL)

    times = caller.world.event_times_ms(caller.key(), "openedcontacts").values()
    report, rows = report_of(caller), rows_of(caller)

    assert report["opens_count"] == str(sum(len(opens) for opens in times))
    assert int(report["unique_clicks_count"]) > int(rows["unique_clicks_count"])
    assert report["emails_sent_count"] == rows["emails_sent_count"]


def test_a_share_of_the_campaigns_is_miscounted() -> None:
    """About half of the campaigns, and each time the same ones."""
    caller = caller_with(campaigns=40, counters=CounterOptions(share=0.5, kinds=(CounterFault.NEGATIVE,)))
    keys = [campaign.key for campaign in caller.world.campaigns]

    told = [[report_of(caller, key)["opens_count"] for key in keys] for _ in range(2)]

    assert told[0] == told[1]
    assert 8 <= told[0].count("-1") <= 32


def test_reports_have_a_quota_of_their_own() -> None:
    """A locked campaignreports leaves the recipients alone."""
    caller = caller_with(quota=QuotaOptions(calls=1))
    report_of(caller)

    assert caller.call(REPORTS, campaignkey=caller.key()).status == 400
    assert caller.page().status == 200


def test_faults_may_be_kept_to_one_endpoint() -> None:
    """6001 comes from campaignreports alone where only that is to be spoiled."""
    faults = FaultOptions(share=1.0, kinds=(FaultKind.RETRY_LATER,), endpoints=(REPORTS,))
    caller = caller_with(faults=faults)

    assert caller.read(REPORTS, campaignkey=caller.key())["code"] == "6001"
    assert json_of(caller.page())["code"] == "0"


def test_reports_are_told_in_xml_too() -> None:
    """The counters stand in XML right below the list's name."""
    caller = caller_with()

    body = caller.call(REPORTS, campaignkey=caller.key(), resfmt="XML").body

    assert fromstring(body).findtext("campaign-reports/fl[@val='emails_sent_count']") == "200"
