"""Carried partitions are verified like others: a file is read once, and its flaw is told for all dates that have it."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from factories import DATE
from harvested import KEYS, RULES, Harvested, carried, harvested

from harvester.flaws import FlawKind
from harvester.model import Action, Campaign, GivenUp, Harvest, JobState
from harvester.snapshot import Carry
from harvester.store import verification
from harvester.store.database import Database
from harvester.store.entries import Entries
from harvester.store.inspection import Expected, RecordRules, flaw_of
from harvester.store.verification import Step, Verification, requeue

OWN_FILES = (Carry.HARDLINK, Carry.COPY)


@pytest.fixture
def done(tmp_path: Path) -> Iterator[Harvested]:
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        yield harvested(tmp_path, database)


def steps(done: Harvested, *dates: dt.date, is_beside_a_run: bool = False) -> list[Step]:
    """Verify these dates alone, or all of them, the newest first as the command does."""
    entries = Entries(done.database)
    verifying = Verification(entries, done.output, RULES, lambda _: is_beside_a_run, has_all_dates=not dates)
    chosen = [harvest for harvest in entries.harvests() if not dates or harvest.date in dates]
    return [step for harvest in chosen for step in verifying.steps(harvest)]


def flaws(steps: list[Step]) -> list[tuple[FlawKind, str, tuple[str, ...]]]:
    return [(step.flaw.kind, Path(step.flaw.path).name, step.flaw.dates) for step in steps if step.flaw]


def suspects(steps: list[Step]) -> list[tuple[str, str]]:
    return [
        (suspect.job.campaign.key, suspect.job.date.isoformat()[-2:]) for step in steps for suspect in step.suspects
    ]


def states(done: Harvested) -> dict[str, list[str]]:
    """The states of the jobs of each date, by its day."""
    return {
        harvest.date.isoformat()[-2:]: [job.state.value for job in done.ledger.jobs(harvest)]
        for harvest in sorted(done.ledger.harvests(), key=lambda each: each.date)
    }


@pytest.fixture
def read_files(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often each file is read."""
    read: Counter[str] = Counter()

    def counting(output: Path, expected: Expected, rules: RecordRules) -> object:
        read[expected.published.path] += 1
        return flaw_of(output, expected, rules)

    monkeypatch.setattr(verification, "flaw_of", counting)
    return read


@pytest.mark.parametrize("carry", Carry)
def test_a_carried_date_is_sound(done: Harvested, carry: Carry) -> None:
    """Whatever the way of carrying, alone or with the others: nothing is wrong, and no file is a stranger."""
    night = carried(done, carry=carry)

    assert flaws(steps(done)) == flaws(steps(done, night.harvest.date)) == []
    assert states(done)["15"] == ["carried"] * len(KEYS)


def test_a_file_of_many_dates_is_read_once(done: Harvested, read_files: Counter[str]) -> None:
    """Thirty nights that refer to one file cost one reading; what is not read again is counted."""
    for days in range(1, 31):
        carried(done, days)

    found = steps(done)

    assert set(read_files.values()) == {1}
    assert (sum(step.partitions for step in found), sum(step.read_elsewhere for step in found)) == (3, 90)


def test_a_date_by_itself_is_read_whole(done: Harvested, read_files: Counter[str]) -> None:
    """Where one date is chosen nobody else reads its files for it."""
    night = carried(done)

    found = steps(done, night.harvest.date)

    assert sum(step.partitions for step in found) == len(read_files) == len(KEYS)
    assert sum(step.rows for step in found) == 3 * len(KEYS)


def test_files_of_their_own_are_read_each(done: Harvested, read_files: Counter[str]) -> None:
    """A copy can be damaged by itself."""
    carried(done, carry=Carry.COPY)

    steps(done)

    assert len(read_files) == 2 * len(KEYS)


@pytest.mark.parametrize("dates", [(), (DATE,), (DATE + dt.timedelta(days=2),)], ids=["all", "origin", "carrier"])
def test_D_09_a_missing_file_is_told_for_all_dates_that_refer_to_it(
    done: Harvested, dates: tuple[dt.date, ...]
) -> None:
    """Whichever dates are looked at: one flaw, and each job that has the file is to be sent back."""
    for days in (1, 2):
        carried(done, days)
    done.partition("k2").unlink()

    found = steps(done, *dates)

    assert flaws(found) == [(FlawKind.MISSING, "k2.jsonl.gz", ("2026-03-15", "2026-03-16"))]
    assert suspects(found) == [("k2", "14"), ("k2", "15"), ("k2", "16")]


def test_D_09_repair_sends_back_the_origin_and_its_carriers(done: Harvested) -> None:
    """Nobody goes on referring to a file that is not there, and the other sets stand."""
    carried(done)
    done.partition("k2").unlink()

    moved = requeue(done.database, [suspect for step in steps(done) for suspect in step.suspects])

    assert moved == 2
    assert states(done) == {"14": ["done", "pending", "done"], "15": ["carried", "pending", "carried"]}


