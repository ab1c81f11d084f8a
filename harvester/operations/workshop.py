"""Builds the objects of a run from the settings and lays the connections between the rooms."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from enum import StrEnum, auto
from functools import partial
from typing import TypeVar

from harvester.clock import Clock, SystemClock
from harvester.engine.admission import Admission, Quota
from harvester.engine.allowance import Allowance
from harvester.engine.budget import Budget, BudgetRules
from harvester.engine.caller import Caller, Weather
from harvester.engine.counting import Counting, ReportDesk
from harvester.engine.gate import Gate
from harvester.engine.harvest import AccountHarvest
from harvester.engine.ports import Offload
from harvester.engine.refresh import FillRules, Interval, RefreshRules, Rules
from harvester.engine.retry import Backoff
from harvester.engine.shares import Share
from harvester.engine.splitting import SplitDesk, Splitting
from harvester.engine.stop import Stop
from harvester.engine.tools import Pace, Tools
from harvester.engine.writer import Writer
from harvester.events import Emit, Event, LockoutOpened
from harvester.model import Action, Command, Harvest, Order
from harvester.operations.contact_records import ContactRecords
from harvester.operations.protection import privacy_of
from harvester.settings import AccountSettings, BudgetSettings, NightlySettings, Settings
from harvester.store.boot import adopt_boot
from harvester.store.calls import CallBook, Window
from harvester.store.campaign_notes import CampaignNotes
from harvester.store.carrier import Carrier
from harvester.store.counters import CounterBook
from harvester.store.database import Database
from harvester.store.ledger import Ledger, new_run_id
from harvester.store.lock import at_work, runs_at_work
from harvester.store.partitions import Compression, Partitions
from harvester.store.servers import Servers
from harvester.store.snapshots import Snapshots
from harvester.store.splits import Splits
from harvester.zoho.auth import Credentials, Tokens, TokenSettings
from harvester.zoho.client import ClientSettings, ZohoClient
from harvester.zoho.data_centers import DATA_CENTERS
from harvester.zoho.lockout import LockoutSigns
from harvester.zoho.wire import Transport

LEDGER_FILE = "ledger.sqlite"
RECIPIENTS = "getcampaignrecipientsdata"
CAMPAIGNS = "recentcampaigns"
REPORTS = "campaignreports"
DETAILS = "getcampaigndetails"
ENDPOINTS = (RECIPIENTS, CAMPAIGNS, REPORTS, DETAILS)
SIDE_ENDPOINTS = (REPORTS, DETAILS)
"""What they tell belongs to no job: their lockouts and outages end the asking there, and stop nothing else."""

BACKOFF_BASE_SHARE = 1 / 300
BACKOFF_CAP_SHARE = 1 / 5
PATIENCE_SHARE = 2.0
TOKEN_THROTTLE_SHARE = 2.0
"""Waits as shares of the budget's period (of 300 s: 1 s, 60 s, 10 min, 10 min), so that a rehearsal scales them all."""

COMPUTE_THREADS = 1
"""Parsing and rendering hold the interpreter lock: more threads only make loop and disk thread wait longer for it."""

T = TypeVar("T")


class OnLockout(StrEnum):
    """What to do when an endpoint is locked."""

    WAIT = auto()  #: sit it out, and go on
    EXIT = auto()  #: stop, and say when to come back


@dataclass(frozen=True, slots=True)
class Approach:
    """How a run goes about it.

    Attributes:
        command: what it is for.
        on_lockout: whether it sits a lockout out or leaves.
        allowance: how many calls it may make to the recipients endpoint, over all its accounts.
    """

    command: Command = Command.RUN
    on_lockout: OnLockout = OnLockout.WAIT
    allowance: Allowance = field(default_factory=Allowance)


PLAIN = Approach()


@dataclass(frozen=True, slots=True)
class Store:
    """What is on disk, open."""

    database: Database
    ledger: Ledger
    servers: Servers
    notes: CampaignNotes
    parts: Partitions


@contextmanager
def open_store(settings: Settings, clock: Clock) -> Iterator[Store]:
    """Open ledger and output folder; these and the key of hashes are checked before any call."""
    privacy_of(settings)
    database = Database(settings.state / LEDGER_FILE)
    parts = Partitions(settings.output, Compression(settings.harvest.compression))
    with store_of(database, parts, clock, new_run_id()) as store:
        yield store


@contextmanager
def store_of(database: Database, parts: Partitions, clock: Clock, run_id: str) -> Iterator[Store]:
    """Make ledger and output folder ready for a run, and close them after it."""
    state = database.path.parent
    try:
        adopt_boot(database, clock)
        parts.prepare()
        with at_work(state, run_id), database.refusals():
            ledger = Ledger(database, run_id, partial(runs_at_work, state, run_id))
            yield Store(database, ledger, Servers(database), CampaignNotes(database), parts)
    finally:
        parts.close_all()
        database.close()


