"""Size and time of a page under each compression and level: by this the levels in `store.partitions` are chosen."""

import gzip
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

from isal import igzip

from bench.rehearsal import table
from bench.server import PAGE_ROWS, SENT_MS
from harvester.model import Action
from harvester.simulator.rows import FIRST_CONTACT_ID, Contact, json_row
from harvester.zoho.contacts import RecordContext, lines

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PAGES = 20
ROUNDS = 5
"""Each figure is the median of so many rounds; the ways take turns, so that none has the quiet minute."""

GZIP_LEVELS = range(1, 10)
ISAL_LEVELS = range(4)
ZSTD_LEVELS = range(1, 13)

SYLLABLES = [consonant + vowel for consonant in "bdfghklmnprstvw" for vowel in ("a", "e", "i", "o", "u", "er", "an")]
SENDING_MS = 3_600_000
CONTACTS = 5_000_000
COMPANY_SHARE = 0.3

Frame = Callable[[bytes], bytes]


def measure() -> None:
    """Print the table."""
    pages = list(_pages())
    ways = dict(_ways())
    times_s: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, frame in ways.items():
            times_s[name].append(_seconds(frame, pages))
    plain_bytes = sum(map(len, pages))
    rows = [
        (name, plain_bytes / sum(len(frame(page)) for page in pages), 1e3 * statistics.median(times_s[name]) / PAGES)
        for name, frame in ways.items()
    ]
    heading = f"Compression: pages of {PAGE_ROWS} rows, {plain_bytes / PAGES / 1e3:.0f} kB each, a frame a page"
    table(heading, ("way", "times smaller", "ms a page"), rows)


def _ways() -> Iterator[tuple[str, Frame]]:
    for level in GZIP_LEVELS:
        yield f"gzip {level}", partial(gzip.compress, compresslevel=level, mtime=0)
    for level in ISAL_LEVELS:
        yield f"gzip by isal {level}", partial(igzip.compress, compresslevel=level, mtime=0)
    for level in ZSTD_LEVELS:
        yield f"zstd {level}", partial(zstd.compress, level=level)


def _pages() -> Iterator[bytes]:
    """Yield the records of different people, every other page of openers: those have the longest rows.

    The simulator's people have a handful of names, and addresses that count up: they pack twice as well as these, whose
    names, addresses, ids and moments are drawn.
    """
    rng = random.Random(1)  # noqa: S311  the same people each time
    for number in range(PAGES):
        action = (Action.SENT, Action.OPENED)[number % 2]
        context = RecordContext("bench", "3z" + "0" * 64, None, action, "2026-01-15T02:00:00.000Z", "0" * 32)
        places = range(number * PAGE_ROWS, (number + 1) * PAGE_ROWS)
        yield lines([_row(place, action, rng) for place in places], [place + 1 for place in places], context)


def _row(place: int, action: Action, rng: random.Random) -> dict[str, object]:
    first, last, company = (_name(rng) for _ in range(3))
    row = json_row(Contact(0, place, SENT_MS + rng.randrange(SENDING_MS)), action, is_live=True)
    return {
        **row,
        "contactid": str(FIRST_CONTACT_ID + rng.randrange(CONTACTS)),
        "contactemailaddress": f"{first}.{last}{rng.randrange(100)}@{company}.example".lower(),
        "contactfn": first,
        "contactln": last,
        "companyname": company if rng.random() < COMPANY_SHARE else "null",
    }


def _name(rng: random.Random) -> str:
    return "".join(rng.choices(SYLLABLES, k=rng.randint(2, 4))).capitalize()


def _seconds(frame: Frame, pages: list[bytes]) -> float:
    began_s = time.process_time()
    for page in pages:
        frame(page)
    return time.process_time() - began_s


if __name__ == "__main__":
    measure()
