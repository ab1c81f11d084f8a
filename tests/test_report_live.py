import io
import json

import pytest
from rich.console import Console

from harvester.events import (
    BudgetHeld,
    BudgetUsed,
    CampaignsDiscovered,
    DrainStarted,
    Event,
    HarvestFinished,
    HarvestStarted,
    JobFailed,
    JobStarted,
    LockoutOpened,
    OutageOpened,
    PageStored,
)
from harvester.report.frame import ACCOUNTS_SHOWN_MAX, FRAME_COLUMNS_MAX, frame
from harvester.report.live import LiveView, choose
from harvester.report.tally import RECIPIENTS_ENDPOINT, Tally

STARTED = HarvestStarted("acme", "2026-11-22", "run-1", 540, 540)
HELD = BudgetHeld("acme", RECIPIENTS_ENDPOINT, 12.0)


class Terminal(io.StringIO):
    """A stream that says it is a terminal; `breaks` makes each write fail, as after a lost connection."""

    def __init__(self, *, breaks: bool = False) -> None:
        super().__init__()
        self.breaks = breaks

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.breaks:
            raise OSError
        return super().write(text)


class Hand:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def tally_of(*events: Event, now_s: float = 100.0) -> Tally:
    tally = Tally(calls=500, period_s=300.0)
    for event in events:
        tally.fold(event, now_s)
    return tally


def drawn(tally: Tally, now_s: float = 100.0, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=True, color_system=None).print(frame(tally, now_s, width))
    return out.getvalue()


def test_nothing_yet_is_said() -> None:
    """Before the first event the view is not empty."""
    assert "starting" in drawn(tally_of())


def test_discovery_is_seen_before_the_plan_stands() -> None:
    """While campaigns are listed, their number moves."""
    assert "planning, 120 campaigns so far" in drawn(tally_of(CampaignsDiscovered("acme", 120)))


def test_the_picture_has_what_a_person_asks_for() -> None:
    """Account, date, jobs, rows, size, calls, calls free and time stand in the picture."""
    events = [
        STARTED,
        JobStarted("acme", "key", "sentcontacts", 1),
        BudgetUsed("acme", RECIPIENTS_ENDPOINT, 499),
        PageStored("acme", "key", "sentcontacts", 1, 1234, 3_400_000),
        JobFailed("acme", "other", "sentcontacts", "6002", "Invalid campaign key.", "check the keys", 54),
    ]
    text = drawn(tally_of(*events), now_s=225.0)

    for part in (
        "acme · 2026-11-22",
        "54 of 540  10 %  54 failed",
        "499 of 500 free",
        "1,234 rows · 3.4 MB · 1 call made · 1 job in hand",
        "2 min 5 s so far",
        "! acme: campaign other, 54 jobs given up: 6002 Invalid campaign key - check the",
    ):
        assert part in text


def test_the_time_left_is_shown_once_known() -> None:
    """With jobs closed at a known rate, the view names the time left."""
    tally = tally_of(STARTED)
    for second in range(1, 10):
        failed = JobFailed("acme", f"key-{second}", "sentcontacts", "6002", "", "", 9)
        tally.fold(failed, 100.0 + second)

    assert "about 51 s left" in drawn(tally, now_s=109.0)


def test_a_countdown_moves_while_no_event_comes() -> None:
    """The wait is computed when the picture is drawn, not when the event came."""
    tally = tally_of(STARTED, HELD)

    assert "next call in 12 s" in drawn(tally, now_s=100.0)
    assert "next call in 5 s" in drawn(tally, now_s=107.5)
    assert "0 of 500 free" in drawn(tally, now_s=113.0)


def test_a_lockout_is_shown_whole_at_80_columns() -> None:
    """The end of the lockout and its countdown are not cut; when the probe is out, that is said."""
    tally = tally_of(STARTED, LockoutOpened("acme", RECIPIENTS_ENDPOINT, 1799.0, "2026-11-22T14:05:00Z", 1, 499))

    assert "LOCKED until 14:05 UTC (29 min 59 s)" in drawn(tally, now_s=100.0)
    assert "LOCKED until 14:05 UTC (1 s)" in drawn(tally, now_s=1898.5)
    assert "LOCKED, trying one call" in drawn(tally, now_s=1900.0)


def test_an_outage_and_a_drain_are_shown() -> None:
    """What stops the progress is named where one looks for the progress."""
    assert "no server answers, trying" in drawn(tally_of(STARTED, OutageOpened("acme", "refused")))
    assert "so far · stopping" in drawn(tally_of(STARTED, DrainStarted("acme", "SIGTERM")))


