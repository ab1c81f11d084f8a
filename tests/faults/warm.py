"""The program, imported once and forked for each run: a process of its own, without the half second of its start.

Reads one `Request` a line from standard input, as JSON, and answers each with the exit code of the run.
"""

import gc
import json
import os
import resource
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import harvester.cli.run  # noqa: F401  what a run imports, ahead of the first fork
from harvester.cli import main

TRACER_WAIT_S = 10.0
"""An attached tracer shows in milliseconds; without the right to trace, it never does."""

EXIT_UNTRACED = 99

SIGN_OF_TRACER = "getppid"
"""A call that the program makes nowhere: once it stands in the log, the tracer sees all that the thread does."""


@dataclass(frozen=True)
class Request:
    """A run to make.

    Attributes:
        folder: where the program runs.
        arguments: of its command line.
        stdout, stderr: files for what it says.
        tracer: the command that traces a thread, less the thread's number; empty: none.
        log: the file that the tracer writes.
        thread: how the name of the traced thread begins.
        file_bytes_max: no file may grow beyond it; None: no limit.
    """

    folder: str
    arguments: list[str]
    stdout: str
    stderr: str
    tracer: list[str]
    log: str
    thread: str
    file_bytes_max: int | None


def serve() -> None:
    """Make the runs that are asked for, one after the other."""
    for line in sys.stdin:
        print(_exit_code(Request(**json.loads(line))), flush=True)  # noqa: T201  the answer


def _exit_code(request: Request) -> int:
    """Make a run, traced if so wished, and return its exit code; of a killed one, minus the signal's number."""
    thread_out, thread_in = os.pipe()
    pid = os.fork()
    if not pid:
        _become(request, thread_in)
    os.close(thread_in)
    with open(thread_out, "rb") as told:  # noqa: PTH123  a pipe
        thread = told.read()
    tracer = None
    if thread:
        tracer = subprocess.Popen([*request.tracer, "-o", request.log, "-p", thread], stdout=subprocess.DEVNULL)
    _, status = os.waitpid(pid, 0)
    if tracer:
        tracer.wait()
    return os.waitstatus_to_exitcode(status)


def _become(request: Request, thread_in: int) -> None:
    """Turn this fork into the program; it ends as the program does."""
    os.chdir(request.folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for stream, file in enumerate((os.open(os.devnull, os.O_RDONLY), os.open(request.stdout, flags))):
        os.dup2(file, stream)
    os.dup2(os.open(request.stderr, flags), 2)
    sys.argv = ["harvester", *request.arguments]
    if request.file_bytes_max is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request.file_bytes_max, request.file_bytes_max))
    if not request.tracer:
        os.close(thread_in)
    elif threading.current_thread().name.startswith(request.thread):
        _wait_for_tracer(request, thread_in)
    else:
        _have_thread_wait(request, thread_in)
    main()


def _have_thread_wait(request: Request, thread_in: int) -> None:
    """Have a thread that is to come wait for its tracer before it does anything."""

    def begun(_frame: FrameType, _event: str, _argument: Any) -> None:
        sys.setprofile(None)
        if threading.current_thread().name.startswith(request.thread):
            _wait_for_tracer(request, thread_in)

    threading.setprofile(begun)


def _wait_for_tracer(request: Request, thread_in: int) -> None:
    """Tell who this thread is and go on once it is traced."""
    os.write(thread_in, str(threading.get_native_id()).encode())
    os.close(thread_in)
    log, give_up_s = Path(request.log), time.monotonic() + TRACER_WAIT_S
    while not (log.exists() and log.stat().st_size):
        os.getppid()
        if time.monotonic() > give_up_s:
            os._exit(EXIT_UNTRACED)


if __name__ == "__main__":
    gc.freeze()  # what was imported is never looked through again, and so stays shared with the forks
    serve()