@dataclass(frozen=True, slots=True)
class Machine:
    """What a run takes from the machine it runs on: the time, threads and chance; the simulation brings its own."""

    clock: Clock
    offload_disk: Offload
    offload: Offload
    rng: random.Random


@contextmanager
def this_machine(database: Database) -> Iterator[Machine]:
    """Start the threads of a run, one of which owns the ledger; they end with the context."""
    with ThreadPoolExecutor(1, "disk") as disk, ThreadPoolExecutor(COMPUTE_THREADS, "compute") as compute:
        rng = random.Random()  # noqa: S311  jitter needs no secrecy
        yield Machine(SystemClock(), _offload_to(disk, database.refusals), _offload_to(compute), rng)


@asynccontextmanager
async def open_tools(store: Store, machine: Machine, stop: Stop, emit: Emit) -> AsyncIterator[Tools]:
    """Start the writer of a run; it ends with the context."""
    writer = Writer(store.ledger, store.parts, machine.clock, machine.offload_disk)
    tools = Tools(
        ledger=store.ledger,
        servers=store.servers,
        notes=store.notes,
        parts=store.parts,
        writer=writer,
        clock=machine.clock,
        offload_disk=machine.offload_disk,
        offload=machine.offload,
        emit=emit,
        stop=stop,
        rng=machine.rng,
    )
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(writer.run(), name="writer")
        try:
            yield tools
        finally:
            writing.cancel()


def _offload_to(pool: ThreadPoolExecutor, guard: Callable[[], AbstractContextManager[None]] = nullcontext) -> Offload:
    """Return what runs work in the pool's threads, each piece inside the `guard` that translates its errors."""

    def guarded(work: Callable[[], T]) -> T:
        with guard():
            return work()

    def offload(work: Callable[[], T], /) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(pool, guarded, work)

    return offload


