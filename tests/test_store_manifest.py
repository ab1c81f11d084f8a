"""The manifest: what the ledger knows of a date, for those who load it."""

import hashlib
import json
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from factories import DATE, no_umask, stored_page
from harvested import carried, harvested

from harvester import __version__
from harvester.model import (
    Action,
    Campaign,
    Command,
    Contents,
    Counters,
    Discovery,
    GivenUp,
    Harvest,
    Job,
    JobState,
    Published,
)
from harvester.store.campaign_notes import CampaignNotes
from harvester.store.counters import CounterBook
from harvester.store.database import Database
from harvester.store.ledger import Ledger
from harvester.store.manifest import SIGNATURE, mark_running, mistold, overdue, write_manifest
from harvester.store.partitions import Compression, Partitions

WRITTEN_AT = "2026-03-15T02:00:00+00:00"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        yield Ledger(database, "run-1")


@pytest.fixture
def harvest(ledger: Ledger) -> Harvest:
    harvest = ledger.open_harvest("acme", DATE)
    ledger.plan(harvest, [Campaign("k1"), Campaign("k2", "parent")], [Action.SENT])
    return harvest


def claim(ledger: Ledger, harvest: Harvest) -> list[Job]:
    return [claimed.job for claimed in ledger.claim(harvest, 10, now_s=0.0)]


def publish(ledger: Ledger, output: Path, job: Job, content: bytes) -> None:
    parts = Partitions(output, Compression.NONE)
    parts.cut(job, 0, b"")
    parts.append(job, content)
    ledger.commit([(job, stored_page(content=content))], [(job, "short page")], [], wall_s=0.0)
    ledger.commit([], [], [(job, parts.publish([Contents(job, content.count(b"\n"))])[0])], wall_s=0.0)


def written(output: Path, ledger: Ledger, harvest: Harvest) -> dict[str, Any]:
    path = write_manifest(output, ledger, ledger.open_harvest(harvest.account, harvest.date), WRITTEN_AT)
    manifest: dict[str, Any] = json.loads(path.read_bytes())
    return manifest


def is_success(output: Path) -> bool:
    return (output / "recipients" / "account=acme" / "dt=2026-03-14" / "_SUCCESS").exists()


def test_manifest_describes_the_files(tmp_path: Path, ledger: Ledger, harvest: Harvest) -> None:
    """Rows, bytes and hash of every entry are those of the file at its path, and the totals are their sums."""
    contents = [b"one\n", b"two\nthree\n"]
    for job, content in zip(claim(ledger, harvest), contents, strict=True):
        publish(ledger, tmp_path, job, content)

    manifest = written(tmp_path, ledger, harvest)

    files = [(tmp_path / entry["path"]).read_bytes() for entry in manifest["jobs"]]
    assert files == contents
    assert [entry["sha256"] for entry in manifest["jobs"]] == [hashlib.sha256(file).hexdigest() for file in files]
    assert [(entry["rows"], entry["bytes"]) for entry in manifest["jobs"]] == [(1, 4), (2, 10)]
    assert (manifest["rows"], manifest["bytes"]) == (3, 14)


def test_head_of_the_manifest(tmp_path: Path, ledger: Ledger, harvest: Harvest) -> None:
    """The head names the date, the run and the version, and counts the jobs of every state."""
    manifest = written(tmp_path, ledger, harvest)

    del manifest["jobs"], manifest["campaigns"]
    assert manifest == {
        "manifest_version": 1,
        "account": "acme",
        "date": "2026-03-14",
        "state": "partial",
        "discovery": "none",
        "run_id": "run-1",
        "command": None,
        "started_at": None,
        "finished_at": None,
        "written_at": WRITTEN_AT,
        "harvester_version": __version__,
        "config_sha256": None,
        "listing": None,
        "privacy": [],
        "jobs_by_state": dict.fromkeys(JobState, 0) | {"pending": 2},
        "rows": 0,
        "bytes": 0,
        "rows_read": 0,
        "bytes_read": 0,
        "calls": 0,
    }


