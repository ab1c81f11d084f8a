"""`harvester verify`: read the files again and hold them against manifest and ledger; no call is made."""

import datetime as dt
import shlex
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby
from pathlib import Path
from typing import TypeAlias

import click

from harvester.cli.flags import CONFIG
from harvester.clock import SystemClock
from harvester.config import load
from harvester.errors import VerificationError
from harvester.flaws import Flaw, FlawKind
from harvester.model import Harvest, Job
from harvester.operations.beside import refuse_beside_a_run
from harvester.operations.choosing import Choice, chosen_harvests
from harvester.operations.opening import opened
from harvester.operations.resuming import program
from harvester.operations.session import PLAN_WAIT_S
from harvester.report.flaws import Verified, flaw_lines, sentences, to_json
from harvester.report.progress import reading_progress
from harvester.report.quiet import quiet
from harvester.settings import Settings
from harvester.store.change_book import ChangeBook
from harvester.store.change_files import change_flaws
from harvester.store.database import Database
from harvester.store.date_folder import strange_dates
from harvester.store.entries import Entries
from harvester.store.erasure import erasure_flaws, refuse_unsettled
from harvester.store.inspection import RecordRules
from harvester.store.ledger import Ledger, new_run_id
from harvester.store.listing_files import listing_flaws, listing_of
from harvester.store.lock import exclusive, runs_at_work
from harvester.store.manifest import write_manifest
from harvester.store.purging import refuse_half_purged
from harvester.store.runs import runs_on
from harvester.store.verification import Step, Suspect, Verification, requeue
from harvester.zoho.contacts import identity_of_record
from harvester.zoho.record_schema import valid_record

BESIDE = (
    "nothing was changed",
    "Wait for it to end, then repair; without --repair the files can be verified beside it.",
)
"""What was left undone beside a run at work, and what to do."""

RULES = RecordRules(valid_record, identity_of_record)

CAMPAIGNS_NAMED_MAX = 20
"""Campaigns that the command to go on names one by one; for more of them it is the whole date."""

MANIFEST_KINDS = frozenset({FlawKind.MANIFEST, FlawKind.SUCCESS})

DateOf: TypeAlias = tuple[str, dt.date]
"""An account and a harvest date."""


@dataclass(slots=True)
class Found:
    """What was found so far: sums, flaws, the jobs to send back, and the dates whose manifest is not true.

    `suspects` are by number of the job, as a file may be that of several; `mistold` are their dates.
    """

    partitions: int = 0
    rows: int = 0
    bytes: int = 0
    read_elsewhere: int = 0
    passed_over: int = 0
    flaws: list[Flaw] = field(default_factory=list)
    suspects: dict[int, Suspect] = field(default_factory=dict)
    mistold: set[DateOf] = field(default_factory=set)

    def add(self, step: Step, harvest: Harvest) -> None:
        """Take in what one step came to."""
        self.partitions += step.partitions
        self.rows += step.rows
        self.bytes += step.bytes
        self.read_elsewhere += step.read_elsewhere
        self.passed_over += step.passed_over
        if step.flaw is not None:
            self.flaws.append(step.flaw)
            if step.flaw.kind in MANIFEST_KINDS:
                self.mistold.add((harvest.account, harvest.date))
        for suspect in step.suspects:
            self.suspects[suspect.job.id] = suspect
            self.mistold.add((suspect.job.account, suspect.job.date))


@dataclass(frozen=True, slots=True)
class Repaired:
    """How many jobs were sent back, and the dates whose manifests were written anew for it; purged ones have none."""

    requeued: int = 0
    dates: frozenset[DateOf] = frozenset()


@click.command(name="verify")
@click.option(
    "--config", "config_path", type=click.Path(path_type=Path), default=CONFIG, show_default=True,
    help="The configuration file.",
)  # fmt: skip
@click.option("--account", "accounts", multiple=True, metavar="NAME", help="Only this account; may be repeated.")
@click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="Only this harvest date; default: all."
)
@click.option("--repair", "is_repair", is_flag=True, help="Send jobs whose files are not sound back to be harvested.")
@click.option("--json", "is_json", is_flag=True, help="JSON on standard output.")
def command(
    config_path: Path, accounts: tuple[str, ...], as_of: dt.datetime | None, *, is_repair: bool, is_json: bool
) -> int:
    """Read every partition again and hold it against manifest and ledger: bytes, hash, rows, records and names.

    No call is made and no file is changed; it may be used beside a run. Exit code 6 and a line for each flaw if
    anything is wrong. With --repair, jobs whose partition is missing, changed or damaged are to be harvested again.
    """
    clock = SystemClock()
    began_s = clock.now_s()
    settings = load(config_path)
    with opened(settings) as database:
        refuse_unsettled(database)
        refuse_half_purged(database)
        choice = Choice(accounts, as_of.date() if as_of else None, is_all=as_of is None)
        harvests = chosen_harvests(Entries(database).harvests(), choice)
        if is_repair:
            refuse_beside_a_run(settings, database, harvests, *BESIDE)
        found = verify(settings, database, harvests, choice)
        repaired = repair(settings, database, found) if is_repair else Repaired()
    verified = Verified(
        exit_code=VerificationError.exit_code if found.flaws else 0,
        harvests=len(harvests),
        partitions=found.partitions,
        rows=found.rows,
        bytes=found.bytes,
        read_elsewhere=found.read_elsewhere,
        passed_over=found.passed_over,
        flaws=found.flaws,
        requeued=repaired.requeued,
        manifests=len(repaired.dates),
        commands=list(_commands(found.suspects.values(), repaired.dates, config_path)) if repaired.requeued else [],
        seconds=clock.now_s() - began_s,
    )
    _show(verified, is_json=is_json)
    return verified.exit_code


