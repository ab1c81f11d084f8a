"""Change files written for real sets on real disks: what is compared with what, when again, and what a kill leaves."""

import hashlib
import json
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from factories import no_umask, rows
from nights import Nights, apply, substances

from harvester.engine.differences import keyed
from harvester.errors import DiskError
from harvester.events import ChangesLeftOut, ChangesWritten
from harvester.model import Job, JobState
from harvester.operations import changing
from harvester.store.change_book import JobChanges
from harvester.store.change_files import ChangeFiles, Drafted
from harvester.store.database import Database
from harvester.store.lock import exclusive
from harvester.store.partitions import Compression
from harvester.store.sorting import sorted_lines


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Nights]:
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        yield Nights(tmp_path, database)


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def left_out(nights: Nights) -> list[str]:
    return [event.reason for event in nights.events if isinstance(event, ChangesLeftOut)]


def counts(nights: Nights, job: Job) -> tuple[int, int, int]:
    changes = nights.changes_of(job)
    return changes.added, changes.removed, changes.changed


@pytest.mark.parametrize("compression", Compression)
async def test_the_files_of_all_nights_rebuild_the_last_set(tmp_path: Path, compression: Compression) -> None:
    """Whatever the compression, and however long the set stood still between two changes."""
    sets = [rows(1, 5), rows(2, 5), rows(2, 5), (), rows(1, 2)]
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        nights = Nights(tmp_path, database, compression)
        jobs = []
        for night, each in enumerate(sets):
            jobs.append(nights.harvested(night, each))
            await nights.compared(night)

        rebuilt: Counter[str] = Counter()
        for job in jobs:
            rebuilt = apply(nights.change_lines(job), rebuilt)

        assert rebuilt == substances(nights.partition_lines(jobs[-1]))
        assert [counts(nights, job) for job in jobs] == [(5, 0, 0), (1, 1, 0), (0, 0, 0), (0, 5, 0), (2, 0, 0)]


