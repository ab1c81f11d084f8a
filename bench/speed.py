"""Pages and rows per second of `harvester run`, beside a bare aiohttp loop that posts the same calls."""

import asyncio
import time

import aiohttp

from bench.rehearsal import Night, harvest, median, server, table, workplace
from bench.server import PAGE_ROWS

ROUNDS = 3
CAMPAIGNS = 16
PAGES_EACH = 60
WORKERS = 16
"""The default of harvest.concurrency."""

COMPRESSIONS = ("none", "gzip", "zstd")
PATH = "/api/v1.1/getcampaignrecipientsdata"


async def bare_loop(url: str) -> None:
    """Post the calls of the harvest and throw the bytes away; each on a connection of its own, as the product does."""
    sets = iter(range(CAMPAIGNS))

    async def work(session: aiohttp.ClientSession) -> None:
        for number in sets:
            for page in range(PAGES_EACH + 1):
                params = {
                    "resfmt": "JSON",
                    "campaignkey": f"3z{number:064x}",
                    "action": "sentcontacts",
                    "fromindex": str(1 + page * PAGE_ROWS),
                    "range": str(PAGE_ROWS),
                }
                async with session.post(url + PATH, params=params) as response:
                    await response.read()

    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        for _ in range(WORKERS):
            group.create_task(work(session))


def measure() -> None:
    """Print the table: rounds interleaved, so that a busy moment of the machine meets all of them alike."""
    pages = CAMPAIGNS * PAGES_EACH
    seconds: dict[str, list[float]] = {name: [] for name in ("bare loop", *COMPRESSIONS)}
    with server(PAGES_EACH * PAGE_ROWS) as url:
        for _ in range(ROUNDS):
            began_s = time.perf_counter()
            asyncio.run(bare_loop(url))
            seconds["bare loop"].append(time.perf_counter() - began_s)
            for compression in COMPRESSIONS:
                with workplace(url, Night(CAMPAIGNS, compression=compression)) as folder:
                    outcome = harvest(folder)
                if outcome.rows != pages * PAGE_ROWS:
                    raise RuntimeError(f"{outcome.rows} rows harvested, {pages * PAGE_ROWS} served")
                seconds[compression].append(outcome.run_s)
    bare_s = median(seconds["bare loop"])
    rows = [
        (name, pages / median(taken_s), int(pages * PAGE_ROWS / median(taken_s)), bare_s / median(taken_s))
        for name, taken_s in seconds.items()
    ]
    title = f"Speed: {pages:,} pages of {PAGE_ROWS} rows, {WORKERS} workers, median of {ROUNDS} rounds"
    table(title, ("compression", "pages/s", "rows/s", "of bare loop"), rows)


if __name__ == "__main__":
    measure()
