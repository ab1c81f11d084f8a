"""`harvester nightly`: harvest what changed since the night before."""

from pathlib import Path
from typing import Any

import click

from harvester.cli import flags
from harvester.cli.harvesting import carry_out
from harvester.config import load
from harvester.model import Command
from harvester.operations.selection import keys_of, select


@click.command(name="nightly")
@flags.narrowed(flags.ACTION_FLAG, flags.NAME_FLAG, flags.TYPE_FLAG, flags.AS_OF_FLAG)
def command(config_path: Path, **chosen: Any) -> int:
    """Harvest the sets that are due by their campaign's age and whose counters moved; carry the others over.

    The manifest of the date describes all sets, read or carried. A night on which nothing changed costs no call to the
    recipients endpoint. Campaigns that are too old to begin with are left to harvester backfill.
    """
    settings, how = load(config_path), flags.how_of(chosen)
    return carry_out(settings, select(settings, keys_of(settings, (), None), Command.NIGHTLY, **chosen), how)
