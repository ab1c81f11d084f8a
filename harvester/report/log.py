"""Events as JSON lines, for cron, containers and log collectors; docs/events.md is its reference."""

import datetime as dt
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TextIO

import orjson
import structlog

from harvester.events import (
    BudgetUsed,
    CampaignsUnlisted,
    CampaignsUnsteady,
    ChangesLeftOut,
    ChildrenMissing,
    CounterMisfits,
    CountersMissing,
    Event,
    JobCarried,
    JobFailed,
    JobsDoubted,
    LockoutOpened,
    OffsetsDiffer,
    OutageOpened,
    PageStored,
    PartitionsMissing,
    PublishLeftOut,
    PublishStored,
)
from harvester.report.printable import printable_tree
from harvester.report.quiet import quiet

LEVELS: Mapping[type[Event], int] = {
    JobFailed: logging.WARNING,
    LockoutOpened: logging.WARNING,
    OutageOpened: logging.WARNING,
    PartitionsMissing: logging.WARNING,
    CampaignsUnlisted: logging.WARNING,
    CampaignsUnsteady: logging.WARNING,
    ChildrenMissing: logging.WARNING,
    OffsetsDiffer: logging.WARNING,
    CountersMissing: logging.WARNING,
    CounterMisfits: logging.WARNING,
    JobsDoubted: logging.WARNING,
    ChangesLeftOut: logging.WARNING,
    PublishLeftOut: logging.WARNING,
    PageStored: logging.DEBUG,  # one line per call: a full night would write some 100,000
    BudgetUsed: logging.DEBUG,  # likewise
    PublishStored: logging.DEBUG,  # one for each job of a night
    JobCarried: logging.DEBUG,  # one for each job of a quiet night, and nothing has happened
}
"""What a person should see, and what only a search for a fault needs; all other events are INFO."""

HEAD_KEYS = ("timestamp", "level", "event")
"""The keys that each line begins with."""


def level_of(kind: type[Event]) -> int:
    """Return the level of `logging` at which events of this class are written."""
    return LEVELS.get(kind, logging.INFO)


class JsonLog:
    """Write one JSON line per event; an `Emit`.

    Each line holds `HEAD_KEYS` and all fields of the event. A field that is named like one of `HEAD_KEYS` gets the
    event's noun in front (`level` of `lockout.opened` is `lockout_level`). Never raises for what the stream does.

    Args:
        stream: where the lines go, commonly stderr; left open.
        wall_s: gives the seconds since the Unix epoch, for the timestamp.
        is_verbose: whether events of level DEBUG are written too.
    """

    def __init__(self, stream: TextIO, wall_s: Callable[[], float], *, is_verbose: bool = False) -> None:
        self._wall_s = wall_s
        self._log = structlog.wrap_logger(
            structlog.WriteLogger(quiet(stream)),
            processors=[self._head_first, structlog.processors.JSONRenderer(serializer=_dumps)],
            wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if is_verbose else logging.INFO),
        )

    def __call__(self, event: Event) -> None:
        """Write the event, if its level is wanted; of most events, two a call, nothing is built at all."""
        level = level_of(type(event))
        if not self._log.is_enabled_for(level):
            return
        noun = event.name.partition(".")[0]
        fields = {f"{noun}_{key}" if key in HEAD_KEYS else key: value for key, value in asdict(event).items()}
        self._log.log(level, event.name, **printable_tree(fields))

    def _head_first(self, _logger: Any, level: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        moment = dt.datetime.fromtimestamp(self._wall_s(), dt.UTC).isoformat(timespec="milliseconds")
        return {"timestamp": moment.replace("+00:00", "Z"), "level": level, "event": line.pop("event"), **line}


def _dumps(line: Mapping[str, Any], **options: Any) -> str:
    return orjson.dumps(line, **options).decode()
