"""All benchmarks, one table after the other; fails only if something broke, never for being slow."""

import datetime as dt
import os
import platform
from pathlib import Path
from tempfile import gettempdir

from bench import ahead, calls, changes, compression, memory, query, speed, stages, startup

CPU_INFO = Path("/proc/cpuinfo")


def machine() -> str:
    """Return one line on what the figures were measured on."""
    models = [line.partition(":")[2].strip() for line in _cpu_lines() if line.startswith("model name")]
    cpu = models[0] if models else platform.processor() or "unknown CPU"
    load = os.getloadavg()[0]
    date = dt.datetime.now(dt.UTC).date().isoformat()
    return (
        f"{date}  {cpu}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, files below {gettempdir()}, load {load:.1f} before the start"
    )


def _cpu_lines() -> list[str]:
    return CPU_INFO.read_text().splitlines() if CPU_INFO.exists() else []


def main() -> None:
    """Run them all; the stages last, as they replace functions of this process by timed ones."""
    print(machine(), flush=True)
    for benchmark in (startup, calls, ahead, speed, compression, memory, changes, query, stages):
        benchmark.measure()


if __name__ == "__main__":
    main()
