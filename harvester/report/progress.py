"""How far a long reading has come: a bar on a terminal, nothing elsewhere."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from harvester.events import Emit, Event, PublishFinished, PublishStarted, PublishStored
from harvester.report.log import JsonLog
from harvester.report.quiet import quiet


@contextmanager
def reading_progress(stream: TextIO, what: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Give the function that is told of bytes that were read; the bar goes away with the context.

    Args:
        stream: commonly stderr; one that breaks does not stop the reading.
        what: stands before the bar.
        total_bytes: how much there is to read.
    """
    with _bars(stream, is_shown=_can_draw(stream)) as progress:
        task = progress.add_task(what, total=total_bytes)
        yield lambda read_bytes: progress.advance(task, read_bytes)


@contextmanager
def publishing_progress(stream: TextIO, wall_s: Callable[[], float]) -> Iterator[Emit]:
    """Give the `Emit` that fits `stream` while dates are published: a bar for each on a terminal, JSON lines elsewhere.

    Args:
        stream: commonly stderr; one that breaks does not stop the publishing.
        wall_s: seconds since the Unix epoch, for the log.
    """
    if not _can_draw(stream):
        yield JsonLog(stream, wall_s)
        return
    tasks: dict[tuple[str, str], TaskID] = {}
    with _bars(stream, is_shown=True) as progress:

        def draw(event: Event) -> None:
            match event:
                case PublishStarted(account, date, _, size_bytes):
                    tasks[account, date] = progress.add_task(f"publishing {account} {date}", total=size_bytes)
                case PublishStored(account, date, _, size_bytes):
                    progress.advance(tasks[account, date], size_bytes)
                case PublishFinished(account, date) if (account, date) in tasks:  # a purged date has no bar
                    progress.remove_task(tasks.pop((account, date)))

        yield draw


def _can_draw(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _bars(stream: TextIO, *, is_shown: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(file=quiet(stream)), transient=True, disable=not is_shown)
