"""`harvester status`: what is done, running, waiting and failed, and the budget; reads only, also beside a run."""

import datetime as dt
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from harvester.clock import SystemClock
from harvester.config import load
from harvester.engine import lockout as breaker
from harvester.engine.admission import free_calls, next_start_s
from harvester.model import Harvest, JobState
from harvester.operations.destination import published_state
from harvester.operations.ending import problems
from harvester.operations.opening import opened
from harvester.operations.remarks import verdicts_of
from harvester.operations.workshop import ENDPOINTS, quota_of
from harvester.report.status import (
    BudgetStatus,
    ErasureStatus,
    HarvestStatus,
    LockoutStatus,
    Status,
    Waiting,
    to_json,
    write,
)
from harvester.settings import Settings
from harvester.store.calls import CallBook, Window
from harvester.store.database import Database
from harvester.store.erasure import open_erasures
from harvester.store.ledger import Ledger
from harvester.store.lock import runs_at_work
from harvester.store.runs import runs_on

HARVESTS_SHOWN_MAX = 14
"""Two weeks of nights of one account; `--all` shows every date."""

LOCKOUTS_SHOWN_MAX = 10


@click.command(name="status")
@click.option(
    "--config", "config_path", type=click.Path(path_type=Path), default="config.toml", show_default=True,
    help="The configuration file.",
)  # fmt: skip
@click.option("--all", "is_all", is_flag=True, help="All dates, not just the newest.")
@click.option("--json", "is_json", is_flag=True, help="JSON on standard output.")
def command(config_path: Path, *, is_all: bool, is_json: bool) -> None:
    """Show what the ledger knows: jobs by state, why some failed or wait, and how much of the budget is used."""
    with reading(load(config_path)) as reader:
        harvests = reader.harvests(None if is_all else HARVESTS_SHOWN_MAX)
        status = Status(harvests, reader.budgets(), erasures=reader.erasures())
        show(status, is_json=is_json)


def show(status: Status, *, is_json: bool) -> None:
    """Write the status to standard output."""
    if is_json:
        click.echo(to_json(status), nl=False)
    else:
        write(sys.stdout, status)


@contextmanager
def reading(settings: Settings) -> Iterator["Reader"]:
    """Open the ledger to look at it, as above."""
    with opened(settings) as database:
        yield Reader(settings, database)


class Reader:
    """Reads the ledger for people."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._clock = SystemClock()
        self._ledger = Ledger(database, run_id="")

    def harvests(self, limit: int | None) -> tuple[HarvestStatus, ...]:
        """Return the newest harvests, all of them if `limit` is None."""
        return tuple(self._harvest(harvest) for harvest in self._ledger.harvests()[:limit])

    def budgets(self) -> tuple[BudgetStatus, ...]:
        """Return the budget of every account and endpoint; none where the ledger is of another boot."""
        if self._ledger.boot_id() != self._clock.boot_id:
            return ()
        return tuple(self._budget(account, endpoint) for account, endpoint in self._endpoints())

    def erasures(self) -> tuple[ErasureStatus, ...]:
        """Return the erasures that are not at their end, the oldest first."""
        return tuple(ErasureStatus(each.id, each.began_at) for each in open_erasures(self._database))

    def lockouts(self) -> tuple[LockoutStatus, ...]:
        """Return the last lockouts of every account and endpoint, newest first."""
        return tuple(
            LockoutStatus(
                account=account,
                endpoint=endpoint,
                seen_at=_iso(record.seen_wall_s),
                until=_iso(record.until_wall_s),
                level=record.level,
                code=record.code,
                message=record.message,
                calls_in_window=record.calls_in_window,
            )
            for account, endpoint in self._endpoints()
            for record in self._book(account, endpoint).records(LOCKOUTS_SHOWN_MAX)
        )

    def _endpoints(self) -> Iterator[tuple[str, str]]:
        return ((account, endpoint) for account in self._settings.accounts for endpoint in ENDPOINTS)

    def _book(self, account: str, endpoint: str) -> CallBook:
        window = Window(account, endpoint, quota_of(self._settings).memory_s)
        return CallBook(self._database, window, self._clock)

    def _harvest(self, harvest: Harvest) -> HarvestStatus:
        rows, size_bytes, calls = self._ledger.totals(harvest)
        now_s = self._clock.now_s()
        return HarvestStatus(
            account=harvest.account,
            date=harvest.date.isoformat(),
            jobs={state.value: number for state, number in self._ledger.counts(harvest).items()},
            rows=rows,
            bytes=size_bytes,
            calls=calls,
            problems=tuple(problems(self._ledger.jobs(harvest, JobState.FAILED))),
            verdicts=verdicts_of(self._ledger, harvest, is_plan_only=False),
            runs_at_work=tuple(runs_on(self._database, harvest, runs_at_work(self._settings.state))),
            published=published_state(self._settings, self._database, harvest),
            waiting=tuple(
                Waiting(
                    job.campaign_key, job.action, max(0.0, job.not_before_s - now_s), job.attempts, job.reason or ""
                )
                for job in self._ledger.jobs(harvest, JobState.PENDING)
                if job.reason is not None
            ),
        )

    def _budget(self, account: str, endpoint: str) -> BudgetStatus:
        quota, standing = quota_of(self._settings), self._book(account, endpoint).standing()
        state = breaker.aged(standing, self._settings.budget.lock_s)
        free = free_calls(quota, standing.stamps, standing.now_s)
        return BudgetStatus(
            account=account,
            endpoint=endpoint,
            calls_used=quota.tokens - free,
            calls_free=free,
            next_slot_s=next_start_s(quota, standing.stamps, standing.now_s) - standing.now_s,
            lockout_until=_iso(self._clock.wall_s() + state.until_s - standing.now_s) if state.is_draining else None,
        )


def _iso(wall_s: float) -> str:
    return dt.datetime.fromtimestamp(wall_s, dt.UTC).isoformat(timespec="seconds")
