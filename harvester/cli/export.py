"""`harvester export`: finished dates as Parquet; no call is made."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Unpack

import click

from harvester.cli.exporting import Asked, carry_out
from harvester.cli.flags import JSON_FLAG, OUT_FLAG, of_dates
from harvester.operations.exporting import Maker
from harvester.operations.holding import RECORD, need_duckdb
from harvester.settings import Settings
from harvester.store.ledger import new_run_id
from harvester.store.scratch import scratch_folder

FOLDER = "parquet"


@click.command(name="export")
@click.option(
    "--to", type=click.Choice(["parquet"]), default="parquet", show_default=True, expose_value=False, help="As what.",
)  # fmt: skip
@of_dates(OUT_FLAG, JSON_FLAG)
def command(**asked: Unpack[Asked]) -> int:
    """Write what was read on a date as Parquet: typed columns, few files, each held against its sources row for row.

    What is there already, made of the same files, stays; killed, the same command goes on.
    """
    return carry_out(_typed, FOLDER, asked)


@contextmanager
def _typed(settings: Settings) -> Iterator[Maker]:
    need_duckdb()
    from harvester.operations.typed_files import Typed
    from harvester.warehouse.parquet import ParquetFiles

    with scratch_folder(settings.state.absolute(), new_run_id()) as scratch, ParquetFiles(RECORD, scratch) as files:
        yield Typed(settings.output, files)
