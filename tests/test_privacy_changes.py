"""Change files over nights with different rules: no address of old gets into a new file, and little seems changed."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from nights import Nights
from traced import contact, harvest

from harvester.model import Row
from harvester.store.database import Database
from harvester.store.reading import lines_of
from harvester.zoho.privacy import KEEP_ALL, EmailPolicy, Privacy

HMAC = Privacy(EmailPolicy.HMAC, bytes(32))
ROWS: Sequence[Row] = [contact(number, note=f"r{number}@example.org") for number in range(1, 5)]


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Nights]:
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        yield Nights(tmp_path, database)


async def counts(nights: Nights, before: Privacy, after: Privacy, now: Sequence[Row] = ROWS) -> tuple[int, int, int]:
    """Return what was added, removed and changed between two nights with these rules."""
    harvest(nights, 0, ROWS, before)
    nights.privacy = after
    job = harvest(nights, 1, now, after)
    await nights.compared(1)
    changes = nights.changes_of(job)
    assert changes.left_out is None
    return changes.added, changes.removed, changes.changed


@pytest.mark.parametrize(
    "after", [HMAC, Privacy(EmailPolicy.DROP), Privacy(has_raw=False), Privacy(deny_fields=("phone", "raw.note"))]
)
async def test_stricter_rules_change_no_contact(nights: Nights, after: Privacy) -> None:
    """The older rows are compared as if they had been written under the present rules."""
    assert await counts(nights, KEEP_ALL, after) == (0, 0, 0)


async def test_P5_what_went_away_is_told_without_its_address(nights: Nights) -> None:
    """A removed row is the old one, but as it may be kept now; so is what stood before a change."""
    now = [{**ROWS[0], "firstname": "x"}, *ROWS[1:3], contact(9)]

    assert await counts(nights, KEEP_ALL, HMAC, now) == (1, 1, 1)

    (path,) = nights.output.glob("changes/**/*.jsonl.gz")
    lines = list(lines_of(path))
    assert len(lines) == 3
    assert not any(b"@" in line for line in lines)


async def test_looser_rules_are_another_set(nights: Nights) -> None:
    """What was left out does not come back: each contact is removed once and added once."""
    assert await counts(nights, HMAC, KEEP_ALL) == (4, 4, 0)


async def test_another_key_is_another_set(nights: Nights) -> None:
    """Hashes of two keys say nothing of each other."""
    assert await counts(nights, HMAC, replace(HMAC, key=bytes(range(32)))) == (4, 4, 0)


async def test_raw_again_changes_every_row_once(nights: Nights) -> None:
    """The contacts are known; their rows say more than before."""
    assert await counts(nights, Privacy(has_raw=False), KEEP_ALL) == (0, 0, 4)
