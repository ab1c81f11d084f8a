"""One account whose listing is scripted, on a real ledger and real files: the client talks to no network."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from factories import DATE

from harvester.clock import SystemClock
from harvester.engine.stop import Stop
from harvester.events import Event
from harvester.listing import Listing
from harvester.model import Action, Harvest
from harvester.operations.listing import list_campaigns
from harvester.operations.selection import Selection
from harvester.operations.workshop import AccountBench, Store, open_store, open_tools, this_machine
from harvester.settings import Settings
from harvester.store.listing_files import listing_of
from harvester.zoho.wire import HttpReply

EIGHT_HOURS_MS = 28_800_000
SENT_AT_MS = 1_773_000_000_000
"""2026-03-08, six days before the harvest date of the factories."""

DAY_MS = 86_400_000
SENDER = "news@sender.example"
URL = "http://127.0.0.1:9"

RECENT, DETAILS, TOKEN = "recentcampaigns", "getcampaigndetails", "token"


def listed_row(key: str, sent_at_ms: int = SENT_AT_MS, **changes: Any) -> dict[str, Any]:
    """A row of the listing as the live service writes it."""
    times = {"sent_time": str(sent_at_ms + EIGHT_HOURS_MS), "sent_time_gmt": str(sent_at_ms)}
    row = {"campaign_key": key, "campaign_name": f"Name of {key}", "campaign_status": "Sent", "campaigntype": "normal"}
    return {**row, "campaignId": f"id-{key}", "subject": "Hello", "from_email": SENDER, **times, **changes}


def keys_of(rows: list[dict[str, Any]]) -> list[str]:
    return [row["campaign_key"] for row in rows]


@dataclass
class Host:
    """A `Transport`: an accounts host and an API whose listing a test may change between two calls.

    Attributes:
        rows: the listing, newest first.
        splits: of A/B campaigns: the first element of their `AB-split-details`, or None for an empty list.
        refusals: envelopes to answer instead, by endpoint.
        before_page: called with the index that a call for the listing asks for, before it is answered.
        is_counted: whether the listing tells how many rows it has.
        asked: endpoint and parameters of every call.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    splits: dict[str, dict[str, str] | None] = field(default_factory=dict)
    refusals: dict[str, dict[str, Any]] = field(default_factory=dict)
    before_page: Callable[[int], None] = lambda _: None
    is_counted: bool = True
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    def calls(self, endpoint: str) -> int:
        return sum(asked == endpoint for asked, _ in self.asked)

    async def post(
        self,
        url: str,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        timeout_s: float,
        form: Mapping[str, str] | None = None,
    ) -> HttpReply:
        del headers, timeout_s, form
        endpoint = urlsplit(url).path.rpartition("/")[2]
        self.asked.append((endpoint, params))
        return HttpReply(200, "application/json", {}, json.dumps(self._answer(endpoint, params)).encode())

    def _answer(self, endpoint: str, params: Mapping[str, str]) -> dict[str, Any]:
        if endpoint == TOKEN:
            return {"access_token": "1000.token", "expires_in": 3_600}
        if endpoint in self.refusals:
            return self.refusals[endpoint]
        if endpoint == DETAILS:
            split = self.splits.get(params["campaignkey"])
            return {"status": "success", "code": "0", "AB-split-details": [] if split is None else [split]}
        self.before_page(int(params["fromindex"]))
        first = int(params["fromindex"]) - 1
        rows = self.rows[first : first + int(params["range"])]
        if not rows:
            return {"status": "error", "code": "6101", "message": "No campaign available in this view."}
        total = {"total_record_count": len(self.rows)} if self.is_counted else {}
        return {"status": "success", "code": "0", "recent_campaigns": rows, **total}


@dataclass
class Place:
    """One run on one folder, open."""

    bench: AccountBench
    store: Store
    harvest: Harvest
    events: list[Event]
    stop: Stop

    async def plan(self, **changes: Any) -> None:
        plain = {"accounts": ("acme",), "actions": (Action.SENT,), "date": self.harvest.date, "keys": None}
        selection = Selection(**{**plain, "is_refresh": False, **changes})
        await list_campaigns(self.bench, selection, self.store.ledger.open_harvest("acme", self.harvest.date), None)

    @property
    def planned(self) -> list[tuple[str, str | None]]:
        """Campaign and parent of every job of the ledger."""
        return [(job.campaign_key, job.parent_campaign_key) for job in self.store.ledger.jobs(self.harvest)]

    @property
    def planned_keys(self) -> list[str]:
        return [key for key, _ in self.planned]

    @property
    def listing(self) -> Listing:
        listing = listing_of(self.store.database, self.harvest)
        assert listing is not None
        return listing

    @property
    def path(self) -> Path:
        return self.bench.settings.output / self.listing.path

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_bytes().splitlines()]

    def told(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


@asynccontextmanager
async def listing_run(folder: Path, host: Host, date: Any = DATE, **sections: Any) -> AsyncIterator[Place]:
    """Open what a run of one account needs; another one on the same folder is the next run."""
    account = {"client_id": "1000.X", "client_secret": "a", "refresh_token": "b", "base_url": URL, "accounts_url": URL}
    budget = {"period_s": 3.0, "lock_s": 60.0, "burst_per_s": 1_000}
    places = {"output": folder / "data", "state": folder / "state"}
    settings = Settings.model_validate(places | {"accounts": {"acme": account}, "budget": budget} | sections)
    events, stop = list[Event](), Stop()
    with open_store(settings, SystemClock()) as store, this_machine(store.database) as machine:
        harvest = store.ledger.open_harvest("acme", date)
        async with open_tools(store, machine, stop, events.append) as tools:
            yield Place(AccountBench("acme", settings, store, tools, host), store, harvest, events, stop)
