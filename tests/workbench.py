"""One account's jobs carried out for real on a real ledger and real files; only the server is scripted."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from factories import DATE, HandClock, inline, seeded

from harvester.engine.admission import Admission, Quota
from harvester.engine.budget import Budget, BudgetRules
from harvester.engine.caller import Caller, Weather
from harvester.engine.errand import Desk, Errand, Outcome
from harvester.engine.framing import Framing
from harvester.engine.lessons import Lessons
from harvester.engine.retry import Backoff
from harvester.engine.stop import Stop
from harvester.engine.tools import Pace, Tools
from harvester.engine.writer import Writer
from harvester.events import Event, JobDone
from harvester.model import Action, Campaign, ClaimedJob, Failure, Page, PageRequest
from harvester.operations.contact_records import ContactRecords
from harvester.store.calls import CallBook, Window
from harvester.store.campaign_notes import CampaignNotes
from harvester.store.database import Database
from harvester.store.job_report import JobReport
from harvester.store.ledger import Ledger
from harvester.store.partitions import Compression, Partitions
from harvester.store.servers import Servers
from harvester.zoho.privacy import Privacy

T = TypeVar("T")

PAGE_ROWS = 60
"""Long enough to overlap, short enough for sets of many pages."""

NO_WAIT = Backoff(base_s=0.0, cap_s=0.0)


async def at_once(_asked: PageRequest) -> None:
    """Let every call come back in its turn."""


class Recipients:
    """The recipients endpoint: answers by `answer`, each call after `hold` lets it go."""

    def __init__(
        self,
        answer: Callable[[PageRequest], Page | Failure],
        hold: Callable[[PageRequest], Awaitable[None]] = at_once,
    ) -> None:
        self.answer = answer
        self.hold = hold
        self.asked: list[PageRequest] = []
        self.under_way = 0
        self.most_under_way = 0

    @property
    def indices(self) -> list[int]:
        return [request.from_index for request in self.asked]

    async def recipients(self, request: PageRequest, make: Callable[[Page], T]) -> T | Failure:
        self.asked.append(request)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.hold(request)
        finally:
            self.under_way -= 1
        answer = self.answer(request)
        return answer if isinstance(answer, Failure) else make(answer)


class Workbench:
    """What a run of one account has open; a second one on the same folder is the next run."""

    def __init__(
        self,
        folder: Path,
        recipients: Recipients,
        *,
        pages_ahead: int = 0,
        lines: int = 16,
        run_id: str = "run-1",
        privacy: Privacy | None = None,
    ) -> None:
        self.output = folder / "output"
        self.privacy = privacy or Privacy()
        self.recipients = recipients
        self.stop = Stop()
        self.events: list[Event] = []
        self.is_done = asyncio.Event()
        self.clock = HandClock()
        self.database = Database(folder / "ledger.sqlite")
        self.ledger = Ledger(self.database, run_id)
        self.parts = Partitions(self.output, Compression.GZIP)
        self.notes, self.servers = CampaignNotes(self.database), Servers(self.database)
        self.harvest = self.ledger.open_harvest("acme", DATE)
        self.writer = Writer(self.ledger, self.parts, self.clock, inline)
        self.desk = self._desk(Pace(PAGE_ROWS, lines, pages_ahead, NO_WAIT))

    def _desk(self, pace: Pace) -> Desk:
        tools = Tools(
            ledger=self.ledger,
            servers=self.servers,
            notes=self.notes,
            parts=self.parts,
            writer=self.writer,
            clock=self.clock,
            offload_disk=inline,
            offload=inline,
            emit=self._emit,
            stop=self.stop,
            rng=seeded(),
        )
        quota = Quota(tokens=100_000, period_s=300.0, admission=Admission.WINDOW)
        rules = BudgetRules("acme", "recipients", quota, 1_800.0, 30.0, 90.0, burst_per_s=100_000.0)
        book = CallBook(self.database, Window("acme", "recipients", quota.memory_s), self.clock)
        weather = Weather("acme", 600.0, NO_WAIT, self.clock, seeded(), self.events.append)
        return Desk(
            caller=Caller(Budget(rules, book, self.clock, inline, self.events.append, self.stop), weather, self.stop),
            recipients=self.recipients,
            framing=Framing(ContactRecords(self.ledger.run_id, None, self.clock, self.privacy), self.parts.frame),
            pace=pace,
            lessons=Lessons("acme", DATE, pace.page_rows, self.servers, inline),
            lines=asyncio.Semaphore(pace.concurrency),
            tools=tools,
        )

    def _emit(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, JobDone):
            self.is_done.set()

    def claim(self, keys: int = 1, *, expected_rows: int | None = None) -> list[ClaimedJob]:
        """Take up the jobs of the harvest, planned if need be; `expected_rows` is what the counters say of each."""
        self.ledger.release(self.harvest)
        self.ledger.plan(self.harvest, [Campaign(f"k{number}") for number in range(keys)], [Action.SENT])
        claimed = self.ledger.claim(self.harvest, keys, self.clock.now_s())
        if expected_rows is not None:
            self.count(expected_rows)
        return claimed

    def count(self, rows: int) -> None:
        """Let the counters of every job say so many rows."""
        with self.database.writing(self.database.durable) as connection:
            connection.execute("DELETE FROM counters")
            connection.execute("INSERT INTO counters SELECT harvest_id, campaign_id, action, ? FROM jobs", (rows,))

    async def carry_out(self, claimed: ClaimedJob) -> Outcome:
        async with self.at_work():
            return await Errand(claimed, self.desk, lambda: None).carry_out()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Have the writer at its desk, and knowledge of earlier runs at hand."""
        await self.desk.lessons.recall()
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self.writer.run())
            try:
                yield
            finally:
                writing.cancel()

    def close(self) -> None:
        self.parts.close_all()
        self.database.close()

    # --- what is on disk --------------------------------------------------------------------------------------------

    def report(self) -> JobReport:
        (report,) = self.ledger.jobs(self.harvest)
        return report

    def stored_indices(self) -> list[int]:
        """Where the committed pages begin, in the order of their numbers."""
        rows = self.database.durable.execute("SELECT from_index FROM pages ORDER BY job_id, number")
        return [row["from_index"] for row in rows]

    def records(self) -> list[dict[str, Any]]:
        """The records of the one partition."""
        text = gzip.decompress((self.output / str(self.report().path)).read_bytes())
        return [json.loads(line) for line in text.splitlines()]

    def contacts(self) -> list[int]:
        return [int(record["contact_id"]) for record in self.records()]
