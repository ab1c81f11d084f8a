"""How sets stood when they were last read whole, and what carries them to a later date: real SQLite, real files."""

import datetime as dt
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from factories import DATE, stored_page

from harvester.model import Action, Campaign, Contents, Counters, GivenUp, Harvest, Job, JobState, Published
from harvester.snapshot import Carry, Snapshot
from harvester.store.carrier import Carrier
from harvester.store.counters import CounterBook
from harvester.store.database import Database
from harvester.store.ledger import Ledger
from harvester.store.manifest import mistold, write_manifest
from harvester.store.partitions import Compression, Partitions
from harvester.store.snapshots import Snapshots, dates_at_stake

DAY = dt.timedelta(days=1)
LINES = b'{"n":1}\n'
OTHER_LINES = b'{"n":2}\n'
"""Of the same size: whoever looks at sizes alone takes one for the other."""


class Store:
    """A ledger and an output folder, on which one run after another works."""

    def __init__(self, folder: Path) -> None:
        self.output = folder / "output"
        self.database = Database(folder / "ledger.sqlite")
        self.parts = Partitions(self.output, Compression.NONE)
        self.parts.prepare()
        self.ledger = Ledger(self.database, "run-1")

    def snapshots(self, mode: Carry = Carry.REFERENCE) -> Snapshots:
        return Snapshots(self.database, self.ledger.run_id, Carrier(self.output, self.parts, mode))

    def planned(self, date: dt.date, key: str = "k") -> tuple[Harvest, Job]:
        harvest = self.ledger.open_harvest("acme", date)
        self.ledger.plan(harvest, [Campaign(key)], [Action.OPENED])
        (claimed,) = self.ledger.claim(harvest, 1, now_s=0.0)
        return harvest, claimed.job

    def count(self, job: Job, rows: int) -> None:
        with self.database.writing(self.database.durable) as connection:
            connection.execute(
                "INSERT INTO counters SELECT harvest_id, campaign_id, action, ? FROM jobs WHERE id = ?", (rows, job.id)
            )

    def publish(self, job: Job, lines: bytes = LINES, *, is_shifted: bool = False, unreadable: int = 0) -> Published:
        page = replace(stored_page(1), rows=1, is_shifted=is_shifted, unreadable_rows=unreadable)
        self.parts.cut(job, 0, b"")
        self.parts.append(job, lines)
        self.parts.sync([job])
        self.ledger.commit([(job, page)], [], [], wall_s=0.0)
        (published,) = self.parts.publish([Contents(job, 1, unreadable)])
        self.ledger.commit([], [], [(job, published)], wall_s=0.0)
        return published

    def reread(self, harvest: Harvest, *, is_killed: bool = False) -> None:
        """Harvest the one set of a date again, with other rows; killed, once its file lies there but is not noted."""
        self.ledger.requeue(harvest, [JobState.DONE])
        (claimed,) = self.ledger.claim(harvest, 1, now_s=0.0)
        job, page = claimed.job, replace(stored_page(1), rows=1)
        self.parts.cut(job, 0, b"")
        self.parts.append(job, OTHER_LINES)
        self.ledger.commit([(job, page)], [(job, "short page")], [], wall_s=0.0)
        (published,) = self.parts.publish([Contents(job, 1)])
        if is_killed:
            self.ledger.release(harvest)
        else:
            self.ledger.commit([], [], [(job, published)], wall_s=0.0)

    def harvest_one(self, date: dt.date, counter: int | None = None) -> tuple[Harvest, Job, Published]:
        harvest, job = self.planned(date)
        if counter is not None:
            self.count(job, counter)
            self.snapshots().note_due(job, "new")
        return harvest, job, self.publish(job)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    with closing(made.database):
        yield made


def test_set_that_was_never_read_has_no_snapshot(store: Store) -> None:
    """A new campaign is a candidate without a past."""
    harvest, job = store.planned(DATE)
    store.ledger.release(harvest)

    (candidate,) = store.snapshots().candidates(harvest, 0)

    assert (candidate.job.id, candidate.snapshot) == (job.id, None)


def test_snapshot_is_the_last_set_read_whole(store: Store) -> None:
    """What a later night finds is the partition, its date, and the counter that was told before it was read."""
    _, origin, published = store.harvest_one(DATE - DAY, counter=5)
    harvest, job = store.planned(DATE)

    assert store.snapshots().of(job) == Snapshot(origin.id, DATE - DAY, DATE - DAY, 5, published)
    store.ledger.release(harvest)
    assert [each.snapshot for each in store.snapshots().candidates(harvest, 0)] == [store.snapshots().of(job)]


