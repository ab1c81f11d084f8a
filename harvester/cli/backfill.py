"""`harvester backfill`: harvest what was never harvested, over days if it takes that long."""

from pathlib import Path
from typing import Any

import click

from harvester.cli import flags
from harvester.cli.harvesting import carry_out
from harvester.config import load
from harvester.model import Command, Order
from harvester.operations.selection import keys_of, select
from harvester.operations.unfinished import unfinished_date
from harvester.settings import Settings


@click.command(name="backfill")
@flags.narrowed(
    click.option("--since", type=flags.DATE, metavar="DATE", help="Only campaigns sent on this day, UTC, or later."),
    click.option("--until", type=flags.DATE, metavar="DATE", help="Only campaigns sent on this day, UTC, or before."),
    flags.CAMPAIGN_FLAG,
    flags.CAMPAIGNS_FILE_FLAG,
    flags.ACTION_FLAG,
    flags.NAME_FLAG,
    flags.TYPE_FLAG,
    click.option(
        "--as-of", type=flags.DATE, metavar="DATE",
        help="The harvest date; default: that of an unfinished backfill, else today, UTC.",
    ),
    click.option(
        "--order", type=click.Choice([each.value for each in Order]),
        help="Which campaigns come first; default: backfill.order.",
    ),
    click.option("--refresh", is_flag=True, help="Harvest also what was harvested before; old files are replaced."),
)  # fmt: skip
def command(config_path: Path, *, order: str | None, **chosen: Any) -> int:
    """Harvest every set that was never read whole; what was read for an earlier date is carried over.

    The same command goes on, on another day too: it keeps its harvest date until all is done. It may run beside the
    nightly run, which gets most of the calls while both want them.
    """
    settings, how = _ordered(load(config_path), order), flags.how_of(chosen)
    keys = keys_of(settings, chosen.pop("campaigns"), chosen.pop("campaigns_file"))
    selection = select(settings, keys, Command.BACKFILL, **chosen)
    if chosen["as_of"] is None and (date := unfinished_date(settings, selection)) is not None:
        selection = selection.on(date)
        click.echo(f"going on with the backfill of {date}; name another date with --as-of", err=True)
    return carry_out(settings, selection, how)


def _ordered(settings: Settings, order: str | None) -> Settings:
    if order is None:
        return settings
    return settings.model_copy(update={"backfill": settings.backfill.model_copy(update={"order": Order(order)})})