def test_manifest_holds_one_job_a_line(tmp_path: Path, ledger: Ledger, harvest: Harvest) -> None:
    """Line tools can take jobs out of it."""
    path = write_manifest(tmp_path, ledger, harvest, WRITTEN_AT)

    lines = path.read_bytes().partition(b"\n],\n")[0].split(b"\n")[2:]
    assert [json.loads(line.removesuffix(b","))["campaign_key"] for line in lines] == ["k1", "k2"]


def test_P2_success_is_set_once_every_job_has_its_end(tmp_path: Path, ledger: Ledger, harvest: Harvest) -> None:
    """Done and skipped jobs make a date complete; the sign is an empty file."""
    first, second = claim(ledger, harvest)
    publish(ledger, tmp_path, first, b"one\n")
    assert written(tmp_path, ledger, harvest)["state"] == "partial"
    assert not is_success(tmp_path)

    ledger.give_up(second, GivenUp(JobState.SKIPPED, "6601", "no A/B test"))

    assert written(tmp_path, ledger, harvest)["state"] == "complete"
    assert is_success(tmp_path)


def test_a_carried_set_is_described_where_it_lies(tmp_path: Path) -> None:
    """A quiet night is complete: its manifest names the files of the night before, and says that none was read."""
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        done = harvested(tmp_path, database)
        before = json.loads(done.manifest().read_bytes())
        night = carried(done)
        after = json.loads(night.manifest().read_bytes())

    where = ("path", "rows", "bytes", "sha256")
    assert [[job[key] for key in where] for job in after["jobs"]] == [
        [job[key] for key in where] for job in before["jobs"]
    ]
    assert {(job["state"], job["carried_from"], job["calls"]) for job in after["jobs"]} == {
        ("carried", DATE.isoformat(), 0)
    }
    assert {job["carried_from"] for job in before["jobs"]} == {None}
    assert (after["state"], after["rows"], after["rows_read"], after["bytes_read"]) == ("complete", 9, 0, 0)
    assert (before["rows"], before["rows_read"]) == (9, 9)
    assert after["bytes"] == before["bytes"] == before["bytes_read"]
    assert (night.date_folder / "_SUCCESS").exists()


def test_head_and_job_say_what_the_reading_was_for(tmp_path: Path, ledger: Ledger, harvest: Harvest) -> None:
    """The command of the run that wrote it, and for each set that was read the reason."""
    ledger.begin_run(0.0, Command.NIGHTLY)
    ledger.database.durable.execute("UPDATE jobs SET due = 'never read whole before' WHERE id = 1")

    manifest = written(tmp_path, ledger, harvest)

    assert manifest["command"] == "nightly"
    assert [job["due"] for job in manifest["jobs"]] == ["never read whole before", None]


def test_P2_failed_job_is_named_and_keeps_success_away(tmp_path: Path, ledger: Ledger, harvest: Harvest) -> None:
    """What is missing stands in the manifest with its code and reason, and no reader takes the date for whole."""
    first, second = claim(ledger, harvest)
    publish(ledger, tmp_path, first, b"one\n")
    ledger.give_up(second, GivenUp(JobState.FAILED, "2000", "no such list"))

    entry = written(tmp_path, ledger, harvest)["jobs"][1]

    assert (entry["state"], entry["code"], entry["reason"]) == ("failed", "2000", "no such list")
    assert (entry["campaign_key"], entry["parent_campaign_key"], entry["path"]) == ("k2", "parent", None)
    assert not is_success(tmp_path)


def test_P2_half_a_listing_is_never_complete(tmp_path: Path, ledger: Ledger, harvest: Harvest) -> None:
    """Where the listing was cut off there may be campaigns that no job knows of."""
    for job in claim(ledger, harvest):
        publish(ledger, tmp_path, job, b"")
    ledger.note_discovery(harvest, Discovery.PARTIAL)

    assert written(tmp_path, ledger, harvest)["state"] == "partial"
    assert not is_success(tmp_path)


