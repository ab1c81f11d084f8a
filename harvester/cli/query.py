"""`harvester query`: ask the harvested files in SQL; reads only, also beside a run."""

from pathlib import Path
from typing import TextIO

import click

from harvester.cli.flags import CONFIG_FLAG
from harvester.config import load
from harvester.operations.holding import need_duckdb
from harvester.report.results import ROWS_DRAWN, Form

STATEMENT_CHARS_MAX = 1024 * 1024
"""More is no statement but a file that was meant for something else."""


@click.command(name="query")
@click.argument("sql", metavar="[SQL]", required=False)
@CONFIG_FLAG
@click.option(
    "--file", "file", type=click.File(encoding="utf-8", errors="replace"), metavar="PATH",
    help="Read the statement from a file; - for standard input.",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice([form.value for form in Form]), default=Form.TABLE.value, show_default=True,
    help="How the rows are written.",
)  # fmt: skip
@click.option(
    "--max-rows", type=click.IntRange(min=0), metavar="N",
    help=f"At most so many rows of a table; default: {ROWS_DRAWN} on a terminal, elsewhere all.",
)  # fmt: skip
def command(config_path: Path, sql: str | None, file: TextIO | None, form: str, max_rows: int | None) -> None:
    """Ask the harvested files in SQL: one SELECT, in DuckDB's words.

    \b
    recipients           every set as it was read, for each date on which it was
    recipients_current   every set as it was last known whole
    changes              what became of contacts (harvester changes)
    campaigns            each campaign as it was last listed; campaigns_all: all listings
    runs                 what the ledger knows of runs

    Only files that a manifest names are read, and nothing is written. "DESCRIBE recipients" lists the columns.
    """
    if (sql is None) == (file is None):
        raise click.UsageError("Give the statement as an argument or with --file, one of them.")
    statement = file.read(STATEMENT_CHARS_MAX) if file else sql or ""
    need_duckdb()
    settings = load(config_path)
    from harvester.operations.asking import Output, ask

    ask(settings, statement, Output(Form(form), max_rows))
