"""Builds the objects of a run from the settings and lays the connections between the rooms."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from harvester.clock import Clock, SystemClock
from harvester.config import AccountSettings, Settings
from harvester.engine.admission import Admission, Quota
from harvester.engine.budget import Budget, BudgetRules
from harvester.engine.caller import Caller, Weather
from harvester.engine.harvest import AccountHarvest, Pace, Tools
from harvester.engine.ports import Offload, Render
from harvester.engine.retry import Backoff
from harvester.engine.stop import Stop
from harvester.engine.writer import Writer
from harvester.events import Emit
from harvester.model import Harvest, Job, Row
from harvester.store.calls import CallBook, Window
from harvester.store.database import Database
from harvester.store.ledger import Ledger, new_run_id
from harvester.store.partitions import Compression, Partitions
from harvester.zoho.api import Http
from harvester.zoho.auth import Credentials, Tokens, TokenSettings
from harvester.zoho.client import ClientSettings, ZohoClient
from harvester.zoho.contacts import RecordContext, lines
from harvester.zoho.data_centers import DATA_CENTERS

LEDGER_FILE = "ledger.sqlite"
RECIPIENTS = "getcampaignrecipientsdata"
CAMPAIGNS = "recentcampaigns"

BACKOFF_BASE_SHARE = 1 / 300
BACKOFF_CAP_SHARE = 1 / 5
PATIENCE_SHARE = 2.0
TOKEN_THROTTLE_SHARE = 2.0
"""Waits as shares of the budget's period (1 s, 60 s, 10 min and 10 min of 300 s), so that a rehearsal scales them all."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Store:
    """What is on disk, open."""

    database: Database
    ledger: Ledger
    parts: Partitions
    was_booted: bool


@contextmanager
def open_store(settings: Settings, clock: Clock) -> Iterator[Store]:
    """Open ledger and output folder; both are checked before anything is asked of the server."""
    database = Database(settings.state / LEDGER_FILE)
    parts = Partitions(settings.output, Compression(settings.harvest.compression))
    try:
        ledger = Ledger(database, new_run_id())
        parts.prepare()
        yield Store(database, ledger, parts, ledger.adopt_boot(clock.boot_id))
    finally:
        parts.close_all()
        database.close()


@asynccontextmanager
async def open_tools(store: Store, stop: Stop, emit: Emit) -> AsyncIterator[Tools]:
    """Start the threads of a run and its writer; both end with the context."""
    with ThreadPoolExecutor(1, "disk") as disk, ThreadPoolExecutor(None, "compute") as compute:
        clock, offload_disk = SystemClock(), _offload_to(disk)
        writer = Writer(store.ledger, store.parts, clock, offload_disk)
        tools = Tools(
            ledger=store.ledger,
            parts=store.parts,
            writer=writer,
            clock=clock,
            offload_disk=offload_disk,
            offload=_offload_to(compute),
            emit=emit,
            stop=stop,
            rng=random.Random(),  # noqa: S311  jitter needs no secrecy
        )
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(writer.run(), name="writer")
            try:
                yield tools
            finally:
                writing.cancel()


def _offload_to(pool: ThreadPoolExecutor) -> Offload:
    def offload(work: Callable[[], T], /) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(pool, work)

    return offload


class AccountBench:
    """One account's connections: its client, its budgets, its weather.

    Args:
        name: of the account.
        settings: of everything.
        store: what is on disk.
        tools: shared by the accounts.
        http: how hosts are reached.
    """

    def __init__(self, name: str, settings: Settings, store: Store, tools: Tools, http: Http) -> None:
        self.name = name
        self._settings = settings
        self.store = store
        self.tools = tools
        period_s = settings.budget.period_s
        self.backoff = Backoff(period_s * BACKOFF_BASE_SHARE, period_s * BACKOFF_CAP_SHARE)
        self._weather = Weather(name, period_s * PATIENCE_SHARE, self.backoff, tools.clock, tools.rng, tools.emit)
        self.client = _client(name, settings, tools, http)

    def caller(self, endpoint: str) -> Caller:
        """Return the way to one endpoint, with a budget of its own."""
        budget, harvest = self._settings.budget, self._settings.harvest
        quota = quota_of(self._settings)
        hold_s = harvest.call_timeout_s + harvest.late_grace_s
        rules = BudgetRules(self.name, endpoint, quota, budget.lock_s, hold_s, budget.burst_per_s)
        tools = self.tools
        book = CallBook(self.store.database, Window(self.name, endpoint, quota.memory_s), tools.clock)
        if self.store.was_booted:
            book.adopt_boot()
        return Caller(
            Budget(rules, book, tools.clock, tools.offload_disk, tools.emit, tools.stop), self._weather, tools.stop
        )

    def harvest(self, harvest: Harvest, offset_ms: int | None) -> AccountHarvest:
        """Return the harvest of one date, ready to run; `offset_ms` as in `RecordContext`."""
        pace = Pace(self._settings.harvest.page_size, self._settings.harvest.concurrency, self.backoff)
        render = _render(self.store.ledger.run_id, offset_ms, self.tools.clock)
        return AccountHarvest(harvest, pace, self.caller(RECIPIENTS), self.client, render, self.tools)


def _client(name: str, settings: Settings, tools: Tools, http: Http) -> ZohoClient:
    account = settings.accounts[name]
    api_url, accounts_url = hosts(account)
    credentials = Credentials(
        account.client_id, account.client_secret.get_secret_value(), account.refresh_token.get_secret_value()
    )
    call_timeout_s = settings.harvest.call_timeout_s
    throttle_s = settings.budget.period_s * TOKEN_THROTTLE_SHARE
    token_settings = TokenSettings(name, accounts_url, settings.state, call_timeout_s, throttle_s)
    tokens = Tokens(http, credentials, token_settings, tools.clock)
    client_settings = ClientSettings(api_url, settings.harvest.response_format, call_timeout_s)
    return ZohoClient(http, tokens, client_settings, tools.offload)


def quota_of(settings: Settings) -> Quota:
    """Return what may be asked of one endpoint."""
    budget = settings.budget
    return Quota(budget.calls - budget.reserve_calls, budget.period_s, Admission(budget.admission))


def hosts(account: AccountSettings) -> tuple[str, str]:
    """Return where an account's API and its token endpoint are."""
    data_center = DATA_CENTERS[account.data_center]
    return account.base_url or data_center.api_url, account.accounts_url or data_center.accounts_url


def _render(run_id: str, offset_ms: int | None, clock: Clock) -> Render:
    def render(job: Job, rows: Sequence[Row], first_position: int) -> bytes:
        harvested_at = datetime.fromtimestamp(clock.wall_s(), UTC).isoformat(timespec="milliseconds")
        context = RecordContext(
            account=job.account,
            campaign_key=job.campaign.key,
            parent_campaign_key=job.campaign.parent_key,
            action=job.action,
            harvested_at=harvested_at.replace("+00:00", "Z"),
            run_id=run_id,
            sent_time_offset_ms=offset_ms,
        )
        return lines(rows, first_position, context)

    return render
