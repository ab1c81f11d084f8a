"""How long calls travel."""

import math

import pytest

from harvester.simulator.model import Zoho
from harvester.simulator.options import CountedAt, NetworkOptions, Options


@pytest.mark.parametrize("counted_at", CountedAt)
def test_delays_stay_within_their_bounds(counted_at: CountedAt) -> None:
    """A call takes latency_s to latency_s + jitter_s, and is counted at arrival, in between, or at the end."""
    zoho = Zoho(Options(network=NetworkOptions(latency_s=0.3, jitter_s=0.5, counted_at=counted_at)))

    delays = [zoho.delay() for _ in range(500)]

    whole_s = [delay.before_count_s + delay.after_count_s for delay in delays]
    assert min(whole_s) >= 0.3 - 1e-9
    assert max(whole_s) <= 0.8 + 1e-9
    before_s = [delay.before_count_s for delay in delays]
    expected = {CountedAt.ARRIVAL: [0.0] * 500, CountedAt.END: whole_s}
    assert before_s == expected.get(counted_at, before_s)


def test_R_02_late_calls_are_counted_and_never_answered() -> None:
    """A late call reaches the counter within late_s; its answer never comes."""
    zoho = Zoho(Options(network=NetworkOptions(late_share=1.0, late_s=120.0)))

    delays = [zoho.delay() for _ in range(200)]

    assert all(0 <= delay.before_count_s <= 120 and math.isinf(delay.after_count_s) for delay in delays)
    assert max(delay.before_count_s for delay in delays) > 100