async def test_a_change_file_lies_beside_the_partitions_and_the_ledger_knows_it(nights: Nights) -> None:
    """It has a folder of its own, of the same form, is for its owner alone, and is vouched for by size and hash."""
    nights.harvested(0, rows(1, 3))
    job = nights.harvested(1, rows(2, 3), key="Odd/Key")
    with no_umask():
        await nights.compared(1)

    changes = nights.changes_of(job)
    path = nights.output / str(changes.path)
    content = path.read_bytes()

    assert str(changes.path).startswith("changes/account=acme/dt=2026-03-15/action=sentcontacts/odd_key~")
    assert (changes.bytes, changes.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert files_below(nights.output / "_parts") == []


async def test_P_01_a_night_that_was_cut_off_is_made_up_for_by_the_next(nights: Nights) -> None:
    """A run stopped before it compared leaves that to the next one, so that all files together rebuild the last set."""
    nights.harvested(0, rows(1, 3))
    await nights.compared(0)
    cut_off = nights.harvested(1, rows(2, 3))
    last = nights.harvested(2, rows(2, 5))

    await nights.compared(2)

    assert [counts(nights, job) for job in (cut_off, last)] == [(1, 1, 0), (2, 0, 0)]
    manifest = nights.output / "recipients" / "account=acme" / f"dt={nights.date(1)}" / "_manifest.json"
    assert json.loads(manifest.read_bytes())["jobs"][0]["changes"]["added"] == 1


async def test_what_lies_before_the_first_comparison_is_left_to_whoever_asks(nights: Nights) -> None:
    """Changes that are switched on after many nights cost the next run one night's comparison, not all of them."""
    earlier = [nights.harvested(night, rows(1, 3 + night)) for night in range(3)]
    nights.harvested(3, rows(1, 9))

    await nights.compared(3)

    dates = [event.date for event in nights.events if isinstance(event, ChangesWritten)]
    assert dates == [nights.date(3).isoformat()]
    assert list(nights.book.due(nights.of(0), (), lambda *_: True)) != []
    assert len(earlier) == 3


async def test_a_set_that_stands_still_is_noted_without_a_file(nights: Nights) -> None:
    """That it was compared is known, and with what; so it is not read again."""
    nights.harvested(0, rows(1, 3))
    job = nights.harvested(1, rows(1, 3))
    await nights.compared(1)

    changes = nights.changes_of(job)

    assert (changes.path, changes.against) == (None, "2026-03-14")
    assert not (nights.output / "changes").exists()
    assert list(nights.book.due(nights.of(1), (), lambda *_: False)) == []


async def test_a_run_tells_once_what_it_wrote(nights: Nights) -> None:
    """One event for the date, with the contacts of all jobs; none where nothing was left to compare."""
    nights.harvested(0, rows(1, 3))
    nights.harvested(0, rows(1, 2), key="k2")
    await nights.compared(0)
    await nights.compared(0)

    assert nights.events == [ChangesWritten("acme", "2026-03-14", jobs=2, added=5, removed=0, changed=0, left_out=0)]


async def test_a_date_filled_in_later_takes_no_change_from_the_history(nights: Nights) -> None:
    """A gap that is filled by what was read for a later date gets that date's changes, and all files tell the whole."""
    nights.harvested(0, rows(1, 3))
    await nights.compared(0)
    last = nights.harvested(2, rows(1, 5))
    await nights.compared(2)

    filled = nights.carried(1)
    await nights.compared(1)
    await nights.compared(2)

    assert counts(nights, filled) == (2, 0, 0)
    assert counts(nights, last) == (0, 0, 0)


async def test_a_set_carried_from_an_older_date_that_was_read_again_is_compared(nights: Nights) -> None:
    """What came by reading an old date once more is told where it is carried over."""
    first = nights.harvested(0, rows(1, 3))
    await nights.compared(0)
    nights.harvested(1, rows(1, 4))
    await nights.compared(1)
    nights.ledger.requeue(nights.of(0), [JobState.DONE])
    again = nights.harvested(0, rows(1, 6))
    carried = nights.carried(2)

    for night in range(3):
        await nights.compared(night)

    assert first.id == again.id
    assert counts(nights, again)[:2] == (6, 0)
    assert counts(nights, carried)[:2] == (2, 0)


async def test_a_carried_job_has_no_changes_and_stands_for_its_set(nights: Nights) -> None:
    """What follows is compared with the state that it carries, by the date that carried it last."""
    nights.harvested(0, rows(1, 3))
    nights.carried(1)
    job = nights.harvested(2, rows(1, 4))

    await nights.compared(1)
    await nights.compared(2)

    assert [event.date for event in nights.events if isinstance(event, ChangesWritten)] == ["2026-03-16"]
    assert (nights.changes_of(job).against, counts(nights, job)) == ("2026-03-15", (1, 0, 0))


async def test_sets_of_others_are_never_compared_with(nights: Nights) -> None:
    """Only the same campaign and action count as the set of before."""
    nights.harvested(0, rows(1, 3), key="k2")
    job = nights.harvested(1, rows(1, 3))
    await nights.compared(1)

    assert (nights.changes_of(job).against, counts(nights, job)) == (None, (3, 0, 0))


async def test_a_date_harvested_later_than_the_next_one_asks_for_another_comparison(nights: Nights) -> None:
    """A backfill puts a set between two that were compared: else its rows would be told twice."""
    first = nights.harvested(0, rows(1, 2))
    last = nights.harvested(2, rows(1, 4))
    await nights.compared(0)
    await nights.compared(2)
    middle = nights.harvested(1, rows(1, 3))
    await nights.compared(1)
    await nights.compared(2)

    rebuilt: Counter[str] = Counter()
    for job in (first, middle, last):
        rebuilt = apply(nights.change_lines(job), rebuilt)

    assert rebuilt == substances(nights.partition_lines(last))
    assert nights.changes_of(last).against == "2026-03-15"


async def test_a_refreshed_job_is_compared_again_and_its_old_file_goes(nights: Nights) -> None:
    """P4: the new comparison replaces the old one, also where it finds nothing, or compresses in another way."""
    nights.harvested(0, rows(1, 3))
    job = nights.harvested(1, rows(1, 4))
    await nights.compared(1)
    nights.sent_back(1)
    nights.compression = Compression.ZSTD
    nights.harvested(1, rows(1, 5))
    await nights.compared(1)
    (replaced,) = files_below(nights.output / "changes")
    nights.sent_back(1)
    nights.harvested(1, rows(1, 3))
    await nights.compared(1)

    assert replaced.suffix == ".zst"
    assert nights.changes_of(job).path is None
    assert files_below(nights.output / "changes") == []


async def test_a_change_file_that_is_gone_is_written_again(nights: Nights) -> None:
    """As a partition is harvested again that is gone."""
    job = nights.harvested(0, rows(1, 3))
    await nights.compared(0)
    path = nights.output / str(nights.changes_of(job).path)
    path.unlink()
    await nights.compared(0)

    assert len(nights.change_lines(job)) == 3


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def turned(path: Path) -> None:
    path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))


