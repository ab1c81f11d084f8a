"""What the doctor prints: lines, a table, JSON and a last line."""

import io

import orjson
import pytest
from rich.console import Console

from harvester.errors import CredentialsError
from harvester.findings import Finding, Verdict
from harvester.report.diagnosis import MARKS, Diagnosis, last_line, lines, table, to_json, write

OK = Finding("state folder", Verdict.OK, "state can be written")
WARNING = Finding("clock", Verdict.WARNING, "an hour off", "Set it.", account="acme")
PROBLEM = Finding("campaigns", Verdict.PROBLEM, "1007 refused", "Log in.", "acme", CredentialsError)
UNKNOWN = Finding("range", Verdict.UNKNOWN, "no page was seen", account="acme")
ALL = (OK, WARNING, PROBLEM, UNKNOWN)


def test_each_finding_is_a_marked_line() -> None:
    """Mark, whose, what was looked at and seen, and the cure if there is one."""
    assert lines(ALL) == [
        "ok   machine: state folder: state can be written",
        "warn acme: clock: an hour off. Set it.",
        "FAIL acme: campaigns: 1007 refused. Log in.",
        "?    acme: range: no page was seen",
    ]


def test_every_verdict_has_a_mark_of_its_own() -> None:
    """No two verdicts look alike, and none is longer than its column."""
    assert set(MARKS) == set(Verdict)
    assert len(set(MARKS.values())) == len(Verdict)
    assert max(map(len, MARKS.values())) <= 4


@pytest.mark.parametrize(
    ("findings", "told"),
    [
        ((OK,), "nothing is wrong; 4 calls made"),
        ((OK, UNKNOWN), "nothing is wrong, 1 check without an answer; 4 calls made"),
        (ALL, "1 problem, 1 warning, 1 check without an answer; 4 calls made"),
        ((PROBLEM, PROBLEM), "2 problems; 4 calls made"),
    ],
)
def test_the_last_line_says_what_it_came_to(findings: tuple[Finding, ...], told: str) -> None:
    """Problems first, then warnings, then what could not be seen, and the calls of all accounts."""
    assert last_line(Diagnosis(findings, {"acme": 3, "other": 1})) == told


def test_the_json_has_every_finding_and_its_exit_code() -> None:
    """One object on one line; what a problem would end a run with is a number."""
    document = to_json(Diagnosis(ALL, {"acme": 3}))

    report = orjson.loads(document)
    assert document.count(b"\n") == 1
    assert (report["exit_code"], report["calls"]) == (4, {"acme": 3})
    assert [finding["exit_code"] for finding in report["findings"]] == [0, 0, 4, 0]
    assert report["findings"][1] == {
        "check": "clock",
        "verdict": "warning",
        "seen": "an hour off",
        "cure": "Set it.",
        "account": "acme",
        "exit_code": 0,
    }


def test_a_terminal_gets_a_table_and_a_pipe_gets_lines() -> None:
    """The table has a row for each finding, with the words of the lines."""
    console = Console(file=io.StringIO(), width=120, record=True)
    piped = io.StringIO()

    console.print(table(ALL))
    write(piped, Diagnosis(ALL, {}))

    drawn = console.export_text()
    assert all(finding.seen in drawn and finding.check in drawn for finding in ALL)
    assert piped.getvalue().splitlines() == lines(ALL)


def test_S_12_foreign_words_cannot_move_the_terminal() -> None:
    """A server's message may hold escape sequences: they are shown, not done."""
    hostile = Finding("campaigns", Verdict.PROBLEM, "\x1b[2Jgone\n", account="acme", trouble=CredentialsError)
    console = Console(file=io.StringIO(), width=120)

    console.print(table((hostile,)))

    assert "\x1b[2J" not in console.file.getvalue()  # type: ignore[attr-defined]
    assert "\\x1b[2Jgone\\n" in lines((hostile,))[0]
    assert b"\\u001b" not in to_json(Diagnosis((hostile,), {}))
