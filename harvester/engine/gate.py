"""Settles of planned jobs whether their sets are read or carried over: in bulk by age, one by one by the counters."""

from collections.abc import Collection, Sequence
from functools import partial

from harvester.engine.counting import Counting
from harvester.engine.ports import Standings
from harvester.engine.refresh import Decision, Rules
from harvester.engine.tools import Tools
from harvester.events import JobCarried, JobsCarried
from harvester.model import Action, Campaign, ClaimedJob, Harvest, Job
from harvester.snapshot import Candidate

ASKED = "asked for again"
DOUBTED = "rows were missing"
FILE_GONE = "the partition that held it is gone, or being replaced"


class Gate:
    """What stands between a planned job and its first call.

    Args:
        rules: of the command.
        standings: how the sets stood when they were last read.
        counting: asks for the counters of a campaign; None where they are not to be asked for.
        tools: shared.
    """

    def __init__(self, rules: Rules, standings: Standings, counting: Counting | None, tools: Tools) -> None:
        self._rules = rules
        self._standings = standings
        self._counting = counting
        self._tools = tools

    def is_wanted(self, harvest: Harvest, campaign: Campaign, action: Action) -> bool:
        """Tell whether a campaign's action is a job of this run at all; with the disk."""
        job = Job(0, harvest.account, campaign, action, harvest.date)
        is_begun = self._rules.decide(job, None) is not Decision.LEAVE_OUT
        return is_begun or self._standings.is_known(job)

    async def sort_out(self, harvest: Harvest, unlisted: Collection[str] = ()) -> None:
        """Carry the planned jobs that need no counter for it.

        Args:
            harvest: the date.
            unlisted: keys of campaigns that the account does not list any more: what is known of them stands.
        """
        carried = after_id = 0
        while batch := await self._tools.offload_disk(partial(self._standings.candidates, harvest, after_id)):
            carried += await self._tools.offload_disk(partial(self._carry_over, batch, unlisted))
            after_id = batch[-1].job.id
        if carried:
            self._tools.emit(JobsCarried(harvest.account, carried))

    def _carry_over(self, batch: Sequence[Candidate], unlisted: Collection[str]) -> int:
        """Return how many jobs of the batch are carried now."""
        return self._standings.carry(
            [
                (each.job, each.snapshot, each.snapshot.checked_on)
                for each in batch
                if each.snapshot is not None
                and (each.job.campaign.key in unlisted or self._rules.decide(each.job, each.snapshot) is Decision.CARRY)
            ]
        )

    def read_all(self, harvest: Harvest) -> None:
        """See that the planned jobs are read whatever is known of their sets, by this run or the one that goes on."""
        self._standings.note_all_due(harvest, ASKED)

    async def lets_pass(self, claimed: ClaimedJob) -> bool:
        """Tell whether a claimed job is to be harvested; if not, it is carried over by then.

        Its campaign's counters are asked for first, so that they were told before its set is read.
        """
        if claimed.last_page is not None:
            return True
        job = claimed.job
        if self._counting is not None:
            await self._counting.count_for(job)
        if self._tools.stop.is_asked:
            return True  # no call follows; the run that goes on settles it
        if claimed.is_doubted or claimed.due == ASKED:
            reason: str | None = DOUBTED if claimed.is_doubted else ASKED
        else:
            reason = await self._why_read(job)  # also where a run that stopped had settled it: it may be read by now
        if reason is None:
            return False
        await self._tools.offload_disk(partial(self._standings.note_due, job, reason))
        return True

    async def _why_read(self, job: Job) -> str | None:
        """Return why a job is harvested; None if it is carried now."""
        snapshot = await self._tools.offload_disk(partial(self._standings.of, job))
        counter_rows = await self._tools.offload_disk(partial(self._standings.counter_rows, job))
        reason = self._rules.why_read(job, snapshot, counter_rows)
        if reason is not None or snapshot is None:
            return reason
        is_checked = counter_rows is not None and counter_rows == snapshot.counter_rows
        checked_on = job.date if is_checked else snapshot.checked_on
        if not await self._tools.offload_disk(partial(self._standings.carry, [(job, snapshot, checked_on)])):
            return FILE_GONE
        self._tools.emit(JobCarried(job.account, job.campaign.key, job.action, snapshot.date.isoformat()))
        return None
