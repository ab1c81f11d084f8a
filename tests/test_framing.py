"""Framing: of a page only facts and the frame are left."""

from collections.abc import Sequence

import orjson
import pytest
from factories import job, page, request

from harvester.engine.framing import Framing
from harvester.engine.paging import facts_of
from harvester.model import Job, Row


def numbered(job: Job, rows: Sequence[Row], first_position: int) -> bytes:
    """One line for each row: its position, its job's campaign, and the row."""
    return b"".join(
        orjson.dumps([position, job.campaign.key, dict(row)]) + b"\n"
        for position, row in enumerate(rows, start=first_position)
    )


def backwards(lines: bytes) -> bytes:
    return lines[::-1]


FRAMING = Framing(numbered, backwards)


@pytest.mark.parametrize("from_index", [1, 501])
def test_lines_begin_where_the_request_does_and_are_compressed(from_index: int) -> None:
    """The first row of a page has the index that was asked for, and the frame holds all rows in order."""
    asked = page(from_index, 3)

    framed = FRAMING.framed(asked, job(key="k"), request(from_index))

    assert framed.frame == backwards(numbered(job(key="k"), asked.rows, from_index))
    assert framed.facts == facts_of(asked)


def test_page_without_rows_has_no_frame() -> None:
    """An empty page ends a set: nothing is stored, not even an empty frame."""
    framed = FRAMING.framed(page(count=0, code="6303"), job(), request())

    assert framed.frame == b""
    assert (framed.facts.rows, framed.facts.digest, framed.facts.code) == (0, b"", "6303")
