"""How long `harvester --help` takes: what a person waits for, and what a scheduler pays each time."""

import subprocess
import time

from bench.rehearsal import HARVESTER, median, table

ROUNDS = 10
COMMANDS = (("--help",), ("run", "--help"))


def measure() -> None:
    """Print the table."""
    rows = []
    for arguments in COMMANDS:
        taken_s = [_seconds(arguments) for _ in range(ROUNDS)]
        rows.append((" ".join(("harvester", *arguments)), median(taken_s), min(taken_s), max(taken_s)))
    table(f"Start-up, {ROUNDS} rounds", ("command", "median s", "fastest s", "slowest s"), rows)


def _seconds(arguments: tuple[str, ...]) -> float:
    began_s = time.perf_counter()
    subprocess.run([*HARVESTER, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began_s


if __name__ == "__main__":
    measure()
