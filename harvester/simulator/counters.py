"""The counters of a campaign: how many contacts each action has, and what campaignreports tells instead. Pure.

Source: the names of the endpoint's documentation; which of them counts which action is read from these names.
"""

from collections.abc import Callable, Mapping
from random import Random

from harvester.simulator.campaigns import Campaign, Kind
from harvester.simulator.options import Options
from harvester.simulator.set_options import CounterFault
from harvester.simulator.world import World

ACTION_OF_COUNTER: Mapping[str, str] = {
    "emails_sent_count": "sentcontacts",
    "opens_count": "openedcontacts",
    "unopened": "unopenedcontacts",
    "unique_clicks_count": "clickedcontacts",
    "unsub_count": "optoutcontacts",
    "spams_count": "spamcontacts",
    "complaints_count": "spamcontacts",
    "hardbounce_count": "senthardbounce",
    "softbounce_count": "sentsoftbounce",
    "unsent_count": "unsentcontacts",
}
_COUNTED_EACH_TIME = ("opens_count", "unique_clicks_count")

_TOLD: Mapping[CounterFault, Callable[[int, int], str]] = {
    CounterFault.OFF: lambda count, off_by: str(max(0, count + off_by)),
    CounterFault.BLANK: lambda _count, _off_by: "",
    CounterFault.NEGATIVE: lambda _count, _off_by: "-1",
    CounterFault.NULL: lambda _count, _off_by: "null",
}


def counters_of(world: World, campaign: Campaign) -> dict[str, int]:
    """Return the true counters of this moment; each contact counts once, that of an A/B parent in its final send."""
    is_sent = campaign.kind is not Kind.TINY_AB
    counts = {counter: world.count(campaign, action) if is_sent else 0 for counter, action in ACTION_OF_COUNTER.items()}
    bounces = counts["hardbounce_count"] + counts["softbounce_count"]
    return counts | {
        "bounces_count": bounces,
        "delivered_count": counts["emails_sent_count"] - bounces,
        "autoreply_count": 0,
        "forwards_count": 0,
    }


def told_counters(world: World, campaign: Campaign, options: Options) -> dict[str, str]:
    """Return the counters as campaignreports tells them: as texts, and wrong for a share of the campaigns."""
    counts = counters_of(world, campaign)
    told = {counter: str(count) for counter, count in counts.items()}
    fault = _fault_of(campaign, options)
    if fault is None:
        return told
    if fault is CounterFault.MISSING:
        return {counter: text for counter, text in told.items() if counter not in ACTION_OF_COUNTER}
    if fault is CounterFault.TOTAL:
        return told | {counter: str(_events(world, campaign, counter)) for counter in _COUNTED_EACH_TIME}
    off_by = options.counters.off_by
    return told | {counter: _TOLD[fault](counts[counter], off_by) for counter in ACTION_OF_COUNTER}


def _fault_of(campaign: Campaign, options: Options) -> CounterFault | None:
    rng = Random(f"{options.seed}/{campaign.key}/counters")  # noqa: S311  a world, no secret
    return rng.choice(options.counters.kinds) if rng.random() < options.counters.share else None


def _events(world: World, campaign: Campaign, counter: str) -> int:
    times = world.event_times_ms(campaign.key, ACTION_OF_COUNTER[counter])
    return sum(len(times_ms) for times_ms in times.values())