def test_P4_a_refresh_that_fails_keeps_the_old_partition_listed(
    tmp_path: Path, ledger: Ledger, harvest: Harvest
) -> None:
    """The file stays until a new one takes its place, so its entry does as well, under the state of the new try."""
    for job in claim(ledger, harvest):
        publish(ledger, tmp_path, job, b"one\n")
    ledger.requeue(harvest, [JobState.DONE])
    first, second = claim(ledger, harvest)
    ledger.give_up(first, GivenUp(JobState.FAILED, "2000", "no such list"))
    publish(ledger, tmp_path, second, b"two\nthree\n")

    manifest = written(tmp_path, ledger, harvest)

    failed, done = manifest["jobs"]
    assert (failed["state"], failed["rows"], failed["sha256"]) == ("failed", 1, hashlib.sha256(b"one\n").hexdigest())
    assert (tmp_path / failed["path"]).read_bytes() == b"one\n"
    assert (done["state"], done["rows"], manifest["rows"]) == ("done", 2, 3)
    assert not is_success(tmp_path)


def test_P2_what_is_doubtful_stands_in_the_entry(tmp_path: Path, ledger: Ledger, harvest: Harvest) -> None:
    """Duplicates, a set that moved, and the replies in quarantine, each where it can be found."""
    first, second = claim(ledger, harvest)
    page = replace(stored_page(count=3, content=b"x\n"), duplicates=1, unreadable_rows=1, is_shifted=True)
    ledger.commit([(first, page)], [(first, "short page")], [], wall_s=0.0)
    ledger.commit([], [], [(first, Published("a/path", 1, 2, "00" * 32, unreadable_rows=1))], wall_s=0.0)
    publish(ledger, tmp_path, second, b"two\n")

    partial, done = written(tmp_path, ledger, harvest)["jobs"]

    assert (partial["state"], partial["consistency"]) == ("partial", "shifted")
    assert (partial["duplicates"], partial["unreadable_rows"]) == (1, 1)
    assert partial["quarantine"] == [
        f"_quarantine/account=acme/dt={DATE.isoformat()}/action=sentcontacts/k1.from-1.reply"
    ]
    assert (done["consistency"], done["quarantine"], done["verdict"], done["counter"]) == ("steady", [], None, None)
    assert not is_success(tmp_path)


@pytest.mark.parametrize(
    ("second", "consistency"), [((2, 2), "steady"), ((3, 2), "unchecked"), ((1, 2), "steady")], ids=str
)
def test_A_16_pages_that_share_no_row_leave_consistency_unchecked(
    tmp_path: Path, ledger: Ledger, harvest: Harvest, second: tuple[int, int], consistency: str
) -> None:
    """Where a page begins right after the one before, nobody can tell whether the set moved between them."""
    job, other = claim(ledger, harvest)
    pages = [stored_page(1, 1, 2), stored_page(2, *second)]
    ledger.commit([(job, page) for page in pages], [(job, "short page")], [], wall_s=0.0)
    ledger.commit([], [], [(job, Published("a/path", 4, 2, "00" * 32))], wall_s=0.0)
    ledger.give_up(other, GivenUp(JobState.FAILED, "2000", "no such list"))

    assert [job["consistency"] for job in written(tmp_path, ledger, harvest)["jobs"]] == [consistency, None]


