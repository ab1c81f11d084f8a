"""What every benchmark needs: a server process, a folder with a configuration, and `harvester run` as a process."""

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

BENCH = Path(__file__).parent
HARVESTER = (sys.executable, "-m", "harvester")
KIB_PER_MB = 1_000_000 / 1024
"""The kernel tells memory in KiB; the tables show MB."""

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
campaigns = {{ file = "keys.txt" }}
compression = "{compression}"
"""


@dataclass(frozen=True, slots=True)
class Night:
    """What one run harvests: `campaigns` x `actions`, and how it writes them."""

    campaigns: int
    actions: tuple[str, ...] = ("sentcontacts",)
    compression: str = "gzip"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One `harvester run`: its exit code, peak memory, duration of the process, and JSON summary."""

    exit_code: int
    peak_mb: float
    process_s: float
    rows: int
    calls: int
    run_s: float


@contextmanager
def server(set_rows: int) -> Iterator[str]:
    """Run the server as a process of its own, and give its URL."""
    command = [sys.executable, str(BENCH / "server.py"), "--set-rows", str(set_rows)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101  it is a pipe
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextmanager
def workplace(url: str, night: Night) -> Iterator[Path]:
    """Make a folder with keys and configuration, below TMPDIR; its disk is the one that is measured."""
    with TemporaryDirectory(prefix="harvester-bench-") as name:
        folder = Path(name)
        with (folder / "keys.txt").open("w") as keys:
            keys.writelines(f"3z{number:064x}\n" for number in range(night.campaigns))
        actions = orjson.dumps(night.actions).decode()
        (folder / "config.toml").write_text(CONFIG.format(url=url, actions=actions, compression=night.compression))
        yield folder


def harvest(folder: Path, stop_after_s: float | None = None) -> Outcome:
    """Run `harvester run --json` in the folder; after `stop_after_s`, if given, ask it to stop.

    Raises:
        RuntimeError: it ended in another way than complete, partial or stopped as asked.
    """
    began_s = time.perf_counter()
    with (folder / "summary.json").open("wb") as summary, (folder / "log").open("wb") as log:
        process = subprocess.Popen([*HARVESTER, "run", "--json"], cwd=folder, stdout=summary, stderr=log)
        if stop_after_s is not None:
            signal.signal(signal.SIGALRM, lambda *_: process.send_signal(signal.SIGTERM))
            signal.setitimer(signal.ITIMER_REAL, stop_after_s)
        _, status, usage = os.wait4(process.pid, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    process_s = time.perf_counter() - began_s
    exit_code = process.returncode = os.waitstatus_to_exitcode(status)
    if exit_code not in {0, 3, 128 + signal.SIGTERM}:
        raise RuntimeError(f"harvester run ended with {exit_code}: {(folder / 'log').read_text()[-2000:]}")
    told = orjson.loads((folder / "summary.json").read_bytes())
    account = told["accounts"][0]
    return Outcome(
        exit_code, usage.ru_maxrss / KIB_PER_MB, process_s, account["rows"], account["calls"], told["seconds"]
    )


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print an aligned table; numbers to the right, texts to the left."""
    texts = [list(head), *([_text(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(head))]
    print(f"\n{title}")
    for texts_row in texts:
        first, *rest = (text.ljust(width) if not column else text.rjust(width)
                        for column, (text, width) in enumerate(zip(texts_row, widths, strict=True)))  # fmt: skip
        print("  ".join([first, *rest]), flush=True)


def median(values: Sequence[float]) -> float:
    """Return the median: one slow round says nothing."""
    return statistics.median(values)


def _text(cell: object) -> str:
    return f"{cell:,.2f}" if isinstance(cell, float) else f"{cell:,}" if isinstance(cell, int) else str(cell)
