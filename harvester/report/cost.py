"""How many calls the open jobs of a run still need (pure)."""

from dataclasses import dataclass

MEMORY_JOBS = 50
"""Jobs after which a closed one counts 1/e: enough to even out large sets among small ones, and few against a night,
since in a plan by size those that are still open are like the last."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What the jobs of a run cost.

    Attributes:
        expected_calls: what the jobs that were open at the start should cost; None where that is not known.
        jobs: closed so far.
        calls: made when the last of them closed.
        mean_calls: of a job of late.
    """

    expected_calls: int | None = None
    jobs: int = 0
    calls: int = 0
    mean_calls: float = 0.0

    def after(self, calls: int, jobs: int) -> "Cost":
        """Return the cost with so many jobs more closed, after so many calls of the run."""
        share = min(1.0, jobs / min(self.jobs + jobs, MEMORY_JOBS)) if jobs else 0.0
        latest = (calls - self.calls) / jobs if jobs else 0.0
        return Cost(self.expected_calls, self.jobs + jobs, calls, self.mean_calls + share * (latest - self.mean_calls))

    def left_calls(self, open_jobs: int, calls: int) -> float | None:
        """Estimate the calls that so many open jobs need, after so many calls of the run; None while nothing is known.

        At the start what is left of the calls expected, as a plan knows the size of each set; in the end the mean of
        the last jobs, which knows what a plan did not: calls tried again, sets that grew or were carried over. The
        weight of the second is the square of the share of the jobs that are closed: what a few jobs say is hearsay.
        """
        by_mean = open_jobs * self.mean_calls if self.jobs else None
        if self.expected_calls is None:
            return by_mean
        by_plan = float(max(0, self.expected_calls - calls))
        if by_mean is None:
            return by_plan
        weight = (self.jobs / (self.jobs + open_jobs)) ** 2
        return (1 - weight) * by_plan + weight * by_mean
