"""Runs side by side: real processes, the kernel's own locks."""

import datetime as dt
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from factories import DATE
from harvested import carried, harvested

from harvester.errors import BusyError
from harvester.model import Action, Campaign, Command, JobState
from harvester.snapshot import Carry
from harvester.store.database import Database
from harvester.store.ledger import Ledger
from harvester.store.lock import at_work, exclusive, runs_at_work
from harvester.store.manifest import mark_running
from harvester.store.runs import runs_on

AT_WORK_UNTIL_KILLED = """
import sys
from contextlib import closing
from pathlib import Path
from harvester.store.lock import at_work

with at_work(Path(sys.argv[1]), sys.argv[2]):
    print("at work", flush=True)
    sys.stdin.read()
"""


def other_run(state: Path, run_id: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", AT_WORK_UNTIL_KILLED, str(state), run_id]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    return process


def end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def test_P_08_run_at_work_is_known_by_its_process_until_it_dies(tmp_path: Path) -> None:
    """A run is at work exactly as long as its process lives, however it dies; its mark is then cleared."""
    process = other_run(tmp_path, "run-a")
    try:
        assert runs_at_work(tmp_path, "run-b") == {"run-a": f"process {process.pid}"}
    finally:
        end(process)

    assert runs_at_work(tmp_path, "run-b") == {}
    assert list((tmp_path / "runs").iterdir()) == []


def test_own_run_is_no_other(tmp_path: Path) -> None:
    """A run does not see itself, and leaves nothing behind."""
    with at_work(tmp_path, "run-a"):
        assert runs_at_work(tmp_path, "run-a") == {}
        with pytest.raises(BusyError, match="at work already"), at_work(tmp_path, "run-a"):
            pass

    assert list((tmp_path / "runs").iterdir()) == []


def test_exclusive_gives_up_after_its_wait(tmp_path: Path) -> None:
    """Who waits for the state folder is told who holds it when the wait is over."""
    with exclusive(tmp_path), pytest.raises(BusyError, match="process"), exclusive(tmp_path, wait_s=0.1):
        pass


def test_P_07_jobs_of_a_live_run_are_left_to_it(tmp_path: Path) -> None:
    """A second run plans what the first does not have, claims none of its jobs and does not release them."""
    database = Database(tmp_path / "ledger.sqlite")
    first = Ledger(database, "run-a")
    second = Ledger(database, "run-b", live_runs=lambda: {"run-a"})
    harvest = first.open_harvest("acme", DATE)
    first.plan(harvest, [Campaign("k1"), Campaign("k2")], [Action.SENT])
    (in_hand,) = first.claim(harvest, limit=1, now_s=0)

    second.plan(harvest, [Campaign("k1"), Campaign("k2"), Campaign("k3")], [Action.SENT])
    second.release(harvest)

    assert [claimed.job.campaign.key for claimed in second.claim(harvest, limit=9, now_s=0)] == ["k3"]
    assert second.jobs_of_others(harvest) == 2
    assert first.counts(harvest, is_plan_only=True)[JobState.RUNNING] == 1
    assert in_hand.job.campaign.key == "k1"
    database.close()


def test_nightly_run_takes_over_what_a_backfill_has_not_begun(tmp_path: Path) -> None:
    """The nightly run comes first: what a backfill at work has not in hand goes to it, and never the reverse."""
    database = Database(tmp_path / "ledger.sqlite")
    filling = Ledger(database, "run-a", live_runs=lambda: {"run-b"})
    nightly = Ledger(database, "run-b", live_runs=lambda: {"run-a"})
    filling.begin_run(0.0, Command.BACKFILL)
    nightly.begin_run(0.0, Command.NIGHTLY)
    harvest = filling.open_harvest("acme", DATE)
    campaigns = [Campaign("k1"), Campaign("k2"), Campaign("k3")]
    filling.plan(harvest, campaigns, [Action.SENT])
    filling.claim(harvest, limit=1, now_s=0)

    nightly.plan(harvest, campaigns[:2], [Action.SENT])
    filling.plan(harvest, campaigns, [Action.SENT])

    assert [claimed.job.campaign.key for claimed in nightly.claim(harvest, limit=9, now_s=0)] == ["k2"]
    assert [claimed.job.campaign.key for claimed in filling.claim(harvest, limit=9, now_s=0)] == ["k3"]
    database.close()


def test_backfill_waits_for_sets_that_a_nightly_run_is_about_to_read(tmp_path: Path) -> None:
    """A set that both want, for whichever dates, is read once: the backfill finds it read, or reads it afterwards."""
    database = Database(tmp_path / "ledger.sqlite")
    live = {"run-a", "run-b"}
    filling = Ledger(database, "run-a", live_runs=lambda: live - {"run-a"})
    nightly = Ledger(database, "run-b", live_runs=lambda: live - {"run-b"})
    filling.begin_run(0.0, Command.BACKFILL)
    nightly.begin_run(0.0, Command.NIGHTLY)
    old, new = filling.open_harvest("acme", DATE), nightly.open_harvest("acme", DATE + dt.timedelta(days=1))
    filling.plan(old, [Campaign("both"), Campaign("old")], [Action.SENT])
    nightly.plan(new, [Campaign("both")], [Action.SENT])

    assert [each.job.campaign.key for each in filling.claim(old, limit=9, now_s=0)] == ["old"]
    assert [each.job.campaign.key for each in nightly.claim(new, limit=9, now_s=0)] == ["both"]
    live.remove("run-b")
    assert [each.job.campaign.key for each in filling.claim(old, limit=9, now_s=0)] == ["both"]
    database.close()


def test_P_03_jobs_of_a_dead_run_are_taken_over(tmp_path: Path) -> None:
    """When the other run is gone, its jobs, also those it was at, go to whoever plans them."""
    database = Database(tmp_path / "ledger.sqlite")
    dead, heir = Ledger(database, "run-a"), Ledger(database, "run-b")
    harvest = dead.open_harvest("acme", DATE)
    dead.plan(harvest, [Campaign("k1"), Campaign("k2")], [Action.SENT])
    dead.claim(harvest, limit=1, now_s=0)

    heir.plan(harvest, [Campaign("k1"), Campaign("k2")], [Action.SENT])
    heir.release(harvest)

    assert len(heir.claim(harvest, limit=9, now_s=0)) == 2
    assert heir.jobs_of_others(harvest) == 0
    database.close()


def test_a_run_that_replaces_files_is_at_work_on_the_dates_that_refer_to_them(tmp_path: Path) -> None:
    """From the moment on which it has taken back their manifests, also on one that another run made meanwhile."""
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        done = harvested(tmp_path, database)
        night, other = carried(done), carried(done, 2, Carry.COPY)
        refresh = Ledger(database, "run-2")
        refresh.plan(done.harvest, [Campaign("k1")], [Action.SENT])
        refresh.requeue(done.harvest, [JobState.DONE])
        assert runs_on(database, night.harvest, {"run-2"}) == []

        for each in (night, other):
            mark_running(each.output, refresh, each.harvest, "2026-03-17T02:00:00+00:00")

        assert runs_on(database, night.harvest, {"run-2"}) == ["run-2"]
        assert runs_on(database, night.harvest, {"run-3"}) == []
        assert runs_on(database, other.harvest, {"run-2"}) == [], "it has files of its own"


def test_a_run_is_at_work_on_what_is_in_its_plan(tmp_path: Path) -> None:
    """Also when all of it is done, as long as it lives; where only open jobs count, no more."""
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        done = harvested(tmp_path, database)

        assert runs_on(database, done.harvest, {"run-1", "run-2"}) == ["run-1"]
        assert runs_on(database, done.harvest, {"run-1"}, is_open_only=True) == []
        assert runs_on(database, done.harvest, set()) == []
