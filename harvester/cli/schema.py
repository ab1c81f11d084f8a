"""`harvester schema`: what a record looks like, as JSON Schema."""

import click
import orjson

from harvester.zoho.record_schema import SCHEMA


@click.command(name="schema")
def command() -> None:
    """Print the JSON Schema (draft 2020-12) of a record, one line of a partition, column by column."""
    click.echo(orjson.dumps(SCHEMA, option=orjson.OPT_INDENT_2))
