"""Which claimed job may start now (pure).

A bad or unsent campaign key is told by its first answer; nine jobs of it at once would pay for the same answer nine
times. So of a campaign that nothing is known of, one job goes ahead as the scout and its siblings wait in hand.
"""

from collections import deque
from collections.abc import Sequence

from harvester.model import ClaimedJob, Job


class Schedule:
    """The jobs that this run holds and has not yet given to a worker.

    Bounded by the claims: for each campaign scouted, at most its other actions are held.
    """

    def __init__(self) -> None:
        self._ready: deque[ClaimedJob] = deque()
        self._held: dict[str, deque[ClaimedJob]] = {}

    @property
    def ready_jobs(self) -> int:
        """How many jobs could start at once."""
        return len(self._ready)

    def add(self, claimed: ClaimedJob) -> None:
        """Take a claimed job: ready, or held while another of its campaign is the scout."""
        key = claimed.job.campaign.key
        if key in self._held:
            self._held[key].append(claimed)
            return
        if not claimed.is_campaign_known:
            self._held[key] = deque()
        self._ready.append(claimed)

    def next(self) -> ClaimedJob | None:
        """Return the next job to start, or None."""
        return self._ready.popleft() if self._ready else None

    def campaign_known(self, campaign_key: str) -> None:
        """Let the siblings go: the scout had a good answer, or it failed for a reason of its own."""
        self._ready.extend(self._held.pop(campaign_key, ()))

    def campaign_over(self, campaign_key: str) -> Sequence[ClaimedJob]:
        """Hand back the siblings: the scout's answer speaks for all of them."""
        return tuple(self._held.pop(campaign_key, ()))

    def scout_left(self, job: Job) -> None:
        """Make a sibling the scout: the first one has to wait and nothing is known yet."""
        siblings = self._held.get(job.campaign.key)
        if siblings:
            self._ready.append(siblings.popleft())
        else:
            self._held.pop(job.campaign.key, None)
