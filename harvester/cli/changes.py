"""`harvester changes`: compare what was harvested with what was harvested before; no call is made."""

import datetime as dt
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from harvester.cli.flags import ACTION_FLAG, choice_of, of_dates
from harvester.clock import SystemClock
from harvester.config import load
from harvester.errors import VerificationError
from harvester.model import Action, Harvest
from harvester.operations.beside import refuse_beside_a_run
from harvester.operations.changing import ChangeDesk, compare, lock_folder
from harvester.operations.choosing import chosen_harvests
from harvester.operations.opening import opened
from harvester.operations.protection import privacy_of
from harvester.operations.session import PLAN_WAIT_S
from harvester.report.changes import ActionLine, ChangesReport, sentences, to_json, write
from harvester.report.progress import reading_progress
from harvester.report.quiet import quiet
from harvester.settings import Settings
from harvester.store.change_book import ChangeBook
from harvester.store.change_files import ChangeFiles
from harvester.store.database import Database
from harvester.store.erasure import refuse_unsettled
from harvester.store.ledger import Ledger, new_run_id
from harvester.store.lock import exclusive, runs_at_work
from harvester.store.manifest import write_manifest
from harvester.store.partitions import Compression
from harvester.store.runs import runs_on

BESIDE = (
    "nothing was compared",
    "Wait for it to end, or name a date that no run is at work on with --as-of.",
)
"""What was left undone beside a run at work, and what to do."""


@click.command(name="changes")
@of_dates(ACTION_FLAG)
@click.option("--json", "is_json", is_flag=True, help="JSON on standard output.")
def command(
    config_path: Path,
    accounts: tuple[str, ...],
    as_of: dt.datetime | None,
    actions: tuple[str, ...],
    *,
    is_all: bool,
    is_json: bool,
) -> int:
    """Write, for each set that was read on a date, which contacts were added, removed or changed since the time before.

    What is written already is left as it is, unless its file is gone or an earlier date was harvested since. No call is
    made.
    """
    choice = choice_of(accounts, as_of, is_all=is_all)
    clock = SystemClock()
    began_s = clock.now_s()
    settings, chosen = load(config_path), tuple(map(Action, actions))
    with opened(settings) as database:
        refuse_unsettled(database)
        harvests = chosen_harvests(Ledger(database, "").harvests(), choice)
        refuse_beside_a_run(settings, database, harvests, *BESIDE)
        writing = ChangeWriting(settings, database, chosen)
        writing.write(harvests)
        actions_told = tuple(writing.told(harvests))
    report = ChangesReport(
        exit_code=VerificationError.exit_code if writing.left_out else 0,
        written=writing.written,
        left_out=writing.left_out,
        actions=actions_told,
        seconds=clock.now_s() - began_s,
    )
    if is_json:
        quiet(sys.stdout).write(to_json(report).decode())
    else:
        write(sys.stdout, report)
    quiet(sys.stderr).writelines(f"{line}\n" for line in sentences(report))
    return report.exit_code


class ChangeWriting:
    """Writes the changes of several harvests, one job after another.

    Args:
        settings: of everything.
        database: the open ledger.
        actions: which; empty for all.

    Attributes:
        written: jobs that were compared.
        left_out: why jobs could not be.
    """

    def __init__(self, settings: Settings, database: Database, actions: Sequence[Action]) -> None:
        self._settings = settings
        self._database = database
        self._actions = actions
        self._privacy = privacy_of(settings)
        self._book = ChangeBook(database)
        self.written = 0
        self.left_out: list[str] = []

    def write(self, harvests: Sequence[Harvest]) -> None:
        """Write what is missing, date by date, and each date's manifest after it.

        Raises:
            BusyError: another process writes changes of one of the accounts.
            VerificationError: forgetting was cut off meanwhile.
            DiskError: the disk refuses.
        """
        total_bytes = sum(
            job.bytes
            for harvest in harvests
            for job in self._book.due(harvest, self._actions, self._desk(harvest).files.is_there)
        )
        with reading_progress(sys.stderr, "comparing", total_bytes) as advance:
            for harvest in harvests:
                with exclusive(lock_folder(self._settings.state, harvest.account)):
                    refuse_unsettled(self._database)
                    if harvest.id in {each.id for each in Ledger(self._database, "").harvests()}:  # not purged by now
                        self._write_date(harvest, advance)
                        self._write_manifest(harvest)

    def told(self, harvests: Sequence[Harvest]) -> Iterator[ActionLine]:
        """Yield what the ledger knows of the changes of these harvests."""
        for harvest in harvests:
            for action in self._book.totals(harvest, self._actions):
                yield ActionLine(account=harvest.account, date=harvest.date.isoformat(), **asdict(action))

    def _write_date(self, harvest: Harvest, advance: Callable[[int], None]) -> None:
        desk = self._desk(harvest)
        desk.files.clear()
        for job in desk.book.due(harvest, self._actions, desk.files.is_there):
            changes = desk.take(job, compare(job, desk, advance))
            if changes.left_out is None:
                self.written += 1
            else:
                self.left_out.append(changes.left_out)

    def _desk(self, harvest: Harvest) -> ChangeDesk:
        output, compression = self._settings.output, Compression(self._settings.harvest.compression)
        return ChangeDesk(self._book, ChangeFiles(output, harvest.account, compression), output, self._privacy)

    def _write_manifest(self, harvest: Harvest) -> None:
        """Let the manifest tell of the changes; a run that has begun on the date writes it itself at its end."""
        with exclusive(self._settings.state, PLAN_WAIT_S):
            if not runs_on(self._database, harvest, runs_at_work(self._settings.state)):
                now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
                write_manifest(self._settings.output, Ledger(self._database, new_run_id()), harvest, now)
