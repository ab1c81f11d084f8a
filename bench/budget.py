"""How close the budget comes to what the limit physically allows, in virtual time; prints the table of docs/budget.md.

The real budget and the real book of calls, against the simulator's ways of counting. The bound is what a clairvoyant
could do: 500 calls at once in every period, plus one latency.

    PYTHONPATH=tests .venv/bin/python bench/budget.py
"""

import asyncio
import random
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from factories import inline
from simulation.virtual_loop import VirtualLoop

from harvester.engine.admission import Admission, Quota
from harvester.engine.budget import Budget, BudgetRules
from harvester.engine.stop import Stop
from harvester.simulator.options import Counting, LocksAt, QuotaOptions
from harvester.simulator.quota import Quota as ServerQuota
from harvester.simulator.quota import Verdict
from harvester.store.calls import CallBook, Window
from harvester.store.database import Database

LIMIT_CALLS, PERIOD_S, LOCK_S = 500, 300.0, 1800.0
WORKERS = 100
LATENCY_S, JITTER_S = 0.3, 0.7
AMOUNTS = (180, 499, 500, 501, 2_000, 10_000)
SEED = 1


class LoopClock:
    """The loop's time, as both clocks."""

    boot_id = "virtual"

    def now_s(self) -> float:
        """Return the virtual seconds."""
        return asyncio.get_running_loop().time()

    def asleep_s(self) -> float:
        """Return 0: it never sleeps."""
        return 0.0

    def wall_s(self) -> float:
        """Return the virtual seconds."""
        return self.now_s()


@dataclass(slots=True)
class Result:
    """What one harvest came to."""

    makespan_s: float = 0.0
    lockouts: int = 0
    worst_window_calls: int = 0


async def _harvest(calls: int, server: ServerQuota, admission: Admission, folder: Path) -> Result:
    """Send so many calls through the budget with `WORKERS` workers; each counts at a random moment of its latency."""
    quota = Quota(LIMIT_CALLS - 1, PERIOD_S, admission)
    rules = BudgetRules("bench", "recipients", quota, LOCK_S, call_timeout_s=30, late_grace_s=90, burst_per_s=20)
    clock, rng, result = LoopClock(), random.Random(SEED), Result()  # noqa: S311  a benchmark
    database = Database(folder / "ledger.sqlite")
    database.brief.execute("PRAGMA synchronous = OFF")
    book = CallBook(database, Window("bench", "recipients", quota.memory_s), clock)
    budget = Budget(rules, book, clock, inline, lambda _: None, Stop())
    arrivals: list[float] = []
    left = calls

    async def worker() -> None:
        nonlocal left
        while left:
            left -= 1
            lease = await budget.lease()
            if lease is None:
                return
            latency_s = LATENCY_S + rng.uniform(0, JITTER_S)
            before_s = rng.uniform(0, latency_s)
            await asyncio.sleep(before_s)
            arrivals.append(clock.now_s())
            result.lockouts += server.admit(clock.now_s()) is not Verdict.GRANTED
            await asyncio.sleep(latency_s - before_s)
            await budget.settle(lease, None, "0")

    async with asyncio.TaskGroup() as group:
        for _ in range(WORKERS):
            group.create_task(worker())
    database.close()
    result.makespan_s = clock.now_s()
    result.worst_window_calls = _worst_window(arrivals)
    return result


def _worst_window(arrivals: list[float]) -> int:
    arrivals.sort()
    worst = first = 0
    for last, arrival_s in enumerate(arrivals):
        while arrivals[first] <= arrival_s - PERIOD_S:
            first += 1
        worst = max(worst, last - first + 1)
    return worst


def bound_s(calls: int) -> float:
    """Return the least time that the limit allows for so many calls, in seconds."""
    return (calls - 1) // LIMIT_CALLS * PERIOD_S + LATENCY_S + JITTER_S / 2


def measure(calls: int, counting: Counting, admission: Admission) -> Result:
    """Harvest so many calls from a server that counts in one way and locks at the 500th call."""
    options = QuotaOptions(calls=LIMIT_CALLS, period_s=PERIOD_S, lock_s=LOCK_S, counting=counting)
    server = ServerQuota(replace(options, locks_at=LocksAt.AT))
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_harvest(calls, server, admission, Path(folder)))


def main() -> None:
    """Print the table as Markdown."""
    print("| calls | bound | rule | " + " | ".join(f"{counting.value}" for counting in Counting) + " | worst window |")
    print("|---|---|---|" + "---|" * (len(Counting) + 1))
    for calls in AMOUNTS:
        for admission in Admission:
            results = [measure(calls, counting, admission) for counting in Counting]
            cells = [
                f"{result.makespan_s:,.0f} s, x{result.makespan_s / bound_s(calls):.2f}"
                + (f", **{result.lockouts} refused**" if result.lockouts else "")
                for result in results
            ]
            worst = max(result.worst_window_calls for result in results)
            print(f"| {calls:,} | {bound_s(calls):,.1f} s | {admission.value} | {' | '.join(cells)} | {worst} |")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
