"""`harvester compact`: finished dates as few large files of JSON lines; no call is made."""

from contextlib import nullcontext
from typing import Unpack

import click

from harvester.cli.exporting import Asked, carry_out
from harvester.cli.flags import JSON_FLAG, OUT_FLAG, of_dates
from harvester.operations.exporting import Joined

FOLDER = "compact"


@click.command(name="compact")
@of_dates(OUT_FLAG, JSON_FLAG)
def command(**asked: Unpack[Asked]) -> int:
    """Write what was read on a date into few files, the lines as they stand: thousands of small files are slow to load.

    These are copies; the partitions, which manifests and later dates name, stay where they are. What is there already,
    made of the same files, stays; killed, the same command goes on.
    """
    return carry_out(lambda settings: nullcontext(Joined(settings.output)), FOLDER, asked)