def test_the_last_picture_says_how_it_ended() -> None:
    """After the end time stands still and no wait is counted down."""
    tally = tally_of(STARTED, HELD)
    tally.fold(HarvestFinished("acme", "2026-11-22", 540, 0, 0, 0, 1234, 540), 160.0)
    text = drawn(tally, now_s=105.0)

    assert "540 of 540  100 %" in text
    assert "ended after 1 min" in text
    assert "next call" not in text


def test_the_end_of_a_harvest_that_never_began_is_drawn() -> None:
    """A harvest that ends without a plan has no duration."""
    assert "ended " in drawn(tally_of(HarvestFinished("acme", "2026-11-22", 0, 0, 0, 0, 0, 0)))


@pytest.mark.parametrize("width", [80, 200])
def test_the_picture_is_as_wide_as_it_needs(width: int) -> None:
    """All lines of a panel have one width: the terminal's, but no more than the eye follows."""
    lines = drawn(tally_of(STARTED, HELD), width=width).splitlines()

    assert {len(line) for line in lines} == {min(width, FRAME_COLUMNS_MAX)}


def test_many_accounts_do_not_flood_the_terminal() -> None:
    """Accounts beyond the bound are one line, and the harvests that still run come first."""
    starts = [HarvestStarted(f"account-{number}", "2026-11-22", "run-1", 10, 10) for number in range(9)]
    tally = tally_of(*starts, HarvestFinished("account-0", "2026-11-22", 10, 0, 0, 0, 5, 10))
    text = drawn(tally)

    assert text.count("2026-11-22") == ACCOUNTS_SHOWN_MAX
    assert "account-0 " not in text
    assert "+ 5 more accounts; in all 10 of 90 jobs, 0 rows" in text


def test_S_12_markup_and_escapes_of_the_server_are_shown_not_obeyed() -> None:
    """Server text appears as it is written, escapes as their names."""
    outage = OutageOpened("acme", "[red]x[/red] \x1b[31m")
    lockout = LockoutOpened("beta", RECIPIENTS_ENDPOINT, 60.0, "[b]\x1b[2J", 1, 499)
    text = drawn(tally_of(outage, lockout), width=200)

    assert "[red]x[/red] \\x1b[31m" in text
    assert "LOCKED until [b]\\x1b[2J (1 min)" in text
    assert "\x1b" not in text


def test_the_live_view_draws_on_its_console_and_leaves_the_last_picture() -> None:
    """Within the context events are shown; at the end the last picture stays in the scroll-back."""
    terminal, now = Terminal(), Hand()
    console = Console(file=terminal, width=80)

    with LiveView(console, tally_of(), now) as view:
        view(STARTED)
        view(HarvestFinished("acme", "2026-11-22", 540, 0, 0, 0, 1234, 540))

    last = terminal.getvalue().rsplit("╭", 1)[-1]
    assert "540 of 540" in last
    assert "\x1b[?1049" not in terminal.getvalue()  # the other screen, which would take the picture away
    assert terminal.getvalue().endswith("\x1b[?25h")  # the cursor is back


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR set no colour is sent to the terminal."""
    monkeypatch.setenv("NO_COLOR", "1")
    terminal, now = Terminal(), Hand()

    with choose(terminal, tally_of(), now, lambda: 0.0) as emit:
        emit(STARTED)
        emit(OutageOpened("acme", "refused"))

    assert "\x1b[3" not in terminal.getvalue()
    assert "no server answers" in terminal.getvalue()


def test_a_terminal_gets_the_live_view() -> None:
    """On a terminal the picture is drawn, and the tally is folded."""
    terminal, now, tally = Terminal(), Hand(), tally_of()

    with choose(terminal, tally, now, lambda: 0.0) as emit:
        emit(STARTED)

    assert "╭" in terminal.getvalue()
    assert tally.total.jobs == 540


@pytest.mark.parametrize(
    ("is_terminal", "term", "is_verbose"),
    [(False, "xterm", False), (True, "dumb", False), (True, "xterm", True)],
)
def test_everything_else_gets_json_lines(
    monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool, term: str, is_verbose: bool
) -> None:
    """A pipe, a dumb terminal and a wish for details get the log without animation; the tally is folded too."""
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("FORCE_COLOR", "1")
    stream, now, tally = Terminal() if is_terminal else io.StringIO(), Hand(), tally_of()

    with choose(stream, tally, now, lambda: 0.0, is_verbose=is_verbose) as emit:
        emit(STARTED)

    assert json.loads(stream.getvalue())["event"] == "harvest.started"
    assert tally.total.jobs == 540


def test_P_10_a_terminal_that_goes_away_does_not_stop_the_run() -> None:
    """A lost connection silences the view; events are folded on."""
    terminal, now, tally = Terminal(breaks=True), Hand(), tally_of()

    with choose(terminal, tally, now, lambda: 0.0) as emit:
        emit(STARTED)

    assert tally.total.jobs == 540
