"""Folders below the state folder for what a reader's work does not leave behind.

What a killed process leaves may hold addresses: the next one removes it.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harvester.store.disk import disk_errors, make_folder
from harvester.store.lock import MARKS, at_work, runs_at_work

SCRATCH = "scratch"
"""The folder below the state folder; below it a folder for each process, named as the mark that it holds."""


@contextmanager
def scratch_folder(state: Path, run_id: str) -> Iterator[Path]:
    """Give an empty folder, which goes away with the context; others' are removed if their process is dead.

    Raises:
        DiskError: the disk refuses.
    """
    home = state / SCRATCH
    folder = home / run_id
    with at_work(home, run_id):
        sweep_scratch(state, run_id)
        with disk_errors(folder):
            make_folder(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sweep_scratch(state: Path, run_id: str | None = None) -> None:
    """Remove the folders of dead processes; `run_id` is our own, which stays."""
    home = state / SCRATCH
    if not home.exists():
        return
    with disk_errors(home):
        folders = list(home.iterdir())  # before the marks: who starts meanwhile leaves its mark first, then its folder
        live = {MARKS, run_id, *runs_at_work(home, run_id)}
        for folder in folders:
            if folder.name not in live:
                shutil.rmtree(folder, ignore_errors=True)  # another process may sweep it too
