"""The command that goes on, as it can be typed on any day, and the signals that end a run with it at once."""

import datetime as dt
import os
import re
import shlex
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SIGNAL_BASE = 128
"""A process that a signal ends has this exit code plus the signal's number: the custom of shells."""

STDERR = 2

DATED_DEADLINE = re.compile(r"(?<=\0)--deadline[=\0]\d{4}-[^\0]*\0")
"""Among words that are parted by NUL: no word of a command line has one."""


def program() -> str:
    """Return how this program is called from here: by its name where that is on the path."""
    typed = Path(sys.argv[0])
    if typed.name != "harvester" or shutil.which("harvester"):
        return "harvester"
    return os.path.relpath(typed)


def resume_command(date: dt.date) -> str:
    """Return what was typed, with the harvest date `date` unless it names one itself.

    Two flags would not go on: a refresh asks for its done jobs once more, and a deadline with a date has passed.
    """
    is_dated = any(word.startswith("--as-of") for word in sys.argv)
    typed = DATED_DEADLINE.sub("", "\0".join(("", *sys.argv[1:], "")))
    words = [word for word in typed.split("\0") if word not in {"", "--refresh"}]
    return shlex.join([program(), *words, *(() if is_dated else ("--as-of", date.isoformat()))])


def end_at_once_on_signals() -> None:
    """Until a harvest listens for itself, and after it: end with a last line and the code of the signal.

    Nothing is closed or waited for, as after a kill: the program may stand in the middle of an import or a transaction.
    """
    for number in SIGNALS:
        signal.signal(number, _end_at_once)


def _end_at_once(number: int, _: FrameType | None) -> None:
    command = resume_command(dt.datetime.now(dt.UTC).date())
    line = f"stopped, resumable ({signal.Signals(number).name}): what is stored is safe; go on with: {command}\n"
    try:
        os.write(STDERR, line.encode(errors="replace"))
    finally:
        os._exit(SIGNAL_BASE + number)
