"""`harvester run`: harvest all of what was asked for, and go on where an earlier run stopped."""

from pathlib import Path
from typing import Any

import click

from harvester.cli import flags
from harvester.cli.harvesting import carry_out
from harvester.config import load
from harvester.operations.selection import keys_of, select


@click.command(name="run")
@flags.narrowed(
    flags.CAMPAIGN_FLAG,
    flags.CAMPAIGNS_FILE_FLAG,
    flags.ACTION_FLAG,
    flags.NAME_FLAG,
    flags.TYPE_FLAG,
    flags.AS_OF_FLAG,
    click.option("--refresh", is_flag=True, help="Harvest again what is done for this date; old files are replaced."),
)
def command(config_path: Path, **chosen: Any) -> int:
    """Harvest every recipient of the selected campaigns into partitioned JSONL.

    Done jobs of the date are not asked again; the same command goes on wherever an earlier run stopped or was killed.
    On a terminal progress is drawn, elsewhere each event is a JSON line on standard error.
    """
    settings, how = load(config_path), flags.how_of(chosen)
    keys = keys_of(settings, chosen.pop("campaigns"), chosen.pop("campaigns_file"))
    return carry_out(settings, select(settings, keys, **chosen), how)