def test_P4_a_date_that_is_worked_on_is_complete_no_more(tmp_path: Path, ledger: Ledger, harvest: Harvest) -> None:
    """Before done jobs are sent back, `_SUCCESS` goes and the manifest says running, whatever the ledger says still."""
    for job in claim(ledger, harvest):
        publish(ledger, tmp_path, job, b"one\n")
    path = write_manifest(tmp_path, ledger, harvest, WRITTEN_AT)
    assert (json.loads(path.read_bytes())["state"], is_success(tmp_path)) == ("complete", True)

    mark_running(tmp_path, ledger, harvest, WRITTEN_AT)

    assert (json.loads(path.read_bytes())["state"], is_success(tmp_path)) == ("running", False)


def test_a_run_that_begins_is_seen_before_its_first_file(tmp_path: Path, ledger: Ledger, harvest: Harvest) -> None:
    """A date that is new has a manifest as soon as work on it begins: who is at work, since when, on which jobs."""
    ledger.begin_run(1_773_540_000.0, Command.NIGHTLY, "ab" * 32)

    mark_running(tmp_path, ledger, harvest, WRITTEN_AT)

    manifest = json.loads(next(tmp_path.glob("recipients/*/*/_manifest.json")).read_bytes())
    assert {name: manifest[name] for name in SIGNATURE} == {
        "run_id": "run-1",
        "command": "nightly",
        "started_at": "2026-03-15T02:00:00+00:00",
        "finished_at": None,
        "written_at": WRITTEN_AT,
        "harvester_version": __version__,
        "config_sha256": "ab" * 32,
    }
    assert (manifest["state"], [job["state"] for job in manifest["jobs"]]) == ("running", ["pending", "pending"])


def test_P3_who_goes_on_after_a_kill_signs_for_it(tmp_path: Path, ledger: Ledger, harvest: Harvest) -> None:
    """What a killed run left as running names its successor as soon as that begins, though nothing else is new."""
    mark_running(tmp_path, ledger, harvest, WRITTEN_AT)

    mark_running(tmp_path, Ledger(ledger.database, "run-2"), harvest, "2026-03-15T03:00:00+00:00")

    manifest = json.loads(next(tmp_path.glob("recipients/*/*/_manifest.json")).read_bytes())
    assert (manifest["state"], manifest["run_id"]) == ("running", "run-2")


def test_P3_what_a_killed_run_left_is_for_the_next_run_of_the_account(
    tmp_path: Path, ledger: Ledger, harvest: Harvest
) -> None:
    """As long as the run lives its manifest is its own; afterwards it says what is there, whatever date comes next."""
    mark_running(tmp_path, ledger, harvest, WRITTEN_AT)
    assert overdue(Ledger(ledger.database, "run-2", lambda: {"run-1"}), "acme") == []

    heir = Ledger(ledger.database, "run-2")
    assert [mistold(ledger.database, name) for name in (None, "other")] == [[harvest], []]
    assert overdue(heir, "acme") == [harvest]
    assert written(tmp_path, heir, harvest)["state"] == "partial"
    assert overdue(heir, "acme") == []


def test_P4_no_date_is_complete_whose_files_a_run_is_about_to_replace(tmp_path: Path) -> None:
    """Not by another run of that date, which has carried all its sets from there; but once the first one is gone."""
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        done = harvested(tmp_path, database)
        refresh = Ledger(database, "run-2")
        refresh.plan(done.harvest, [Campaign("k1")], [Action.SENT])
        refresh.requeue(done.harvest, [JobState.DONE])
        night = carried(done)
        nightly = Ledger(database, "run-3", lambda: {"run-2"})
        mark_running(done.output, nightly, night.harvest, WRITTEN_AT)

        beside = written(done.output, nightly, night.harvest)
        assert (beside["state"], beside["run_id"]) == ("running", "run-2")
        assert overdue(nightly, "acme") == []

        after = Ledger(database, "run-4")
        assert overdue(after, "acme") == [night.harvest]
        assert written(done.output, after, night.harvest)["state"] == "complete"


