"""How many rows there should be: the counters of a harvest's campaigns, asked beside the harvest.

The counters have an endpoint and a budget of their own, and prove what is harvested anyway. So whatever goes wrong
here costs verdicts and nothing else: it ends the asking, is told once, and the harvest does not notice.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from functools import partial
from weakref import WeakValueDictionary

from harvester.engine.asking import Inquiry, Refusal, answer_to
from harvester.engine.caller import Caller
from harvester.engine.ports import CounterNotes, Reports
from harvester.engine.retry import Backoff
from harvester.engine.tools import Tools
from harvester.errors import ConfigError, CredentialsError, StoppedError
from harvester.events import CountersMissing, CountersRead
from harvester.model import Harvest, Job

ASKERS = 4
"""Calls under way at once. A harvest costs up to nine calls for each one of these, so few keep ahead of it."""

BATCH_CAMPAIGNS = 200
"""Campaigns taken from the ledger at a time: keeps memory flat."""


@dataclass(frozen=True, slots=True)
class ReportDesk:
    """What is asked, and how.

    Attributes:
        caller: the way to the endpoint of reports.
        reports: what is asked there.
        backoff: the waits between attempts.
        tools: shared, but for `stop`, which a lockout of this endpoint alone asks as well.
    """

    caller: Caller
    reports: Reports
    backoff: Backoff
    tools: Tools


class Counting:
    """Asks for the counters of all campaigns of a harvest that they are not known of.

    Args:
        harvest: which.
        desk: how.
        notes: where the counters are written down.
    """

    def __init__(self, harvest: Harvest, desk: ReportDesk, notes: CounterNotes) -> None:
        self._harvest = harvest
        self._desk = desk
        self._tools = desk.tools
        self._notes = notes
        self._waiting: deque[tuple[int, str]] = deque()
        self._last_id = 0
        self._refill = asyncio.Lock()
        self._turns: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._inquiry = Inquiry()

    async def run(self) -> None:
        """Ask until all are answered, the endpoint shuts or the run is asked to stop.

        Raises:
            DiskError: the disk refused; in an ExceptionGroup. Nothing else ends a harvest from here.
        """
        async with asyncio.TaskGroup() as group:
            for number in range(ASKERS):
                group.create_task(self._work(), name=f"{self._harvest.account}-asker-{number}")

    async def count_for(self, job: Job) -> None:
        """See that the counters of a job's campaign were asked for, once for a date, unless the endpoint is shut."""
        campaign_id = await self._tools.offload_disk(partial(self._notes.campaign_id, job))
        await self._count(campaign_id, job.campaign.key)

    async def tell(self) -> None:
        """Tell how many campaigns were counted, and why others were not."""
        missing = await self._tools.offload_disk(partial(self._notes.missing, self._harvest))
        if self._inquiry.answered:
            self._tools.emit(CountersRead(self._harvest.account, self._inquiry.answered))
        reason = self._inquiry.ended_by or self._tools.stop.reason or self._inquiry.last_refusal
        if missing and reason:  # without a reason all was told by the run that was refused
            self._tools.emit(CountersMissing(self._harvest.account, missing, reason))

    async def _work(self) -> None:
        while not self._is_over and (campaign := await self._take()) is not None:
            await self._count(*campaign)

    @property
    def _is_over(self) -> bool:
        return bool(self._inquiry.ended_by) or self._tools.stop.is_asked

    async def _take(self) -> tuple[int, str] | None:
        """Return the next campaign to ask about: its number in the ledger and its key; None after the last."""
        async with self._refill:
            if not self._waiting:
                batch = partial(self._notes.uncounted, self._harvest, self._last_id, BATCH_CAMPAIGNS)
                self._waiting.extend(await self._tools.offload_disk(batch))
            if not self._waiting:
                return None
            campaign = self._waiting.popleft()
            self._last_id = campaign[0]
            return campaign

    async def _count(self, campaign_id: int, campaign_key: str) -> None:
        """Ask about a campaign; whoever comes meanwhile waits, and finds it answered."""
        async with self._turns.setdefault(campaign_id, asyncio.Lock()):
            is_open = await self._tools.offload_disk(partial(self._notes.is_uncounted, self._harvest, campaign_id))
            if is_open and not self._is_over:
                await self._ask(campaign_id, campaign_key)

    async def _ask(self, campaign_id: int, campaign_key: str) -> None:
        desk = self._desk
        ask = partial(desk.reports.counters, campaign_key)
        try:
            answer = await answer_to(ask, desk.caller, desk.backoff, self._tools)
        except (StoppedError, CredentialsError, ConfigError) as trouble:
            self._inquiry.ended_by = str(trouble)
            return
        if isinstance(answer, Refusal):
            code = answer.failure.signature
            await self._tools.offload_disk(partial(self._notes.note_refusal, self._harvest, campaign_id, code))
            self._inquiry.take(answer)
        elif answer is not None:
            self._inquiry.answered += 1
            await self._tools.offload_disk(partial(self._notes.note, self._harvest, campaign_id, answer))
