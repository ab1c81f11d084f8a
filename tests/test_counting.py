"""Asking for the counters beside the harvest: real ledger, real budget, a scripted server, a virtual clock."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from factories import DATE, failure, inline, seeded
from simulation.virtual_loop import VirtualLoop
from test_budget import CALLS, RULES, LoopClock

from harvester.engine.asking import REFUSALS_MAX
from harvester.engine.budget import Budget
from harvester.engine.caller import Caller, Weather
from harvester.engine.counting import ASKERS, Counting, ReportDesk
from harvester.engine.retry import Backoff
from harvester.engine.stop import Stop
from harvester.engine.tools import Tools
from harvester.engine.writer import Writer
from harvester.errors import CredentialsError, DiskError, StoppedError
from harvester.events import CountersMissing, CountersRead, Event, LockoutOpened
from harvester.model import Action, Campaign, Counters, Failure, FailureKind, Harvest
from harvester.store.calls import CallBook, Window
from harvester.store.campaign_notes import CampaignNotes
from harvester.store.counters import CounterBook
from harvester.store.database import Database
from harvester.store.ledger import Ledger
from harvester.store.partitions import Compression, Partitions
from harvester.store.servers import Servers

PATIENCE_S = 600.0
COUNTERS = Counters({Action.SENT: 3})
REFUSED = failure(FailureKind.CAMPAIGN, code="6607", message="Insufficient privileges.")

Answer = Counters | Failure | Exception


@dataclass
class Scripted:
    """An endpoint of reports whose answers are laid down, by campaign or for all."""

    answers: Mapping[str, Sequence[Answer]] = field(default_factory=dict)
    default: Answer = COUNTERS
    asked: list[str] = field(default_factory=list)
    before: Callable[[], None] = lambda: None

    async def counters(self, campaign_key: str) -> Counters | Failure:
        self.before()
        script = self.answers.get(campaign_key, ())
        place = self.asked.count(campaign_key)
        self.asked.append(campaign_key)
        await asyncio.sleep(0.3)
        answer = script[place] if place < len(script) else self.default
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass
class Played:
    """What became of it."""

    server: Scripted
    events: list[Event]
    missing: int
    seconds: float


def play(path: Path, server: Scripted, campaigns: int = 3, *, is_renewed: bool = True) -> Played:
    """Ask for the counters of so many campaigns; the endpoint's own stop is asked when it locks, as in a run."""
    events: list[Event] = []
    stop = Stop()

    def emit(event: Event) -> None:
        events.append(event)
        if isinstance(event, LockoutOpened):
            stop.ask(f"{event.endpoint} is locked until {event.until}")

    with closing(Database(path / "ledger.sqlite")) as database, asyncio.Runner(loop_factory=VirtualLoop) as runner:
        ledger = Ledger(database, "run-1")
        harvest = ledger.open_harvest("acme", DATE)
        ledger.plan(harvest, [Campaign(f"k{number}") for number in range(campaigns)], [Action.SENT])
        book = CounterBook(database, "run-1")
        if is_renewed:
            book.renew(harvest, is_all=False)
        seconds = runner.run(_played(tools_on(path, database, ledger, emit, stop), server, harvest, book))
        return Played(server, events, book.missing(harvest), seconds)


async def _played(tools: Tools, server: Scripted, harvest: Harvest, book: CounterBook) -> float:
    calls = CallBook(tools.ledger.database, Window("acme", "endpoint", 400.0), tools.clock)  # type: ignore[attr-defined]
    budget = Budget(RULES, calls, tools.clock, inline, tools.emit, tools.stop)
    backoff = Backoff()
    weather = Weather("acme", PATIENCE_S, backoff, tools.clock, tools.rng, lambda _: None)
    desk = ReportDesk(Caller(budget, weather, tools.stop), server, backoff, tools)
    counting = Counting(harvest, desk, book)
    await counting.run()
    await counting.tell()
    return tools.clock.now_s()


def tools_on(path: Path, database: Database, ledger: Ledger, emit: Callable[[Event], None], stop: Stop) -> Tools:
    clock, parts = LoopClock(), Partitions(path / "data", Compression.NONE)
    return Tools(
        ledger=ledger,
        servers=Servers(database),
        notes=CampaignNotes(database),
        parts=parts,
        writer=Writer(ledger, parts, clock, inline),
        clock=clock,
        offload_disk=inline,
        offload=inline,
        emit=emit,
        stop=stop,
        rng=seeded(),
    )


def told(played: Played, kind: type[Event]) -> list[Event]:
    return [event for event in played.events if isinstance(event, kind)]


def test_every_campaign_is_asked_once_and_the_window_is_kept(tmp_path: Path) -> None:
    """More campaigns than the window has calls take another window, and a restart asks nothing."""
    played = play(tmp_path, Scripted(), campaigns=CALLS + 2)

    assert sorted(played.server.asked) == sorted(f"k{number}" for number in range(CALLS + 2))
    assert played.events[-1] == CountersRead("acme", CALLS + 2)
    assert (played.missing, played.seconds > RULES.quota.window_s) == (0, True)
    assert play(tmp_path, Scripted(), campaigns=CALLS + 2).server.asked == []


