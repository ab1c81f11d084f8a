"""What a harvest works with."""

from dataclasses import dataclass
from random import Random

from harvester.clock import Clock
from harvester.engine.ports import CampaignNotes, JobLedger, Offload, Parts, ServerNotes
from harvester.engine.retry import Backoff
from harvester.engine.stop import Stop
from harvester.engine.writer import Writer
from harvester.events import Emit


@dataclass(frozen=True, slots=True)
class Tools:
    """What the run shares between its accounts."""

    ledger: JobLedger
    servers: ServerNotes
    notes: CampaignNotes
    parts: Parts
    writer: Writer
    clock: Clock
    offload_disk: Offload  #: the one thread that owns ledger and files
    offload: Offload  #: any thread: parsing, rendering, compressing
    emit: Emit
    stop: Stop
    rng: Random


@dataclass(frozen=True, slots=True)
class Pace:
    """How an account is harvested.

    Attributes:
        page_rows: rows asked for in one call.
        concurrency: workers, and so calls under way at once.
        pages_ahead: pages of one job under way beside the next one, where its size is known.
        backoff: the waits between attempts.
    """

    page_rows: int
    concurrency: int
    pages_ahead: int
    backoff: Backoff
