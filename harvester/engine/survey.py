"""Looks an account's campaigns over for a plan: what the ledger knows of them, and the counters of those that are due.

Nothing of it is written down but the calls themselves. As in a harvest, what goes wrong with the counters ends the
asking and nothing else: the sets are then priced by what is known without.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from harvester.engine.asking import Refusal, answer_to
from harvester.engine.counting import ASKERS, ReportDesk
from harvester.engine.estimate import Estimator, Prospect
from harvester.engine.ports import Offload
from harvester.engine.retry import Scope
from harvester.errors import ConfigError, CredentialsError, StoppedError
from harvester.history import KnownCampaign
from harvester.model import Campaign, Counters

Recall = Callable[[str], KnownCampaign]
"""Returns what the ledger knows of the campaign with this key."""


class Survey:
    """Prices campaigns in the order in which they come.

    Args:
        estimator: takes them in.
        recall: reads the ledger; called in the thread of the disk.
        desk: how counters are asked for; None where they are not to be asked for.
        offload_disk: runs the reading.

    Attributes:
        counted: campaigns whose counters were told.
        missing: campaigns that are due, and whose counters were not to be had.
        trouble: why the last of these were not; empty if none is missing.
    """

    def __init__(self, estimator: Estimator, recall: Recall, desk: ReportDesk | None, offload_disk: Offload) -> None:
        self._estimator = estimator
        self._recall = recall
        self._desk = desk
        self._offload_disk = offload_disk
        self._line = asyncio.Semaphore(ASKERS)
        self.counted = 0
        self.missing = 0
        self.trouble = "harvest.counters is false" if desk is None else ""
        self._is_over = desk is None

    async def take(self, campaigns: Sequence[tuple[Campaign, str]]) -> None:
        """Take campaigns in, each with its name; few enough to be held in memory.

        Raises:
            DiskError: the disk refused.
        """
        known = await self._offload_disk(partial(self._known, campaigns))
        prospects = [
            self._estimator.prospect(campaign, name, each)
            for (campaign, name), each in zip(campaigns, known, strict=True)
        ]
        async with asyncio.TaskGroup() as group:
            answers = [group.create_task(self._counters(prospect)) for prospect in prospects]
        for prospect, answer in zip(prospects, answers, strict=True):
            told = answer.result()
            # Whoever may not read reports may have read recipients before, and so may again.
            was_read = any(each.snapshot and each.snapshot.partition for each in prospect.known.sets.values())
            is_refused = isinstance(told, Refusal) and told.scope is Scope.CAMPAIGN and not was_read
            self._estimator.take(prospect, told if isinstance(told, Counters) else None, is_refused=is_refused)

    def _known(self, campaigns: Sequence[tuple[Campaign, str]]) -> list[KnownCampaign]:
        return [self._recall(campaign.key) for campaign, _ in campaigns]

    async def _counters(self, prospect: Prospect) -> Counters | Refusal | None:
        """Return the counters of a campaign that is due; None if they are known, or not to be had."""
        if not prospect.is_due or prospect.known.is_counted:
            return None
        async with self._line:
            answer = await self._ask(prospect.campaign.key)
        self.counted += isinstance(answer, Counters)
        self.missing += not isinstance(answer, Counters)
        return answer

    async def _ask(self, campaign_key: str) -> Counters | Refusal | None:
        desk = self._desk
        if desk is None or self._is_over:
            return None
        try:
            ask = partial(desk.reports.counters, campaign_key)
            answer = await answer_to(ask, desk.caller, desk.backoff, desk.tools)
        except (StoppedError, CredentialsError, ConfigError) as trouble:
            self._is_over, self.trouble = True, str(trouble)
            return None
        if isinstance(answer, Refusal):
            self._is_over |= answer.scope is Scope.ACCOUNT
            self.trouble = answer.reason
        elif answer is None:
            self._is_over, self.trouble = True, desk.tools.stop.reason or ""
        return answer