def test_a_hiccup_is_asked_again_and_told_nobody(tmp_path: Path) -> None:
    """Failures deserve the same patience as those of the listing."""
    lost = failure(FailureKind.LOST)
    played = play(tmp_path, Scripted({"k1": [failure(FailureKind.TRANSIENT, code="6001"), lost]}))

    assert played.server.asked.count("k1") == 3
    assert (played.events[-1], played.missing) == (CountersRead("acme", 3), 0)


def test_a_campaign_that_is_refused_costs_no_other(tmp_path: Path) -> None:
    """The others are counted; the refusal is told once, and asked again by the next run only."""
    played = play(tmp_path, Scripted({"k1": [REFUSED]}))

    assert told(played, CountersRead) == [CountersRead("acme", 2)]
    assert told(played, CountersMissing) == [CountersMissing("acme", 1, REFUSED.message)]
    assert play(tmp_path, Scripted()).server.asked == ["k1"]


def test_a_run_that_asks_nothing_tells_nothing(tmp_path: Path) -> None:
    """What stays unknown was told by the run that was refused; one without an open job does not ask again."""
    server = Scripted({"k1": [REFUSED]})
    first = play(tmp_path, server)
    assert len(told(first, CountersMissing)) == 1

    again = play(tmp_path, server, is_renewed=False)

    assert (again.events, again.missing, len(server.asked)) == ([], 1, 3)


def test_a_privilege_that_is_missing_is_found_out_in_few_calls(tmp_path: Path) -> None:
    """Refused in the same way again and again, and never answered: the rest is not asked."""
    played = play(tmp_path, Scripted(default=REFUSED), campaigns=REFUSALS_MAX * 3)

    assert REFUSALS_MAX <= len(played.server.asked) < REFUSALS_MAX + ASKERS
    assert played.events[-1] == CountersMissing("acme", REFUSALS_MAX * 3, REFUSED.message)


@pytest.mark.parametrize(
    "answer",
    [
        failure(FailureKind.ACCOUNT, code="902", message="no such user account"),
        failure(FailureKind.TOKEN, code="1007", message="unauthorized request"),
        CredentialsError("acme: the refresh token is revoked."),
        StoppedError("acme: no token for too long."),
    ],
)
def test_trouble_of_the_account_ends_the_asking_and_nothing_else(tmp_path: Path, answer: Answer) -> None:
    """The harvest meets the same trouble by itself; here it only leaves verdicts unknown."""
    played = play(tmp_path, Scripted(default=answer), campaigns=20)

    assert len(played.server.asked) <= 2 * ASKERS
    assert [type(event) for event in told(played, CountersMissing)] == [CountersMissing]
    assert played.missing == 20


def test_a_lockout_of_this_endpoint_ends_the_asking(tmp_path: Path) -> None:
    """Nobody sits it out: the calls under way are answered, and what is left is unknown."""
    played = play(tmp_path, Scripted(default=failure(FailureKind.LOCKED, code="2008")), campaigns=20)

    (missing,) = told(played, CountersMissing)
    assert isinstance(missing, CountersMissing)
    assert "endpoint is locked until" in missing.reason
    assert (missing.campaigns, len(played.server.asked) <= ASKERS, played.seconds < 10) == (20, True, True)


def test_an_outage_of_this_endpoint_ends_the_asking(tmp_path: Path) -> None:
    """Where no report is ever answered patience is short."""
    played = play(tmp_path, Scripted(default=failure(FailureKind.TRANSIENT, status=502)), campaigns=20)

    assert (played.missing, played.seconds < PATIENCE_S) == (20, True)
    assert len(told(played, CountersMissing)) == 1


def test_a_stop_is_heard(tmp_path: Path) -> None:
    """No call starts once the run is asked to end, and what was answered is kept."""
    played_events: list[Event] = []
    server = Scripted()
    with closing(Database(tmp_path / "ledger.sqlite")) as database, asyncio.Runner(loop_factory=VirtualLoop) as runner:
        ledger, stop = Ledger(database, "run-1"), Stop()
        harvest = ledger.open_harvest("acme", DATE)
        ledger.plan(harvest, [Campaign(f"k{number}") for number in range(9)], [Action.SENT])
        book = CounterBook(database, "run-1")
        server.before = lambda: stop.ask("SIGTERM") if len(server.asked) == ASKERS else None

        runner.run(_played(tools_on(tmp_path, database, ledger, played_events.append, stop), server, harvest, book))

        assert len(server.asked) <= 2 * ASKERS
        assert book.missing(harvest) == 9 - len(server.asked)
    assert CountersMissing("acme", 9 - len(server.asked), "SIGTERM") in played_events


def test_trouble_of_the_disk_is_raised(tmp_path: Path) -> None:
    """A disk that refuses concerns the harvest as well."""
    server = Scripted(default=DiskError("the token cache cannot be written"))

    with pytest.raises(ExceptionGroup) as caught:
        play(tmp_path, server)

    assert caught.group_contains(DiskError)
