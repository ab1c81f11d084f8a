"""Holds each of many nights against the world's truth and the oracle's price."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from simulation.many_nights import calls_to
from simulation.night import Night
from simulation.oracle import FOREVER, REFUSING, Ages, Oracle, Set, Wish
from simulation.reader import Digest, Snapshot, SnapshotReader, Truths
from simulation.truth import require, world_of

from harvester.engine.splitting import ASKERS as SPLIT_ASKERS
from harvester.operations.workshop import CAMPAIGNS, DETAILS, ENDPOINTS, RECIPIENTS, REPORTS
from harvester.simulator.world import Kind

PRICE_OVER_ORACLE = 1.10
"""What the oracle does not pay: calls that confirm an end, where a page of the night sets a record."""

EXIT_PARTIAL = 3
"""Of a night with campaigns that this account may not read."""

LISTING_PAGE_CAMPAIGNS = 100
LISTING_END_CALLS = 1
"""The listing ends with an empty view."""

CHILDLESS_ASKED = 7
"""A campaign whose halves are not there yet is asked about again for a week."""

AFRESH_EVERY_NIGHTS = 10
"""So often the truth is made of the world's rows anew, without a word of what changed."""


@dataclass(frozen=True, slots=True)
class Bill:
    """What one night cost.

    Attributes:
        date: ISO 8601.
        calls: by endpoint.
        wish: what the oracle would have done.
        kills: how many of the night's processes were killed.
    """

    date: str
    calls: Mapping[str, int]
    wish: Wish
    kills: int

    def __str__(self) -> str:
        told = " ".join(f"{endpoint} {calls}" for endpoint, calls in self.calls.items())
        return f"{self.date}: {told}; oracle {self.wish.calls} ({len(self.wish.read)} sets); kills {self.kills}"


