"""What the engine needs of the other rooms, as protocols; `cli` brings the real ones."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from harvester.model import (
    CampaignPage,
    ClaimedJob,
    Failure,
    GivenUp,
    Harvest,
    Job,
    Lease,
    Lockout,
    LockoutRecord,
    Page,
    PageRequest,
    Published,
    Row,
    Slot,
    Standing,
    StoredPage,
)

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


class Render(Protocol):
    """Turns rows into the lines of a partition."""

    def __call__(self, job: Job, rows: Sequence[Row], first_position: int) -> bytes:
        """Return a line per row; `first_position` is the first row's 1-based place in the set."""


class JobLedger(Protocol):
    """What survives a crash, as the engine uses it; every method is one durable transaction."""

    def claim(self, harvest: Harvest, limit: int, now_s: float) -> list[ClaimedJob]: ...
    def next_due_s(self, harvest: Harvest) -> float | None: ...
    def commit(
        self,
        pages: Sequence[tuple[Job, StoredPage]],
        endings: Sequence[tuple[Job, str]],
        published: Sequence[tuple[Job, Published]],
        wall_s: float,
    ) -> None: ...
    def restart(self, job: Job) -> None: ...
    def postpone(self, job: Job, not_before_s: float, attempts: int, reason: str) -> None: ...
    def give_up(self, job: Job, end: GivenUp) -> None: ...
    def give_up_campaign(self, harvest: Harvest, jobs: Sequence[Job], end: GivenUp) -> int: ...


class ServerNotes(Protocol):
    """What an account's server has taught us."""

    def longest_page_rows(self, account: str) -> int: ...
    def learn_page_rows(self, account: str, rows: int) -> None: ...


class Parts(Protocol):
    """The files of a harvest, as the engine uses them."""

    def frame(self, lines: bytes) -> bytes: ...
    def cut(self, job: Job, size_bytes: int, sha256: bytes) -> bool: ...
    def append(self, job: Job, frame: bytes) -> tuple[int, bytes]: ...
    def sync(self, jobs: Sequence[Job]) -> None: ...
    def publish(self, finished: Sequence[tuple[Job, int]]) -> list[Published]: ...
    def adopt(self, job: Job, page: StoredPage, rows: int) -> Published | None: ...
    def close(self, job: Job) -> None: ...


class Calls(Protocol):
    """The calls of the recent past of one account and endpoint, and its lockout, shared by all processes."""

    def lease(self, job_id: int | None, hold_s: float, rule: Callable[[Standing], Slot]) -> Lease | float: ...
    def settle(
        self, lease: Lease, code: str, turn: Callable[[Standing], Lockout], late_s: float | None = None
    ) -> Lockout: ...
    def cancel(self, lease: Lease, turn: Callable[[Standing], Lockout] | None = None) -> Lockout: ...
    def record(self, record: LockoutRecord) -> None: ...
