"""What `harvester publish` tells: a table, a last line, JSON; and its progress."""

import io
import json

import pytest

from harvester.events import PublishFinished, PublishStarted, PublishStored
from harvester.report.progress import publishing_progress
from harvester.report.publishing import DateLine, PublishReport, sentences, to_json, write


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


DATES = (
    DateLine("acme", "2026-01-14", "complete", 55, 260_200, 1),
    DateLine("acme", "2026-01-15", "running", left_out="its run has not come to its end"),
)
REPORT = PublishReport(75, "s3://lake/zoho", DATES, None, None, 2.0)


def test_lines_for_a_pipe() -> None:
    """A heading, the columns, a line for each date."""
    out = io.StringIO()
    write(out, REPORT)

    assert out.getvalue().splitlines() == [
        "# published",
        "account\tdate\tstate\tfiles\tsize\tremoved\tleft out",
        "acme\t2026-01-14\tcomplete\t55\t260.2 kB\t1\t",
        "acme\t2026-01-15\trunning\t0\t0 B\t0\tits run has not come to its end",
    ]


def test_the_last_line_says_what_was_done() -> None:
    """Dates, files and place; what was left out stands before it."""
    assert sentences(REPORT) == [
        "acme 2026-01-15: its run has not come to its end",
        "published: 1 date (55 files, 260.2 kB) to s3://lake/zoho in 2 s",
    ]


def test_nothing_to_do_is_said() -> None:
    """The second command of a night is no puzzle."""
    assert sentences(PublishReport(0, "s3://lake", (), None, None, 0.1)) == ["nothing was to be published to s3://lake"]


def test_trouble_comes_last_with_its_remedy() -> None:
    """What happened, and what to do."""
    report = PublishReport(4, "s3://lake", (), "s3://lake: the store does not let us in.", "Check the rights.", 0.1)

    assert sentences(report)[-1] == "stopped: s3://lake: the store does not let us in. Check the rights."


def test_json_is_one_line_with_stable_keys() -> None:
    """Programs read it."""
    parsed = json.loads(to_json(REPORT))

    assert list(parsed) == ["exit_code", "url", "dates", "trouble", "remedy", "seconds"]
    assert list(parsed["dates"][0]) == ["account", "date", "state", "files", "bytes", "removed", "left_out"]


def test_the_progress_is_a_bar_on_a_terminal_and_lines_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long uploads are seen to move; what the log says is what a run says."""
    events = [
        PublishStarted("acme", "2026-01-14", 1, 10),
        PublishStored("acme", "2026-01-14", "recipients/x", 10),
        PublishFinished("acme", "2026-01-14", 1, 10, 0),
        PublishFinished("acme", "2025-01-14", 0, 0, 3),
    ]
    monkeypatch.setenv("TERM", "xterm")
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        with publishing_progress(stream, lambda: 0.0) as emit:
            for event in events:
                emit(event)

    told = [json.loads(line)["event"] for line in pipe.getvalue().splitlines()]
    assert told == ["publish.started", "publish.finished", "publish.finished"]
    assert "publishing acme 2026-01-14" in terminal.getvalue()
