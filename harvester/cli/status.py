"""`harvester status`: what is done, running, waiting and failed, and the budget; reads only, also beside a run."""

import datetime as dt
import sys
from pathlib import Path

import click

from harvester.cli.ending import problems
from harvester.cli.workshop import CAMPAIGNS, LEDGER_FILE, RECIPIENTS, quota_of
from harvester.clock import Clock, SystemClock
from harvester.config import Settings, load
from harvester.engine import lockout as breaker
from harvester.engine.admission import free_calls, next_start_s
from harvester.errors import ConfigError
from harvester.model import Harvest, JobState
from harvester.report.status import BudgetStatus, HarvestStatus, Status, Waiting, to_json, write
from harvester.store.calls import CallBook, Window
from harvester.store.database import Database
from harvester.store.ledger import Ledger

HARVESTS_SHOWN_MAX = 14
"""Two weeks of nights of one account; `--all` shows every date."""


@click.command(name="status")
@click.option("--config", "config_path", type=click.Path(path_type=Path), default="config.toml", show_default=True)
@click.option("--all", "is_all", is_flag=True, help="All dates, not just the newest.")
@click.option("--json", "is_json", is_flag=True, help="JSON on standard output.")
def command(config_path: Path, *, is_all: bool, is_json: bool) -> None:
    """Show what the ledger knows: jobs by state, why some failed or wait, and how much of the budget is used."""
    settings = load(config_path)
    path = settings.state / LEDGER_FILE
    if not path.exists():
        raise ConfigError(f"{path}: there is no ledger yet.", "harvester run makes one.")
    database = Database(path)
    try:
        status = _status(settings, database, SystemClock(), None if is_all else HARVESTS_SHOWN_MAX)
    finally:
        database.close()
    if is_json:
        click.echo(to_json(status), nl=False)
    else:
        write(sys.stdout, status)


def _status(settings: Settings, database: Database, clock: Clock, harvests_max: int | None) -> Status:
    ledger = Ledger(database, run_id="")
    harvests = ledger.harvests()[:harvests_max]
    is_this_boot = ledger.boot_id() == clock.boot_id
    return Status(
        harvests=tuple(_harvest_status(ledger, harvest, clock.now_s()) for harvest in harvests),
        budgets=tuple(
            _budget_status(settings, database, account, endpoint, clock)
            for account in settings.accounts
            for endpoint in (RECIPIENTS, CAMPAIGNS)
        )
        if is_this_boot
        else (),
    )


def _harvest_status(ledger: Ledger, harvest: Harvest, now_s: float) -> HarvestStatus:
    rows, size_bytes, calls = ledger.totals(harvest)
    return HarvestStatus(
        account=harvest.account,
        date=harvest.date.isoformat(),
        jobs={state.value: number for state, number in ledger.counts(harvest).items()},
        rows=rows,
        bytes=size_bytes,
        calls=calls,
        problems=tuple(problems(ledger.jobs(harvest, JobState.FAILED))),
        waiting=tuple(
            Waiting(job.campaign_key, job.action, max(0.0, job.not_before_s - now_s), job.attempts, job.reason or "")
            for job in ledger.jobs(harvest, JobState.PENDING)
            if job.reason is not None
        ),
    )


def _budget_status(settings: Settings, database: Database, account: str, endpoint: str, clock: Clock) -> BudgetStatus:
    quota, now_s = quota_of(settings), clock.now_s()
    book = CallBook(database, Window(account, endpoint, quota.memory_s), clock)
    stamps = book.stamps()
    free = free_calls(quota, stamps, now_s)
    state = breaker.at(book.lockout(), now_s, in_flight=0)
    until = dt.datetime.fromtimestamp(clock.wall_s() + state.until_s - now_s, dt.UTC).isoformat(timespec="seconds")
    return BudgetStatus(
        account=account,
        endpoint=endpoint,
        calls_used=quota.tokens - free,
        calls_free=free,
        next_slot_s=next_start_s(quota, stamps, now_s) - now_s,
        lockout_until=until if state.is_shut else None,
    )
