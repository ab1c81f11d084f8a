"""What a verification came to, for people and for machines."""

import datetime as dt
import io
import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.flaws import REMEDIES, Flaw, FlawKind
from harvester.report.flaws import Verified, flaw_lines, sentences, spans, to_json
from harvester.report.progress import reading_progress

MISSING = Flaw(FlawKind.MISSING, "recipients/k1.jsonl.gz", "it is not there")
STRANGER = Flaw(FlawKind.STRANGER, "recipients/k\x1b[2J.gz", "no job of the ledger accounts for it")


def verified(*flaws: Flaw, **changes: object) -> Verified:
    known = {
        "exit_code": 6 if flaws else 0,
        "harvests": 2,
        "partitions": 18,
        "rows": 1_234,
        "bytes": 56_000,
        "read_elsewhere": 0,
        "passed_over": 0,
        "flaws": flaws,
        "requeued": 0,
        "manifests": 0,
        "commands": (),
        "seconds": 3.0,
    }
    return Verified(**{**known, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", FlawKind)
def test_every_kind_of_flaw_says_what_to_do(kind: FlawKind) -> None:
    """No flaw leaves its reader alone."""
    assert REMEDIES[kind].endswith(".")
    assert Flaw(kind, "", "").remedy == REMEDIES[kind]


def test_each_flaw_is_one_line_that_cannot_move_the_cursor() -> None:
    """Where, what, what to do; a file name is data like any other."""
    lines = flaw_lines([MISSING, STRANGER])

    assert lines[0] == f"recipients/k1.jsonl.gz: it is not there. {MISSING.remedy}"
    assert "\x1b" not in lines[1]


def test_a_flaw_names_all_dates_that_have_the_file() -> None:
    """Days in a row are told as a span, so that a year of nights fits a line."""
    nights = [dt.date(2026, 3, 15) + dt.timedelta(days=days) for days in range(30)]
    flaw = replace(MISSING, dates=tuple(map(str, nights)))

    assert flaw_lines([flaw]) == [
        f"recipients/k1.jsonl.gz: it is not there; also the partition of 2026-03-15 to 2026-04-13. {MISSING.remedy}"
    ]
    assert json.loads(to_json(verified(flaw)))["flaws"][0]["dates"] == list(flaw.dates)


@given(st.sets(st.dates(dt.date(2026, 1, 1), dt.date(2026, 2, 28))))
def test_spans_hold_the_dates_and_no_others(days: set[dt.date]) -> None:
    """Each span is whole, and between two spans a day is missing."""
    told = [span.split(" to ") for span in spans(sorted(map(str, days)))]
    held = [(dt.date.fromisoformat(span[0]), dt.date.fromisoformat(span[-1])) for span in told]

    assert {
        first + dt.timedelta(days=number) for first, last in held for number in range((last - first).days + 1)
    } == days
    assert all(last + dt.timedelta(days=1) < first for (_, last), (first, _) in pairwise(held))


def test_what_is_carried_in_files_that_were_read_is_counted_apart() -> None:
    """A file is read once, however many dates have it."""
    assert (
        "read in 3 s, 1,204 more carried in these files; nothing is wrong"
        in sentences(verified(read_elsewhere=1_204))[0]
    )


def test_the_last_line_says_what_came_of_it() -> None:
    """Sound, not sound, or repaired and what to type next."""
    repaired = verified(MISSING, requeued=1, manifests=1, commands=("harvester run",))

    assert sentences(verified()) == [
        "verified: 18 partitions of 2 harvests, 1,234 rows (56.0 kB), read in 3 s; nothing is wrong"
    ]
    assert sentences(verified(MISSING, passed_over=2))[-1].endswith(
        "2 passed over (not harvested yet); 1 flaw (1 missing)"
    )
    assert sentences(repaired)[-1] == (
        "repaired: 1 manifest written, 1 job sent back; harvest them again with: harvester run"
    )


def test_the_json_has_a_remedy_beside_each_flaw() -> None:
    """A machine reads what a person reads."""
    document = json.loads(to_json(verified(MISSING)))

    assert document["flaws"] == [
        {"kind": "missing", "path": MISSING.path, "what": MISSING.what, "dates": [], "remedy": MISSING.remedy}
    ]
    assert document["exit_code"] == 6


def test_the_bar_is_for_terminals_alone() -> None:
    """A log file gets nothing."""
    out = io.StringIO()

    with reading_progress(out, "verifying", 10) as advance:
        advance(10)

    assert out.getvalue() == ""
