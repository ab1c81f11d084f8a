"""One account's harvest of one date: a scheduler, a bounded queue, and workers, in one TaskGroup.

The scheduler claims jobs from the ledger as workers come free, so memory does not grow with the number of jobs. A
worker carries a job from page to page until it is published, postponed or given up. When the run is asked to stop, no
new call starts; calls under way are finished and their pages stored.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from harvester.engine.caller import Caller
from harvester.engine.errand import Desk, Errand, PutOff, Refused
from harvester.engine.framing import Framing
from harvester.engine.gate import Gate
from harvester.engine.lessons import Lessons
from harvester.engine.ports import Recipients, Records
from harvester.engine.retry import Scope
from harvester.engine.schedule import Schedule
from harvester.engine.tools import Pace, Tools
from harvester.errors import CredentialsError
from harvester.events import JobFailed, JobSkipped
from harvester.model import ClaimedJob, GivenUp, Harvest, Job, JobState

T = TypeVar("T")

IN_THE_WAY_S = 1.0
"""How long to wait for another run to read a set that this one would read as well, before looking again."""


class AccountHarvest:
    """Carries out the planned jobs of one account and date.

    Args:
        harvest: which.
        pace: how.
        caller: the way to the recipients endpoint.
        recipients: what is asked there.
        records: makes lines of rows.
        tools: shared with other accounts.
    """

    def __init__(
        self, harvest: Harvest, pace: Pace, caller: Caller, recipients: Recipients, records: Records, tools: Tools
    ) -> None:
        self._harvest = harvest
        self._concurrency = pace.concurrency
        self._tools = tools
        self._gate: Gate | None = None
        self._desk = Desk(
            caller=caller,
            recipients=recipients,
            framing=Framing(records, tools.parts.frame),
            pace=pace,
            lessons=Lessons(harvest.account, harvest.date, pace.page_rows, tools.servers, tools.offload_disk),
            lines=asyncio.Semaphore(pace.concurrency),
            tools=tools,
        )
        self._schedule = Schedule()
        self._queue: asyncio.Queue[ClaimedJob | None] = asyncio.Queue(maxsize=pace.concurrency)
        self._in_hand = 0
        self._wake = asyncio.Event()

    async def run(self, gate: Gate | None = None) -> None:
        """Harvest until no job is pending or the run is asked to stop.

        Args:
            gate: settles whether a job is harvested at all; None where all of them are.

        Raises:
            CredentialsError: a person must act; what is committed stays.
            DiskError: the disk refused.
            StoppedError: the server could not be reached for too long.
            All in an ExceptionGroup.
        """
        self._gate = gate
        await self._desk.lessons.recall()
        self._tools.stop.listen(self._wake.set)
        async with asyncio.TaskGroup() as group:
            for number in range(self._concurrency):
                group.create_task(self._work(), name=f"{self._harvest.account}-worker-{number}")
            group.create_task(self._feed(), name=f"{self._harvest.account}-scheduler")

    # --- the scheduler ----------------------------------------------------------------------------------------------

    async def _feed(self) -> None:
        """Hand out jobs until there are none, then send every worker home."""
        while not self._tools.stop.is_asked:
            self._wake.clear()
            await self._claim()
            if (claimed := self._schedule.next()) is not None:
                await self._queue.put(claimed)
            elif not await self._wait_for_work():
                break
        for _ in range(self._concurrency):
            await self._queue.put(None)

    async def _claim(self) -> None:
        """Claim until a round of jobs is ready or nothing more is due."""
        while self._schedule.ready_jobs < self._concurrency:
            limit, clock = self._concurrency - self._schedule.ready_jobs, self._tools.clock
            claim = partial(self._tools.ledger.claim, self._harvest, limit, clock.now_s(), clock.wall_s())
            batch = await self._disk(claim)
            self._in_hand += len(batch)
            for claimed in batch:
                self._schedule.add(claimed)
            if len(batch) < limit:
                return

    async def _wait_for_work(self) -> bool:
        """Wait until a worker comes back or a postponed job is due; False if there is nothing to wait for."""
        due_s = await self._disk(partial(self._tools.ledger.next_due_s, self._harvest))
        if self._in_hand:
            if due_s is None or not await self._is_due_first(due_s):
                await self._wake.wait()
            return True
        if due_s is None:
            return False
        await self._tools.stop.pause(self._wait_s(due_s))
        return True

    def _wait_s(self, due_s: float) -> float:
        """Return how long to wait for a job that is due then; one that is due and was not to be had is in the way."""
        wait_s = due_s - self._tools.clock.now_s()
        return wait_s if wait_s > 0 else IN_THE_WAY_S

    async def _is_due_first(self, due_s: float) -> bool:
        """Wait for the first of the two: a postponed job is due (True), or a worker came back."""
        try:
            async with asyncio.timeout(self._wait_s(due_s)):
                await self._wake.wait()
        except TimeoutError:
            return True
        return False

    # --- a worker ---------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while (claimed := await self._queue.get()) is not None:
            try:
                if not self._tools.stop.is_asked:
                    await self._harvest_job(claimed)
            finally:
                self._in_hand -= 1
                self._wake.set()

    async def _harvest_job(self, claimed: ClaimedJob) -> None:
        """Carry a job to its end, or until it must wait, and let its campaign's other jobs know."""
        job = claimed.job
        if self._gate is not None and not await self._gate.lets_pass(claimed):
            self._answered(job)
            return
        match await Errand(claimed, self._desk, partial(self._answered, job)).carry_out():
            case PutOff():
                self._schedule.scout_left(job)
            case Refused(Scope.ACCOUNT, end):
                raise CredentialsError(f"{self._harvest.account}: {end.reason}", end.remedy)
            case Refused(Scope.CAMPAIGN, end):
                await self._give_up_campaign(job, end)
            case Refused(_, end):
                await self._give_up(job, end)

    def _answered(self, job: Job) -> None:
        """Let the other jobs of a campaign go: it is known to answer."""
        self._schedule.campaign_known(job.campaign.key)
        if self._schedule.ready_jobs:
            self._wake.set()

    async def _give_up(self, job: Job, end: GivenUp) -> None:
        await self._disk(partial(self._tools.ledger.give_up, job, end))
        self._schedule.campaign_known(job.campaign.key)
        self._tell_given_up(job, end, jobs=1)

    async def _give_up_campaign(self, job: Job, end: GivenUp) -> None:
        """End this job and all of its campaign that have not started: its answer speaks for them."""
        held = [claimed.job for claimed in self._schedule.campaign_over(job.campaign.key)]
        moved = await self._disk(partial(self._tools.ledger.give_up_campaign, self._harvest, [job, *held], end))
        self._in_hand -= len(held)
        self._tell_given_up(job, end, jobs=moved)

    def _tell_given_up(self, job: Job, end: GivenUp, jobs: int) -> None:
        key, action = job.campaign.key, job.action
        if end.state is JobState.FAILED:
            self._tools.emit(JobFailed(job.account, key, action, end.code, end.reason, end.remedy, jobs))
        else:
            self._tools.emit(JobSkipped(job.account, key, action, end.code, end.reason, jobs))

    async def _disk(self, work: Callable[[], T]) -> T:
        return await self._tools.offload_disk(work)