@pytest.mark.parametrize("carry", OWN_FILES)
def test_D_09_a_missing_file_of_its_own_concerns_its_date_alone(done: Harvested, carry: Carry) -> None:
    """The file that was read stands, and so does whoever else has a copy of it."""
    night = carried(done, carry=carry)
    carried(done, 2, carry)
    night.partition("k2").unlink()

    found = steps(done)
    requeue(done.database, [suspect for step in found for suspect in step.suspects])

    assert flaws(found) == [(FlawKind.MISSING, "k2.jsonl.gz", ("2026-03-15",))]
    assert (states(done)["14"], states(done)["16"]) == (["done"] * 3, ["carried"] * 3)
    assert states(done)["15"] == ["carried", "pending", "carried"]


def test_D_10_a_changed_file_with_two_names_is_told_under_both(done: Harvested) -> None:
    """A hard link is a regular file with other names; what changes under one name changes under the other."""
    night = carried(done, carry=Carry.HARDLINK)
    with night.partition("k1").open("r+b") as file:
        file.write(b"x")

    assert [kind for kind, _, _ in flaws(steps(done))] == [FlawKind.CHANGED] * 2


def test_P3_a_set_that_is_being_read_again_is_passed_over(done: Harvested) -> None:
    """While a run reads it, nothing is said of the dates that refer to the old file; when none does, they are told."""
    carried(done)
    done.sql("UPDATE jobs SET state = 'running' WHERE id = ?", done.jobs["k1"].id)
    (done.date_folder / "_SUCCESS").unlink()
    done.partition("k1").unlink()

    beside, alone = steps(done, is_beside_a_run=True), steps(done)

    assert [kind for kind, _, _ in flaws(beside) if kind is FlawKind.MISSING] == []
    assert [name for kind, name, _ in flaws(alone) if kind is FlawKind.MISSING] == ["k1.jsonl.gz"]


def test_the_first_carrier_stands_for_a_file_whose_reader_does_not_any_more(
    done: Harvested, read_files: Counter[str]
) -> None:
    """Where the set was asked for again in vain, its old file is verified for those who carry it, once."""
    for days in (1, 2):
        carried(done, days)
    done.ledger.requeue(done.harvest, [JobState.DONE])
    for claimed in done.ledger.claim(done.harvest, 10, now_s=0.0):
        done.ledger.give_up(claimed.job, GivenUp(JobState.FAILED, "2000", "no such list"))
    done.manifest()
    done.partition("k1").unlink()

    found = steps(done)

    assert set(read_files.values()) == {1}
    assert flaws(found) == [(FlawKind.MISSING, "k1.jsonl.gz", ("2026-03-15", "2026-03-16"))]
    assert suspects(found) == [("k1", "15"), ("k1", "16")]


def test_L_02_a_carried_job_that_contradicts_itself_is_told(done: Harvested) -> None:
    """A file of neither its own date nor its origin's is not opened; a job that is carried from nowhere is named."""
    night = carried(done)
    done.sql("UPDATE jobs SET path = '../../../etc/passwd' WHERE id = ?", night.jobs["k1"].id)
    done.sql("UPDATE jobs SET origin_id = NULL WHERE id = ?", night.jobs["k2"].id)
    night.manifest()

    found = steps(done)

    assert [step.flaw.kind for step in found if step.flaw] == [FlawKind.LEDGER] * 2
    assert suspects(found) == []


def test_S_22_a_manifest_that_tells_another_origin_is_a_flaw(done: Harvested) -> None:
    """From which date a set was carried is compared with the ledger like the rest."""
    night = carried(done)
    path = night.date_folder / "_manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"carried_from":"2026-03-14"', b'"carried_from":"2026-03-13"', 1))

    assert flaws(steps(done)) == [(FlawKind.MANIFEST, "_manifest.json", ())]


def test_positions_are_not_judged_where_the_pages_are_forgotten(done: Harvested) -> None:
    """A copy outlives the reading it was made of: bytes, rows and records are held against the ledger all the same."""
    carried(done, carry=Carry.COPY)
    done.sql("UPDATE jobs SET sha256 = 'another' WHERE id = ?", done.jobs["k1"].id)

    entries = Entries(done.database)
    night = next(harvest for harvest in entries.harvests() if harvest.date != DATE)

    assert flaws(steps(done, night.date)) == []


def test_a_date_with_a_job_of_its_own_beside_carried_ones(done: Harvested) -> None:
    """What is not carried is judged as ever: an open job is passed over, and the date is not complete."""
    night = carried(done)
    later: Harvest = night.harvest
    done.ledger.plan(later, [Campaign("k9")], [Action.SENT])
    night.manifest()

    found = steps(done)

    assert flaws(found) == []
    assert sum(step.passed_over for step in found) == 1
    assert not (night.date_folder / "_SUCCESS").exists()
