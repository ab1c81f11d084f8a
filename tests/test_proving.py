"""The sets of a campaign read back from their partitions and held against each other."""

import gzip
import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from factories import DATE, inline, stored_page

from harvester.engine.proof import LAW_ROWS_MAX
from harvester.engine.stop import Stop
from harvester.model import Action, Campaign, Counters, JobState, Published
from harvester.operations import proving
from harvester.store.counters import CounterBook
from harvester.store.database import Database
from harvester.store.laws import CampaignSets
from harvester.store.ledger import Ledger
from harvester.zoho.contacts import contents


def partition(output: Path, action: Action, rows: Sequence[dict[str, Any]]) -> str:
    """Write a partition of these rows; return its path below the output folder."""
    path = output / f"{action}.jsonl.gz"
    lines = [json.dumps({"action": action, **contents(row), "raw": row}).encode() + b"\n" for row in rows]
    path.write_bytes(gzip.compress(b"".join(lines)))
    return path.name


def sets_of(output: Path, rows: int = 10, **contacts: Sequence[dict[str, Any]]) -> CampaignSets:
    paths = {Action[name]: partition(output, Action[name], each) for name, each in contacts.items()}
    return CampaignSets(1, "stamp", paths, rows)


def test_contacts_are_known_again_by_what_identifies_them(tmp_path: Path) -> None:
    """By id, else by address in any case; ids beyond what a double or a machine word holds stay apart."""
    sets = sets_of(
        tmp_path,
        OPENED=[{"contactid": 2**64 + 1}, {"contact_email": "A@example.com"}, {"contactid": "7"}],
        UNOPENED=[{"contactid": 2**64 + 2}, {"contactemailaddress": "a@example.com"}, {"contactid": "8"}],
    )

    assert proving._broken_laws(sets, tmp_path) == ({"openedcontacts apart from unopenedcontacts": 1}, "")


def test_IN_11_a_campaign_with_too_many_rows_is_not_checked_and_that_is_said(tmp_path: Path) -> None:
    """Memory is bounded; what was not looked at is not called good."""
    sets = sets_of(tmp_path, rows=LAW_ROWS_MAX + 1, OPENED=[{"contactid": "1"}], UNOPENED=[{"contactid": "1"}])

    assert proving._broken_laws(sets, tmp_path) == ({}, "1,000,001 rows are more than 1,000,000")


@pytest.mark.parametrize(
    "content",
    [
        *(b"\x1f\x8b cut", b"no gzip", None),
        *map(gzip.compress, (b"{\n", b"\xff\n", b"{}\n", b"[]\n", b'{"raw": 1}\n', b"[" * 100_000 + b"\n")),
    ],
    ids=["cut", "no gzip", "gone", "no JSON", "no UTF-8", "no raw", "a list", "raw is a number", "too deep"],
)
def test_D_09_a_partition_that_cannot_be_read_stops_nothing(tmp_path: Path, content: bytes | None) -> None:
    """Finding damage is the work of verify; here the campaign stays unchecked."""
    sets = sets_of(tmp_path, OPENED=[{"contactid": "1"}], UNOPENED=[{"contactid": "2"}])
    damaged = tmp_path / sets.paths[Action.OPENED]
    damaged.unlink()
    if content is not None:
        damaged.write_bytes(content)

    broken, unchecked = proving._broken_laws(sets, tmp_path)

    assert broken == {}
    assert "harvester verify" in unchecked


async def test_P4_the_word_that_a_date_is_complete_is_withdrawn_before_a_job_is_doubted(tmp_path: Path) -> None:
    """While it stands, every job of the date is done; it is taken back once, and only where there is a doubt."""
    withdrawn: list[int] = []
    with closing(Database(tmp_path / "ledger.sqlite")) as database:
        ledger, counters = Ledger(database, "run-1"), CounterBook(database, "run-1")
        harvest = ledger.open_harvest("acme", DATE)
        ledger.plan(harvest, [Campaign("k")], [Action.SENT])
        (claimed,) = ledger.claim(harvest, 1, now_s=0.0)
        ledger.commit([(claimed.job, stored_page(count=3))], [], [(claimed.job, Published("p", 3, 9, "00"))], 1.0)
        counters.note(harvest, counters.uncounted(harvest, 0, 1)[0][0], Counters({Action.SENT: 9}))
        tools = SimpleNamespace(stop=Stop(), offload_disk=inline, emit=lambda _: None)
        settings = SimpleNamespace(harvest=SimpleNamespace(tolerance_share=0.01))
        bench: Any = SimpleNamespace(
            name="acme", tools=tools, settings=settings, store=SimpleNamespace(database=database, ledger=ledger)
        )

        def withdraw() -> None:
            withdrawn.append(ledger.counts(harvest)[JobState.DONE])

        assert await proving.judge(bench, harvest, withdraw)
        assert not await proving.judge(bench, harvest, withdraw)

    assert withdrawn == [1]
