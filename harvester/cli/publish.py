"""`harvester publish`: bring finished dates to the object store; no call is made to Zoho."""

import asyncio
import datetime as dt
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from harvester.cli.flags import choice_of, of_dates
from harvester.clock import SystemClock
from harvester.config import load
from harvester.engine.stop import Stop
from harvester.errors import HarvestError, StoppedError
from harvester.events import Emit
from harvester.model import Harvest
from harvester.operations.account import first_trouble
from harvester.operations.choosing import Choice, chosen_harvests
from harvester.operations.destination import Work, open_courier
from harvester.operations.opening import opened
from harvester.operations.resuming import SIGNAL_BASE, SIGNALS
from harvester.operations.workshop import this_machine
from harvester.report.progress import publishing_progress
from harvester.report.publishing import DateLine, PublishReport, sentences, to_json, write
from harvester.report.quiet import quiet
from harvester.settings import Settings
from harvester.store.database import Database
from harvester.store.ledger import Ledger
from harvester.store.publications import Publications


@click.command(name="publish")
@of_dates()
@click.option("--json", "is_json", is_flag=True, help="JSON on standard output.")
def command(
    config_path: Path, accounts: tuple[str, ...], as_of: dt.datetime | None, *, is_all: bool, is_json: bool
) -> int:
    """Upload what the object store does not have of the harvested dates: files first, the manifest last.

    What is there already is left as it is, and the same command goes on wherever it was stopped or killed. Dates that
    were published before and have changed since are published again with the chosen ones.
    """
    choice = choice_of(accounts, as_of, is_all=is_all)
    clock = SystemClock()
    began_s = clock.now_s()
    settings = load(config_path)
    url = open_courier(settings).bucket.url
    with opened(settings) as database, publishing_progress(sys.stderr, clock.wall_s) as emit:
        published = Publications(database, url).accounts()
        chosen = chosen_dates(Ledger(database, "").harvests(), published, choice)
        publishing = Publishing(settings, database, emit)
        asyncio.run(publishing.publish(chosen))
    report = publishing.report(url, clock.now_s() - began_s)
    if is_json:
        quiet(sys.stdout).write(to_json(report).decode())
    else:
        write(sys.stdout, report)
    quiet(sys.stderr).writelines(f"{line}\n" for line in sentences(report))
    return report.exit_code


def chosen_dates(known: Sequence[Harvest], published: Sequence[str], choice: Choice) -> Mapping[str, Sequence[Harvest]]:
    """Return by account which dates are meant; none of an account all of whose dates were purged, to clear its objects.

    Args:
        known: harvests, the newest first.
        published: accounts of which there are objects.
        choice: which are meant.

    Raises:
        ConfigError: an account or date that is named has neither harvest nor object.
    """
    gone = set(published) - {harvest.account for harvest in known}
    named = tuple(account for account in choice.accounts if account not in gone)
    is_all_gone = bool(choice.accounts) and not named
    harvests = [] if is_all_gone else chosen_harvests(known, replace(choice, accounts=named))
    meant = {account for account in gone if not choice.accounts or account in choice.accounts}
    accounts = sorted(meant | {harvest.account for harvest in harvests})
    return {account: [each for each in harvests if each.account == account] for account in accounts}


class Publishing:
    """Publishes the dates of several accounts, one account after the other, until it is asked to stop.

    Args:
        settings: of everything.
        database: the open ledger.
        emit: is told what happens.
    """

    def __init__(self, settings: Settings, database: Database, emit: Emit) -> None:
        self._settings = settings
        self._database = database
        self._emit = emit
        self._dates: list[DateLine] = []
        self._trouble: HarvestError | None = None
        self._signal: signal.Signals | None = None

    async def publish(self, chosen: Mapping[str, Sequence[Harvest]]) -> None:
        """Publish the chosen harvests of each account; trouble ends it and is kept for the report."""
        try:
            await self._publish(chosen)
        except asyncio.CancelledError:
            if self._signal is None:
                raise
            self._trouble = StoppedError(f"ended at once ({self._signal.name}).", "The same command goes on.")
        except HarvestError as error:
            self._trouble = error
        except BaseExceptionGroup as group:
            self._trouble = first_trouble(group)
            if self._trouble is None:
                raise

    async def _publish(self, chosen: Mapping[str, Sequence[Harvest]]) -> None:
        from harvester.operations.publishing import desk_of, publish

        stop = Stop()
        with this_machine(self._database) as machine, self._listening(stop):
            work = Work(self._database, machine.offload_disk, machine.offload, self._emit, stop)
            for account, harvests in chosen.items():
                self._dates += await publish(await desk_of(self._settings, account, work), harvests)

    def report(self, url: str, seconds: float) -> PublishReport:
        """Return what it came to."""
        trouble = self._trouble
        is_left_out = any(line.left_out is not None for line in self._dates)
        exit_code = trouble.exit_code if trouble else StoppedError.exit_code if is_left_out else 0
        if self._signal is not None and isinstance(trouble, StoppedError):
            exit_code = SIGNAL_BASE + self._signal
        return PublishReport(
            exit_code=exit_code,
            url=url,
            dates=self._dates,
            trouble=trouble.message if trouble else None,
            remedy=(trouble.remedy or None) if trouble else None,
            seconds=seconds,
        )

    @contextmanager
    def _listening(self, stop: Stop) -> Iterator[None]:
        """First signal: files under way are finished. Second: at once; what is uploaded is found again."""
        loop, main = asyncio.get_running_loop(), asyncio.current_task()

        def heard(number: signal.Signals) -> None:
            if self._signal is not None and main is not None:
                main.cancel()
            self._signal = number
            stop.ask(number.name)

        for number in SIGNALS:
            loop.add_signal_handler(number, heard, number)
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)
