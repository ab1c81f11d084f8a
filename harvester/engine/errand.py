"""One job in a worker's hands: from page to page until it is published, put off or given up."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from harvester.engine import paging, retry
from harvester.engine.caller import Caller
from harvester.engine.framing import FramedPage, Framing
from harvester.engine.lessons import Lessons
from harvester.engine.lookahead import Answer, Lookahead
from harvester.engine.marks import mark
from harvester.engine.paging import Back, Broken, Finished, PageFacts, Progress, Trust
from harvester.engine.portion import Portion
from harvester.engine.ports import Recipients
from harvester.engine.retry import AskAgain, AskForLess, Later, Never, Scope
from harvester.engine.seen import Seen
from harvester.engine.tools import Pace, Tools
from harvester.engine.writer import Closing, LastWord, NewPage
from harvester.events import JobDone, JobPostponed, JobStarted, PageStored
from harvester.model import (
    BROKEN_PAGING,
    FEWER_AGAIN,
    ClaimedJob,
    Contents,
    Delay,
    Failure,
    FailureKind,
    GivenUp,
    JobState,
    Page,
    PageRequest,
    Published,
    StoredPage,
)

T = TypeVar("T")

FEWER_SHARE = 0.5
"""Sets move, so a second reading may be smaller than the first; where less than half is left it is no better one."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What all jobs of one account's harvest share.

    Attributes:
        caller: the way to the recipients endpoint.
        recipients: what is asked there.
        framing: how pages become frames.
        pace: how fast, and how patiently.
        lessons: what the server has shown.
        lines: bounds the calls under way at once.
        tools: shared with other accounts.
    """

    caller: Caller
    recipients: Recipients
    framing: Framing
    pace: Pace
    lessons: Lessons
    lines: asyncio.Semaphore
    tools: Tools


@dataclass(frozen=True, slots=True)
class Ended:
    """The job is published, or the run stops: nothing is left to decide."""


@dataclass(frozen=True, slots=True)
class PutOff:
    """The job is pending again."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The job, or all of its campaign or account, is to be given up."""

    scope: Scope
    end: GivenUp


Outcome = Ended | PutOff | Refused