def turned_into_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [Path.unlink, cut, turned, turned_into_folder])
@pytest.mark.parametrize("night", [0, 1], ids=["the old one", "the new one"])
async def test_D_09_D_10_a_damaged_partition_leaves_its_job_out_and_no_other(
    nights: Nights, damage: Callable[[Path], None], night: int
) -> None:
    """It is told by event and ledger, which file it is and what to do; another try is made when it is whole again."""
    nights.harvested(0, rows(1, 3))
    nights.harvested(0, rows(1, 3), key="k2")
    job = nights.harvested(1, rows(1, 4))
    nights.harvested(1, rows(1, 5), key="k2")
    (path,) = (nights.output / "recipients/account=acme" / f"dt={nights.date(night)}").glob("*/k1.jsonl.gz")
    content = path.read_bytes()
    damage(path)
    await nights.compared(1)
    (reason,) = left_out(nights)

    assert nights.changes_of(job).left_out == reason
    assert str(path.relative_to(nights.output)) in reason
    assert "harvester verify --repair" in reason
    assert nights.events[-1] == ChangesWritten("acme", "2026-03-15", 1, added=2, removed=0, changed=0, left_out=1)

    path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
    path.write_bytes(content)
    await nights.compared(1)

    assert counts(nights, job) == (1, 0, 0)


async def test_D_09_a_line_that_is_no_record_leaves_its_job_out(nights: Nights) -> None:
    """Even where the ledger vouches for the bytes: never a traceback."""
    job = nights.harvested(0, rows(1, 3))
    path = next((nights.output / "recipients").rglob("k1.jsonl.gz"))
    content = Compression.GZIP.frame(b'{"raw": 1}\n')
    path.write_bytes(content)
    with nights.database.writing(nights.database.durable) as connection:
        digest = hashlib.sha256(content).hexdigest()
        connection.execute("UPDATE jobs SET bytes = ?, sha256 = ? WHERE id = ?", (len(content), digest, job.id))

    await nights.compared(0)

    assert "a line of it is no record" in (nights.changes_of(job).left_out or "")


@pytest.mark.parametrize("is_renamed", [False, True], ids=["before the rename", "between rename and ledger"])
async def test_D_11_a_kill_at_publishing_costs_the_comparison_and_no_more(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, *, is_renamed: bool
) -> None:
    """The same command writes the file again in its place, and nothing of the first try is left."""
    nights.harvested(0, rows(1, 3))
    job = nights.harvested(1, rows(1, 4))
    publish = ChangeFiles.publish

    def killed(files: ChangeFiles, job: Job, drafted: Drafted | None) -> str | None:
        if is_renamed:
            publish(files, job, drafted)
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(ChangeFiles, "publish", killed)
        with pytest.raises(SystemExit):
            await nights.compared(1)
    assert nights.book.changes_of(job) is None
    assert bool(files_below(nights.output / "changes")) is is_renamed

    await nights.compared(1)

    assert (counts(nights, job), len(nights.change_lines(job))) == ((1, 0, 0), 1)
    assert files_below(nights.output / "_parts") == []


async def test_P3_a_draft_of_a_killed_process_is_cleared_away(nights: Nights) -> None:
    """It holds rows, and stays no longer than until changes of the account are written again."""
    draft = nights.output / "_parts" / "changes.acme.draft"
    draft.parent.mkdir(parents=True)
    draft.write_bytes(b"half a file")

    await nights.compared(0)

    assert not draft.exists()


async def test_a_run_that_is_asked_to_stop_leaves_the_rest_to_the_next(nights: Nights) -> None:
    """What is compared stands; the others are not begun."""
    jobs = [nights.harvested(0, rows(1, 3), key=key) for key in ("k1", "k2")]
    nights.stop.ask("SIGTERM")
    await nights.compared(0)

    assert [nights.book.changes_of(job) for job in jobs] == [None, None]


