"""Peak memory and time of `harvester changes`: two readings of one set, held against each other."""

import datetime as dt
import hashlib
import os
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from bench.rehearsal import CONFIG, HARVESTER, KIB_PER_MB, table
from bench.server import PAGE_ROWS, row_template
from harvester.model import Action, Campaign, Contents, StoredPage
from harvester.store.database import Database
from harvester.store.ledger import Ledger
from harvester.store.partitions import Compression, Partitions
from harvester.zoho.contacts import RecordContext, lines

SETS_ROWS = (10_000, 100_000, 1_000_000)
CHANGED_EVERY = 100
"""One contact of so many has another name on the second date, one is new and one is gone."""

DATES = (dt.date(2026, 1, 14), dt.date(2026, 1, 15))
KEY = "3z" + "0" * 64
ACTION = Action.SENT


def measure() -> None:
    """Print the table."""
    rows = [(f"{set_rows:,}", *_compared(set_rows)) for set_rows in SETS_ROWS]
    heading = f"Changes: a set of two dates, gzip; of {CHANGED_EVERY} contacts one changed, one new, one gone"
    table(heading, ("rows each", "changes", "peak MB", "seconds", "temporary MB"), rows)


def _compared(set_rows: int) -> tuple[int, float, float, float]:
    with TemporaryDirectory(prefix="harvester-bench-") as name:
        folder = Path(name)
        text = CONFIG.format(
            url="http://127.0.0.1:1", actions=f'["{ACTION}"]', campaigns='"discover"', counters="false",
            compression="gzip",
        )  # fmt: skip
        (folder / "config.toml").write_text(text)
        plain_bytes = sum(_harvested(folder, date, set_rows, night) for night, date in enumerate(DATES))
        began_s = time.perf_counter()
        process = subprocess.Popen([*HARVESTER, "changes", "--json"], cwd=folder, stdout=subprocess.PIPE)
        assert process.stdout is not None  # noqa: S101  it is a pipe
        told = orjson.loads(process.stdout.read())
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began_s
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"harvester changes ended with {process.returncode}")
    action = told["actions"][0]
    changes = action["added"] + action["removed"] + action["changed"]
    return changes, usage.ru_maxrss / KIB_PER_MB, seconds, plain_bytes / 1_000_000


def _harvested(folder: Path, date: dt.date, set_rows: int, night: int) -> int:
    """Put a reading of the set where a run would have; return its bytes before compression."""
    database = Database(folder / "state" / "ledger.sqlite")
    ledger, parts = Ledger(database, f"run-{night}"), Partitions(folder / "data", Compression.GZIP)
    harvest = ledger.open_harvest("bench", date)
    ledger.plan(harvest, [Campaign(KEY)], [ACTION])
    (claimed,) = ledger.claim(harvest, 1, now_s=0.0)
    context = RecordContext("bench", KEY, None, ACTION, f"{date}T02:00:00.000Z", f"run-{night}")
    parts.cut(claimed.job, 0, b"")
    plain_bytes = 0
    for first in range(0, set_rows, PAGE_ROWS):
        rows = [orjson.loads(_row(place, night)) for place in range(first, first + PAGE_ROWS)]
        text = lines(rows, range(first + 1, first + PAGE_ROWS + 1), context)
        plain_bytes += len(text)
        size_bytes, sha256 = parts.append(claimed.job, parts.frame(text))
    page = StoredPage(
        number=1, from_index=1, received_rows=set_rows, rows=set_rows, duplicates=0, unreadable_rows=0,
        is_shifted=False, end_bytes=size_bytes, sha256=sha256, digest=hashlib.sha256(b"").digest(),
    )  # fmt: skip
    ledger.commit([(claimed.job, page)], [(claimed.job, "short page")], [], wall_s=0.0)
    ledger.commit([], [], [(claimed.job, parts.publish([Contents(claimed.job, set_rows)])[0])], wall_s=0.0)
    parts.close_all()
    database.close()
    return plain_bytes


def _row(place: int, night: int) -> bytes:
    """Return a row; on the second date a hundredth of the contacts are others, and another hundredth changed."""
    is_new, is_changed = (night and place % CHANGED_EVERY == rest for rest in (0, 1))
    number = place + 10_000_000 if is_new else place
    row = row_template(place % PAGE_ROWS) % (number, number)
    return row.replace(b'"contactstatus":"active"', b'"contactstatus":"bounced"') if is_changed else row


if __name__ == "__main__":
    measure()
