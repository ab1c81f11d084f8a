"""One account's harvest of one date: a scheduler, a bounded queue, and workers, in one TaskGroup.

The scheduler claims jobs from the ledger as workers come free, so memory does not grow with the number of jobs. A
worker carries a job from page to page until it is published, postponed or given up. When the run is asked to stop, no
new call starts; calls under way are finished and their pages stored.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TypeVar

from harvester.clock import Clock
from harvester.engine import paging, retry
from harvester.engine.caller import Caller
from harvester.engine.framing import FramedPage, Framing
from harvester.engine.paging import Broken, Finished, Progress
from harvester.engine.ports import JobLedger, Offload, Parts, Recipients, Render, ServerNotes
from harvester.engine.retry import AskAgain, Backoff, Later, Never, Scope
from harvester.engine.schedule import Schedule
from harvester.engine.stop import Stop
from harvester.engine.writer import Closing, LastWord, NewPage, Writer
from harvester.errors import CredentialsError
from harvester.events import Emit, JobDone, JobFailed, JobPostponed, JobSkipped, JobStarted, PageStored
from harvester.model import (
    BROKEN_PAGING,
    ClaimedJob,
    Failure,
    FailureKind,
    GivenUp,
    Harvest,
    Job,
    JobState,
    PageRequest,
    Published,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tools:
    """What the run shares between its accounts."""

    ledger: JobLedger
    servers: ServerNotes
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
        backoff: the waits between attempts.
    """

    page_rows: int
    concurrency: int
    backoff: Backoff


@dataclass(slots=True)
class _Errand:
    """A job in a worker's hands."""

    job: Job
    progress: Progress
    rows: int
    attempts: int
    tokens_refused: int = 0


