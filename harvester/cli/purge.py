"""`harvester purge`: remove dates that are older than so many days, from files and ledger; no call is made."""

import datetime as dt
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from harvester.cli.flags import CONFIG_FLAG
from harvester.config import load
from harvester.operations.beside import alone
from harvester.operations.opening import opened
from harvester.report.figures import counted, size
from harvester.report.quiet import quiet
from harvester.store.erasure import Erasures
from harvester.store.publications import has_publications
from harvester.store.purging import OldDate, Purge
from harvester.store.scratch import sweep_scratch

DAYS = re.compile(r"([1-9][0-9]{0,4})d")

ELSEWHERE = "What an object store has of them stays until harvester publish has ended."


class _Days(click.ParamType[int]):
    """A number of days, such as 400d."""

    name = "days"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = DAYS.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is no number of days; give one such as 400d", param, ctx)
        return int(found[1])


@click.command(name="purge")
@CONFIG_FLAG
@click.option("--older-than", "days", type=_Days(), required=True, metavar="DAYS", help="How many, such as 400d.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Only say what would be removed.")
def command(config_path: Path, days: int, *, is_dry: bool) -> None:
    """Remove all dates that are older than so many days: files of every kind, and what the ledger knows of them.

    A partition that a later date still has as its own stays until none has. Killed at any moment, the same command goes
    on.
    """
    settings = load(config_path)
    before = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=days)
    with opened(settings) as database, alone(settings, database):
        is_elsewhere = has_publications(database)
        purge = Purge(database, settings.output, before)
        dates = purge.dates()
        if not is_dry:
            Erasures(database, settings.output).settle()
            sweep_scratch(settings.state)
            purge.carry_out(dates)
    quiet(sys.stdout).writelines(f"{_line(each)}\n" for each in dates)
    if dates and is_elsewhere and not is_dry:
        quiet(sys.stderr).write(f"{ELSEWHERE}\n")
    quiet(sys.stderr).write(f"{_sentence(dates, before, is_dry=is_dry)}\n")


def _line(date: OldDate) -> str:
    unread = f"; {counted(date.open_jobs, 'unfinished job')}" if date.open_jobs else ""
    kept = f"; {counted(date.kept, 'partition')} kept, as later dates have them" if date.kept else ""
    what = f"{counted(date.partitions, 'partition')}, {counted(date.rows, 'row')} ({size(date.bytes)})"
    return f"{date.harvest.account} {date.harvest.date}: {what}{unread}{kept}"


def _sentence(dates: Sequence[OldDate], before: dt.date, *, is_dry: bool) -> str:
    rows, size_bytes = sum(each.rows for each in dates), sum(each.bytes for each in dates)
    done = "would be removed" if is_dry else "removed"
    return f"{counted(len(dates), 'date')} before {before} {done}: {counted(rows, 'row')} ({size(size_bytes)})"
