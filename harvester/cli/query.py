"""`harvester query`: ask the harvested files in SQL; reads only, also beside a run."""

from pathlib import Path
from typing import TextIO

import click

from harvester.cli.flags import CONFIG_FLAG
from harvester.config import load
from harvester.errors import ConfigError
from harvester.operations.holding import need_duckdb
from harvester.report.results import ROWS_DRAWN, Form

STATEMENT_CHARS_MAX = 1024 * 1024
"""More is no statement but a file that was meant for something else."""


@click.command(name="query")
@click.argument("sql", metavar="[SQL]", required=False)
@CONFIG_FLAG
@click.option(
    "--file", "file", type=click.File(encoding="utf-8-sig"), metavar="PATH",
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
    statement = _statement(sql, file)
    need_duckdb()
    settings = load(config_path)
    from harvester.operations.querying import Output, ask

    ask(settings, statement, Output(Form(form), max_rows))


def _statement(sql: str | None, file: TextIO | None) -> str:
    """Return the statement, from where it stands.

    Raises:
        click.UsageError: it stands nowhere, or in two places.
        ConfigError: it is no text in UTF-8, or too long.
    """
    if (sql is None) == (file is None):
        raise click.UsageError("Give the statement as an argument or with --file, one of them.")
    try:
        statement = file.read(STATEMENT_CHARS_MAX + 1) if file else sql or ""
        statement.encode()  # an argument that is no UTF-8 came as lone surrogates
    except UnicodeError:
        raise ConfigError("The statement is not UTF-8.", "Save it in this encoding.") from None
    if len(statement) > STATEMENT_CHARS_MAX:
        raise ConfigError(f"The statement is longer than {STATEMENT_CHARS_MAX:,} characters.", "Give a shorter one.")
    return statement
