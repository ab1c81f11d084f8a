"""`harvester export`: finished dates as Parquet; no call is made."""

import datetime as dt
from pathlib import Path

import click

from harvester.cli.flags import JSON_FLAG, OUT_FLAG, choice_of, of_dates
from harvester.clock import SystemClock
from harvester.config import load
from harvester.operations.exporting import export, tell
from harvester.operations.holding import RECORD, need_duckdb
from harvester.store.ledger import new_run_id
from harvester.store.scratch import scratch_folder

HOME = "parquet"
"""Where the files lie below the output folder, unless another place is named."""


@click.command(name="export")
@click.option(
    "--to", type=click.Choice(["parquet"]), default="parquet", show_default=True, expose_value=False, help="As what.",
)  # fmt: skip
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
    """Write what was read on a date as Parquet: typed columns, few files, each held against its sources row for row.

    What is there already, made of the same files, stays; killed, the same command goes on.
    """
    clock = SystemClock()
    began_s = clock.now_s()
    choice = choice_of(accounts, as_of, is_all=is_all)
    need_duckdb()
    settings = load(config_path)
    home = (out or settings.output / HOME).absolute()
    from harvester.operations.typed_files import Typed
    from harvester.warehouse.parquet import ParquetFiles

    with scratch_folder(settings.state.absolute(), new_run_id()) as scratch, ParquetFiles(RECORD, scratch) as files:
        exported = export(settings, home, Typed(settings.output, files), choice)
    tell(exported, home, clock.now_s() - began_s, is_json=is_json)
