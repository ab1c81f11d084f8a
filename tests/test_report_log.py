import errno
import io
import json
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.events import (
    BudgetUsed,
    CampaignsDiscovered,
    Event,
    JobFailed,
    JobPostponed,
    LockoutOpened,
    OutageOpened,
    PageStored,
)
from harvester.report.log import JsonLog
from harvester.report.printable import printable, printable_tree
from harvester.report.quiet import quiet

FAILED = JobFailed("acme", "3z1", "sentcontacts", "6002", "Invalid campaign key", "check the keys", 9)
LOCKED = LockoutOpened("acme", "getcampaignrecipientsdata", 1800.0, "2026-11-22T14:05:00Z", 2, 499)
USED = BudgetUsed("acme", "getcampaignrecipientsdata", 7)
STORED = PageStored("acme", "3z1", "sentcontacts", 1, 500, 80_000)


class BrokenStream(io.StringIO):
    """Takes `room` writes, then fails as a full disk or a closed pipe does."""

    def __init__(self, room: int, error: Exception) -> None:
        super().__init__()
        self.room = room
        self.error = error
        self.attempts = 0

    def write(self, text: str) -> int:
        self.attempts += 1
        if self.attempts > self.room:
            raise self.error
        return super().write(text)


def logged(event: Event, *, is_verbose: bool = False) -> list[dict[str, object]]:
    stream = io.StringIO()
    JsonLog(stream, lambda: 1_795_000_000.25, is_verbose=is_verbose)(event)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_head_and_all_fields() -> None:
    """A line begins with timestamp, level and event; then come all fields of the event."""
    (line,) = logged(FAILED)

    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert line["timestamp"] == "2026-11-18T11:06:40.250Z"
    assert line["event"] == "job.failed"
    assert {key: line[key] for key in asdict(FAILED)} == asdict(FAILED)


@pytest.mark.parametrize(
    ("event", "level"),
    [
        (FAILED, "warning"),
        (LOCKED, "warning"),
        (OutageOpened("acme", "connection refused"), "warning"),
        (CampaignsDiscovered("acme", 3), "info"),
        (JobPostponed("acme", "3z1", "sentcontacts", 1, 2.5, "http-502"), "info"),
    ],
)
def test_levels_follow_what_a_person_should_see(event: Event, level: str) -> None:
    """Failures, lockouts and outages are warnings, the rest is info."""
    assert [line["level"] for line in logged(event)] == [level]


@pytest.mark.parametrize("event", [USED, STORED])
def test_one_line_per_call_is_for_the_verbose_only(event: Event) -> None:
    """Pages and budget use are written only when details are asked for, as debug."""
    assert logged(event) == []
    assert [line["level"] for line in logged(event, is_verbose=True)] == ["debug"]


def test_a_field_never_hides_the_head() -> None:
    """The lockout's level does not replace the line's level."""
    (line,) = logged(LOCKED)

    assert (line["level"], line["lockout_level"]) == ("warning", 2)


@given(st.text(st.characters(exclude_categories=[])))
def test_S_12_server_text_arrives_escaped(reason: str) -> None:
    """Whatever a server sends, the line is one line of JSON and even its unpacked text cannot steer a terminal."""
    stream = io.StringIO()

    JsonLog(stream, lambda: 0.0)(OutageOpened("acme", f"\x1b[2J\x9b31m\r\n\u202e{reason}"))

    (text,) = stream.getvalue().splitlines()
    assert text.isprintable()
    assert json.loads(text)["reason"].isprintable()


@given(st.text())
def test_printable_text_is_left_alone(text: str) -> None:
    """Escaping twice changes nothing, and printable text is not changed at all."""
    assert printable(printable(text)) == printable(text)
    assert not text.isprintable() or printable(text) == text


def test_printable_tree_reaches_keys_and_nested_text() -> None:
    """Keys, lists and nested values are made printable; numbers and null stay."""
    tree = {"a\n": ("\x1b", [1, None, {"b": "\ud800"}])}

    assert printable_tree(tree) == {"a\\n": ["\\x1b", [1, None, {"b": "\\ud800"}]]}


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(errno.ENOSPC, "full"), ValueError("closed")])
def test_P_10_a_broken_stream_goes_silent(error: Exception) -> None:
    """A stream that fails does not stop the run, is not tried again, and keeps what it took."""
    stream = BrokenStream(1, error)
    log = JsonLog(stream, lambda: 0.0)

    for _ in range(4):
        log(FAILED)

    assert stream.attempts == 2
    assert stream.getvalue().count("job.failed") == 1


def test_P_10_a_full_device_does_not_raise() -> None:
    """The error of a real full device, which shows at the flush, is swallowed."""
    stream = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115  closing it is the test

    log = JsonLog(stream, lambda: 0.0)
    log(FAILED)
    log(FAILED)

    with pytest.raises(OSError, match="No space"):
        stream.close()


def test_quiet_stream_reports_the_terminal_of_the_stream() -> None:
    """The wrapper answers as its stream does, and is no terminal once silent."""
    stream = BrokenStream(0, BrokenPipeError())
    stream.isatty = lambda: True  # type: ignore[method-assign]
    wrapped = quiet(stream)

    assert wrapped.isatty()
    assert wrapped.writable()
    assert wrapped.encoding == "utf-8"
    assert wrapped.write("x") == 1
    assert not wrapped.isatty()


def test_closing_the_wrapper_leaves_the_stream_open() -> None:
    """The log does not own stderr."""
    stream = io.StringIO()

    quiet(stream).close()

    assert not stream.closed