class AccountHarvest:
    """Carries out the planned jobs of one account and date.

    Args:
        harvest: which.
        pace: how.
        caller: the way to the recipients endpoint.
        recipients: what is asked there.
        render: makes lines of rows.
        tools: shared with other accounts.
    """

    def __init__(
        self, harvest: Harvest, pace: Pace, caller: Caller, recipients: Recipients, render: Render, tools: Tools
    ) -> None:
        self._harvest = harvest
        self._pace = pace
        self._caller = caller
        self._recipients = recipients
        self._framing = Framing(render, tools.parts.frame)
        self._tools = tools
        self._schedule = Schedule()
        self._queue: asyncio.Queue[ClaimedJob | None] = asyncio.Queue(maxsize=pace.concurrency)
        self._in_hand = 0
        self._wake = asyncio.Event()
        self._longest_rows = 0

    async def run(self) -> None:
        """Harvest until no job is pending or the run is asked to stop.

        Raises:
            CredentialsError: a person must act; what is committed stays.
            DiskError: the disk refused.
            StoppedError: the server could not be reached for too long.
            All in an ExceptionGroup.
        """
        self._longest_rows = await self._disk(partial(self._tools.servers.longest_page_rows, self._harvest.account))
        self._tools.stop.listen(self._wake.set)
        async with asyncio.TaskGroup() as group:
            for number in range(self._pace.concurrency):
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
        for _ in range(self._pace.concurrency):
            await self._queue.put(None)

    async def _claim(self) -> None:
        """Claim until a round of jobs is ready or nothing more is due."""
        while self._schedule.ready_jobs < self._pace.concurrency:
            now_s = self._tools.clock.now_s()
            limit = self._pace.concurrency - self._schedule.ready_jobs
            batch = await self._disk(partial(self._tools.ledger.claim, self._harvest, limit, now_s))
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
        await self._tools.stop.pause(max(0.0, due_s - self._tools.clock.now_s()))
        return True

    async def _is_due_first(self, due_s: float) -> bool:
        """Wait for the first of the two: a postponed job is due (True), or a worker came back."""
        try:
            async with asyncio.timeout(max(0.0, due_s - self._tools.clock.now_s())):
                await self._wake.wait()
        except TimeoutError:
            return True
        return False

    # --- a worker ---------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while (claimed := await self._queue.get()) is not None:
            try:
                await self._harvest_job(claimed)
            finally:
                self._in_hand -= 1
                self._wake.set()

    async def _harvest_job(self, claimed: ClaimedJob) -> None:
        """Carry a job from where it stands to its end, or until it must wait."""
        if self._tools.stop.is_asked:
            return
        errand = await self._take_up(claimed)
        if errand is None:
            self._schedule.campaign_known(claimed.job.campaign.key)
            return
        while (answer := await self._ask(errand)) is not None:
            request, reply = answer
            if isinstance(reply, Failure):
                goes_on = await self._failed(errand, reply)
            else:
                goes_on = await self._received(errand, request, reply)
            if not goes_on or self._tools.stop.is_asked:
                break
        await self._disk(partial(self._tools.parts.close, errand.job))

    async def _take_up(self, claimed: ClaimedJob) -> _Errand | None:
        """Find out where a job stands on disk; None if only its publishing was left, and is done."""
        job, page = claimed.job, claimed.last_page
        if claimed.ending is not None and page is not None:
            adopted = await self._disk(partial(self._tools.parts.adopt, job, page, claimed.rows))
            if adopted is not None:
                done = [(job, adopted)]
                await self._disk(partial(self._tools.ledger.commit, [], [], done, self._tools.clock.wall_s()))
                self._tell_done(job, adopted, claimed.ending)
                return None
        size_bytes, sha256 = (page.end_bytes, page.sha256) if page else (0, b"")
        is_whole = await self._disk(partial(self._tools.parts.cut, job, size_bytes, sha256))
        if not is_whole:
            await self._disk(partial(self._tools.ledger.restart, job))
        elif claimed.ending is not None:
            await self._publish(job, claimed.rows, claimed.ending)
            return None
        if page is None or not is_whole:
            errand = _Errand(job, Progress(), 0, claimed.attempts)
        else:
            progress = Progress(page.from_index + page.rows, page.number, page.digest)
            errand = _Errand(job, progress, claimed.rows, claimed.attempts)
        self._tools.emit(JobStarted(job.account, job.campaign.key, job.action, errand.progress.next_index))
        return errand

    async def _ask(self, errand: _Errand) -> tuple[PageRequest, FramedPage | Failure] | None:
        """Send the next call of the job; None when the run stops first. A page comes back as its facts and frame."""
        job = errand.job
        request = paging.next_request(job, errand.progress, self._pace.page_rows)
        make = partial(self._framing.framed, job=job, request=request)
        reply = await self._caller.ask(partial(self._recipients.recipients, request, make), job)
        return None if reply is None else (request, reply)

    # --- a good reply -----------------------------------------------------------------------------------------------

    async def _received(self, errand: _Errand, request: PageRequest, page: FramedPage) -> bool:
        """Store a page and say whether the job goes on."""
        self._schedule.campaign_known(errand.job.campaign.key)
        if self._schedule.ready_jobs:
            self._wake.set()
        verdict = paging.judge(errand.progress, request, page.facts, self._longest_rows)
        if isinstance(verdict, Broken):
            await self._give_up(errand.job, GivenUp(JobState.FAILED, BROKEN_PAGING, verdict.reason))
            return False
        ending = verdict.ending if isinstance(verdict, Finished) else None
        await self._learn(page.facts.rows)
        await self._store(errand, request, page, verdict.progress, ending)
        if ending is not None:
            await self._publish(errand.job, errand.rows, ending)
        return ending is None

    async def _store(
        self, errand: _Errand, request: PageRequest, page: FramedPage, progress: Progress, ending: str | None
    ) -> None:
        job, frame, rows, first = errand.job, page.frame, page.facts.rows, request.from_index
        if rows:
            order = NewPage(job, frame, progress.pages, first, rows, page.facts.digest, ending)
            await self._tools.writer.carry_out(order)
            self._tools.emit(PageStored(job.account, job.campaign.key, job.action, first, rows, len(frame)))
        elif ending is not None:
            await self._tools.writer.carry_out(LastWord(job, ending))
        errand.progress, errand.rows = progress, errand.rows + rows
        errand.attempts = errand.tokens_refused = 0

    async def _learn(self, rows: int) -> None:
        """Remember the longest page: it proves what this server can give."""
        if rows > self._longest_rows:
            self._longest_rows = rows
            await self._disk(partial(self._tools.servers.learn_page_rows, self._harvest.account, rows))

    async def _publish(self, job: Job, rows: int, ending: str) -> None:
        published = await self._tools.writer.carry_out(Closing(job, rows))
        if published is not None:
            self._tell_done(job, published, ending)

    def _tell_done(self, job: Job, published: Published, ending: str) -> None:
        self._tools.emit(JobDone(job.account, job.campaign.key, job.action, published.rows, published.bytes, ending))

    # --- a failed call ----------------------------------------------------------------------------------------------

    async def _failed(self, errand: _Errand, failure: Failure) -> bool:
        """Do what follows from a failed call and say whether the job goes on at once."""
        if failure.kind is FailureKind.TOKEN:
            errand.tokens_refused += 1
            attempts = errand.tokens_refused
        else:
            attempts = errand.attempts + 1
        decision = retry.decide(failure, attempts, self._pace.backoff, self._tools.rng)
        match decision:
            case AskAgain():
                return True
            case Later():
                await self._postpone(errand, failure, decision)
            case Never(scope=Scope.ACCOUNT):
                raise CredentialsError(f"{self._harvest.account}: {decision.reason}", failure.remedy)
            case Never():
                state = JobState.FAILED if decision.is_error else JobState.SKIPPED
                end = GivenUp(state, failure.signature, decision.reason, failure.remedy)
                if decision.scope is Scope.CAMPAIGN:
                    await self._give_up_campaign(errand.job, end)
                else:
                    await self._give_up(errand.job, end)
        return False

    async def _postpone(self, errand: _Errand, failure: Failure, later: Later) -> None:
        job, attempts = errand.job, errand.attempts + later.costs_attempt
        not_before_s = self._tools.clock.now_s() + later.after_s
        await self._disk(partial(self._tools.ledger.postpone, job, not_before_s, attempts, failure.message))
        self._schedule.scout_left(job)
        self._tools.emit(
            JobPostponed(job.account, job.campaign.key, job.action, attempts, later.after_s, failure.message)
        )

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
