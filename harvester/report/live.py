"""The live view of a run on a terminal, and the choice between it and the log."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, RenderableType
from rich.live import Live

from harvester.events import Emit, Event
from harvester.report.frame import frame
from harvester.report.log import JsonLog
from harvester.report.quiet import quiet
from harvester.report.tally import Tally

REFRESHES_PER_S = 4
"""Smooth for countdowns in whole seconds, and cheap over a slow ssh line."""


class LiveView:
    """Show the tally on a terminal while the context is open; an `Emit` that folds each event into it.

    The picture is drawn by rich's own thread, so countdowns move while no event comes; the last one stays. The
    thread reads only frozen values of the tally, so no lock is needed.

    Args:
        console: where to draw; for a stream that may break, give it one wrapped by `quiet`.
        tally: what is drawn, and what events are folded into.
        now_s: the clock of the tally, in seconds.
    """

    def __init__(self, console: Console, tally: Tally, now_s: Callable[[], float]) -> None:
        self._console = console
        self._tally = tally
        self._now_s = now_s
        self._live = Live(
            console=console,
            get_renderable=self.draw,
            refresh_per_second=REFRESHES_PER_S,
            redirect_stdout=False,  # stdout carries the machine-readable summary
        )

    def __call__(self, event: Event) -> None:
        """Fold the event in; the next refresh shows it."""
        self._tally.fold(event, self._now_s())

    def draw(self) -> RenderableType:
        """Return the picture of this moment."""
        return frame(self._tally, self._now_s(), self._console.width)

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()


@contextmanager
def choose(
    stream: TextIO,
    tally: Tally,
    now_s: Callable[[], float],
    wall_s: Callable[[], float],
    *,
    is_verbose: bool = False,
) -> Iterator[Emit]:
    """Give the `Emit` that fits `stream`: the live view on a terminal, JSON lines elsewhere.

    Either way each event is folded into `tally`, and a stream that breaks does not stop the run. A terminal that
    cannot move its cursor (TERM=dumb) gets the log, and so does whoever asks for details.

    Args:
        stream: commonly stderr.
        tally: takes every event.
        now_s: the clock of the tally, in seconds.
        wall_s: seconds since the Unix epoch, for the log.
        is_verbose: the log, with the events of level DEBUG.
    """
    if stream.isatty() and os.environ.get("TERM") != "dumb" and not is_verbose:
        with LiveView(Console(file=quiet(stream)), tally, now_s) as view:
            yield view
        return
    log = JsonLog(stream, wall_s, is_verbose=is_verbose)

    def fold_and_log(event: Event) -> None:
        tally.fold(event, now_s())
        log(event)

    yield fold_and_log
