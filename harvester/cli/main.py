"""The group of commands; each is imported only when it is called, so that `--help` answers at once."""

import os
import sys
from contextlib import suppress
from importlib import import_module
from io import StringIO
from typing import Any, NoReturn

import click

from harvester import __version__
from harvester.errors import HarvestError
from harvester.operations.resuming import end_at_once_on_signals

COMMANDS = {
    "run": "Harvest every recipient of the configured campaigns.",
    "nightly": "Harvest what changed since the night before, and carry the rest over.",
    "backfill": "Harvest what was never harvested, over days if need be.",
    "plan": "Say what a run would cost and when it would end, before its first call.",
    "status": "Show what is done, running, waiting and failed, and the budget.",
    "budget": "Show the calls used and free, the lockout, and the last lockouts.",
    "explain": "Show why a campaign's partitions are as they are.",
    "verify": "Read the files again, and hold them against manifest and ledger.",
    "changes": "Write what changed in each set since the harvest before.",
    "query": "Ask the harvested files in SQL.",
    "publish": "Upload finished dates to an object store.",
    "export": "Write harvested dates as Parquet.",
    "compact": "Write harvested dates into few large files.",
    "login": "Exchange the code of a self client for a refresh token, and store it.",
    "doctor": "Look for what would stop a harvest, and name the cure.",
    "forget": "Take one person out of all files.",
    "purge": "Remove dates that are older than so many days.",
    "schema": "Print the JSON Schema of a record, or of a manifest.",
    "demo": "Harvest a simulated account over real HTTP, on loopback.",
    "simulate": "Serve a Zoho Campaigns to practise on.",
}

HARVESTING = (["run"], ["nightly"], ["backfill"])
EXIT_BUG = 1
EXIT_INTERRUPTED = 130
OBJECT_STORE = "obstore"
PRIVATE_UMASK = 0o077
"""Whatever harvester writes holds addresses or tokens: it is for its owner alone."""


class _Lazy(click.Group):
    """A group that knows its commands by name and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"harvester.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="harvester")
def harvester() -> None:
    """Harvest every recipient of every Zoho Campaigns campaign, within the API's limit.

    \b
    harvester demo                       see it work, without an account
    cp config.example.toml config.toml   then fill in the credentials
    harvester nightly                    harvest; the same command goes on where it stopped
    harvester status                     what is there, what is not, and why

    Exit codes: 0 complete, 1 a bug, 2 usage or configuration, 3 partial, 4 a person must act, 5 another run holds
    the state, 6 verification failed, 7 the disk, 75 stopped and resumable, 130/143 signals.
    """


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and exit; expected errors are one clear sentence on stderr."""
    os.umask(PRIVATE_UMASK)
    if argv is None and sys.argv[1:2] in HARVESTING:
        end_at_once_on_signals()
    _replace_closed_streams()
    code = _exit_code(argv)
    if argv is None and OBJECT_STORE in sys.modules:
        _end_without_its_threads(code)
    sys.exit(code)


def _exit_code(argv: list[str] | None) -> int:
    try:
        result: Any = harvester.main(argv, prog_name="harvester", standalone_mode=False)
    except click.ClickException as error:
        _show(error)
        return error.exit_code
    except click.Abort:
        return EXIT_INTERRUPTED
    except HarvestError as error:
        click.echo(f"harvester: {error.message}", err=True)
        if error.remedy:
            click.echo(f"           {error.remedy}", err=True)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BUG
    return result if isinstance(result, int) else 0


def _show(error: click.ClickException) -> None:
    """Say what is wrong with what was typed, without repeating an address that somebody typed as an argument."""
    from harvester.zoho.redaction import without_addresses

    said = StringIO()
    error.show(said)
    click.echo(without_addresses(said.getvalue()), err=True, nl=False)


def _end_without_its_threads(code: int) -> NoReturn:
    """End the process without taking the interpreter down step by step.

    The threads of the object store's library give back Python objects a moment after their requests have ended. Up to
    Python 3.13 an interpreter that is ending kills a thread that does so, and that aborts the process: in half of all
    cases where the last request is the last thing that a process does (measured with obstore 0.12).
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _replace_closed_streams() -> None:
    """Give a harmless stream to whoever started us with a standard one closed: a harvest must not end for that."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))  # noqa: SIM115, PTH123  for the process's life
