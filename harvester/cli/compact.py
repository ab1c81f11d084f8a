"""`harvester compact`: finished dates as few large files of JSON lines; no call is made."""

import datetime as dt
from pathlib import Path

import click

from harvester.cli.flags import JSON_FLAG, OUT_FLAG, choice_of, of_dates
from harvester.clock import SystemClock
from harvester.config import load
from harvester.operations.exporting import Joined, export, tell

HOME = "compact"
"""Where the files lie below the output folder, unless another place is named."""


@click.command(name="compact")
@of_dates(OUT_FLAG, JSON_FLAG)
def command(
    config_path: Path,
    accounts: tuple[str, ...],
    as_of: dt.datetime | None,
    out: Path | None,
    *,
    is_all: bool,
    is_json: bool,
) -> None:
    """Write what was read on a date into few files, the lines as they stand: thousands of small files are slow to load.

    These are copies; the partitions, which manifests and later dates name, stay where they are. What is there already,
    made of the same files, stays; killed, the same command goes on.
    """
    clock = SystemClock()
    began_s = clock.now_s()
    choice = choice_of(accounts, as_of, is_all=is_all)
    settings = load(config_path)
    home = (out or settings.output / HOME).absolute()
    exported = export(settings, home, Joined(settings.output), choice)
    tell(exported, home, clock.now_s() - began_s, is_json=is_json)
