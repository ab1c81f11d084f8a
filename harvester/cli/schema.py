"""`harvester schema`: what a record and a manifest look like, as JSON Schema; and for BigQuery, what a table needs."""

import click
import orjson

from harvester.store import manifest_schema
from harvester.zoho import record_schema

SCHEMAS = {"record": record_schema.SCHEMA, "manifest": manifest_schema.SCHEMA}


@click.command(name="schema")
@click.argument("what", type=click.Choice(list(SCHEMAS)), default="record")
@click.option(
    "--for", "reader", type=click.Choice(["bigquery"]), help="The columns of a record as this loader takes them."
)
def command(what: str, reader: str | None) -> None:
    """Print the JSON Schema (draft 2020-12) of a record, one line of a partition, or of a manifest."""
    if reader is not None and what != "record":
        raise click.UsageError("--for is for records: BigQuery loads no manifests.")
    schema = record_schema.bigquery_fields() if reader else SCHEMAS[what]
    click.echo(orjson.dumps(schema, option=orjson.OPT_INDENT_2))