def verify(settings: Settings, database: Database, harvests: Sequence[Harvest], choice: Choice) -> Found:
    """Look through the ledger, then through all that lies on disk of the chosen harvests.

    Raises:
        VerificationError: the ledger is damaged, so that nothing can be held against it.
    """
    entries, found = Entries(database), Found()
    entries.check()

    def is_beside_a_run(harvest: Harvest) -> bool:
        return bool(runs_on(database, harvest, runs_at_work(settings.state)))

    has_all_dates = choice.date is None
    verification = Verification(entries, settings.output, RULES, is_beside_a_run, has_all_dates=has_all_dates)
    totals = map(entries.totals, harvests)
    # Copies of carried files are read too, and not told apart here: the bar may stand at its end for a while.
    total_bytes = sum(each.bytes_read if has_all_dates else each.bytes for each in totals)
    with reading_progress(sys.stderr, "verifying", total_bytes) as advance:
        for harvest in harvests:
            for step in verification.steps(harvest):
                found.add(step, harvest)
                advance(step.bytes)
            if not is_beside_a_run(harvest):
                found.flaws.extend(change_flaws(settings.output, ChangeBook(database), harvest))
                if (listing := listing_of(database, harvest)) is not None:
                    found.flaws.extend(listing_flaws(settings.output, listing))
    found.flaws.extend(erasure_flaws(database))
    found.flaws.extend(strange_dates(settings.output, entries.harvests(), choice.has))
    return found


def repair(settings: Settings, database: Database, found: Found) -> Repaired:
    """Send the suspects back to pending, and let the manifests say so.

    What was looked at before the files were read is looked at once more: hours may lie between.

    Raises:
        BusyError: a run is at work on one of the harvests; nothing was changed.
        VerificationError: forgetting or purging was cut off meanwhile; likewise.
    """
    with exclusive(settings.state, PLAN_WAIT_S):
        refuse_unsettled(database)
        refuse_half_purged(database)
        ledger = Ledger(database, new_run_id())
        mistold = [each for each in ledger.harvests() if (each.account, each.date) in found.mistold]
        refuse_beside_a_run(settings, database, mistold, *BESIDE)
        requeued = requeue(database, found.suspects.values())
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        for harvest in mistold:
            write_manifest(settings.output, ledger, harvest, now)
    return Repaired(requeued, frozenset((each.account, each.date) for each in mistold))


def _commands(suspects: Iterable[Suspect], dates: Collection[DateOf], config_path: Path) -> Iterator[str]:
    """Yield the commands that make the dates whole again: first those that harvest, then those that carry.

    A set is harvested once, for the date on which it was read; the nightly run of each later date then carries it. One
    that was read for a date which is purged is harvested by the first of these.
    """
    config = () if config_path == Path(CONFIG) else ("--config", str(config_path))
    standing = [suspect for suspect in suspects if _which(suspect) in dates]
    ordered = sorted(standing, key=lambda suspect: (suspect.is_carried, *_which(suspect)))
    for (is_carried, account, date), group in groupby(ordered, key=lambda each: (each.is_carried, *_which(each))):
        words = [*config, "--account", account, "--as-of", date.isoformat()]
        if is_carried:
            yield shlex.join([program(), "nightly", *words])
        else:
            yield shlex.join([program(), "run", *words, *_named([suspect.job for suspect in group])])


def _which(suspect: Suspect) -> DateOf:
    return suspect.job.account, suspect.job.date


def _named(jobs: Sequence[Job]) -> list[str]:
    """Return the flags that choose these jobs; none where they are so many that it is the whole date."""
    keys = list(dict.fromkeys(job.campaign.key for job in jobs))
    if len(keys) > CAMPAIGNS_NAMED_MAX:
        return []
    actions = dict.fromkeys(job.action for job in jobs)
    chosen = [("--campaign", key) for key in keys] + [("--action", action.value) for action in actions]
    return list(chain.from_iterable(chosen))


def _show(verified: Verified, *, is_json: bool) -> None:
    out = quiet(sys.stdout)
    if is_json:
        out.write(to_json(verified).decode())
    else:
        out.writelines(f"{line}\n" for line in flaw_lines(verified.flaws))
    out.flush()
    quiet(sys.stderr).writelines(f"{line}\n" for line in sentences(verified))
