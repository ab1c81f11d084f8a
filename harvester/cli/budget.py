"""`harvester budget`: how much may be asked now, and what was sent before the last lockouts; reads only."""

from pathlib import Path

import click

from harvester.cli.status import Reader, reading, show
from harvester.config import load
from harvester.report.status import Status


@click.command(name="budget")
@click.option(
    "--config", "config_path", type=click.Path(path_type=Path), default="config.toml", show_default=True,
    help="The configuration file.",
)  # fmt: skip
@click.option("--json", "is_json", is_flag=True, help="JSON on standard output.")
def command(config_path: Path, *, is_json: bool) -> None:
    """Show the calls used in the window, free now and next, the lockout, and the last lockouts.

    A lockout that came with few calls of our own in its window means that somebody else uses the account.
    """
    with reading(load(config_path)) as reader:
        show(_report(reader), is_json=is_json)


def _report(reader: Reader) -> Status:
    return Status(budgets=reader.budgets(), lockouts=reader.lockouts())
