"""A command killed before each change that it makes to the disk, and then given again; a program of its own.

`python dying.py FOLDER HOME COMMAND [FLAG ...]` prints for each step at which the command was killed a line of JSON:
what lay below HOME afterwards and what its manifests named, and what lay there after the same command was given again.

The changes are those that Python announces (`sys.addaudithook`): opening to write, renaming, removing, making folders;
and each `fsync`.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import harvester.cli.compact
import harvester.cli.export
import harvester.operations.querying  # what the commands import, ahead of the first fork
import harvester.operations.typed_files
import harvester.warehouse.parquet  # noqa: F401
from harvester.cli.main import main

CHANGES = frozenset({"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link"})
KILLED = 99
STEPS_MAX = 200


def die_at(step: int, folder: str) -> None:
    """End this process without a word before its change number `step` below a folder."""
    steps = count(1)

    def stepped() -> None:
        if next(steps) == step:
            os._exit(KILLED)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        is_write = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if (event in CHANGES or is_write) and str(arguments[0]).startswith(folder):
            stepped()

    def sync(file: int, change: Callable[[int], None] = os.fsync) -> None:
        stepped()
        change(file)

    sys.addaudithook(watch)
    os.fsync = sync  # type: ignore[assignment]


def run(arguments: list[str], folder: str, step: int = 0) -> int:
    """Return the exit code of a command in a process of its own."""
    if not (pid := os.fork()):
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        if step:
            die_at(step, folder)
        main(arguments)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def tree(home: Path) -> dict[str, str]:
    """Return the SHA-256 of each file."""
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(home.rglob("*"))
        if path.is_file()
    }


def named(home: Path) -> dict[str, str]:
    """Return the SHA-256 of each file that a manifest of an export names."""
    actions = (json.loads(path.read_bytes())["actions"].values() for path in home.rglob("_export.json"))
    return {file["path"]: file["sha256"] for each in actions for action in each for file in action["files"]}


if __name__ == "__main__":
    below, home, *command = sys.argv[1:]
    before = Path(f"{home}.before")
    for number in range(1, STEPS_MAX):
        shutil.rmtree(home, ignore_errors=True)
        if before.is_dir():
            shutil.copytree(before, home)
        code = run(command, below, number)
        left = {"code": code, "killed": tree(Path(home)), "named": named(Path(home))}
        print(json.dumps({**left, "again": run(command, below), "after": tree(Path(home))}))  # noqa: T201
        if code != KILLED:
            break
