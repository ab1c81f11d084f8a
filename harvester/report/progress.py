"""How far a long reading has come: a bar on a terminal, nothing elsewhere."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from harvester.report.quiet import quiet


@contextmanager
def reading_progress(stream: TextIO, what: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Give the function that is told of bytes that were read; the bar goes away with the context.

    Args:
        stream: commonly stderr; one that breaks does not stop the reading.
        what: stands before the bar.
        total_bytes: how much there is to read.
    """
    is_shown = stream.isatty() and os.environ.get("TERM") != "dumb"
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=quiet(stream)), transient=True, disable=not is_shown) as progress:
        task = progress.add_task(what, total=total_bytes)
        yield lambda read_bytes: progress.advance(task, read_bytes)
