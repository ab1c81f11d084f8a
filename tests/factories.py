"""Small builders for the values that many tests need, each with defaults that are valid together."""

import datetime as dt
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from harvester.engine.marks import rows_digest
from harvester.engine.paging import Join, PageFacts
from harvester.model import (
    Action,
    Campaign,
    ClaimedJob,
    Delay,
    Echo,
    Failure,
    FailureKind,
    Job,
    Page,
    PageRequest,
    Row,
    StoredPage,
)

T = TypeVar("T")

DATE = dt.date(2026, 3, 14)
CAMPAIGN_KEY = "3z" + "a1" * 32


@dataclass(slots=True)
class HandClock:
    """Two clocks that stand until a test moves them."""

    now: float = 1_000.0
    wall: float = 1_700_000_000.0
    asleep: float = 0.0
    boot_id: str = "boot-1"

    def now_s(self) -> float:
        return self.now

    def asleep_s(self) -> float:
        return self.asleep

    def wall_s(self) -> float:
        return self.wall

    def pass_s(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds


def seeded(seed: int = 1) -> Random:
    """A source of jitter that draws the same every time."""
    return Random(seed)  # noqa: S311  jitter needs no secrecy


async def inline(work: Callable[[], T], /) -> T:
    """An `Offload` that runs the work where it stands."""
    return work()


def job(number: int = 1, key: str = CAMPAIGN_KEY, action: Action = Action.SENT, account: str = "acme") -> Job:
    return Job(number, account, Campaign(key), action, DATE)


def rows(first: int, count: int) -> tuple[Row, ...]:
    """The rows of a set from its 1-based `first` on; no two of them are equal."""
    return tuple({"contactid": str(number)} for number in range(first, first + count))


def page(first: int = 1, count: int = 1, *, code: str = "0", echo_rows: int | None = None) -> Page:
    return Page(rows(first, count), Echo(range_rows=echo_rows), code)


def facts(first: int = 1, count: int = 1, **changes: object) -> PageFacts:
    """What the page loop is told of `page` with the same arguments, where all of its rows are new."""
    came = rows(first, count)
    plain = {
        "received_rows": count,
        "new_rows": count,
        "new_contacts": count,
        "duplicates": 0,
        "unreadable_rows": 0,
        "join": Join.STEADY,
        "last": came[-1]["contactid"] if came else "",
        "digest": rows_digest(came) if came else b"",
        "echo": Echo(),
        "code": "0",
    }
    return PageFacts(**plain | changes)  # type: ignore[arg-type]


def request(from_index: int = 1, range_rows: int = 500) -> PageRequest:
    return PageRequest(CAMPAIGN_KEY, Action.SENT, from_index, range_rows)


def failure(kind: FailureKind, **changes: object) -> Failure:
    return Failure(**{"kind": kind, "message": f"a call that was {kind}"} | changes)  # type: ignore[arg-type]


def stored_page(number: int = 1, from_index: int = 1, count: int = 1, content: bytes = b"x\n") -> StoredPage:
    """A committed page without a flaw; `content` is that of the part up to its end."""
    return StoredPage(
        number=number,
        from_index=from_index,
        received_rows=count,
        rows=count,
        duplicates=0,
        unreadable_rows=0,
        is_shifted=False,
        end_bytes=len(content),
        sha256=hashlib.sha256(content).digest(),
        digest=rows_digest(rows(from_index, count)),
    )


def delay(not_before_s: float = 0.0, attempts: int = 1, reason: str = "timeout") -> Delay:
    """A wait of one second before the next attempt."""
    return Delay(1.0, not_before_s, attempts, reason)


def claimed(
    of: Job | None = None, *, is_known: bool = False, last_page: StoredPage | None = None, ending: str | None = None
) -> ClaimedJob:
    return ClaimedJob(of or job(), is_known, 0, last_page, ending)


@contextmanager
def no_umask() -> Iterator[None]:
    """Let every mode that is asked for come through, so that a mode left to chance shows."""
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)