class Errand:
    """Carries out one claimed job.

    Args:
        claimed: the job, and how far it came.
        desk: shared with the other jobs.
        answered: to be told when the campaign was known to answer.
    """

    def __init__(self, claimed: ClaimedJob, desk: Desk, answered: Callable[[], None]) -> None:
        self._claimed = claimed
        self._job = claimed.job
        self._desk = desk
        self._tools = desk.tools
        self._answered = answered
        self._progress = Progress()
        self._seen = Seen()
        self._contents = Contents(claimed.job, 0)
        self._attempts = claimed.attempts
        self._tokens_refused = 0
        self._reread_index = 0
        self._portion = Portion()
        self._expected_rows: int | None = None

    async def carry_out(self) -> Outcome:
        """Carry the job from where it stands to its end, or until it must wait.

        Raises:
            DiskError: the disk refused.
            StoppedError: the server could not be reached for too long.
        """
        if not await self._take_up():
            self._answered()
            return Ended()
        async with asyncio.TaskGroup() as group:
            ahead = Lookahead(self._ask_ahead, group.create_task)
            outcome = await self._page_through(ahead)
            ahead.keep_only(())
        await self._disk(partial(self._tools.parts.close, self._job))
        return outcome

    # --- where the job stands ---------------------------------------------------------------------------------------

    async def _take_up(self) -> bool:
        """Find out where the job stands on disk; False if only its publishing was left, and is done."""
        job, claimed = self._job, self._claimed
        page, ending = claimed.last_page, claimed.ending
        contents = Contents(job, claimed.rows, claimed.unreadable_rows, claimed.unreadable_from)
        if ending is not None and page is not None:
            adopted = await self._disk(partial(self._tools.parts.adopt, contents, page))
            if adopted is not None:
                done = [(job, adopted)]
                await self._disk(partial(self._tools.ledger.commit, [], [], done, self._tools.clock.wall_s()))
                self._tell_done(adopted, ending)
                return False
        size_bytes, sha256 = (page.end_bytes, page.sha256) if page else (0, b"")
        if not await self._disk(partial(self._tools.parts.cut, job, size_bytes, sha256)):
            await self._disk(partial(self._tools.ledger.restart, job))
        elif ending is not None:
            self._contents = contents
            await self._publish(ending)
            await self._disk(partial(self._tools.parts.close, job))
            return False
        elif page is not None:
            last = await self._disk(self._remember_written)
            self._contents = contents
            self._progress = progress_after(page, *last)
        self._tools.emit(JobStarted(job.account, job.campaign.key, job.action, self._progress.next_index))
        return True

    def _remember_written(self) -> tuple[str, int]:
        """Take up the contacts that the part holds, the memory of before a restart; return its last row's mark, place.

        Both are empty for a part without rows.
        """
        records, row, identity, position = self._desk.framing.records, None, "", 0
        for line in self._tools.parts.lines(self._job):
            row, position = records.row_of_line(line)
            if identity := records.identity(row):
                self._seen.update((identity,))
        return mark(row, identity) if row is not None else "", position

    # --- from page to page ------------------------------------------------------------------------------------------

    async def _page_through(self, ahead: Lookahead) -> Outcome:
        while (request := self._next_request()) in ahead or not self._tools.stop.is_asked:
            answer = await self._answer(request, ahead)
            if answer is None:
                break
            if isinstance(answer, Failure):
                outcome = await self._failed(answer, request, ahead)
            else:
                outcome = await self._received(request, answer)
            if outcome is not None:
                return outcome
        return Ended()

    def _next_request(self) -> PageRequest:
        return paging.next_request(self._job, self._progress, self._range())

    def _range(self) -> int:
        """Return how many rows to ask for: fewer than usual where a page of this job was too large."""
        return self._portion.within(self._desk.lessons.range_rows)

    async def _answer(self, request: PageRequest, ahead: Lookahead) -> FramedPage | Failure | None:
        """Return the answer to the job's next call; None when the run stops first."""
        others = paging.requests_ahead(request, self._progress, self._expected_rows, self._desk.pace.pages_ahead)
        ahead.keep_only([request, *others])
        if not others and request not in ahead:
            return await self._ask(request, partial(self._framed, request))
        ahead.start([request, *others])
        page = await ahead.take(request)
        if isinstance(page, Page):
            return await self._tools.offload(partial(self._framed, request, page))
        return page

    def _framed(self, request: PageRequest, page: Page) -> FramedPage:
        return self._desk.framing.framed(page, self._job, request, self._progress, self._seen)

    async def _ask_ahead(self, request: PageRequest, leaving: Callable[[], None]) -> Answer:
        return await self._ask(request, lambda page: page, leaving)

    async def _ask(
        self, request: PageRequest, make: Callable[[Page], T], leaving: Callable[[], None] = lambda: None
    ) -> T | Failure | None:
        """Make one call; what comes back is what `make` makes of the page, away from the event loop."""

        async def send() -> T | Failure:
            leaving()
            return await self._desk.recipients.recipients(request, make)

        async with self._desk.lines:
            return await self._desk.caller.ask(send, self._job)

    # --- a good reply -----------------------------------------------------------------------------------------------

    async def _received(self, request: PageRequest, page: FramedPage) -> Outcome | None:
        """Store a page; None if the job goes on."""
        self._answered()
        facts = page.facts
        if facts.unreadable_rows and self._reread_index != request.from_index:
            # Once more, in case that they were damaged on their way; then they go to quarantine.
            self._reread_index = request.from_index
            return None
        lessons = self._desk.lessons
        trust = Trust(lessons.longest_rows, is_doubted=self._claimed.is_doubted)
        verdict = paging.judge(self._progress, request, facts, trust)
        if isinstance(verdict, Broken):
            return Refused(Scope.JOB, GivenUp(JobState.FAILED, BROKEN_PAGING, verdict.reason))
        await lessons.learn(facts.received_rows)
        if isinstance(verdict, Finished) and (end := self._fewer_again(facts)) is not None:
            return Refused(Scope.JOB, end)
        ending = verdict.ending if isinstance(verdict, Finished) else None
        if not isinstance(verdict, Back):
            await self._store(request, page, ending)
        self._progress = verdict.progress
        self._attempts = self._tokens_refused = 0
        self._portion = self._portion.after_page()
        if ending is not None:
            await self._publish(ending)
            return Ended()
        if self._expected_rows is None and facts.received_rows >= min(request.range_rows, lessons.longest_rows):
            self._expected_rows = await self._disk(partial(self._tools.notes.expected_rows, self._job))
        return None

    def _fewer_again(self, facts: PageFacts) -> GivenUp | None:
        """Keep a set that was read again for want of rows from taking the place of a reading that found far more."""
        standing_rows = self._claimed.standing_rows
        if not self._claimed.is_doubted or standing_rows is None:
            return None
        rows = self._contents.rows + self._contents.unreadable_rows + facts.new_rows + facts.unreadable_rows
        if rows >= FEWER_SHARE * standing_rows:
            return None
        reason = f"read again because rows were missing, it came to {rows} rows; the file with {standing_rows} stays"
        return GivenUp(JobState.FAILED, FEWER_AGAIN, reason, "Look at the campaign in Zoho, then run with --refresh.")

    async def _store(self, request: PageRequest, page: FramedPage, ending: str | None) -> None:
        """See that a page is durable, or the word that it was the last."""
        job, facts, first = self._job, page.facts, request.from_index
        if page.campaign_details and first == 1:
            await self._disk(partial(self._tools.notes.note_details, job, page.campaign_details))
        if not (facts.received_rows or facts.is_shifted):
            if ending is not None:
                await self._tools.writer.carry_out(LastWord(job, ending))
            return
        await self._tools.writer.carry_out(NewPage(job, page, self._progress.pages + 1, first, ending))
        self._seen.update(page.identities)
        self._contents = replace(
            self._contents,
            rows=self._contents.rows + facts.new_rows,
            unreadable_rows=self._contents.unreadable_rows + facts.unreadable_rows,
            unreadable_from=self._contents.unreadable_from + (first,) * bool(facts.unreadable_rows),
        )
        self._tools.emit(PageStored(job.account, job.campaign.key, job.action, first, facts.new_rows, len(page.frame)))

    async def _publish(self, ending: str) -> None:
        published = await self._tools.writer.carry_out(Closing(self._contents))
        if published is not None:
            self._tell_done(published, ending)

    def _tell_done(self, published: Published, ending: str) -> None:
        job = self._job
        rows, unreadable_rows = published.rows, published.unreadable_rows
        self._tools.emit(
            JobDone(job.account, job.campaign.key, job.action, rows, published.bytes, ending, unreadable_rows)
        )

    # --- a failed call ----------------------------------------------------------------------------------------------

    async def _failed(self, failure: Failure, request: PageRequest, ahead: Lookahead) -> Outcome | None:
        """Do what follows from a failed call; None if the job goes on at once."""
        if failure.kind is FailureKind.TOKEN:
            self._tokens_refused += 1
            attempts = self._tokens_refused
        else:
            attempts = self._attempts + 1
        decision = retry.decide(failure, attempts, self._desk.pace.backoff, self._tools.rng)
        match decision:
            case AskAgain():
                return None
            case AskForLess():
                return self._ask_for_less(failure, request.range_rows)
            case Later():
                return await (self._wait(decision) if ahead else self._put_off(decision, failure))
            case Never(scope, reason, is_error):
                state = JobState.FAILED if is_error else JobState.SKIPPED
                return Refused(scope, GivenUp(state, failure.signature, reason, failure.remedy))

    def _ask_for_less(self, failure: Failure, asked_rows: int) -> Outcome | None:
        """Halve what was asked for, for this job or, where the server has a limit, for all."""
        if asked_rows == 1:
            return Refused(Scope.JOB, GivenUp(JobState.FAILED, failure.signature, failure.message, failure.remedy))
        if failure.code is not None:
            self._desk.lessons.refused(asked_rows)
        self._portion = self._portion.after_refusal(asked_rows)
        return None

    async def _wait(self, later: Later) -> None:
        """Wait here: pages that are in hand already would have to be fetched again."""
        self._attempts += later.costs_attempt
        await self._disk(partial(self._tools.notes.note_wait, self._job, later.after_s))
        await self._tools.stop.pause(later.after_s)

    async def _put_off(self, later: Later, failure: Failure) -> Outcome:
        job, attempts = self._job, self._attempts + later.costs_attempt
        not_before_s = self._tools.clock.now_s() + later.after_s
        delay = Delay(later.after_s, not_before_s, attempts, failure.message)
        await self._disk(partial(self._tools.ledger.postpone, job, delay))
        self._tools.emit(
            JobPostponed(job.account, job.campaign.key, job.action, attempts, later.after_s, failure.message)
        )
        return PutOff()

    async def _disk(self, work: Callable[[], T]) -> T:
        return await self._tools.offload_disk(work)


def progress_after(page: StoredPage, last: str, position: int) -> Progress:
    """Return where a job stands after its last committed page.

    Args:
        page: that page.
        last: the mark of the last row written.
        position: its 1-based place in the set, when it was written.
    """
    next_index = page.from_index + page.received_rows
    # If the page's last row was dropped or unreadable, the last one written stands before it.
    is_known = page.rows and position == next_index - 1
    return Progress(
        next_index=next_index,
        pages=page.number,
        page_rows=page.received_rows,
        digest=page.digest,
        last=last if is_known else "",
    )