def test_P4_nothing_is_said_of_a_file_that_may_be_replaced(tmp_path: Path) -> None:
    """Killed between the last page and the ledger's word for the file, a run may have moved it: the next one knows."""
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        done = harvested(tmp_path, database)
        night = carried(done)
        ledger = Ledger(database, "run-2")
        ledger.plan(done.harvest, [Campaign("k1")], [Action.SENT])
        ledger.requeue(done.harvest, [JobState.DONE])
        for each in (done, night):
            mark_running(done.output, ledger, each.harvest, WRITTEN_AT)
        (job,) = claim(ledger, done.harvest)
        assert len(overdue(ledger, "acme")) == 2

        ledger.commit([(job, stored_page())], [(job, "short page")], [], wall_s=0.0)

        assert overdue(ledger, "acme") == []


def test_who_describes_a_date_anew_does_not_sign_for_it(tmp_path: Path, ledger: Ledger, harvest: Harvest) -> None:
    """After a repair, or by a run of another date, the manifest still names the run that made the date, and its end."""
    ledger.begin_run(1_773_540_000.0, Command.NIGHTLY, "ab" * 32)
    before = written(tmp_path, ledger, harvest)
    ledger.end_run(1_773_543_600.0, "complete")
    for job in claim(ledger, harvest):
        publish(ledger, tmp_path, job, b"one\n")

    repair = write_manifest(tmp_path, Ledger(ledger.database, "repair"), harvest, "2026-03-16T02:00:00+00:00")

    after = json.loads(repair.read_bytes())
    assert after["written_at"] == "2026-03-16T02:00:00+00:00"
    assert after["finished_at"] == "2026-03-15T03:00:00+00:00"
    signed = SIGNATURE - {"written_at", "finished_at"}
    assert {name: after[name] for name in signed} == {name: before[name] for name in signed}


def test_a_run_that_ends_beside_another_leaves_the_date_running(
    tmp_path: Path, ledger: Ledger, harvest: Harvest
) -> None:
    """The manifest names the run that is still at work, and is not done before that one is."""
    other = Ledger(ledger.database, "run-2", lambda: {"run-1"})
    other.begin_run(0.0, Command.BACKFILL)

    beside = written(tmp_path, other, harvest)
    after = written(tmp_path, Ledger(ledger.database, "run-2"), harvest)

    assert (beside["state"], beside["run_id"], beside["finished_at"]) == ("running", "run-1", None)
    assert (after["state"], after["run_id"], after["finished_at"]) == ("partial", "run-2", WRITTEN_AT)


def test_second_run_that_changes_nothing_leaves_the_manifest_as_it_is(
    tmp_path: Path, ledger: Ledger, harvest: Harvest
) -> None:
    """Another run, moment and fingerprint alone are no news, and the file is not touched."""
    for job in claim(ledger, harvest):
        publish(ledger, tmp_path, job, b"one\n")
    path = write_manifest(tmp_path, ledger, harvest, WRITTEN_AT)
    before, inode = path.read_bytes(), path.stat().st_ino
    again = Ledger(ledger.database, "run-2")
    again.begin_run(0.0, Command.RUN, "cd" * 32)

    write_manifest(tmp_path, again, harvest, "2026-03-16T02:00:00+00:00")

    assert (path.read_bytes(), path.stat().st_ino) == (before, inode)


def test_a_job_tells_when_it_was_read(tmp_path: Path, ledger: Ledger, harvest: Harvest) -> None:
    """From the moment its first row was asked for to that of its file; a job without a file has no times."""
    (first, second) = (each.job for each in ledger.claim(harvest, 2, now_s=0.0, wall_s=3_600.0))
    ledger.release(harvest)
    ledger.claim(harvest, 2, now_s=0.0, wall_s=7_200.0)
    publish(ledger, tmp_path, first, b"one\n")
    ledger.give_up(second, GivenUp(JobState.FAILED, "2000", "no such list"))

    done, failed = written(tmp_path, ledger, harvest)["jobs"]

    assert (done["started_at"], done["finished_at"]) == ("1970-01-01T01:00:00+00:00", "1970-01-01T00:00:00+00:00")
    assert (failed["started_at"], failed["finished_at"]) == (None, None)


