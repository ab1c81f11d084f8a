"""Which test halves A/B campaigns have: asked before the plan is made, once for each campaign.

What goes wrong here costs the rows of test halves and nothing else: it ends the asking, or passes over one campaign, is
told once, and whoever runs next asks again.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from harvester.engine.asking import Inquiry, Refusal, answer_to
from harvester.engine.caller import Caller
from harvester.engine.ports import CampaignDetails, SplitNotes
from harvester.engine.retry import Backoff
from harvester.engine.tools import Tools
from harvester.errors import ConfigError, CredentialsError, StoppedError
from harvester.events import ChildrenMissing
from harvester.listing import Split
from harvester.model import FailureKind

ASKERS = 4
"""Calls under way at once: few, as the harvest waits only for the halves that are new tonight."""


@dataclass(frozen=True, slots=True)
class SplitDesk:
    """Whose A/B campaigns are asked about, and how.

    Attributes:
        account: whose.
        caller: the way to the endpoint of details.
        details: what is asked there.
        backoff: the waits between attempts.
        tools: shared, but for `stop`, which a lockout of this endpoint alone asks as well.
    """

    account: str
    caller: Caller
    details: CampaignDetails
    backoff: Backoff
    tools: Tools


class Splitting:
    """Asks for the test halves of A/B campaigns.

    Args:
        desk: how.
        notes: where the answers are written down.
    """

    def __init__(self, desk: SplitDesk, notes: SplitNotes) -> None:
        self._desk = desk
        self._tools = desk.tools
        self._notes = notes
        self._inquiry = Inquiry()

    async def run(self, campaign_keys: Iterable[str]) -> int:
        """Ask about all, until the endpoint shuts or the run is asked to stop, and tell what stays unknown.

        Returns:
            How many were answered.

        Raises:
            DiskError: the disk refused; in an ExceptionGroup. Nothing else ends a run from here.
        """
        keys = list(campaign_keys)
        waiting = iter(keys)
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(min(ASKERS, len(keys))):
                    group.create_task(self._work(waiting), name=f"{self._desk.account}-splitter-{number}")
        except* (StoppedError, CredentialsError, ConfigError) as troubles:
            self._inquiry.ended_by = str(troubles.exceptions[0])
        if missing := len(keys) - self._inquiry.answered:
            reason = self._inquiry.ended_by or self._tools.stop.reason or self._inquiry.last_refusal
            self._tools.emit(ChildrenMissing(self._desk.account, missing, reason))
        return self._inquiry.answered

    async def _work(self, waiting: Iterable[str]) -> None:
        for campaign_key in waiting:
            if self._inquiry.ended_by or self._tools.stop.is_asked:
                return
            await self._ask(campaign_key)

    async def _ask(self, campaign_key: str) -> None:
        desk = self._desk
        answer = await answer_to(partial(desk.details.split, campaign_key), desk.caller, desk.backoff, self._tools)
        if isinstance(answer, Refusal):
            if answer.failure.kind is not FailureKind.NOT_APPLICABLE:
                self._inquiry.take(answer)
                return
            answer = Split({})  # too few recipients for a test, so it has no halves
        if answer is not None:
            await self._tools.offload_disk(partial(self._notes.note, desk.account, campaign_key, answer))
            self._inquiry.answered += 1
