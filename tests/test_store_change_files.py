"""Change files as verification and the manifest see them."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from factories import rows
from nights import Nights

from harvester.flaws import FlawKind
from harvester.store.change_files import change_flaws
from harvester.store.database import Database
from harvester.store.manifest import write_manifest
from harvester.store.partitions import Compression


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Nights]:
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        yield Nights(tmp_path, database)


def flaws(nights: Nights, night: int = 0) -> list[tuple[FlawKind, str]]:
    return [(flaw.kind, flaw.path) for flaw in change_flaws(nights.output, nights.book, nights.of(night))]


@pytest.mark.parametrize("compression", Compression)
async def test_what_was_written_is_sound(tmp_path: Path, compression: Compression) -> None:
    """Nothing is wrong with change files as a run leaves them."""
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        nights = Nights(tmp_path, database, compression)
        nights.harvested(0, rows(1, 3))
        await nights.compared(0)

        assert flaws(nights) == []


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes())),
    ],
    ids=["gone", "cut", "changed"],
)
async def test_L_09_D_10_a_listed_file_that_is_not_what_was_written_is_found(
    nights: Nights, damage: Callable[[Path], object]
) -> None:
    """And what it says to do mends it: remove it, and have it written again."""
    job = nights.harvested(0, rows(1, 3))
    await nights.compared(0)
    path = nights.output / str(nights.changes_of(job).path)
    damage(path)

    assert flaws(nights) == [(FlawKind.CHANGES, nights.changes_of(job).path)]

    path.unlink(missing_ok=True)
    await nights.compared(0)

    assert flaws(nights) == []


async def test_files_that_no_job_accounts_for_are_found(nights: Nights) -> None:
    """Also one of a set that stood still, and one under another compression."""
    nights.harvested(0, rows(1, 3))
    await nights.compared(0)
    nights.harvested(1, rows(1, 3))
    await nights.compared(1)
    for night, name in ((0, "k1.jsonl"), (0, "k9.jsonl.gz"), (1, "k1.jsonl.gz")):
        path = nights.output / f"changes/account=acme/dt={nights.date(night)}/action=sentcontacts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")

    assert [Path(path).name for kind, path in flaws(nights) if kind is FlawKind.STRANGER] == ["k1.jsonl", "k9.jsonl.gz"]
    assert [kind for kind, _ in flaws(nights, 1)] == [FlawKind.STRANGER]


async def test_a_file_that_the_ledger_does_not_know_of_yet_is_no_flaw(nights: Nights) -> None:
    """A process that died between the rename and the ledger's word leaves one, and the next writes it again."""
    job = nights.harvested(0, rows(1, 3))
    await nights.compared(0)
    with nights.database.writing(nights.database.durable) as connection:
        connection.execute("UPDATE jobs SET changes = NULL WHERE id = ?", (job.id,))

    assert flaws(nights) == []


async def test_the_manifest_tells_the_changes_of_each_job(nights: Nights) -> None:
    """All that the comparison found, or null while there was none."""
    nights.harvested(0, rows(1, 3))
    await nights.compared(0)
    nights.harvested(0, rows(1, 3), key="k2")

    manifest = json.loads(write_manifest(nights.output, nights.ledger, nights.of(0), "now").read_bytes())
    told = {job["campaign_key"]: job["changes"] for job in manifest["jobs"]}

    assert told["k2"] is None
    assert [told["k1"][name] for name in ("added", "removed", "changed")] == [3, 0, 0]
    assert (told["k1"]["against"], told["k1"]["left_out"]) == (None, None)
    assert (nights.output / told["k1"]["path"]).stat().st_size == told["k1"]["bytes"]