def test_campaigns_stand_a_line_each_with_what_is_known(tmp_path: Path, ledger: Ledger, harvest: Harvest) -> None:
    """Counters and what XML says of a campaign follow the jobs; a campaign of which nothing is known is left out."""
    first, _ = claim(ledger, harvest)
    CampaignNotes(ledger.database).note_details(first, {"campaign_name": "Spring"})
    book = CounterBook(ledger.database, "run-1")
    (campaign_id, _), _ = book.uncounted(harvest, 0, 10)
    book.note(harvest, campaign_id, Counters({Action.SENT: 12}))

    path = write_manifest(tmp_path, ledger, harvest, WRITTEN_AT)

    line = path.read_bytes().partition(b'"campaigns": [\n')[2].removesuffix(b"\n]}\n")
    assert json.loads(line) == {
        "campaign_key": "k1",
        "counters": {"sentcontacts": 12},
        "counters_code": "0",
        "broken_laws": {},
        "laws_unchecked": None,
        "details": {"campaign_name": "Spring"},
    }


def test_success_is_taken_back(tmp_path: Path, ledger: Ledger, harvest: Harvest) -> None:
    """A complete date that gets another job is partial again until that is done."""
    for job in claim(ledger, harvest):
        publish(ledger, tmp_path, job, b"")
    written(tmp_path, ledger, harvest)
    assert is_success(tmp_path)

    ledger.plan(harvest, [Campaign("k3")], [Action.SENT])

    assert written(tmp_path, ledger, harvest)["state"] == "partial"
    assert not is_success(tmp_path)


def test_manifest_is_replaced_as_a_whole(tmp_path: Path, ledger: Ledger, harvest: Harvest) -> None:
    """A reader that opened the old manifest still reads it to its end; no draft is left."""
    path = write_manifest(tmp_path, ledger, harvest, WRITTEN_AT)
    with path.open("rb") as reader:
        write_manifest(tmp_path, ledger, harvest, "2027-01-01T00:00:00+00:00")
        assert json.loads(reader.read())["written_at"] == WRITTEN_AT

    assert list(path.parent.iterdir()) == [path]


def test_empty_plan_is_a_valid_manifest(tmp_path: Path, ledger: Ledger) -> None:
    """A date without campaigns has a manifest without jobs."""
    manifest = written(tmp_path, ledger, ledger.open_harvest("acme", DATE))

    assert manifest["jobs"] == []


def test_S_06_manifest_is_for_its_owner_alone(tmp_path: Path, ledger: Ledger, harvest: Harvest) -> None:
    """Manifest and sign have mode 0600 and their folders 0700 under a umask that forbids nothing."""
    ledger.note_discovery(harvest, Discovery.WHOLE)
    for job in claim(ledger, harvest):
        ledger.give_up(job, GivenUp(JobState.SKIPPED, "6601", "no A/B test"))

    with no_umask():
        folder = write_manifest(tmp_path / "output", ledger, harvest, WRITTEN_AT).parent

    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
        "_manifest.json": 0o600,
        "_SUCCESS": 0o600,
    }
    assert {stat.S_IMODE(each.stat().st_mode) for each in (folder, folder.parent, tmp_path / "output")} == {0o700}


def test_S_07_symbolic_link_at_the_manifest_is_not_followed(tmp_path: Path, ledger: Ledger, harvest: Harvest) -> None:
    """A link planted at the manifest is replaced; what it points to is not touched."""
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    path = write_manifest(tmp_path, ledger, harvest, WRITTEN_AT)
    path.unlink()
    path.symlink_to(target)

    write_manifest(tmp_path, ledger, harvest, WRITTEN_AT)

    assert target.read_bytes() == b"precious"
    assert not path.is_symlink()
