"""What every benchmark needs: a server process, a folder with a configuration, and `harvester run` as a process."""

import os
import signal
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

BENCH = Path(__file__).parent
HARVESTER = (sys.executable, "-m", "harvester")
KIB_PER_MB = 1_000_000 / 1024
"""The kernel tells memory in KiB; the tables show MB."""

EXIT_PARTIAL = 3
EXIT_TERMINATED = 128 + signal.SIGTERM
PLAN_STANDS = b"harvest.started"
LINES_KEPT = 20
"""Of the run's log, for the message if it breaks."""

CONFIG = """\
output = "data"
state = "state"

[accounts.bench]
client_id = "1000.BENCH"
client_secret = "bench"
refresh_token = "bench"
base_url = "{url}"
accounts_url = "{url}"

# As good as no limit: 100,000 calls in a period that no benchmark fills.
[budget]
allow_over_documented_limit = true
calls = 100000
admission = "window"
burst_per_s = 100000

[harvest]
actions = {actions}
campaigns = {campaigns}
counters = {counters}
compression = "{compression}"
"""


@dataclass(frozen=True, slots=True)
class Night:
    """What one run harvests, and how it writes it.

    Attributes:
        campaigns: how many keys are named in a file; None harvests what the server lists.
        actions: of each campaign.
        has_counters: whether listed campaigns are asked how many rows they have.
        compression: of the files.
    """

    campaigns: int | None
    actions: tuple[str, ...] = ("sentcontacts",)
    has_counters: bool = True
    compression: str = "gzip"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one `harvester run` ended.

    Attributes:
        exit_code: of the process.
        peak_mb: the most memory that the process held.
        plan_s: from the start of the process until its plan stood.
        process_s: from the start of the process to its end.
        run_s: the run's own account of its length, without the interpreter's start.
        rows: harvested.
        calls: made.
    """

    exit_code: int
    peak_mb: float
    plan_s: float
    process_s: float
    run_s: float
    rows: int
    calls: int


@contextmanager
def server(set_rows: int) -> Iterator[str]:
    """Run the benchmarks' own server as a process, and give its URL."""
    with _served(sys.executable, str(BENCH / "server.py"), "--set-rows", str(set_rows)) as url:
        yield url


@contextmanager
def simulator(*flags: str) -> Iterator[str]:
    """Run `harvester simulate` with as good as no limit as a process, and give its URL."""
    with _served(*HARVESTER, "simulate", "--port", "0", "--calls", "1000000", *flags) as url:
        yield url


@contextmanager
def _served(*command: str) -> Iterator[str]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101  it is a pipe
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


@contextmanager
def workplace(url: str, night: Night) -> Iterator[Path]:
    """Make a folder with keys and configuration, below TMPDIR; its disk is the one that is measured."""
    with TemporaryDirectory(prefix="harvester-bench-") as name:
        folder = Path(name)
        with (folder / "keys.txt").open("w") as keys:
            keys.writelines(f"3z{number:064x}\n" for number in range(night.campaigns or 0))
        text = CONFIG.format(
            url=url,
            actions=orjson.dumps(night.actions).decode(),
            campaigns='"discover"' if night.campaigns is None else '{ file = "keys.txt" }',
            counters=str(night.has_counters).lower(),
            compression=night.compression,
        )
        (folder / "config.toml").write_text(text)
        yield folder


def harvest(folder: Path, *flags: str, stop_after_s: float | None = None) -> Outcome:
    """Run `harvester run --json` in the folder; `stop_after_s` after its plan stands, if given, ask it to stop.

    Raises:
        RuntimeError: it ended in another way than complete, partial or stopped as asked.
    """
    began_s = planned_at_s = time.perf_counter()
    last_lines: deque[bytes] = deque(maxlen=LINES_KEPT)
    with (folder / "summary.json").open("wb") as summary:
        process = subprocess.Popen(
            [*HARVESTER, "run", "--json", *flags], cwd=folder, stdout=summary, stderr=subprocess.PIPE
        )
        assert process.stderr is not None  # noqa: S101  it is a pipe
        with process.stderr as log, alarm(lambda: process.send_signal(signal.SIGTERM)):
            for line in log:
                last_lines.append(line)
                if PLAN_STANDS in line:
                    planned_at_s = time.perf_counter()
                    signal.setitimer(signal.ITIMER_REAL, stop_after_s or 0.0)
        _, status, usage = os.wait4(process.pid, 0)
    process_s = time.perf_counter() - began_s
    exit_code = process.returncode = os.waitstatus_to_exitcode(status)
    if exit_code not in {0, EXIT_PARTIAL, EXIT_TERMINATED}:
        raise RuntimeError(f"harvester run ended with {exit_code}: {b''.join(last_lines).decode()}")
    told = orjson.loads((folder / "summary.json").read_bytes())
    account = told["accounts"][0]
    return Outcome(
        exit_code=exit_code,
        peak_mb=usage.ru_maxrss / KIB_PER_MB,
        plan_s=planned_at_s - began_s,
        process_s=process_s,
        run_s=told["seconds"],
        rows=account["rows"],
        calls=account["calls"],
    )


@contextmanager
def alarm(ring: Callable[[], None]) -> Iterator[None]:
    """Call `ring` when the interval timer of this process runs out."""
    before = signal.signal(signal.SIGALRM, lambda _number, _frame: ring())
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print an aligned table; numbers to the right, texts to the left."""
    texts = [list(head), *([_text(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(head))]
    print(f"\n{title}")
    for line in texts:
        cells = [text.rjust(width) for text, width in zip(line, widths, strict=True)]
        print("  ".join([line[0].ljust(widths[0]), *cells[1:]]), flush=True)


def median(values: Sequence[float]) -> float:
    """Return the median: one slow round says nothing."""
    return statistics.median(values)


def _text(cell: object) -> str:
    return f"{cell:,.2f}" if isinstance(cell, float) else f"{cell:,}" if isinstance(cell, int) else str(cell)
