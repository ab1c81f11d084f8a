"""Framing: of a page only facts and the frame are left."""

from collections.abc import Sequence

import orjson
import pytest
from factories import job, page, request, rows

from harvester.engine.framing import Framing
from harvester.engine.paging import Join, Progress, facts_of
from harvester.model import Job, Page, Row

AT_501 = Progress(next_index=501, pages=1, page_rows=500, last="500")


class Numbered:
    """One line for each row: its position, its job's campaign, and the row; all of it may be kept."""

    def protect(self, page: Page) -> Page:
        return page

    def kept(self, reply: bytes) -> bytes:
        return reply

    def render(self, job: Job, rows: Sequence[Row], positions: Sequence[int]) -> bytes:
        return b"".join(
            orjson.dumps([position, job.campaign.key, dict(row)]) + b"\n"
            for position, row in zip(positions, rows, strict=True)
        )

    def identity(self, row: Row) -> str:
        identity: str = row.get("contactid", "")
        return identity

    def row_of_line(self, line: bytes) -> tuple[Row, int]:
        position, _, row = orjson.loads(line)
        return row, position


def backwards(lines: bytes) -> bytes:
    return lines[::-1]


RECORDS = Numbered()
FRAMING = Framing(RECORDS, backwards)


def positions_of(frame: bytes) -> list[int]:
    return [orjson.loads(line)[0] for line in backwards(frame).splitlines()]


@pytest.mark.parametrize(("progress", "first"), [(Progress(), 1), (AT_501, 501)])
def test_lines_begin_where_the_request_does_and_are_compressed(progress: Progress, first: int) -> None:
    """Each row of a page has the index that was asked for, and the frame holds the new ones in order."""
    asked = request(progress.from_index)
    came = page(progress.from_index, 3)

    framed = FRAMING.framed(came, job(key="k"), asked, progress, {"500"})

    new = [row for row in came.rows if row["contactid"] != "500"]
    assert framed.frame == backwards(RECORDS.render(job(key="k"), new, range(first, first + len(new))))
    assert framed.facts == facts_of(came, asked, progress, {"500"}, RECORDS.identity)[0]
    assert framed.identities == {row["contactid"] for row in new}


def test_A_17_rows_that_are_dropped_leave_gaps() -> None:
    """A row keeps its place in the set, whoever before it is known already."""
    came = Page((*rows(1, 2), *rows(1, 1), *rows(3, 1)))

    framed = FRAMING.framed(came, job(), request(), Progress(), {"2"})

    assert positions_of(framed.frame) == [1, 4]
    assert (framed.facts.new_rows, framed.facts.duplicates) == (2, 2)


def test_A_25_rows_that_cannot_be_read_leave_gaps_and_the_reply() -> None:
    """The neighbours of a damaged row keep their true places, and the reply goes with them for the quarantine."""
    came = Page(rows(1, 3), unreadable=frozenset({0, 2}), body=b"as it came")

    framed = FRAMING.framed(came, job(), request(), Progress(), set())

    assert positions_of(framed.frame) == [2, 4, 5]
    assert (framed.facts.received_rows, framed.facts.new_rows, framed.facts.unreadable_rows) == (5, 3, 2)
    assert framed.reply == b"as it came"


def test_S_15_damaged_row_that_was_kept_before_is_not_kept_twice() -> None:
    """Where the only damaged row is the one that pages share, no second reply with personal data is kept."""
    progress = Progress(next_index=501, pages=1, page_rows=500)
    came = Page(rows(501, 2), unreadable=frozenset({0}), body=b"as it came")

    framed = FRAMING.framed(came, job(), request(500), progress, {"499"})

    assert (framed.facts.unreadable_rows, framed.reply) == (0, b"")


def test_row_that_names_nobody_is_no_memory() -> None:
    """What is remembered of a page are contacts: rows without one are written and forgotten."""
    framed = FRAMING.framed(Page(({"a": 1}, *rows(7, 1))), job(), request(), Progress(), set())

    assert framed.identities == {"7"}
    assert (framed.facts.new_rows, framed.facts.new_contacts) == (2, 1)


def test_A_16_page_that_does_not_join_on_gives_no_frame() -> None:
    """Before the loop has gone back, nothing of a page that may have gaps before it is rendered."""
    framed = FRAMING.framed(page(502, 3), job(), request(500), AT_501, {"500"})

    assert framed.facts.join is Join.APART
    assert (framed.frame, framed.identities) == (b"", frozenset())


def test_A_25_pages_without_a_readable_row_are_told_apart() -> None:
    """A page of which nothing could be read has a digest of its own, by its reply: it is no repeat of another one."""
    damaged = [Page((), unreadable=frozenset({0, 1}), body=body) for body in (b"one", b"two", b"two")]

    one, two, again = (FRAMING.framed(came, job(), request(), Progress(), set()).facts.digest for came in damaged)

    assert b"" != one != two == again


def test_page_without_rows_has_no_frame() -> None:
    """An empty page ends a set: nothing is stored, not even an empty frame."""
    framed = FRAMING.framed(page(count=0, code="6303"), job(), request(), Progress(), set())

    assert framed.frame == b""
    assert (framed.facts.received_rows, framed.facts.digest, framed.facts.code) == (0, b"", "6303")


def test_S_02_framed_page_shows_no_personal_data() -> None:
    """However a framed page gets into a log or an exception, its rows and the reply stay out of it."""
    came = Page(({"contactid": "7", "email": "jane@example.com"},), unreadable=frozenset({1}), body=b"jane@example.com")

    framed = FRAMING.framed(came, job(), request(), Progress(), set())

    assert "jane@example.com" in framed.reply.decode()
    assert "jane" not in repr(framed)
