"""What `harvester explain` shows: the same facts drawn, in lines and as JSON."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from harvester.model import JobState
from harvester.report.explanation import (
    PAGE_LINES_MAX,
    Answer,
    ExplainedPage,
    Explanation,
    alike,
    drawn,
    lines,
    page_line,
    to_json,
    write,
)


def page(number: int = 1, received_rows: int = 500, **changes: int) -> ExplainedPage:
    known: dict[str, object] = {"rows": received_rows, "duplicates": 0, "unreadable_rows": 0, "is_shifted": False}
    return ExplainedPage(number, 1 + 500 * (number - 1), received_rows, **{**known, **changes})  # type: ignore[arg-type]


def explanation(**changes: object) -> Explanation:
    known: dict[str, object] = {
        "account": "acme",
        "date": "2026-03-14",
        "campaign_key": "k1",
        "parent_campaign_key": None,
        "action": "sentcontacts",
        "state": JobState.DONE,
        "because": None,
        "carried_from": None,
        "next_look": None,
        "finished_at": "2026-03-14T02:00:00+00:00",
        "run_id": "run-1",
        "path": "recipients/k1.jsonl.gz",
        "rows": 700,
        "bytes": 12_000,
        "ending": "a page without rows",
        "code": None,
        "reason": None,
        "remedy": None,
        "due_in_s": None,
        "calls": 4,
        "retries": 1,
        "waited_s": 60.0,
        "confirmations": 1,
        "answers": (Answer("0", 3, "a page"), Answer("6001", 1, "error in displaying reports")),
        "pages": (page(1), page(2, 202, rows=200, duplicates=1)),
        "counter_rows": 700,
        "verdict": "proven",
        "is_doubted": False,
        "broken_laws": {},
        "next_step": "Nothing is to be done.",
    }
    return Explanation(**{**known, **changes})  # type: ignore[arg-type]


def told(**changes: object) -> dict[str, list[str]]:
    facts: dict[str, list[str]] = {}
    for line in lines(explanation(**changes))[1:]:
        label, text = line.split("\t")
        facts.setdefault(label, []).append(text)
    return facts


def test_a_job_is_told_in_a_line_for_each_fact() -> None:
    """State, file, end, calls, answers, rows, counters, pages and what to do, in this order."""
    assert lines(explanation()) == [
        "# acme 2026-03-14 sentcontacts k1",
        "state\tdone: its last page was proven last, and its partition is published",
        "when\tpublished 2026-03-14T02:00:00+00:00",
        "when\tlast taken up by run run-1",
        "file\trecipients/k1.jsonl.gz",
        "file\t700 rows, 12.0 kB",
        "end\tproven by a page without rows",
        "calls\t4 calls, 1 of them only to prove the end; tried again 1 time after 1 min of waiting",
        "answers\t3 x 0: a page",
        "answers\t1 x 6001: error in displaying reports",
        "rows\t1 row asked for again, to see that nothing moved",
        "rows\t1 row dropped: their contact was written already",
        "counters\tproven; the campaign's report counts 700",
        "page\t1, from row 1: 500 rows",
        "page\t2, from row 501: 202 rows, 1 known before, 1 dropped as repeated",
        "next\tNothing is to be done.",
    ]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"state": JobState.FAILED, "code": "6002", "reason": "invalid key"}, "failed: 6002 invalid key"),
        ({"state": JobState.SKIPPED, "code": "6601", "reason": "too few"}, "skipped: 6601 too few"),
        ({"state": JobState.PENDING, "pages": ()}, "pending: not harvested yet, 0 pages stored"),
        (
            {"state": JobState.PENDING, "reason": "HTTP 503"},
            "pending: it waits for its next attempt, 2 pages stored: HTTP 503",
        ),
        ({"state": JobState.RUNNING}, "running: a run is at work on it, or was killed while it was"),
        ({"state": JobState.PARTIAL}, "partial: published, but for rows that could not be read and lie in quarantine"),
    ],
)
def test_each_state_is_told_with_its_reason(changes: dict[str, object], why: str) -> None:
    """Whoever asks why a partition is not there reads it in the first line."""
    assert told(**changes)["state"] == [why]


def test_a_carried_set_is_told_with_its_origin_its_reason_and_the_next_look() -> None:
    """Whoever asks why a set was not read tonight reads since when it stands, by what, and until when."""
    facts = told(
        state=JobState.CARRIED,
        because="its counter says 700, as it did before the set was read",
        carried_from="2026-03-01",
        next_look="2026-03-15",
        finished_at=None,
    )

    assert facts["state"] == ["carried: not asked for; its set stands as it was read on 2026-03-01"]
    assert facts["because"] == ["its counter says 700, as it did before the set was read"]
    assert facts["when"] == ["last taken up by run run-1", "a nightly run looks at it again on 2026-03-15"]


def test_a_skipped_job_that_was_not_asked_again_says_when_it_was() -> None:
    """An answer that there is nothing to ask for stands as well until it is looked at again."""
    facts = told(state=JobState.SKIPPED, code="6601", reason="too few", carried_from="2026-03-01")

    assert facts["state"] == ["skipped: 6601 too few; so it was answered on 2026-03-01"]


def test_a_set_that_was_read_says_why() -> None:
    """The reason that the nightly run wrote down stands below the state."""
    assert told(because="its counter moved from 3 to 5")["because"] == ["its counter moved from 3 to 5"]


def test_A_16_a_set_that_moved_is_told() -> None:
    """Nothing doubtful is hidden: the page and what may be missing are named."""
    facts = told(pages=(page(1), page(2, is_shifted=True)))

    assert facts["rows"] == ["the set moved while it was read, and this could not be mended: rows may be missing"]
    assert facts["page"][1].endswith("the set moved before it")


def test_what_is_not_there_has_no_line() -> None:
    """A job without a file, counters or an end is told without empty labels."""
    facts = told(path=None, ending=None, verdict=None, counter_rows=None, run_id=None, finished_at=None, answers=())

    assert not {"file", "end", "counters", "when", "answers"} & facts.keys()


def test_pages_that_are_alike_are_told_together() -> None:
    """A job of 200 equal pages has one line, and a page that differs its own."""
    pages = [page(number) for number in range(1, 201)]

    assert [(each.number, each.pages) for each in alike([*pages, page(201, 12)])] == [(1, 200), (201, 1)]
    assert page_line(alike(pages)[0]) == "1 to 200, from row 1: 500 rows each"


@given(st.lists(st.builds(page, received_rows=st.integers(1, 3), is_shifted=st.booleans())))
def test_no_page_is_lost_by_taking_them_together(pages: list[ExplainedPage]) -> None:
    """Pages and rows stay as many, and each place where the set moved is still told."""
    together = alike(pages)

    assert sum(each.pages for each in together) == len(pages)
    assert sum(each.pages * each.received_rows for each in together) == sum(each.received_rows for each in pages)
    assert sum(each.is_shifted for each in together) >= any(each.is_shifted for each in pages)


def test_the_drawing_has_bars_as_long_as_pages() -> None:
    """A terminal shows the same facts; many different pages are cut, and it says how to see all."""
    out = io.StringIO()
    pages = tuple(page(number, 100 + number) for number in range(1, PAGE_LINES_MAX + 6))

    Console(file=out, width=120).print(drawn(explanation(pages=pages)))

    assert "proven by a page without rows" in out.getvalue()
    assert "█" * 20 in out.getvalue()
    assert "5 more: pipe the output to see all" in out.getvalue()


def test_a_pipe_gets_plain_lines_and_json_the_same_names() -> None:
    """No colours and no frames where nobody looks; the JSON has the names of the attributes."""
    out = io.StringIO()
    write(out, [explanation()])

    assert out.getvalue().splitlines() == lines(explanation())
    document = json.loads(to_json([explanation()]))
    assert document["jobs"][0]["answers"][1] == {"code": "6001", "times": 1, "meaning": "error in displaying reports"}


def test_S_12_a_hostile_reason_cannot_move_the_cursor() -> None:
    """What came from the server is made printable in every form."""
    hostile = explanation(state=JobState.FAILED, code="1", reason="\x1b[2Jgone")
    out = io.StringIO()
    Console(file=out, width=80).print(drawn(hostile))

    assert "\x1b[2J" not in "".join(lines(hostile)) + to_json([hostile]).decode() + out.getvalue()