def test_counter_told_after_the_set_was_read_proves_nothing(store: Store) -> None:
    """Rows may have come between the reading and the counter: an equal one later must not hide them."""
    _, job = store.planned(DATE - DAY)
    store.publish(job)
    store.count(job, 5)
    _, later = store.planned(DATE)

    snapshot = store.snapshots().of(later)

    assert snapshot is not None
    assert snapshot.counter_rows is None


def test_counter_of_a_set_that_moved_proves_nothing(store: Store) -> None:
    """Where the set moved while it was read, rows may be missing from it."""
    _, job = store.planned(DATE - DAY)
    store.count(job, 5)
    store.snapshots().note_due(job, "new")
    store.publish(job, is_shifted=True)
    _, later = store.planned(DATE)

    snapshot = store.snapshots().of(later)

    assert snapshot is not None
    assert snapshot.counter_rows is None


def test_counter_is_kept_when_a_job_is_claimed_again_after_its_first_page(store: Store) -> None:
    """What was told when the reading began counts, not what is told while it goes on."""
    harvest, job = store.planned(DATE - DAY)
    store.count(job, 5)
    store.snapshots().note_due(job, "new")
    store.ledger.commit([(job, stored_page(1))], [], [], wall_s=0.0)
    with store.database.writing(store.database.durable) as connection:
        connection.execute("UPDATE counters SET rows = 9")

    store.ledger.release(harvest)
    store.ledger.claim(harvest, 1, now_s=0.0)

    row = store.database.durable.execute("SELECT counter_at_start FROM jobs").fetchone()
    assert row["counter_at_start"] == 5


def test_partial_job_is_no_snapshot(store: Store) -> None:
    """Rows of it are missing, so that nothing is carried from it."""
    _, job = store.planned(DATE - DAY)
    store.publish(job, unreadable=1)
    _, later = store.planned(DATE)

    assert store.snapshots().of(later) is None


def test_job_is_not_its_own_snapshot(store: Store) -> None:
    """A job that was sent back to be read again is not carried over from what it had."""
    harvest, job, _ = store.harvest_one(DATE)
    store.ledger.requeue(harvest, [JobState.DONE])

    (candidate,) = store.snapshots().candidates(harvest, 0)

    assert (candidate.job.id, candidate.snapshot) == (job.id, None)


@pytest.mark.parametrize("mode", list(Carry))
def test_carried_job_has_the_partition_under_its_date(store: Store, mode: Carry) -> None:
    """However it is carried, the file that the later date names holds the same bytes."""
    _, origin, published = store.harvest_one(DATE - DAY)
    harvest, job = store.planned(DATE)
    snapshot = store.snapshots().of(job)
    assert snapshot is not None

    assert store.snapshots(mode).carry([(job, snapshot, DATE)]) == 1

    (report,) = store.ledger.jobs(harvest)
    assert (report.state, report.rows, report.sha256) == (JobState.CARRIED, 1, published.sha256)
    assert report.path is not None
    assert (store.output / report.path).read_bytes() == LINES
    assert (report.path == published.path) == (mode is Carry.REFERENCE)
    assert (store.output / report.path).stat().st_nlink == (2 if mode is Carry.HARDLINK else 1)
    assert list((store.output / "_parts").iterdir()) == []
    again = store.snapshots().of(store.planned(DATE + DAY)[1])
    assert again is not None
    assert (again.origin_id, again.date, again.checked_on) == (origin.id, DATE - DAY, DATE)


@pytest.mark.parametrize("mode", [Carry.HARDLINK, Carry.COPY])
def test_P_03_carrying_that_was_cut_off_is_done_again(store: Store, mode: Carry) -> None:
    """A kill after the file stands, or before it was moved there, leaves nothing that the next try does not mend."""
    store.harvest_one(DATE - DAY)
    harvest, job = store.planned(DATE)
    snapshot = store.snapshots().of(job)
    assert snapshot is not None
    assert snapshot.partition is not None
    carrier = Carrier(store.output, store.parts, mode)
    placed = carrier.place(job, snapshot.partition)
    assert placed is not None
    store.parts.draft_path(job, placed.path).write_bytes(b"half")

    assert store.snapshots(mode).carry([(job, snapshot, DATE)]) == 1

    (report,) = store.ledger.jobs(harvest)
    assert (store.output / str(report.path)).read_bytes() == LINES
    assert list((store.output / "_parts").iterdir()) == []


