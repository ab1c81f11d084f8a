"""Kills a command before each step that it takes on the disk, and lets others look at what it left.

A program: `stepwise.py REQUEST` reads a request as JSON and answers with one line of JSON for each kill. Every command
runs in a fork of this one process, which has no threads, so that it starts at once and ends by a real SIGKILL.
"""

import gc
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

import obstore

import harvester.cli.forget
import harvester.cli.publish
import harvester.cli.purge
import harvester.cli.run
import harvester.cli.status
import harvester.cli.verify
import harvester.operations.publishing  # noqa: F401  what is forked needs not be imported each time
from harvester.cli.main import main
from harvester.store.database import Database

CHANGES = frozenset(
    {"os.rename", "os.remove", "os.link", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "os.chown"}
)


@dataclass(frozen=True)
class Request:
    """What is to be killed.

    Attributes:
        template: the folder with which each run begins, copied with its hard links.
        work: where the copies go, one for each kill.
        command: that is killed, and given again at last; its standard input is `said`.
        said: what stands there.
        between: commands that are given after the kill.
        after: commands that are given at last.
        first: the step before which it is killed first.
        stride: how many steps later it is killed next; 1 for every one.
        kept: a folder in there that is copied as each kill leaves it, to the name of the copy with `.left`.
    """

    template: str
    work: str
    command: list[str]
    said: str
    between: list[list[str]]
    after: list[list[str]]
    first: int = 1
    stride: int = 1
    kept: str = ""


@dataclass(frozen=True)
class Told:
    """How one command ended: exit code, and what it wrote to standard output and standard error."""

    code: int
    out: str
    err: str


def killed(request: Request) -> list[dict[str, Any]]:
    """Give a command again and again, killed each time one step later, until it is killed no more."""
    process = subprocess.run(
        [sys.executable, __file__, json.dumps(asdict(request))], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    return [json.loads(line) for line in process.stdout.splitlines()]


def _serve(request: Request) -> None:
    for number in count(request.first, request.stride):
        folder = Path(request.work, str(number))
        subprocess.run(["cp", "-a", request.template, str(folder)], check=True)  # noqa: S607  the system's own
        first = _run(folder, request.command, request.said, number)
        if request.kept:
            subprocess.run(["cp", "-a", str(folder / request.kept), f"{folder}.left"], check=True)  # noqa: S607
        between = [_run(folder, each, "") for each in request.between]
        again = _run(folder, request.command, request.said)
        after = [_run(folder, each, "") for each in request.after]
        told = {"first": first, "again": again, "between": between, "after": after, "folder": str(folder)}
        print(json.dumps(told, default=asdict), flush=True)  # noqa: T201  the answer
        if first.code != -signal.SIGKILL:
            return


def _run(folder: Path, command: list[str], said: str, kill_at: int = 0) -> Told:
    spoken = [folder.with_name(f"{folder.name}.{name}") for name in ("in", "out", "err")]
    spoken[0].write_text(said)
    pid = os.fork()
    if not pid:
        os.chdir(folder)
        for stream, path in enumerate(spoken):
            os.dup2(os.open(path, os.O_RDWR if not stream else os.O_RDWR | os.O_CREAT | os.O_TRUNC), stream)
        if kill_at:
            _kill_at(kill_at)
        main(command)
    _, status = os.waitpid(pid, 0)
    return Told(os.waitstatus_to_exitcode(status), spoken[1].read_text(), spoken[2].read_text())


def _kill_at(number: int) -> None:
    """Have this process kill itself before its `number`-th step."""
    steps = count(1)

    def step() -> None:
        if next(steps) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        is_writing = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_CREAT | os.O_TRUNC)
        if event in CHANGES or is_writing:
            step()

    sys.addaudithook(heard)
    os.fsync = _before(step, os.fsync)  # type: ignore[assignment]
    _watch_commits(step)
    _watch_requests(step)


def _watch_requests(step: Callable[[], None]) -> None:
    """Take each request to an object store for a step."""

    def watched(request: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*values: Any, **how: Any) -> Any:
            step()
            return request(*values, **how)

        return asked

    for name in ("get_async", "put_async", "delete_async"):
        setattr(obstore, name, watched(getattr(obstore, name)))


def _before(step: Callable[[], None], change: Callable[[int], None]) -> Callable[[int], None]:
    def stepped(file: int) -> None:
        step()
        change(file)

    return stepped


def _watch_commits(step: Callable[[], None]) -> None:
    connect = Database._connect

    def watched(path: Path, synchronous: str) -> sqlite3.Connection:
        connection = connect(path, synchronous)
        connection.set_trace_callback(lambda statement: step() if statement.startswith(("COMMIT", "VACUUM")) else None)
        return connection

    Database._connect = staticmethod(watched)  # type: ignore[method-assign]


if __name__ == "__main__":
    gc.freeze()  # what was imported is never looked through again, and so stays shared with the forks
    _serve(Request(**json.loads(sys.argv[1])))
