"""One run at a time on a state folder: real processes, the kernel's own lock."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from factories import no_umask

from harvester.errors import BusyError, DiskError
from harvester.store.lock import at_work, exclusive, runs_at_work

HOLD_UNTIL_KILLED = """
import sys
from pathlib import Path
from harvester.store.lock import exclusive

with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""

WORK_UNTIL_KILLED = """
import sys
from pathlib import Path
from harvester.store.lock import at_work

with at_work(Path(sys.argv[1]), "run-1"):
    print("held", flush=True)
    sys.stdin.read()
"""

TRY_ONCE = """
import sys
from pathlib import Path
from harvester.errors import BusyError
from harvester.store.lock import exclusive

try:
    with exclusive(Path(sys.argv[1])):
        print("held")
except BusyError as error:
    print(error)
    sys.exit(error.exit_code)
"""


@contextmanager
def holder(state: Path, program: str = HOLD_UNTIL_KILLED) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the folder, or its mark as a run, until it is killed or told to end."""
    command = [sys.executable, "-c", program, str(state)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def take(state: Path) -> None:
    with exclusive(state):
        pass


def test_P_07_second_run_is_refused_and_told_who_holds(tmp_path: Path) -> None:
    """A folder held by another process is refused at once, with the number of that process."""
    with holder(tmp_path) as process, pytest.raises(BusyError, match=rf"process {process.pid}\b") as caught:
        take(tmp_path)

    assert caught.value.exit_code == 5


def test_P_07_other_process_is_refused_while_we_hold(tmp_path: Path) -> None:
    """A process that comes second ends with the exit code of BusyError."""
    with exclusive(tmp_path):
        second = subprocess.run(
            [sys.executable, "-c", TRY_ONCE, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
        )

    assert second.returncode == BusyError.exit_code
    assert "Another process holds" in second.stdout


def test_P_08_kill_lets_go_of_the_folder(tmp_path: Path) -> None:
    """After kill -9 the file of the lock is still there, and the next run starts all the same."""
    with holder(tmp_path) as process:
        process.kill()
        process.wait(timeout=60)

        assert (tmp_path / "lock").exists()
        take(tmp_path)


def test_P_08_lock_file_alone_means_nothing(tmp_path: Path) -> None:
    """A file that names a living process is no lock while nobody holds it."""
    (tmp_path / "lock").write_text("process 1, and a line longer than ours\n")

    with exclusive(tmp_path):
        assert (tmp_path / "lock").read_text().splitlines()[0].startswith("process ")
        assert "longer" not in (tmp_path / "lock").read_text()


def test_folder_can_be_taken_again_after_an_error(tmp_path: Path) -> None:
    """The folder is let go however the run ends."""
    with pytest.raises(KeyError), exclusive(tmp_path):
        raise KeyError

    take(tmp_path)


def test_S_06_lock_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """The file of the lock has mode 0600 and its folder 0700 under a umask that forbids nothing."""
    state = tmp_path / "state"

    with no_umask():
        take(state)

    assert (state.stat().st_mode & 0o777, (state / "lock").stat().st_mode & 0o777) == (0o700, 0o600)


def test_S_07_symbolic_link_at_the_lock_is_refused(tmp_path: Path) -> None:
    """A link planted at the lock is told, and what it points to keeps its content."""
    target = tmp_path / "target"
    target.write_text("precious")
    (tmp_path / "lock").symlink_to(target)

    with pytest.raises(DiskError, match="symbolic link"):
        take(tmp_path)

    assert target.read_text() == "precious"


def test_P_07_who_may_wait_gets_the_folder_when_it_is_free(tmp_path: Path) -> None:
    """A step that waits goes on as soon as the process before it is gone."""
    with holder(tmp_path) as process:
        process.kill()
        with exclusive(tmp_path, wait_s=60.0):
            pass


def test_P_07_waiting_ends_with_a_refusal(tmp_path: Path) -> None:
    """Who waits in vain is told who holds the folder."""
    with holder(tmp_path) as process, pytest.raises(BusyError, match=f"process {process.pid}"):  # noqa: SIM117
        with exclusive(tmp_path, wait_s=0.1):
            pass


# --- runs at work -------------------------------------------------------------------------------------------------


def test_P_07_run_at_work_is_seen_by_others_and_not_by_itself(tmp_path: Path) -> None:
    """Another run knows of it and of its process; the run itself is not among the others."""
    with holder(tmp_path, WORK_UNTIL_KILLED) as process:
        assert runs_at_work(tmp_path, "run-2") == {"run-1": f"process {process.pid}"}
        assert runs_at_work(tmp_path, "run-1") == {}


def test_P_08_killed_run_is_no_longer_at_work(tmp_path: Path) -> None:
    """After kill -9 the mark is there and means nothing; whoever looks clears it away."""
    with holder(tmp_path, WORK_UNTIL_KILLED) as process:
        process.kill()
        process.wait(timeout=60)

        assert list((tmp_path / "runs").iterdir()) != []
        assert runs_at_work(tmp_path, "run-2") == {}
        assert list((tmp_path / "runs").iterdir()) == []


def test_run_that_ends_leaves_no_mark(tmp_path: Path) -> None:
    """A run takes its mark away, also when it ends with an error."""

    def work() -> None:
        with at_work(tmp_path, "run-1"):
            assert list(runs_at_work(tmp_path, "run-2")) == ["run-1"]
            raise KeyError

    with pytest.raises(KeyError):
        work()

    assert list((tmp_path / "runs").iterdir()) == []


def test_nobody_is_at_work_in_a_new_folder(tmp_path: Path) -> None:
    """A state folder that is not there yet has no runs."""
    assert runs_at_work(tmp_path / "state", "run-1") == {}
