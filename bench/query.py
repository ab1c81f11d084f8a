"""Time of questions in SQL over a million rows, put to the partitions as they stand; the program as a process."""

import datetime as dt
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from bench.rehearsal import CONFIG, HARVESTER, table
from bench.server import PAGE_ROWS, row_template
from harvester.model import Action, Campaign, Contents, Job, StoredPage
from harvester.store.database import Database
from harvester.store.ledger import Ledger
from harvester.store.manifest import write_manifest
from harvester.store.partitions import Compression, Partitions
from harvester.zoho.contacts import RecordContext, lines

DATE = dt.date(2026, 1, 15)
SENT_MS = 1_785_000_000_000
"""What `sent_time` says in the rows; with this offset they were sent in the last month."""

CAMPAIGNS = 50
ROWS = {Action.SENT: 12_000, Action.OPENED: 6_000, Action.CLICKED: 2_000}
"""Of each campaign; a million in all."""

QUESTIONS = {
    "opened, never clicked, 30 days": """
        WITH recent AS (FROM recipients_current WHERE sent_at > now() - INTERVAL 30 DAYS)
        SELECT DISTINCT email FROM recent WHERE action = 'openedcontacts'
        EXCEPT SELECT email FROM recent WHERE action = 'clickedcontacts'
    """,
    "rows of each action": "SELECT action, count(*) FROM recipients GROUP BY action",
    "a key of `raw`": "SELECT raw->>'country' AS country, count(*) FROM recipients GROUP BY country",
}


def measure() -> None:
    """Print the table."""
    rows = []
    with TemporaryDirectory(prefix="harvester-bench-") as name:
        for compression in Compression:
            folder = Path(name) / compression
            _harvested(folder, compression)
            rows += [(compression.value, what, _seconds(folder, "query", sql)) for what, sql in QUESTIONS.items()]
            rows.append((compression.value, "export to Parquet", _seconds(folder, "export")))
            rows.append((compression.value, "compact", _seconds(folder, "compact")))
    total = CAMPAIGNS * sum(ROWS.values())
    table(f"Questions: {total:,} rows in {CAMPAIGNS * len(ROWS)} partitions", ("compression", "what", "seconds"), rows)


def _seconds(folder: Path, *arguments: str) -> float:
    began_s = time.perf_counter()
    subprocess.run([*HARVESTER, *arguments], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - began_s


def _harvested(folder: Path, compression: Compression) -> None:
    """Put a harvest where a run would have."""
    folder.mkdir(parents=True)
    text = CONFIG.format(
        url="http://127.0.0.1:1", actions='["sentcontacts"]', campaigns='"discover"', counters="false",
        compression=compression.value,
    )  # fmt: skip
    (folder / "config.toml").write_text(text)
    database = Database(folder / "state" / "ledger.sqlite")
    ledger, parts = Ledger(database, "bench"), Partitions(folder / "data", compression)
    harvest = ledger.open_harvest("bench", DATE)
    ledger.plan(harvest, [Campaign(f"3z{number:064x}") for number in range(CAMPAIGNS)], list(ROWS))
    for claimed in ledger.claim(harvest, CAMPAIGNS * len(ROWS), now_s=0.0):
        page = _part(parts, claimed.job, ROWS[claimed.job.action])
        ledger.commit([(claimed.job, page)], [(claimed.job, "short page")], [], wall_s=0.0)
        published = parts.publish([Contents(claimed.job, page.rows)])[0]
        ledger.commit([], [], [(claimed.job, published)], wall_s=0.0)
    write_manifest(folder / "data", ledger, harvest, f"{DATE}T03:00:00+00:00")
    parts.close_all()
    database.close()


def _part(parts: Partitions, job: Job, set_rows: int) -> StoredPage:
    offset_ms = SENT_MS - int(time.time() * 1000) + 10 * 86_400_000
    context = RecordContext("bench", job.campaign.key, None, job.action, f"{DATE}T02:00:00.000Z", "bench", offset_ms)
    parts.cut(job, 0, b"")
    for first in range(0, set_rows, PAGE_ROWS):
        places = range(first, min(first + PAGE_ROWS, set_rows))
        rows = [orjson.loads(row_template(place % PAGE_ROWS) % (place, place)) for place in places]
        text = lines(rows, range(first + 1, first + len(rows) + 1), context)
        size_bytes, sha256 = parts.append(job, parts.frame(text))
    return StoredPage(
        number=1, from_index=1, received_rows=set_rows, rows=set_rows, duplicates=0, unreadable_rows=0,
        is_shifted=False, end_bytes=size_bytes, sha256=sha256, digest=b"",
    )  # fmt: skip


if __name__ == "__main__":
    measure()