class AccountBench:
    """One account's connections: its client, its budgets, its weather.

    Args:
        name: of the account.
        settings: of everything.
        store: what is on disk.
        tools: shared by the accounts.
        http: how hosts are reached.
        approach: of the run.

    Attributes:
        lockout: the lockout that made this account leave, if one did.
        privacy: what is kept of contacts.
        tools: those of the run, with a stop of the account's own.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        store: Store,
        tools: Tools,
        http: Transport,
        approach: Approach = PLAIN,
    ) -> None:
        self.name = name
        self.settings = settings
        self.store = store
        self.privacy = privacy_of(settings)
        self._approach = approach
        self._emit = tools.emit
        self.lockout: LockoutOpened | None = None
        self.run_stop = tools.stop
        self.tools = tools = replace(tools, stop=tools.stop.child(), emit=self._emit_and_watch)
        period_s = settings.budget.period_s
        self.backoff = Backoff(period_s * BACKOFF_BASE_SHARE, period_s * BACKOFF_CAP_SHARE)
        self._weather = Weather(name, period_s * PATIENCE_SHARE, self.backoff, tools.clock, tools.rng, tools.emit)
        self.client = _client(name, settings, tools, http)
        # Made before any account runs: from then on the ledger belongs to the disk thread.
        self._callers = {endpoint: self._caller(endpoint, self._weather, tools) for endpoint in (RECIPIENTS, CAMPAIGNS)}
        self._side_tools = {endpoint: replace(tools, stop=tools.stop.child()) for endpoint in SIDE_ENDPOINTS}
        for endpoint, side_tools in self._side_tools.items():
            weather = Weather(name, period_s * PATIENCE_SHARE, self.backoff, tools.clock, tools.rng, _unheard)
            self._callers[endpoint] = self._caller(endpoint, weather, side_tools)

    def others(self) -> dict[str, str]:
        """Return the other runs that are at work on the state folder, each with its process."""
        return runs_at_work(self.settings.state, self.store.ledger.run_id)

    def _emit_and_watch(self, event: Event) -> None:
        self._emit(event)
        if not isinstance(event, LockoutOpened):
            return
        reason = f"{event.endpoint} is locked until {event.until}"
        if event.endpoint in self._side_tools:
            self._side_tools[event.endpoint].stop.ask(reason)
        elif self._approach.on_lockout is OnLockout.EXIT:
            self.lockout = event
            self.tools.stop.ask(reason)

    def caller(self, endpoint: str) -> Caller:
        """Return the way to one endpoint, with a budget of its own."""
        return self._callers[endpoint]

    def _caller(self, endpoint: str, weather: Weather, tools: Tools) -> Caller:
        limits, harvest = self.settings.budget, self.settings.harvest
        quota = quota_of(self.settings)
        share = Share(self._approach.command, self.settings.backfill.share)
        times = (limits.lock_s, harvest.call_timeout_s, harvest.late_grace_s)
        rules = BudgetRules(self.name, endpoint, quota, *times, limits.burst_per_s, share)
        book = CallBook(self.store.database, Window(self.name, endpoint, quota.memory_s), tools.clock, share.command)
        budget = Budget(rules, book, tools.clock, tools.offload_disk, tools.emit, tools.stop)
        return Caller(budget, weather, tools.stop, self._approach.allowance if endpoint == RECIPIENTS else None)

    def harvest(self, harvest: Harvest, offset_ms: int | None) -> AccountHarvest:
        """Return the harvest of one date, ready to run; `offset_ms` as in `RecordContext`."""
        settings = self.settings.harvest
        pace = Pace(settings.page_size, settings.concurrency, settings.pages_ahead, self.backoff)
        records = ContactRecords(self.store.ledger.run_id, offset_ms, self.tools.clock, self.privacy)
        return AccountHarvest(harvest, pace, self.caller(RECIPIENTS), self.client, records, self.tools)

    def splitting(self) -> Splitting:
        """Return what asks for the test halves of A/B campaigns, ready to run."""
        tools = self._side_tools[DETAILS]
        desk = SplitDesk(self.name, self.caller(DETAILS), self.client, self.backoff, tools)
        return Splitting(desk, Splits(self.store.database))

    def reports(self) -> ReportDesk:
        """Return how counters are asked for."""
        return ReportDesk(self.caller(REPORTS), self.client, self.backoff, self._side_tools[REPORTS])

    def counting(self, harvest: Harvest) -> Counting:
        """Return what asks for the counters of one date, ready to run."""
        book = CounterBook(self.store.database, self.store.ledger.run_id, is_ranking=self.is_ranking)
        return Counting(harvest, self.reports(), book)

    @property
    def is_ranking(self) -> bool:
        """Whether the campaigns with most recipients come first."""
        return self._approach.command is Command.BACKFILL and self.settings.backfill.order is Order.LARGEST

    def gate(self, counting: Counting | None) -> Gate | None:
        """Return what settles which jobs are harvested at all; None for a run that harvests all of them."""
        rules = rules_of(self._approach.command, self.settings.nightly)
        if rules is None:
            return None
        carrier = Carrier(self.settings.output, self.store.parts, self.settings.nightly.carry)
        snapshots = Snapshots(self.store.database, self.store.ledger.run_id, carrier)
        return Gate(rules, snapshots, counting, self.tools)


def _unheard(_: Event) -> None:
    """Take an event that is told in another way."""


def _client(name: str, settings: Settings, tools: Tools, http: Transport) -> ZohoClient:
    account, call_timeout_s = settings.accounts[name], settings.harvest.call_timeout_s
    api_url, _ = hosts(account)
    tokens = Tokens(http, credentials_of(account), token_settings_of(name, settings), tools.clock)
    signs = lockout_signs(settings.budget)
    harvest = settings.harvest
    client_settings = ClientSettings(api_url, harvest.response_format, call_timeout_s, signs, harvest.timeline)
    return ZohoClient(http, tokens, client_settings, tools.offload)


def credentials_of(account: AccountSettings) -> Credentials:
    """Return the secrets of an account, as the token endpoint takes them."""
    return Credentials(
        account.client_id, account.client_secret.get_secret_value(), account.refresh_token.get_secret_value()
    )


def token_settings_of(name: str, settings: Settings) -> TokenSettings:
    """Return where and how an account asks for its tokens."""
    _, accounts_url = hosts(settings.accounts[name])
    throttle_s = settings.budget.period_s * TOKEN_THROTTLE_SHARE
    return TokenSettings(name, accounts_url, settings.state, settings.harvest.call_timeout_s, throttle_s)


def rules_of(command: Command, nightly: NightlySettings) -> Rules | None:
    """Return by which rules a command settles which sets are read; None where it reads all of them."""
    match command:
        case Command.RUN:
            return None
        case Command.BACKFILL:
            return FillRules()
        case Command.NIGHTLY:
            return refresh_rules(nightly)


def refresh_rules(nightly: NightlySettings) -> RefreshRules:
    """Return by which rules a nightly run settles which sets are read."""
    ages = {action: nightly.refresh_of.get(action, nightly.refresh) for action in Action}
    intervals = {action: [Interval(age.to_day, age.every_days) for age in each] for action, each in ages.items()}
    return RefreshRules(intervals, nightly.full_refresh_days)


def lockout_signs(budget: BudgetSettings) -> LockoutSigns:
    """Return what the operator takes for a lockout, beside the built-in signs."""
    pattern = None if budget.lockout_pattern is None else re.compile(budget.lockout_pattern)
    return LockoutSigns(frozenset(budget.lockout_codes), pattern)


def quota_of(settings: Settings) -> Quota:
    """Return what may be asked of one endpoint."""
    budget = settings.budget
    return Quota(budget.calls - budget.reserve_calls, budget.period_s, Admission(budget.admission))


def hosts(account: AccountSettings) -> tuple[str, str]:
    """Return where an account's API and its token endpoint are."""
    data_center = DATA_CENTERS[account.data_center]
    return account.base_url or data_center.api_url, account.accounts_url or data_center.accounts_url
