import io
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from harvester.report.sheets import TABLE_ROWS_MAX
from harvester.report.status import (
    BudgetStatus,
    HarvestStatus,
    Status,
    Waiting,
    lines,
    tables,
    to_json,
    write,
)
from harvester.report.summary import Problem

PROBLEM = Problem("3z" + "a" * 64, None, 9, "6002", "Invalid campaign key", "check the keys")
WAITING = Waiting("key-1", "sentcontacts", 12.2, 2, "http-502")
HARVEST = HarvestStatus(
    "acme",
    "2026-11-22",
    {"pending": 3, "running": 2, "done": 1530, "failed": 9},
    45_210,
    3_400_000,
    547,
    (PROBLEM,),
    (WAITING,),
)
BUDGET = BudgetStatus("acme", "getcampaignrecipientsdata", 499, 0, 7.4)
STATUS = Status((HARVEST,), (BUDGET,))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


def drawn(status: Status, width: int = 120) -> str:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=True, color_system=None).print(tables(status))
    return out.getvalue()


def test_plain_lines_hold_everything_between_tabs() -> None:
    """A pipe gets headings and tab-separated cells that `cut` and `awk` can read."""
    assert lines(STATUS) == [
        "# harvests",
        "account\tdate\topen\tdone\tfailed\trows\tsize\tcalls",
        "acme\t2026-11-22\t5\t1,530\t9\t45,210\t3.4 MB\t547",
        "# budgets",
        "account\tendpoint\tused\tfree\tnext call",
        "acme\tgetcampaignrecipientsdata\t499\t0\tin 8 s",
        "# failed",
        "account\tcampaign\taction\tjobs\treason\tremedy",
        "acme\t3zaaaaaaaaaa…\tall\t9\t6002 Invalid campaign key\tcheck the keys",
        "# waiting",
        "account\tcampaign\taction\tdue\tattempts\treason",
        "acme\tkey-1\tsentcontacts\tin 13 s\t2\thttp-502",
    ]


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        (BudgetStatus("acme", "x", 0, 499, 0.0), "now"),
        (BudgetStatus("acme", "x", 499, 0, 900.0, "2026-11-22T14:05:00Z"), "locked until 14:05 UTC"),
    ],
)
def test_the_next_call_is_now_or_after_the_lockout(budget: BudgetStatus, text: str) -> None:
    """A free budget says now; a lockout says its end."""
    assert lines(Status(budgets=(budget,)))[-1].split("\t")[-1] == text


def test_a_job_that_is_due_is_due_now() -> None:
    """A wait that is over is not counted below 0."""
    harvest = HarvestStatus("acme", "2026-11-22", {}, 0, 0, 0, waiting=(Waiting("key", "sentcontacts", -3.0, 1, "x"),))

    assert "\tnow\t" in lines(Status((harvest,)))[-1]


def test_an_empty_state_says_so() -> None:
    """Before the first harvest there is a sentence, not an empty screen."""
    assert lines(Status()) == ["nothing was harvested yet"]
    assert drawn(Status()).strip() == "nothing was harvested yet"


def test_tables_hold_the_same_figures() -> None:
    """What the plain lines tell stands in the tables too."""
    text = drawn(STATUS)

    for part in ("1,530", "45,210", "3.4 MB", "in 8 s", "6002 Invalid campaign key", "check the keys", "in 13 s"):
        assert part in text


@pytest.mark.parametrize("width", [80, 200])
def test_tables_fit_the_terminal(width: int) -> None:
    """No line is wider than the terminal."""
    assert max(map(cell_len, drawn(STATUS, width).splitlines())) <= width


def test_no_figure_is_broken_at_80_columns() -> None:
    """A number or a date of the harvest's line stands whole on a common terminal."""
    (line,) = (line for line in drawn(STATUS, 80).splitlines() if "2026" in line)

    assert line.split() == ["acme", "2026-11-22", "5", "1,530", "9", "45,210", "3.4", "MB", "547"]


@pytest.mark.parametrize("states", [("carried",), ("partial",), ("skipped",), ("carried", "skipped")], ids=", ".join)
def test_rare_states_have_a_column_where_there_are_any(states: tuple[str, ...]) -> None:
    """What was not read, or not all of it, is not counted among what is done, and the line fits a common terminal."""
    rare = Status((replace(HARVEST, jobs={**HARVEST.jobs, **dict.fromkeys(states, 1_760)}),))
    (line,) = (line for line in drawn(rare, 80).splitlines() if "2026" in line)

    assert lines(rare)[1].split("\t")[2:-3] == ["open", "done", *states, "failed"]
    rest = ["9", "45,210", "3.4", "MB", "547"]
    assert line.split() == ["acme", "2026-11-22", "5", "1,530", *["1,760"] * len(states), *rest]


