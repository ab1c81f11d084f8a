"""`harvester changes` as a process that is killed before each change it makes to the names on the disk."""

import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from factories import rows
from nights import Nights

from harvester.model import Job
from harvester.store.change_files import change_flaws
from harvester.store.database import Database

CONFIG = """\
[accounts.acme]
client_id = "1000.PRACTICE"
client_secret = "practice"
refresh_token = "practice"
"""

KILLED_AT = """
import os, signal, sys

left = int(sys.argv.pop(1))

def watch(event, arguments):
    global left
    if event in {"open", "os.mkdir", "os.rename", "os.remove"} and "/data" in os.path.abspath(str(arguments[0])):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

from harvester.cli.main import main
sys.addaudithook(watch)
main()
"""
"""Python tells its hooks of each file before it is opened, renamed or removed; all are watched below the output."""

NEVER = 1_000_000
MOMENTS_MIN = 15


def changes(folder: Path, killed_at: int = NEVER) -> int:
    """Run the command, killed at this moment; return its exit code."""
    command = [sys.executable, "-c", KILLED_AT, str(killed_at), "changes", "--all"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode


def written(folder: Path, jobs: list[Job]) -> list[set[bytes]]:
    """Return the change lines of each job; ledger, files and manifest agree, and nothing unfinished is left."""
    with closing(Database(folder / "state" / "ledger.sqlite")) as database:
        nights = Nights(folder, database)
        for night in (0, 1):
            assert list(change_flaws(nights.output, nights.book, nights.of(night))) == []
        assert list((nights.output / "_parts").iterdir()) == []
        assert len(list(nights.output.glob("recipients/*/*/_manifest.json"))) == 2
        return [set(nights.change_lines(job)) for job in jobs]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "config.toml").write_text(CONFIG)
    return tmp_path / "first"


def test_P3_killed_at_any_moment_the_same_command_completes(folder: Path) -> None:
    """Whatever was written twice, or not at all, comes out as if nothing had happened."""
    with closing(Database(folder / "state" / "ledger.sqlite")) as database:
        nights = Nights(folder, database)
        jobs = [nights.harvested(0, rows(1, 3)), nights.harvested(1, rows(2, 5)), nights.harvested(1, (), key="k2")]
    truth = shutil.copytree(folder, folder.parent / "truth")
    assert changes(truth) == 0
    expected = written(truth, jobs)
    assert [len(lines) for lines in expected] == [3, 4, 0]

    moment = 1
    while True:
        copy = shutil.copytree(folder, folder.parent / f"killed-{moment}")
        code = changes(copy, killed_at=moment)
        if code != -signal.SIGKILL:
            break
        assert changes(copy) == 0
        assert written(copy, jobs) == expected, f"killed at moment {moment}"
        moment += 1

    assert (code, moment > MOMENTS_MIN) == (0, True)
