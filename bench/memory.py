"""Peak memory of `harvester run`: with the number of rows, and with the number of jobs."""

from bench.rehearsal import Night, harvest, server, table, workplace
from bench.server import PAGE_ROWS

LARGE_SETS_ROWS = (50_000, 500_000)
LARGE_CAMPAIGNS = 2
KEY_COUNTS = (1_000, 100_000)
ACTIONS = (
    "sentcontacts", "openedcontacts", "clickedcontacts", "unopenedcontacts", "optoutcontacts", "spamcontacts",
    "senthardbounce", "sentsoftbounce", "unsentcontacts",
)  # fmt: skip
"""All nine: a file of 100,000 keys is 900,000 jobs."""

HARVEST_S = 10.0
"""How long the jobs of a key file are worked on before the run is told to stop: all of them would take hours."""


def measure() -> None:
    """Print both tables."""
    rows_table = [_large_sets(set_rows) for set_rows in LARGE_SETS_ROWS]
    table(
        f"Memory by rows: {LARGE_CAMPAIGNS} campaigns, one action, gzip",
        ("rows each", "rows in all", "peak MB", "seconds"),
        rows_table,
    )
    with server(set_rows=0) as url:
        jobs_table = [_key_file(url, keys) for keys in KEY_COUNTS]
    table(
        f"Memory by jobs: a key file, nine actions, every key answered 6002; stopped {HARVEST_S:.0f} s after planning",
        ("keys", "jobs", "calls made", "peak MB", "until planned s", "in all s", "exit code"),
        jobs_table,
    )


def _large_sets(set_rows: int) -> tuple[str, int, float, float]:
    with server(set_rows) as url, workplace(url, Night(LARGE_CAMPAIGNS)) as folder:
        outcome = harvest(folder)
    if outcome.rows != LARGE_CAMPAIGNS * set_rows:
        raise RuntimeError(f"{outcome.rows} rows harvested, {LARGE_CAMPAIGNS * set_rows} served")
    return f"{set_rows:,} ({set_rows // PAGE_ROWS:,} pages)", outcome.rows, outcome.peak_mb, outcome.process_s


def _key_file(url: str, keys: int) -> tuple[object, ...]:
    with workplace(url, Night(keys, ACTIONS)) as folder:
        out = harvest(folder, stop_after_s=HARVEST_S)
    return f"{keys:,}", keys * len(ACTIONS), out.calls, out.peak_mb, out.plan_s, out.process_s, out.exit_code


if __name__ == "__main__":
    measure()