def test_copy_takes_the_place_of_a_link_that_cannot_be_made(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file system has no second names, the file is copied."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(95, "Operation not supported")

    store.harvest_one(DATE - DAY)
    harvest, job = store.planned(DATE)
    snapshot = store.snapshots().of(job)
    assert snapshot is not None
    monkeypatch.setattr(os, "link", refuse)

    store.snapshots(Carry.HARDLINK).carry([(job, snapshot, DATE)])

    (report,) = store.ledger.jobs(harvest)
    assert (store.output / str(report.path)).stat().st_nlink == 1


class Overtaken(Carrier):
    """Lets something happen once files are linked or copied, before the ledger takes the word for them."""

    meanwhile: Callable[[], None]

    def sync(self) -> None:
        super().sync()
        self.meanwhile()


@pytest.mark.parametrize("is_killed", [False, True], ids=["noted", "killed"])
@pytest.mark.parametrize("mode", list(Carry))
def test_set_that_is_read_anew_meanwhile_is_not_carried(store: Store, mode: Carry, *, is_killed: bool) -> None:
    """No job is carried with the hash of a file that another run has replaced, and no link or copy stays behind."""
    old_harvest, _, _ = store.harvest_one(DATE - DAY)
    harvest, job = store.planned(DATE)
    snapshot = store.snapshots().of(job)
    assert snapshot is not None
    carrier = Overtaken(store.output, store.parts, mode)
    carrier.meanwhile = lambda: store.reread(old_harvest, is_killed=is_killed)

    assert Snapshots(store.database, store.ledger.run_id, carrier).carry([(job, snapshot, DATE)]) == 0

    (report,) = store.ledger.jobs(harvest)
    assert (report.state, report.path, report.sha256) == (JobState.RUNNING, None, None)
    assert not (store.output / store.parts.relative_path(job)).exists()


@pytest.mark.parametrize("mode", list(Carry))
def test_P_03_set_whose_new_file_is_not_noted_is_not_carried(store: Store, mode: Carry) -> None:
    """A refresh that was killed between file and ledger leaves another file than the snapshot tells of."""
    old_harvest, _, _ = store.harvest_one(DATE - DAY)
    store.reread(old_harvest, is_killed=True)
    harvest, job = store.planned(DATE)
    snapshot = store.snapshots().of(job)
    assert snapshot is not None

    assert store.snapshots(mode).carry([(job, snapshot, DATE)]) == 0

    (report,) = store.ledger.jobs(harvest)
    assert (report.state, report.path, report.sha256) == (JobState.RUNNING, None, None)
    assert not (store.output / store.parts.relative_path(job)).exists()


@pytest.mark.parametrize("mode", list(Carry))
def test_set_that_is_about_to_be_read_anew_is_carried(store: Store, mode: Carry) -> None:
    """Until its new rows are whole the old file stands; a reference follows when it is replaced."""
    old_harvest, _, published = store.harvest_one(DATE - DAY)
    store.ledger.requeue(old_harvest, [JobState.DONE])
    harvest, job = store.planned(DATE)
    snapshot = store.snapshots().of(job)
    assert snapshot is not None

    assert store.snapshots(mode).carry([(job, snapshot, DATE)]) == 1

    (report,) = store.ledger.jobs(harvest)
    assert (report.state, report.sha256) == (JobState.CARRIED, published.sha256)


def test_D_09_partition_that_is_gone_is_not_carried(store: Store) -> None:
    """A job whose file vanished stays as it is, to be harvested."""
    _, _, published = store.harvest_one(DATE - DAY)
    harvest, job = store.planned(DATE)
    snapshot = store.snapshots().of(job)
    assert snapshot is not None
    (store.output / published.path).unlink()

    assert store.snapshots().carry([(job, snapshot, DATE)]) == 0

    assert store.ledger.counts(harvest)[JobState.RUNNING] == 1


def test_D_09_carried_job_whose_file_vanished_is_harvested_again(store: Store) -> None:
    """The next run of the date finds the file gone and asks for its rows."""
    _, _, published = store.harvest_one(DATE - DAY)
    harvest, job = store.planned(DATE)
    snapshot = store.snapshots().of(job)
    assert snapshot is not None
    store.snapshots().carry([(job, snapshot, DATE)])
    (store.output / published.path).unlink()

    assert store.ledger.requeue_missing(harvest, store.parts.is_there) == 1

    (report,) = store.ledger.jobs(harvest)
    assert (report.state, report.path, report.carried_from) == (JobState.PENDING, None, None)


def test_set_read_again_for_its_old_date_is_what_later_dates_refer_to(store: Store) -> None:
    """A new file takes the old one's place, and no later date is left with a hash that fits nothing."""
    old_harvest, _, _ = store.harvest_one(DATE - DAY)
    harvest, job = store.planned(DATE)
    snapshot = store.snapshots().of(job)
    assert snapshot is not None
    store.snapshots().carry([(job, snapshot, DATE)])

    assert dates_at_stake(store.database, old_harvest) == []
    store.ledger.requeue(old_harvest, [JobState.DONE])
    assert dates_at_stake(store.database, old_harvest) == [DATE]
    (claimed,) = store.ledger.claim(old_harvest, 1, now_s=0.0)
    fresh = store.publish(claimed.job, LINES * 2)

    (report,) = store.ledger.jobs(harvest)
    assert (report.path, report.bytes, report.sha256) == (fresh.path, fresh.bytes, fresh.sha256)
    assert [each.date for each in mistold(store.database, "acme")] == [DATE]
    write_manifest(store.output, store.ledger, harvest, "2026-03-15T02:00:00+00:00")
    assert mistold(store.database, "acme") == []


def test_L_09_file_that_was_gone_is_replaced_for_all_dates(store: Store) -> None:
    """Also where the old partition is forgotten by then, later dates refer to the one that was read in its place."""
    old_harvest, _, published = store.harvest_one(DATE - DAY)
    harvest, job = store.planned(DATE)
    snapshot = store.snapshots().of(job)
    assert snapshot is not None
    store.snapshots().carry([(job, snapshot, DATE)])
    (store.output / published.path).unlink()
    store.ledger.requeue_missing(old_harvest, store.parts.is_there)
    (claimed,) = store.ledger.claim(old_harvest, 1, now_s=0.0)

    fresh = store.publish(claimed.job, LINES * 2)

    (report,) = store.ledger.jobs(harvest)
    assert (report.state, report.bytes, report.sha256) == (JobState.CARRIED, fresh.bytes, fresh.sha256)


def test_reference_of_a_job_that_was_sent_back_follows_its_origin(store: Store) -> None:
    """Until a refresh has replaced it, a carried file stays listed: with the hash that it has by now."""
    old_harvest, _, _ = store.harvest_one(DATE - DAY)
    harvest, job = store.planned(DATE)
    snapshot = store.snapshots().of(job)
    assert snapshot is not None
    store.snapshots().carry([(job, snapshot, DATE)])
    store.ledger.requeue(harvest, [JobState.CARRIED])
    store.ledger.requeue(old_harvest, [JobState.DONE])
    (claimed,) = store.ledger.claim(old_harvest, 1, now_s=0.0)

    fresh = store.publish(claimed.job, LINES * 2)

    (report,) = store.ledger.jobs(harvest)
    assert (report.state, report.sha256) == (JobState.PENDING, fresh.sha256)


def test_counter_told_after_an_empty_set_was_read_proves_nothing(store: Store) -> None:
    """A run killed between the last word and the partition asks for counters that were not known: too late for it."""
    harvest, job = store.planned(DATE - DAY)
    store.ledger.commit([], [(job, "empty")], [], wall_s=0.0)
    store.ledger.release(harvest)
    store.count(job, 5)
    (claimed,) = store.ledger.claim(harvest, 1, now_s=0.0)
    store.parts.cut(job, 0, b"")
    store.ledger.commit([], [], [(job, store.parts.publish([Contents(claimed.job, 0)])[0])], wall_s=0.0)

    snapshot = store.snapshots().of(store.planned(DATE)[1])

    assert snapshot is not None
    assert snapshot.counter_rows is None


@pytest.mark.parametrize("mode", [Carry.HARDLINK, Carry.COPY])
def test_file_that_lives_on_under_later_dates_is_carried_from_there(store: Store, mode: Carry) -> None:
    """Where each date has files of its own, the oldest may be removed."""
    _, _, published = store.harvest_one(DATE - DAY)
    for date in (DATE, DATE + DAY):
        harvest, job = store.planned(date)
        snapshot = store.snapshots().of(job)
        assert snapshot is not None
        assert store.snapshots(mode).carry([(job, snapshot, date)]) == 1
        (store.output / published.path).unlink(missing_ok=True)

    (report,) = store.ledger.jobs(harvest)
    assert (store.output / str(report.path)).read_bytes() == LINES


def test_set_that_is_not_whole_any_more_is_open_on_the_dates_that_carried_it(store: Store) -> None:
    """Where rows of the new partition could not be read, no date calls it complete, and nothing is carried from it."""
    old_harvest, _, _ = store.harvest_one(DATE - DAY)
    harvest, job = store.planned(DATE)
    snapshot = store.snapshots().of(job)
    assert snapshot is not None
    store.snapshots().carry([(job, snapshot, DATE)])
    store.ledger.requeue(old_harvest, [JobState.DONE])
    (claimed,) = store.ledger.claim(old_harvest, 1, now_s=0.0)

    store.publish(claimed.job, unreadable=1)

    (report,) = store.ledger.jobs(harvest)
    assert (report.state, report.path, report.carried_from) == (JobState.PENDING, None, None)
    assert [each.date for each in mistold(store.database, "acme")] == [DATE]
    assert store.snapshots().of(store.planned(DATE + DAY)[1]) is None


def test_file_of_its_own_makes_room_for_a_reference(store: Store) -> None:
    """A job whose own file is damaged and that is carried from another date leaves no stranger behind."""
    harvest, job, own = store.harvest_one(DATE)
    store.harvest_one(DATE + DAY)
    store.ledger.requeue(harvest, [JobState.DONE])
    snapshot = store.snapshots().of(job)
    assert snapshot is not None
    store.ledger.claim(harvest, 1, now_s=0.0)

    store.snapshots().carry([(job, snapshot, DATE)])

    assert not (store.output / own.path).exists()


def test_nothing_to_ask_for_is_carried_without_a_partition(store: Store) -> None:
    """A campaign that has nothing of the kind is not asked every night, and says why as before."""
    _, job = store.planned(DATE - DAY)
    store.ledger.give_up(job, GivenUp(JobState.SKIPPED, "6601", "too few recipients"))
    harvest, later = store.planned(DATE)
    snapshot = store.snapshots().of(later)
    assert snapshot is not None
    assert snapshot.partition is None

    assert store.snapshots().carry([(later, snapshot, DATE)]) == 1

    (report,) = store.ledger.jobs(harvest)
    assert (report.state, report.code, report.reason) == (JobState.SKIPPED, "6601", "too few recipients")


def test_nothing_to_ask_for_replaces_no_partition(store: Store) -> None:
    """A campaign that was read once and refuses today stays known as it was read."""
    _, origin, _ = store.harvest_one(DATE - 2 * DAY)
    _, job = store.planned(DATE - DAY)
    store.ledger.give_up(job, GivenUp(JobState.SKIPPED, "6002", "not sent"))

    snapshot = store.snapshots().of(store.planned(DATE)[1])

    assert snapshot is not None
    assert snapshot.origin_id == origin.id


def test_candidates_come_in_batches_to_the_last(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, each comes once, in the order of the plan."""
    monkeypatch.setattr("harvester.store.snapshots.BATCH_JOBS", 2)
    harvest = store.ledger.open_harvest("acme", DATE)
    store.ledger.plan(harvest, [Campaign(f"k{number}") for number in range(5)], [Action.SENT])

    found: list[str] = []
    after_id = 0
    while batch := store.snapshots().candidates(harvest, after_id):
        found += [each.job.campaign.key for each in batch]
        after_id = batch[-1].job.id

    assert found == ["k0", "k1", "k2", "k3", "k4"]


def test_largest_campaigns_come_first_once_their_counters_are_known(store: Store) -> None:
    """A backfill that takes the largest first claims by the counters, those still unknown last."""
    harvest = store.ledger.open_harvest("acme", DATE)
    store.ledger.plan(harvest, [Campaign(key) for key in ("unknown", "small", "large")], [Action.SENT])
    book = CounterBook(store.database, "run-1", is_ranking=True)
    for campaign_id, key in book.uncounted(harvest, 0, 10):
        if key != "unknown":
            rows = {"small": 1, "large": 9}[key]
            book.note(harvest, campaign_id, Counters({Action.SENT: rows}))

    claimed = store.ledger.claim(harvest, 3, now_s=0.0)

    assert [each.job.campaign.key for each in claimed] == ["large", "small", "unknown"]
