"""Rows as they are kept, from page to partition: a kill neither loses nor doubles one, whatever is left out of them."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from factories import HandClock, job
from paged import Server
from workbench import Recipients, Workbench

from harvester.engine.errand import Ended
from harvester.model import JobState, Page, PageRequest, Row
from harvester.operations.contact_records import ContactRecords
from harvester.store.privacy_notes import begin_reading, privacy_rules
from harvester.zoho.privacy import KEEP_ALL, EmailPolicy, Privacy

HMAC = Privacy(EmailPolicy.HMAC, bytes(32))
RULES = {
    "hmac": HMAC,
    "drop": Privacy(EmailPolicy.DROP),
    "raw = false": Privacy(has_raw=False),
    "hmac, raw = false": replace(HMAC, has_raw=False),
    "nobody left": Privacy(EmailPolicy.DROP, allow_fields=("contact_status",), has_raw=False),
}
ROWS_TOTAL = 200

SETS: dict[str, list[Row]] = {
    "ids and addresses": [
        {"contactid": str(at), "contactemailaddress": f"r{at}@example.org", "contactstatus": "active"}
        for at in range(1, ROWS_TOTAL + 1)
    ],
    "addresses alone": [{"contact_email": f"r{at}@example.org", "n": 2**70 + at} for at in range(1, ROWS_TOTAL + 1)],
    "one address for all": [
        {"contactid": str(at), "contactemailaddress": "all@example.org"} for at in range(1, ROWS_TOTAL + 1)
    ],
}


class Cut:
    """A server whose `number`-th call never comes back: the run is killed meanwhile."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.is_reached = asyncio.Event()

    async def __call__(self, _asked: PageRequest) -> None:
        self.left -= 1
        if not self.left:
            self.is_reached.set()
            await asyncio.Event().wait()


async def killed_at(folder: Path, number: int, rows: Sequence[Row], privacy: Privacy) -> None:
    cut = Cut(number)
    opened = Workbench(folder, Recipients(Server(rows).answer, cut), privacy=privacy)
    begin_reading(opened.database, opened.harvest, privacy.told())
    (claimed,) = opened.claim()
    task = asyncio.create_task(opened.carry_out(claimed))
    await cut.is_reached.wait()
    task.cancel()
    await asyncio.wait([task])
    opened.close()


@pytest.mark.parametrize("rows", SETS.values(), ids=SETS)
@pytest.mark.parametrize("privacy", RULES.values(), ids=RULES)
@pytest.mark.parametrize("number", [2, 3, 4])
async def test_P_03_every_row_is_written_once_over_a_kill(
    tmp_path: Path, number: int, privacy: Privacy, rows: list[Row]
) -> None:
    """Killed after any page, the rows of the part are known again by what was kept of them."""
    await killed_at(tmp_path, number, rows, privacy)

    opened = Workbench(tmp_path, Recipients(Server(rows).answer), run_id="run-2", privacy=privacy)
    (claimed,) = opened.claim()
    assert await opened.carry_out(claimed) == Ended()

    assert [record["position"] for record in opened.records()] == list(range(1, ROWS_TOTAL + 1))
    assert (opened.report().rows, opened.report().duplicates) == (ROWS_TOTAL, 0)
    assert len(opened.recipients.asked) == 4 - (number - 1), "and no page that was stored is asked for again"
    opened.close()


@pytest.mark.parametrize("privacy", [HMAC, replace(HMAC, has_raw=False)], ids=["hmac", "hmac, raw = false"])
async def test_A_17_repeated_contacts_are_known_by_their_pseudonym(tmp_path: Path, privacy: Privacy) -> None:
    """In any case, before and after a kill, in rows without an id."""
    rows = [{"contact_email": f"R{at}@example.org"} for at in range(150)]
    given = [*rows, *({"contact_email": f"r{at}@EXAMPLE.org"} for at in range(30))]
    await killed_at(tmp_path, 3, given, privacy)

    opened = Workbench(tmp_path, Recipients(Server(given).answer), run_id="run-2", privacy=privacy)
    (claimed,) = opened.claim()
    await opened.carry_out(claimed)

    assert (opened.report().rows, opened.report().duplicates) == (150, 30)
    opened.close()


async def test_A_25_unreadable_rows_leave_a_note_and_a_partial_job(tmp_path: Path) -> None:
    """The reply may not be kept: its rows are lost from quarantine, and the job, its path and the note say so."""
    body = b'{"list_of_details": ["ada@example.org"]}'

    def answer(asked: PageRequest) -> Page:
        page = Server([{"contactid": "1"}]).answer(asked)
        return replace(page, unreadable=frozenset({1}), body=body) if page.rows else page

    opened = Workbench(tmp_path, Recipients(answer), privacy=HMAC)
    (claimed,) = opened.claim()
    await opened.carry_out(claimed)
    if opened.report().state is JobState.PENDING:  # a page with unreadable rows is asked for once more
        (claimed,) = opened.claim()
        await opened.carry_out(claimed)

    (reply,) = (path for path in opened.output.rglob("*.reply"))
    assert opened.report().state is JobState.PARTIAL
    assert opened.report().unreadable_rows == 1
    assert json.loads(reply.read_bytes())["bytes"] == len(body)
    opened.close()


async def test_other_rules_begin_half_read_sets_again(tmp_path: Path) -> None:
    """A partition is never of two kinds: after a change of the rules it begins with its first page again."""
    rows = SETS["ids and addresses"]
    await killed_at(tmp_path, 3, rows, KEEP_ALL)
    opened = Workbench(tmp_path, Recipients(Server(rows).answer), run_id="run-2", privacy=HMAC)
    opened.ledger.release(opened.harvest)

    again = [begin_reading(opened.database, opened.harvest, HMAC.told()) for _ in range(2)]
    (claimed,) = opened.claim()
    await opened.carry_out(claimed)

    assert again == [1, 0]
    assert not any("@" in record["email"] for record in opened.records())
    assert len(opened.records()) == ROWS_TOTAL
    assert privacy_rules(opened.database, opened.harvest) == [KEEP_ALL.told(), HMAC.told()]
    opened.close()


async def test_the_same_rules_keep_what_was_read(tmp_path: Path) -> None:
    """A run that goes on as before asks for nothing twice."""
    await killed_at(tmp_path, 3, SETS["ids and addresses"], HMAC)
    opened = Workbench(tmp_path, Recipients(Server([]).answer), run_id="run-2", privacy=HMAC)
    opened.ledger.release(opened.harvest)

    assert begin_reading(opened.database, opened.harvest, HMAC.told()) == 0
    assert len(opened.stored_indices()) == 2
    opened.close()


@pytest.mark.parametrize("privacy", [KEEP_ALL, *RULES.values()], ids=["keep", *RULES])
def test_a_row_is_read_back_as_it_was_kept(privacy: Privacy) -> None:
    """Line and row are two forms of the same thing."""
    records = ContactRecords("run-1", None, HandClock(), privacy)
    (row,) = records.protect(Page(({"contactid": "1", "contact_email": "a@b.example", "x": [2**70]},))).rows

    assert records.row_of_line(records.render(job(), [row], [7])) == (row, 7)