def test_whether_a_date_is_published_is_told_where_dates_are_published() -> None:
    """The column stands only where there is an object store to publish to."""
    told = lines(Status((replace(HARVEST, published=True), replace(HARVEST, date="2026-11-20", published=False))))

    assert told[1].split("\t")[-1] == "published"
    assert [line.split("\t")[-1] for line in told[2:4]] == ["yes", "no"]
    assert "published" not in lines(Status((HARVEST,)))[1]


def test_runs_at_work_are_named() -> None:
    """A table tells which run is at work on which date; it is left out where none is."""
    told = lines(Status((replace(HARVEST, runs_at_work=("r1", "r2")),)))

    begin = told.index("# at work")
    assert told[begin + 1 : begin + 4] == ["account\tdate\trun", "acme\t2026-11-22\tr1", "acme\t2026-11-22\tr2"]
    assert "# at work" not in lines(Status((HARVEST,)))


def test_verdicts_have_a_table_of_their_own() -> None:
    """What the counters say of each date stands in columns; dates that were not counted are left out."""
    judged = replace(HARVEST, verdicts={"proven": 1204, "short": 3, "over": 2, "unknown": 40})

    told = lines(Status((judged, HARVEST)))

    at = told.index("# proof")
    assert told[at + 1 : at + 3] == ["account\tdate\tproven\tshort\tover\tunknown", "acme\t2026-11-22\t1,204\t3\t2\t40"]
    assert told[at + 3].startswith("# ")


def test_long_tables_are_cut_and_say_so() -> None:
    """Hundreds of failures do not scroll the harvest off the screen; nothing is hidden silently."""
    many = HarvestStatus("acme", "2026-11-22", {}, 0, 0, 0, problems=(PROBLEM,) * (TABLE_ROWS_MAX + 3))

    assert drawn(Status((many,))).count("6002") == TABLE_ROWS_MAX
    assert "3 more rows: pipe the output to see all" in drawn(Status((many,)))
    assert "\n".join(lines(Status((many,)))).count("6002") == TABLE_ROWS_MAX + 3


@given(st.text(st.characters(exclude_categories=[])))
def test_S_12_text_of_the_server_breaks_no_table(reason: str) -> None:
    """Escapes, tabs and newlines of foreign text neither steer the terminal nor shift a column."""
    hostile = Waiting("key\t1", "sentcontacts", 1.0, 1, f"\x1b[2J[/red]\n{reason}")
    status = Status((HarvestStatus("acme", "2026-11-22", {}, 0, 0, 0, waiting=(hostile,)),))

    assert lines(status)[-1].count("\t") == 5
    assert all(line.replace("\t", " ").isprintable() for line in lines(status))
    assert all(line.isprintable() for line in drawn(status).splitlines())


def test_a_terminal_gets_tables_and_a_pipe_gets_lines() -> None:
    """`write` chooses by the stream."""
    terminal, pipe = Terminal(), io.StringIO()

    write(terminal, STATUS)
    write(pipe, STATUS)

    assert "─" in terminal.getvalue()
    assert pipe.getvalue().splitlines() == lines(STATUS)


def test_P_10_a_reader_that_left_is_no_error() -> None:
    """`harvester status | head -1` ends quietly."""
    write(Gone(), STATUS)


def test_json_is_one_line_with_stable_keys() -> None:
    """Programs read these keys; a change here is a change for them."""
    text = to_json(STATUS)
    parsed = json.loads(text)

    assert text.count(b"\n") == 1
    assert list(parsed) == ["harvests", "budgets", "lockouts", "erasures"]
    harvest_keys = ["account", "date", "jobs", "rows", "bytes", "calls", "problems", "waiting", "verdicts"]
    assert list(parsed["harvests"][0]) == [*harvest_keys, "published", "runs_at_work"]
    budget_keys = ["account", "endpoint", "calls_used", "calls_free", "next_slot_s", "lockout_until"]
    assert list(parsed["budgets"][0]) == budget_keys
    assert parsed["harvests"][0]["waiting"][0]["due_in_s"] == 12.2
