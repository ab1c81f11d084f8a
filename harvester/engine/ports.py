"""What the engine needs of the other rooms, as protocols; `operations` brings the real ones."""

import datetime as dt
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from harvester.leases import Lease, Lockout, LockoutRecord, Slot, Standing
from harvester.listing import CampaignPage, Split
from harvester.model import (
    ClaimedJob,
    Contents,
    Counters,
    Delay,
    Failure,
    GivenUp,
    Harvest,
    Job,
    Page,
    PageRequest,
    Published,
    Row,
    StoredPage,
)
from harvester.snapshot import Candidate, Snapshot

T = TypeVar("T")


class Offload(Protocol):
    """Runs work that blocks (a disk, a long computation) away from the event loop."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """Return what `work` returns, or raise what it raises."""


class Recipients(Protocol):
    """The recipients endpoint of one account: each request is exactly one call on the wire."""

    async def recipients(self, request: PageRequest, make: Callable[[Page], T]) -> T | Failure:
        """Ask once and return what `make` makes of the page; raises only what a person must mend."""


class CampaignListing(Protocol):
    """The endpoint that lists an account's campaigns: each request is exactly one call on the wire."""

    async def campaign_page(self, from_index: int) -> CampaignPage | Failure:
        """Ask once for the campaigns from the 1-based `from_index` on."""


class CampaignDetails(Protocol):
    """The endpoint that tells a campaign's details: each request is exactly one call on the wire."""

    async def split(self, campaign_key: str) -> Split | Failure:
        """Ask once for the test halves of an A/B campaign."""


class Reports(Protocol):
    """The endpoint that tells a campaign's counters: each request is exactly one call on the wire."""

    async def counters(self, campaign_key: str) -> Counters | Failure:
        """Ask once for the counters of a campaign."""


class Records(Protocol):
    """What becomes of rows, and how contacts are told apart."""

    def protect(self, page: Page) -> Page:
        """Return a page with its rows as they may be kept; the other methods take such rows alone."""

    def kept(self, reply: bytes) -> bytes:
        """Return what may be kept of a reply with rows that could not be read; it is never empty."""

    def render(self, job: Job, rows: Sequence[Row], positions: Sequence[int]) -> bytes:
        """Return a line per row; `positions` are the rows' 1-based places in the set."""

    def identity(self, row: Row) -> str:
        """Return by what the same contact is known again; empty where the row names none."""

    def row_of_line(self, line: bytes) -> tuple[Row, int]:
        """Return the row of a line that was written, as it was kept, and its 1-based place in the set."""


class JobLedger(Protocol):
    """What survives a crash, as the engine uses it; every method is one durable transaction."""

    def claim(self, harvest: Harvest, limit: int, now_s: float, wall_s: float | None = None) -> list[ClaimedJob]: ...
    def next_due_s(self, harvest: Harvest) -> float | None: ...
    def commit(
        self,
        pages: Sequence[tuple[Job, StoredPage]],
        endings: Sequence[tuple[Job, str]],
        published: Sequence[tuple[Job, Published]],
        wall_s: float,
    ) -> None: ...
    def restart(self, job: Job) -> None: ...
    def postpone(self, job: Job, delay: Delay) -> None: ...
    def give_up(self, job: Job, end: GivenUp) -> None: ...
    def give_up_campaign(self, harvest: Harvest, jobs: Sequence[Job], end: GivenUp) -> int: ...


class ServerNotes(Protocol):
    """What an account's server has taught us."""

    def longest_page_rows(self, account: str, date: dt.date) -> int: ...
    def learn_page_rows(self, account: str, date: dt.date, rows: int) -> None: ...


class CampaignNotes(Protocol):
    """What is known of the campaigns of a harvest, beside their rows."""

    def expected_rows(self, job: Job) -> int | None:
        """Return how many rows the job's set should have, by counters or by an earlier harvest; None if unknown."""

    def note_wait(self, job: Job, wait_s: float) -> None:
        """Remember that the next attempt of a running job waits, for so long."""

    def note_details(self, job: Job, details: Mapping[str, Any]) -> None:
        """Remember what a reply said of the job's campaign."""


class CounterNotes(Protocol):
    """The counters of a harvest's campaigns, as they were told."""

    def uncounted(self, harvest: Harvest, after_id: int, limit: int) -> list[tuple[int, str]]: ...
    def campaign_id(self, job: Job) -> int: ...
    def is_uncounted(self, harvest: Harvest, campaign_id: int) -> bool: ...
    def missing(self, harvest: Harvest) -> int: ...
    def note(self, harvest: Harvest, campaign_id: int, counters: Counters) -> None: ...
    def note_refusal(self, harvest: Harvest, campaign_id: int, code: str) -> None: ...


class Standings(Protocol):
    """How the sets of an account stood when they were last read whole."""

    def candidates(self, harvest: Harvest, after_id: int) -> list[Candidate]: ...
    def of(self, job: Job) -> Snapshot | None: ...
    def counter_rows(self, job: Job) -> int | None: ...
    def is_known(self, job: Job) -> bool: ...
    def note_due(self, job: Job, reason: str) -> None: ...
    def note_all_due(self, harvest: Harvest, reason: str) -> None: ...

    def carry(self, jobs: Sequence[tuple[Job, Snapshot, dt.date]]) -> int:
        """Let jobs stand as their snapshots do, known to on these dates; return of how many the files are there."""


class SplitNotes(Protocol):
    """The test halves of an account's A/B campaigns, as they were told."""

    def note(self, account: str, campaign_key: str, split: Split) -> None: ...


class Parts(Protocol):
    """The files of a harvest, as the engine uses them."""

    def frame(self, lines: bytes) -> bytes: ...
    def cut(self, job: Job, size_bytes: int, sha256: bytes) -> bool: ...
    def append(self, job: Job, frame: bytes) -> tuple[int, bytes]: ...
    def lines(self, job: Job) -> Iterator[bytes]: ...
    def quarantine(self, job: Job, from_index: int, reply: bytes) -> None: ...
    def sync(self, jobs: Sequence[Job]) -> None: ...
    def publish(self, finished: Sequence[Contents]) -> list[Published]: ...
    def adopt(self, contents: Contents, page: StoredPage) -> Published | None: ...
    def close(self, job: Job) -> None: ...


class Calls(Protocol):
    """The calls of the recent past of one account and endpoint, and its lockout, shared by all processes."""

    def lease(self, job_id: int | None, hold_s: float, rule: Callable[[Standing], Slot]) -> Lease | float: ...
    def settle(
        self, lease: Lease, code: str, turn: Callable[[Standing], Lockout], late_s: float | None = None
    ) -> Lockout: ...
    def cancel(self, lease: Lease, turn: Callable[[Standing], Lockout] | None = None) -> Lockout: ...
    def release_demand(self) -> None: ...
    def record(self, record: LockoutRecord) -> None: ...
