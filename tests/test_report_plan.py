"""What a plan shows: plain lines, tables, JSON, and the sentence at the end."""

import io
import json
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from rich.console import Console

from harvester.report.plan import (
    AccountPlan,
    ActionPlan,
    CallRange,
    CampaignPlan,
    CountersPlan,
    JobsPlan,
    Remainder,
    RunPlan,
    lines,
    sentence,
    tables,
    to_json,
    write,
)

KEY = "3z" + "a" * 64
ACME = AccountPlan(
    account="acme",
    campaigns=60,
    jobs=JobsPlan(read=540, carried=12, left_out=3, done=0),
    reasons={"counter moved": 540},
    calls=CallRange(667, 668, 703),
    rows=97_863,
    windows=2,
    calls_free=499,
    ends_at="2026-01-15T02:06:42+00:00",
    ends_at_latest="2026-01-15T02:07:00+00:00",
    locked_until=None,
    actions=(ActionPlan("sentcontacts", 60, CallRange(135, 135, None)),),
    largest=(CampaignPlan(KEY, "Spring \x1b[2J", 9, 37),),
    counters=CountersPlan(told=58, missing=2, trouble="6607 no privilege"),
)
PLAN = RunPlan("nightly", "2026-01-15", (ACME,))


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Shown times are local: here UTC."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def test_plain_lines_hold_everything_between_tabs() -> None:
    """A pipe gets headings and tab-separated cells."""
    shown = lines(PLAN)

    assert shown[:3] == [
        "# nightly 2026-01-15",
        "account\tcampaigns\tread\tcarried\tleft out\tdone\trows\tcalls\trange\twindows\tfree now\tends",
        "acme\t60\t540\t12\t3\t0\t97,863\t668\t667 - 703\t2\t499\t2026-01-15 02:06 UTC",
    ]
    assert "acme\tsentcontacts\t60\t135\t135 - ?" in shown
    assert "acme\t58\t2\t6607 no privilege" in shown


def test_S_12_a_campaigns_name_steers_no_terminal() -> None:
    """Names come from the account, and may hold escape sequences."""
    assert "acme\t3zaaaaaaaaaa…\tSpring \\x1b[2J\t9\t37" in lines(PLAN)
    out = io.StringIO()
    Console(file=out, width=160, force_terminal=True, color_system=None).print(tables(PLAN))

    assert "\x1b[2J" not in out.getvalue()
    assert b"\\u001b" not in to_json(PLAN)


def test_json_has_all_of_it_with_its_derived_figures() -> None:
    """One object: the plan, when it ends, and whether that is in time."""
    document = json.loads(to_json(PLAN))

    assert (document["command"], document["date"], document["is_in_time"]) == ("nightly", "2026-01-15", None)
    assert document["ends_at"] == ACME.ends_at
    assert document["accounts"][0]["calls"] == {"low": 667, "likely": 668, "high": 703}
    assert document["accounts"][0]["largest"][0]["campaign_key"] == KEY


def test_the_last_account_ends_the_run() -> None:
    """Accounts go side by side."""
    later = replace(ACME, account="beta", ends_at="2026-01-15T03:00:00+00:00")

    assert RunPlan("run", "2026-01-15", (later, ACME)).ends_at == later.ends_at
    assert RunPlan("run", "2026-01-15", ()).ends_at is None


@pytest.mark.parametrize(
    ("left", "is_in_time", "words"),
    [(Remainder(0, 0), True, "which is in time"), (Remainder(169, 137), False, "169 calls of 137 jobs would be left")],
)
def test_a_deadline_is_met_or_what_is_left_is_told(left: Remainder, is_in_time: bool, words: str) -> None:  # noqa: FBT001
    """In the sentence and in the JSON."""
    plan = replace(PLAN, accounts=(replace(ACME, left=left),), deadline="2026-01-15T02:05:00+00:00")

    assert plan.is_in_time is is_in_time
    assert sentence(plan) == (
        "nightly of 2026-01-15 would read 540 sets with 668 calls and end at 2026-01-15 02:06 UTC;"
        f" the deadline is 2026-01-15 02:05 UTC, {'and ' if not is_in_time else ''}{words}"
    )


def test_a_night_without_a_call_has_no_end() -> None:
    """Where nothing is to be read, no time is named."""
    idle = replace(ACME, jobs=JobsPlan(0, 540, 0, 0), reasons={}, calls=CallRange(0, 0, 0), actions=(), largest=())

    assert sentence(RunPlan("nightly", "2026-01-15", (idle,))) == "nightly of 2026-01-15 would read 0 sets with 0 calls"
    assert lines(RunPlan("nightly", "2026-01-15", (idle,)))[2].endswith("no call")


def test_a_stream_that_breaks_is_left() -> None:
    """A reader that goes away ends nothing."""
    tried: list[str] = []

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            tried.append(text)
            raise BrokenPipeError

    write(Gone(), PLAN)

    assert tried != []
