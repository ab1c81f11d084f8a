"""One giant set behind a slow server: how long it takes where its size is unknown, and where it is known.

The API tells no totals. Where an earlier harvest or the campaign's counters tell the size, up to `harvest.pages_ahead`
further pages are under way beside the next one.
"""

from bench.rehearsal import Night, Outcome, harvest, simulator, table, workplace

SET_ROWS = 50_000
LATENCY_S = 0.3
FLAGS = ("--campaigns", "1", "--recipients", str(SET_ROWS), "--latency-s", str(LATENCY_S))
DATES = {"unknown": "2026-01-15", "from the date before": "2026-01-16"}


def measure() -> None:
    """Print the table; the size is unknown only on a first date without counters."""
    outcomes: dict[str, Outcome] = {}
    with simulator(*FLAGS) as url:
        with workplace(url, Night(None, has_counters=False)) as folder:
            for size, date in DATES.items():
                outcomes[size] = harvest(folder, "--as-of", date)
        with workplace(url, Night(None)) as folder:
            outcomes["from counters"] = harvest(folder)
    longest_s = outcomes["unknown"].run_s
    table(
        f"Pages ahead: one set of {SET_ROWS:,} rows, {LATENCY_S} s of latency, gzip",
        ("size", "calls", "seconds", "times as fast"),
        [(size, outcome.calls, outcome.run_s, longest_s / outcome.run_s) for size, outcome in outcomes.items()],
    )


if __name__ == "__main__":
    measure()
