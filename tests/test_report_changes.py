"""What `harvester changes` prints."""

import io
import json

from harvester.events import ChangesLeftOut
from harvester.report.attention import attend
from harvester.report.changes import ActionLine, ChangesReport, lines, sentences, to_json, write

REPORT = ChangesReport(
    exit_code=6,
    written=1_200,
    left_out=["recipients/k\x1b[2J.gz: it is not there"],
    actions=[ActionLine("acme", "2026-03-14", "sentcontacts", 1_200, 12_345, 0, 7, 1)],
    seconds=3.0,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_numbers_are_grouped_and_cells_parted_by_tabs() -> None:
    """Lines for a pipe have a heading and a cell for each column."""
    assert lines(REPORT)[1].split("\t") == ["acme", "2026-03-14", "sentcontacts", "1,200", "12,345", "0", "7", "1"]


def test_a_terminal_gets_a_table() -> None:
    """Each number stands in it."""
    terminal = Terminal()

    write(terminal, REPORT)

    assert "12,345" in terminal.getvalue()
    assert "\t" not in terminal.getvalue()


def test_S_12_nothing_that_is_printed_can_move_the_cursor() -> None:
    """Names come from campaign keys, and so from the server."""
    assert all("\x1b" not in line for line in sentences(REPORT))
    assert json.loads(to_json(REPORT))["left_out"] == ["recipients/k\\x1b[2J.gz: it is not there"]


def test_a_comparison_that_was_left_out_is_noticed_once_however_many_they_are() -> None:
    """On a terminal it stands under the live view, with what to do."""
    events = [
        ChangesLeftOut("acme", "2026-03-14", key, "sentcontacts", f"{key}.gz: it is gone") for key in ("k1", "k2")
    ]

    (notice,) = attend(attend((), events[0]), events[1])

    assert str(notice) == "acme: not compared: k2.gz: it is gone (and 1 more)"


def test_the_last_line_tells_what_was_done() -> None:
    """How many jobs, how long, and what is missing."""
    assert sentences(REPORT)[-1] == "compared: 1,200 jobs in 3 s, 1 job left out"
