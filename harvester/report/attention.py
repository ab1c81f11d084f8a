"""The few things that a person should know now, as sentences (pure)."""

from dataclasses import dataclass, replace

from harvester.events import (
    CampaignsUnsteady,
    ChangesLeftOut,
    ChildrenMissing,
    CounterMisfits,
    CountersMissing,
    DrainStarted,
    Event,
    JobDone,
    JobFailed,
    JobsDoubted,
    LockoutClosed,
    LockoutOpened,
    OffsetsDiffer,
    OutageClosed,
    OutageOpened,
)
from harvester.report.figures import clock_time, counted, short_key
from harvester.report.printable import printable

ATTENTION_MAX = 5
"""Notices kept: what fits under the live view of a small terminal; the log and the ledger hold all."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to know about an account; `times` it came with the same `topic`, `sentence` is the latest.

    `topic` tells what the notice is about, so that the same thing is not listed twice and can be taken back.
    """

    account: str
    topic: str
    sentence: str
    times: int = 1

    def __str__(self) -> str:
        whose = f"{self.account}: " if self.account else ""
        return printable(f"{whose}{self.sentence}" + (f" (and {self.times - 1:,} more)" if self.times > 1 else ""))


Attention = tuple[Notice, ...]
"""At most `ATTENTION_MAX` notices, the latest last."""


def attend(attention: Attention, event: Event) -> Attention:
    """Return what is to be known after `event`: a new notice, one taken back, or no change."""
    match event:
        case LockoutClosed(account, endpoint):
            return _without(attention, account, f"lockout {endpoint}")
        case OutageClosed(account):
            return _without(attention, account, "outage")
    notice = _notice(event)
    return attention if notice is None else _with(attention, notice)


def _notice(event: Event) -> Notice | None:
    match event:
        case JobFailed():
            topic, sentence = f"failed {event.code} {event.reason}", _failure(event)
        case JobDone() if event.unreadable_rows:
            rows = counted(event.unreadable_rows, "row")
            topic, sentence = (
                "unreadable",
                f"campaign {short_key(event.campaign_key)}: {rows} unreadable, in quarantine",
            )
        case LockoutOpened():
            topic, sentence = f"lockout {event.endpoint}", _lockout(event)
        case OutageOpened():
            topic, sentence = "outage", f"no working server: {event.reason}; one call at a time tries"
        case CountersMissing():
            campaigns = counted(event.campaigns, "campaign")
            topic, sentence = "counters", f"the counters of {campaigns} stay unknown: {event.reason}"
        case JobsDoubted():
            topic, sentence = "doubt", f"{counted(event.jobs, 'job')} with fewer rows than counted: harvested again"
        case CounterMisfits():
            sets = f"{counted(event.jobs, 'set')} {event.direction}"
            topic, sentence = f"misfit {event.action}", f"the counter of {event.action} does not fit: {sets}"
        case ChangesLeftOut():
            topic, sentence = "changes", f"not compared: {event.reason}"
        case DrainStarted():
            topic, sentence = "drain", f"stopping: {event.reason}; calls under way are finished and stored"
        case _:
            return _listing_notice(event)
    return Notice(event.account, topic, sentence)


def _listing_notice(event: Event) -> Notice | None:
    """Return what there is to know of the listing of campaigns."""
    match event:
        case CampaignsUnsteady():
            topic, sentence = "listing", f"the listing of campaigns may lack some: {event.reason}"
        case ChildrenMissing():
            campaigns = counted(event.campaigns, "A/B campaign")
            topic, sentence = "children", f"the test halves of {campaigns} stay unknown: {event.reason}"
        case OffsetsDiffer():
            others = counted(event.campaigns, "new campaign")
            topic, sentence = "offset", f"the offset of sent_time is not the same for all: another one in {others}"
        case _:
            return None
    return Notice(event.account, topic, sentence)


def _lockout(event: LockoutOpened) -> str:
    calls = counted(event.calls_in_window, "call")
    until = clock_time(event.until)
    return f"{event.endpoint} is locked until {until}, after {calls} in the window; nothing is sent to it till then"


def _failure(event: JobFailed) -> str:
    what = f"campaign {short_key(event.campaign_key)}, {counted(event.jobs, 'job')} given up"
    why = f"{event.code} {event.reason}".rstrip(". ")
    return f"{what}: {why}" + (f" - {event.remedy}" if event.remedy else "")


def _without(attention: Attention, account: str, topic: str) -> Attention:
    return tuple(notice for notice in attention if (notice.account, notice.topic) != (account, topic))


def _with(attention: Attention, notice: Notice) -> Attention:
    others = _without(attention, notice.account, notice.topic)
    earlier = sum(other.times for other in set(attention) - set(others))
    return (*others, replace(notice, times=notice.times + earlier))[-ATTENTION_MAX:]
