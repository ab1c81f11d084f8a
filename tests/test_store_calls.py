"""The calls of the recent past: written down too late rather than too early, and seen by every process."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from factories import DATE, HandClock
from hypothesis import given
from hypothesis import strategies as st

from harvester.model import Action, Campaign, Harvest, Lease, Lockout, LockoutPhase
from harvester.store.calls import KEPT_MEMORIES, PRUNE_EVERY_CALLS, CallBook, Window
from harvester.store.database import Database
from harvester.store.ledger import Ledger

MEMORY_S = 600.0
HOLD_S = 120.0
WINDOW = Window("acme", "recipients", MEMORY_S)

Rule = Callable[[Sequence[float], float], float]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path / "ledger.sqlite")) as opened:
        yield opened


@pytest.fixture
def book(database: Database, clock: HandClock) -> CallBook:
    return CallBook(database, WINDOW, clock)


@pytest.fixture
def other(tmp_path: Path, database: Database, clock: HandClock) -> Iterator[CallBook]:
    """The same calls as another process sees them: through a file of its own."""
    with closing(Database(database.path)) as opened:
        yield CallBook(opened, WINDOW, clock)


def always(_stamps: Sequence[float], now_s: float) -> float:
    return now_s


def at_most(calls: int, window_s: float = 300.0) -> Rule:
    """Allow so many calls in a window, as the plain window rule does."""

    def rule(stamps: Sequence[float], now_s: float) -> float:
        recent = [stamp for stamp in stamps if stamp > now_s - window_s]
        return now_s if len(recent) < calls else recent[-calls] + window_s

    return rule


def lease(book: CallBook, rule: Rule = always, job_id: int | None = None) -> Lease:
    grant = book.lease(job_id, HOLD_S, rule)
    assert isinstance(grant, Lease)
    return grant


def started_calls(database: Database) -> int:
    count: int = database.brief.execute("SELECT count(*) FROM calls").fetchone()[0]
    return count


def test_lease_weighs_as_a_call_given_up(book: CallBook, clock: HandClock) -> None:
    """Until its outcome is seen, a call counts as late as it could reach the server."""
    grant = lease(book)

    assert grant.stamp_s == clock.now_s() + HOLD_S
    assert book.stamps() == [grant.stamp_s]


def test_P_03_lease_is_in_the_file_before_it_is_handed_out(book: CallBook, other: CallBook) -> None:
    """A process that dies right after a lease leaves it written: nobody has to clean up."""
    grant = lease(book)

    assert other.stamps() == [grant.stamp_s]


def test_seen_outcome_moves_the_stamp_to_the_moment_of_seeing(book: CallBook, clock: HandClock) -> None:
    """An answer proves that the server has counted the call by now."""
    grant = lease(book)
    clock.pass_s(0.3)

    book.settle(grant, "0", is_seen=True)

    assert book.stamps() == [clock.now_s()]
    assert book._stamps == [clock.now_s()]


def test_R_02_lost_outcome_keeps_the_stamp(book: CallBook, clock: HandClock) -> None:
    """A call that was given up may still arrive: it weighs on until its grace is over."""
    grant = lease(book)
    clock.pass_s(30)

    book.settle(grant, "lost", is_seen=False)

    assert book.stamps() == [grant.stamp_s]


def test_cancelled_lease_never_was(book: CallBook, database: Database) -> None:
    """A call of which no byte left gives its token back at once."""
    kept, cancelled = lease(book), lease(book)

    book.cancel(cancelled)

    assert book.stamps() == [kept.stamp_s]
    assert book._stamps == [kept.stamp_s]
    assert started_calls(database) == 1


def test_rule_sees_ascending_stamps_and_decides(book: CallBook, clock: HandClock) -> None:
    """Where the rule names a later moment no call is written down and the moment is handed back."""
    first = lease(book)
    clock.pass_s(5)
    second = lease(book)

    def refuse(stamps: Sequence[float], now_s: float) -> float:
        assert list(stamps) == [first.stamp_s, second.stamp_s]
        return now_s + 60

    assert book.lease(None, HOLD_S, refuse) == clock.now_s() + 60
    assert len(book.stamps()) == 2


def test_stamps_beyond_memory_no_longer_matter(book: CallBook, clock: HandClock) -> None:
    """A stamp is shown to the rule for `memory_s` and no longer."""
    book.settle(lease(book), "0", is_seen=True)

    clock.pass_s(MEMORY_S - 1)
    assert len(book.stamps()) == 1
    clock.pass_s(2)
    assert book.stamps() == []


# --- several processes --------------------------------------------------------------------------------------------


def test_R_13_processes_share_one_budget(book: CallBook, other: CallBook) -> None:
    """Two books on one file together start as many calls as one alone might."""
    rule = at_most(6)

    granted = [isinstance(each.lease(None, HOLD_S, rule), Lease) for each in (book, other) * 5]

    assert granted == [True] * 6 + [False] * 4


def test_R_13_outcome_seen_by_one_process_frees_the_other(book: CallBook, other: CallBook, clock: HandClock) -> None:
    """Before a process is sent to wait it learns what others have settled since."""
    grant = lease(other)
    lease(book)
    other.settle(grant, "0", is_seen=True)
    clock.pass_s(301)

    assert isinstance(book.lease(None, HOLD_S, at_most(2)), Lease)


def test_R_13_cancelled_lease_of_one_process_hides_no_call_of_another(book: CallBook, other: CallBook) -> None:
    """A call of another process is counted even where it came right after a cancelled lease of ours."""
    book.cancel(lease(book))
    lease(other)

    assert isinstance(book.lease(None, HOLD_S, at_most(1)), float)


def test_endpoints_and_accounts_are_counted_apart(database: Database, book: CallBook, clock: HandClock) -> None:
    """The calls of one account and endpoint say nothing about another."""
    lease(book)

    for account, endpoint in (("acme", "campaigns"), ("other", "recipients")):
        assert CallBook(database, Window(account, endpoint, MEMORY_S), clock).stamps() == []


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from(["lease", "seen", "lost", "cancel"]), st.floats(0, 200)),
        max_size=40,
    )
)
def test_no_process_ever_counts_less_than_the_file(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str, float]]
) -> None:
    """Whatever two processes do, the rule of either is shown every stamp of the file, or a later one in its place."""
    path, clock = tmp_path_factory.mktemp("books") / "ledger.sqlite", HandClock()
    with closing(Database(path)) as first, closing(Database(path)) as second, closing(Database(path)) as third:
        books = [CallBook(database, WINDOW, clock) for database in (first, second)]
        witness, out = CallBook(third, WINDOW, clock), ([], [])  # type: tuple[CallBook, tuple[list[Lease], list[Lease]]]

        for who, what, pause_s in steps:
            clock.pass_s(pause_s)
            true_stamps = witness.stamps()
            if what == "lease":
                shown: list[list[float]] = []
                out[who].append(lease(books[who], lambda stamps, now_s, to=shown: to.append(list(stamps)) or now_s))
                assert len(shown[-1]) >= len(true_stamps)
                latest = shown[-1][-len(true_stamps) :] if true_stamps else []
                assert all(mine >= true for mine, true in zip(latest, true_stamps, strict=True))
            elif out[who]:
                grant = out[who].pop()
                if what == "cancel":
                    books[who].cancel(grant)
                else:
                    books[who].settle(grant, "0", is_seen=what == "seen")


# --- jobs ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def harvest(database: Database) -> Harvest:
    ledger = Ledger(database, "run-1")
    harvest = ledger.open_harvest("acme", DATE)
    ledger.plan(harvest, [Campaign("k")], [Action.SENT])
    return harvest


def test_job_pays_for_its_calls(database: Database, book: CallBook, harvest: Harvest) -> None:
    """A job counts its calls at the lease and their codes at the outcome; a cancelled call is not counted."""
    ledger = Ledger(database, "run-1")
    (claimed,) = ledger.claim(harvest, 1, now_s=0.0)

    book.settle(lease(book, job_id=claimed.job.id), "6303", is_seen=True)
    book.settle(lease(book, job_id=claimed.job.id), "lost", is_seen=False)
    book.cancel(lease(book, job_id=claimed.job.id))

    (report,) = ledger.jobs(harvest)
    assert (report.calls, report.codes) == (2, {"6303": 1, "lost": 1})


# --- boots and old calls ------------------------------------------------------------------------------------------


def test_R_12_after_another_boot_every_call_counts_as_just_seen(book: CallBook, clock: HandClock) -> None:
    """Moments of another boot cannot be compared, so each call weighs as if it had arrived at this moment."""
    for _ in range(3):
        lease(book)
    clock.now = 20.0

    book.adopt_boot()

    assert book.stamps() == [20.0] * 3


@pytest.mark.parametrize(("off_s", "left_s"), [(60.0, 1_740.0), (1_800.0, 0.0), (9e9, 0.0), (-9e9, 86_400.0)])
def test_R_11_lockout_outlives_a_boot_by_the_wall_clock(
    book: CallBook, clock: HandClock, off_s: float, left_s: float
) -> None:
    """What was left of a lockout is kept over a boot, and a wall clock that jumped makes it at most a day."""
    book.store_lockout(Lockout(LockoutPhase.OPEN, clock.now_s() + 1_800, 1))
    clock.now, clock.wall = 20.0, clock.wall + off_s

    book.adopt_boot()

    assert book.lockout().until_s == pytest.approx(20.0 + left_s)
    assert book.lockout().level == 1


def test_old_calls_are_pruned(book: CallBook, database: Database, clock: HandClock) -> None:
    """Now and then calls that no rule can need any more are deleted; the recent ones stay."""
    for number in range(PRUNE_EVERY_CALLS):
        if number == PRUNE_EVERY_CALLS - 10:
            clock.pass_s(HOLD_S + KEPT_MEMORIES * MEMORY_S)
        lease(book)

    assert started_calls(database) == 10
    assert len(book.stamps()) == 10


# --- the lockout --------------------------------------------------------------------------------------------------


def test_without_a_lockout_the_way_is_free(book: CallBook) -> None:
    """An account that was never locked has a clean lockout."""
    assert book.lockout() == Lockout()


@pytest.mark.parametrize("phase", LockoutPhase)
def test_R_08_lockout_is_stored_as_it_is(book: CallBook, other: CallBook, phase: LockoutPhase) -> None:
    """Every phase comes back as it was written, in another process too; the last word counts."""
    book.store_lockout(Lockout(LockoutPhase.DRAIN, math.pi, 3))
    book.store_lockout(Lockout(phase, 2_805.25, 2))

    assert other.lockout() == Lockout(phase, 2_805.25, 2)
