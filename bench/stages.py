"""Where the time of a run goes: CPU and wall time of each stage, per page.

Runs the harvest in this process with the stages' functions timed. CPU is that of the thread that runs the stage, so it
adds up; wall time includes waiting for the disk, for locks and for the interpreter.
"""

import functools
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import redirect_stderr, suppress
from pathlib import Path
from threading import get_ident
from typing import Any

from bench.rehearsal import Night, server, table, workplace
from bench.server import PAGE_ROWS
from bench.speed import CAMPAIGNS, PAGES_EACH
from harvester.cli import main
from harvester.engine import framing
from harvester.engine.seen import Seen
from harvester.operations import workshop
from harvester.store.calls import CallBook
from harvester.store.ledger import Ledger
from harvester.store.partitions import Partitions
from harvester.zoho import client

STAGES: tuple[tuple[str, Any, str], ...] = (
    ("parse", client, "read_page"),
    ("facts: join, duplicates", framing, "facts_of"),
    ("render", workshop, "lines"),
    ("compress", Partitions, "frame"),
    ("remember contacts", Seen, "update"),
    ("append and hash", Partitions, "append"),
    ("sync", Partitions, "sync"),
    ("publish", Partitions, "publish"),
    ("ledger: commit", Ledger, "commit"),
    ("ledger: claim", Ledger, "claim"),
    ("budget: lease", CallBook, "lease"),
    ("budget: settle", CallBook, "settle"),
)


class Stopwatch:
    """CPU and wall seconds by stage, over all threads, and the part of the CPU seconds spent in the event loop."""

    def __init__(self) -> None:
        self.cpu_s: dict[str, float] = defaultdict(float)
        self.wall_s: dict[str, float] = defaultdict(float)
        self.runs: dict[str, int] = defaultdict(int)
        self.loop_cpu_s = 0.0
        self._loop_thread = get_ident()

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, timed under the name of its stage."""

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            wall_s, cpu_s = time.perf_counter(), time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                taken_s = time.thread_time() - cpu_s
                self.cpu_s[stage] += taken_s
                self.wall_s[stage] += time.perf_counter() - wall_s
                self.runs[stage] += 1
                self.loop_cpu_s += taken_s if get_ident() == self._loop_thread else 0.0

        return run


def measure() -> None:
    """Print the table of stages for a run with the default compression."""
    pages = CAMPAIGNS * PAGES_EACH
    with server(PAGES_EACH * PAGE_ROWS) as url, workplace(url, Night(CAMPAIGNS)) as folder:
        watch, process_s, loop_s, run_s = _timed_run(folder)
    rows = [_row(stage, watch.cpu_s[stage], watch.wall_s[stage], watch.runs[stage], pages) for stage, _, _ in STAGES]
    loop_rest_s = loop_s - watch.loop_cpu_s
    threads_rest_s = process_s - loop_s - (sum(watch.cpu_s.values()) - watch.loop_cpu_s)
    rows += [
        ("event loop: HTTP, tasks", 1e3 * loop_rest_s / pages, "-", "-"),
        ("threads: hand-over", 1e3 * threads_rest_s / pages, "-", "-"),
        ("all CPU", 1e3 * process_s / pages, "-", "-"),
        ("elapsed", "-", 1e3 * run_s / pages, "-"),
    ]
    table(f"Stages: ms per page of {PAGE_ROWS} rows, gzip", ("stage", "CPU ms", "wall ms", "runs per page"), rows)


def _row(stage: str, cpu_s: float, wall_s: float, runs: int, pages: int) -> tuple[object, ...]:
    return stage, 1e3 * cpu_s / pages, 1e3 * wall_s / pages, runs / pages


def _timed_run(folder: Path) -> tuple[Stopwatch, float, float, float]:
    """Harvest with the stages timed; return the watch, and the seconds: CPU of process, CPU of loop, elapsed."""
    watch = Stopwatch()
    for stage, owner, name in STAGES:
        setattr(owner, name, watch.timed(stage, getattr(owner, name)))
    process_s, loop_s, began_s = time.process_time(), time.thread_time(), time.perf_counter()
    with (folder / "log").open("w") as log, redirect_stderr(log), suppress(SystemExit):
        main(["run", "--config", str(folder / "config.toml")])
    if not list(folder.glob("data/recipients/*/*/_SUCCESS")):
        raise RuntimeError(f"the run did not complete: {(folder / 'log').read_text()[-2000:]}")
    return watch, time.process_time() - process_s, time.thread_time() - loop_s, time.perf_counter() - began_s


if __name__ == "__main__":
    measure()