async def test_a_long_comparison_is_given_up_when_the_run_is_to_stop(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A set of a million rows must not keep a process that is asked to end; nothing half is left."""
    monkeypatch.setattr(changing, "LOOK_UP_ROWS", 10)
    job = nights.harvested(0, rows(1, 100))
    stop = nights.stop

    def stopping(line: bytes, *others: Any) -> bytes:
        stop.ask("SIGTERM")
        return keyed(line, *others)

    monkeypatch.setattr(changing, "keyed", stopping)
    await nights.compared(0)

    assert nights.book.changes_of(job) is None
    assert files_below(nights.output / "_parts") == files_below(nights.output / "changes") == []


async def test_a_set_beyond_memory_is_compared_on_disk(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a chunk of a few rows the answer is the same."""
    monkeypatch.setattr(changing, "sorted_lines", lambda lines, folder: sorted_lines(lines, folder, 2_000))
    old, new = rows(1, 300), tuple({**row, "contactfn": "New"} for row in rows(101, 300))
    nights.harvested(0, old)
    job = nights.harvested(1, new)
    await nights.compared(1)

    assert counts(nights, job) == (100, 100, 200)
    before = Counter(json.dumps(json.loads(line)["before"], sort_keys=True) for line in nights.change_lines(job))
    assert len(before) == 201


async def test_another_process_at_the_same_account_is_left_alone(nights: Nights) -> None:
    """Only one at a time writes the changes of an account; it is told, and nothing is lost."""
    job = nights.harvested(0, rows(1, 3))
    with exclusive(changing.lock_folder(nights.state, "acme")):
        await nights.compared(0)

    assert nights.book.changes_of(job) is None
    (event,) = nights.events
    assert isinstance(event, ChangesLeftOut)
    assert "process" in event.reason


async def test_D_01_a_comparison_that_finds_no_room_is_left_out_and_the_harvest_stands(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was harvested is safe, and worth its manifest: the space that is lacking was needed for a while only."""
    blocked = nights.folder / "blocked"
    blocked.write_bytes(b"")
    monkeypatch.setattr(changing, "sorted_lines", lambda lines, _folder: sorted_lines(lines, blocked, 1))
    job = nights.harvested(0, rows(1, 3))
    await nights.compared(0)

    assert left_out(nights) == [nights.changes_of(job).left_out]
    assert "blocked" in left_out(nights)[0]

    monkeypatch.undo()
    await nights.compared(0)

    assert counts(nights, job) == (3, 0, 0)


async def test_D_06_a_disk_that_refuses_ends_it_with_the_file_named(nights: Nights) -> None:
    """As any trouble of the disk, for the run's last line."""
    nights.harvested(0, rows(1, 3))
    (nights.output / "changes").write_bytes(b"")

    with pytest.raises(DiskError, match="changes"):
        await nights.compared(0)


async def test_a_job_that_is_harvested_again_meanwhile_gets_no_word_of_the_old_comparison(nights: Nights) -> None:
    """The ledger takes the word only for the partition that was compared."""
    job = nights.harvested(0, rows(1, 3))
    (due,) = nights.book.due(nights.of(0), (), lambda *_: True)
    nights.sent_back(0)
    nights.harvested(0, rows(1, 4))

    nights.book.note(due, JobChanges(added=3))

    assert nights.book.changes_of(job) is None


async def test_partial_and_skipped_jobs_are_not_compared(nights: Nights) -> None:
    """A set of which rows are missing would seem to have lost them."""
    job = nights.harvested(0, rows(1, 3))
    with nights.database.writing(nights.database.durable) as connection:
        connection.execute("UPDATE jobs SET state = 'partial' WHERE id = ?", (job.id,))
    await nights.compared(0)
    later = nights.harvested(1, rows(1, 4))
    await nights.compared(1)

    assert nights.book.changes_of(job) is None
    assert nights.changes_of(later).against is None


async def test_a_note_that_makes_no_sense_is_found_out_again(nights: Nights) -> None:
    """A damaged value, or one that a newer version wrote, costs a comparison."""
    job = nights.harvested(0, rows(1, 3))
    await nights.compared(0)
    for note in ("{", '{"unheard": 1}', "7"):
        with nights.database.writing(nights.database.durable) as connection:
            connection.execute("UPDATE jobs SET changes = ? WHERE id = ?", (note, job.id))
        assert nights.book.changes_of(job) is None
        await nights.compared(0)

        assert counts(nights, job) == (3, 0, 0)


async def test_what_a_comparison_wrote_goes_when_the_next_is_left_out(nights: Nights) -> None:
    """Disk and ledger agree: a file of changes against a set that is no more would be loaded by mistake."""
    nights.harvested(0, rows(1, 3))
    job = nights.harvested(1, rows(1, 4))
    await nights.compared(1)
    nights.sent_back(0)
    nights.harvested(0, rows(1, 2))
    next((nights.output / f"recipients/account=acme/dt={nights.date(0)}").rglob("k1.jsonl.gz")).unlink()
    await nights.compared(1)

    assert nights.changes_of(job).left_out
    assert files_below(nights.output / "changes") == []
    assert files_below(nights.output / "_parts") == []
