"""`harvester forget`: take one person out of everything below the output folder; no call is made."""

import sys
from pathlib import Path

import click

from harvester.cli.flags import CONFIG_FLAG, JSON_FLAG
from harvester.config import load
from harvester.errors import ConfigError
from harvester.operations.beside import alone
from harvester.operations.forgetting import Forgetting
from harvester.operations.opening import opened
from harvester.report.erasure import sentences, to_json
from harvester.report.quiet import quiet
from harvester.settings import Settings
from harvester.zoho.forgetting import ADDRESS_CHARS_MAX, is_address, is_contact_id
from harvester.zoho.privacy import normalised


@click.command(name="forget")
@CONFIG_FLAG
@click.option(
    "--contact-id", "contact_ids", multiple=True, metavar="ID", help="Rows of this contact as well; may be repeated."
)
@click.option(
    "--give-up", "given_up", metavar="ID", help="Instead: end an erasure that was cut off, and lost its key or address."
)
@JSON_FLAG
def command(config_path: Path, contact_ids: tuple[str, ...], given_up: str | None, *, is_json: bool) -> int:
    """Take one person out of all files: partitions, change files, listings, answers in quarantine, and parts.

    The address is asked for on a terminal, and not shown; elsewhere it is read from standard input. It is never an
    argument, since every user of the machine sees those. Delete the person in Zoho first: what Zoho still has, the next
    harvest brings back. Where addresses were dropped, rows are found by --contact-id alone. Killed at any moment, the
    same command goes on.
    """
    if not all(map(is_contact_id, contact_ids)):
        raise ConfigError("A contact id is blank, or stands for nobody: rows of many have it.", "Look it up in Zoho.")
    settings = load(config_path)
    if given_up is not None:
        return _give_up(settings, given_up)
    address = _address()
    with opened(settings) as database, alone(settings, database):
        report = Forgetting(settings, database).forget(address, contact_ids)
    if is_json:
        quiet(sys.stdout).write(to_json(report).decode())
    quiet(sys.stderr).writelines(f"{line}\n" for line in sentences(report))
    return report.exit_code


def _give_up(settings: Settings, erasure_id: str) -> int:
    with opened(settings) as database, alone(settings, database):
        Forgetting(settings, database).give_up(erasure_id)
    quiet(sys.stderr).write(f"erasure {erasure_id} given up: whoever was to be forgotten may still be in the files\n")
    return 0


def _address() -> str:
    """Return the address, normalised.

    Raises:
        ConfigError: there is none; what was given is not repeated.
    """
    if sys.stdin.isatty():
        given = click.prompt("Address", hide_input=True, err=True)
    else:
        given = sys.stdin.buffer.read(4 * ADDRESS_CHARS_MAX + 1).decode("utf-8-sig", "replace")
    if not is_address(given):
        raise ConfigError(
            "There is no e-mail address, or more than one alone; nothing was changed.",
            "Type it at the prompt, or give it on standard input: harvester forget < address.txt",
        )
    return normalised(given)