@dataclass(slots=True)
class Audit:
    """Looks after each night at what one account's newest snapshot says, and at what it cost.

    Attributes:
        account: whose.
        ages: how often sets are looked at.
        full_refresh_days: a set that is looked at is read after so many days in any case.
        exit_code: that the nights end with, where it is not the account's own sets that settle it.
        bills: of the nights.
        snapshot: of the last night.
    """

    account: str = "acme"
    ages: Ages = FOREVER
    full_refresh_days: int = 400
    exit_code: int | None = None
    bills: list[Bill] = field(default_factory=list)
    snapshot: Snapshot | None = None
    _oracle: Oracle | None = None
    _truths: Truths | None = None
    _reader: SnapshotReader | None = None
    _expected: dict[Set, Digest] = field(default_factory=dict)

    def look(self, night: Night, number: int) -> None:
        """Check a night that is over.

        Raises:
            ViolationError: the snapshot is not the truth, or the night did not end as it must.
        """
        oracle, truths, reader = self._at_work(night)
        if number % AFRESH_EVERY_NIGHTS == 0:
            truths.forget()
        wish = oracle.night(night.date)
        self._expected |= {one: truths.of(one) for one in wish.read}
        is_whole = not self._forbidden(night, wish)
        self._check_end(night, is_whole=is_whole)
        self.snapshot = reader.read(night)
        self._check_sets(night, oracle, is_whole=is_whole)
        calls = {endpoint: calls_to(night, self.account, endpoint) for endpoint in ENDPOINTS}
        self.bills.append(Bill(night.date.isoformat(), calls, wish, night.kills))
        self._check_side_calls(night)

    def _at_work(self, night: Night) -> tuple[Oracle, Truths, SnapshotReader]:
        if self._oracle is None or self._truths is None or self._reader is None:
            harvest, world = night.settings.harvest, world_of(night, self.account)
            self._oracle = Oracle(world, harvest.actions, harvest.page_size, self.ages, self.full_refresh_days)
            self._truths = Truths(night, self.account)
            self._reader = SnapshotReader(self.account)
        return self._oracle, self._truths, self._reader

    def _check_end(self, night: Night, *, is_whole: bool) -> None:
        exit_code = (0 if is_whole else EXIT_PARTIAL) if self.exit_code is None else self.exit_code
        require(night.exit_codes[-1] == exit_code, f"{night.date}: the runs ended with {night.exit_codes}")
        require(not night.loop_errors, f"{night.date}: nobody caught {night.loop_errors}")
        require(not night.leaked_tasks, f"{night.date}: tasks outlived their run: {night.leaked_tasks}")

    def _check_sets(self, night: Night, oracle: Oracle, *, is_whole: bool) -> None:
        snapshot, date = self.snapshot, night.date
        if snapshot is None:
            raise AssertionError("the snapshot is read before")
        require(snapshot.is_complete == is_whole, f"P2: {date}: _SUCCESS is {snapshot.is_complete}")
        world = world_of(night, self.account)
        found = {one for one in snapshot.sets if world.campaign(one[0]).kind not in REFUSING}
        require(
            found == oracle.readings.keys(), f"P2: {date}: other sets: {sorted(found ^ oracle.readings.keys())[:2]}"
        )
        wrong = [one for one in found if snapshot.sets[one].rows != self._expected[one]]
        told = {one: (snapshot.sets[one], self._expected[one]) for one in wrong[:2]}
        require(not wrong, f"P2: {date}: {len(wrong)} sets are not the server's: {told}")

    def _forbidden(self, night: Night, wish: Wish) -> bool:
        world = world_of(night, self.account)
        return any(world.campaign(key).kind is Kind.FORBIDDEN for key in wish.refused)

    def _check_side_calls(self, night: Night) -> None:
        """See that the endpoints beside that of the recipients are asked no more than they have to tell."""
        bill, world = self.bills[-1], world_of(night, self.account)
        again = bill.kills * (night.settings.harvest.concurrency + len(bill.wish.refused))  # each run asks these anew
        reports = len(bill.wish.looked_at | bill.wish.refused)
        require(bill.calls[REPORTS] <= reports + again, f"{bill}: {reports} campaigns were to be looked at")
        pages = -(-len(world.listed) // LISTING_PAGE_CAMPAIGNS) + LISTING_END_CALLS
        require(bill.calls[CAMPAIGNS] <= pages * (1 + bill.kills), f"{bill}: the listing has {pages} pages")
        asked, in_flight = self.total(DETAILS), SPLIT_ASKERS * sum(each.kills for each in self.bills)
        kinds = Counter(campaign.kind for campaign in world.listed if world.is_sent(campaign))
        most = kinds[Kind.AB] + kinds[Kind.TINY_AB] * CHILDLESS_ASKED + in_flight
        require(asked <= most, f"{asked} calls for the halves of {kinds[Kind.AB]} campaigns")

    def total(self, endpoint: str = RECIPIENTS) -> int:
        """Return the calls of all nights."""
        return sum(bill.calls[endpoint] for bill in self.bills)

    @property
    def oracle_calls(self) -> int:
        """What the oracle would have spent on all nights."""
        return sum(bill.wish.calls for bill in self.bills)

    def check_price(self, *, calls_per_kill: int = 0, calls_per_night: int = 0) -> None:
        """See that all nights together cost little more than the oracle's; a campaign that refuses costs one a night.

        Args:
            calls_per_kill: that were in flight, and are made again.
            calls_per_night: that confirm ends, where nights are too small for these to vanish among the others.

        Raises:
            ViolationError: they cost more.
        """
        kills = sum(bill.kills for bill in self.bills)
        refused = sum(len(bill.wish.refused) for bill in self.bills)
        allowed = refused + kills * calls_per_kill + len(self.bills) * calls_per_night
        most = PRICE_OVER_ORACLE * self.oracle_calls + allowed
        require(self.total() <= most, f"{self.total()} calls, the oracle spends {self.oracle_calls}: {self}")

    def __str__(self) -> str:
        return "\n".join(map(str, self.bills))
