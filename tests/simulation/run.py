"""Play nights by their seeds: `python tests/simulation/run.py --seeds 200 [--from 1000]`.

One line a night; at the end what the nights held. Exit code 1 if an invariant was broken: the seed alone brings the
night back, moment for moment.
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from simulation.invariants import check
from simulation.moods import draw
from simulation.night import played
from simulation.on_disk import DiskWatch
from simulation.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one seed; `violation` is None where every invariant held."""

    seed: int
    seconds: float
    figures: Counter[str] = field(default_factory=Counter)
    digest: str = ""
    violation: str | None = None

    def __str__(self) -> str:
        told = self.violation or f"{self.digest} {' '.join(f'{name}={self.figures[name]}' for name in self.figures)}"
        return f"seed {self.seed} {'FAILED' if self.violation else 'ok'} {self.seconds:.1f} s: {told}"


def play(seed: int) -> Result:
    """Play the night of a seed."""
    return play_scenario(draw(seed))


def play_scenario(scenario: Scenario) -> Result:
    """Play a night and judge it."""
    began_s = time.perf_counter()
    try:
        with played(scenario, DiskWatch().look) as night:
            check(night)
            totals = night.wire.ours.report()["totals"]
            figures = Counter(
                runs=len(night.exit_codes),
                kills=night.kills,
                calls=totals["calls"],
                into_lock=totals["calls_into_lock"],
                rows=totals["rows_new"],
                virtual_s=round(night.ended_at_s),
            )
            return Result(scenario.seed, time.perf_counter() - began_s, figures, night.digest)
    except Exception as error:  # noqa: BLE001  whatever went wrong, the seed must be told
        violation = f"{type(error).__name__}: {error}"
        return Result(scenario.seed, time.perf_counter() - began_s, violation=violation)


def play_all(first: int, seeds: int) -> Iterator[Result]:
    """Play many nights on all processors, in the order of their seeds."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(play, range(first, first + seeds), chunksize=1)


def main() -> int:
    """Read the command line, play, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=200, help="how many nights")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    options = parser.parse_args()
    failed, totals = [], Counter[str]()
    for result in play_all(options.first, options.seeds):
        sys.stdout.write(f"{result}\n")
        totals.update(result.figures)
        if result.violation:
            failed.append(result.seed)
    told = ", ".join(f"{number} {name}" for name, number in totals.items())
    sys.stdout.write(f"{options.seeds} nights: {told}\n")
    if failed:
        sys.stdout.write(f"FAILED: {len(failed)} seeds: {' '.join(map(str, failed))}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
