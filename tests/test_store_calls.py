"""The calls of the recent past: written down too late rather than too early, and seen by every process."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from factories import DATE, HandClock
from hypothesis import given, settings
from hypothesis import strategies as st

from harvester.leases import Lease, Lockout, LockoutPhase, LockoutRecord, Slot, Standing
from harvester.model import Action, Campaign, Command, Harvest
from harvester.store.boot import adopt_boot
from harvester.store.calls import KEPT_MEMORIES, LOCKOUT_RECORDS_MAX, PRUNE_EVERY_CALLS, CallBook, Window
from harvester.store.database import Database
from harvester.store.ledger import Ledger

MEMORY_S = 600.0
HOLD_S = 120.0
WINDOW = Window("acme", "recipients", MEMORY_S)

Rule = Callable[[Standing], Slot]


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
def other(database: Database, clock: HandClock) -> Iterator[CallBook]:
    """The same calls as another process sees them: through a file of its own."""
    with closing(Database(database.path)) as opened:
        yield CallBook(opened, WINDOW, clock)


def always(standing: Standing) -> Slot:
    return Slot(standing.now_s, standing.lockout)


def as_it_is(standing: Standing) -> Lockout:
    return standing.lockout


def at_most(calls: int, window_s: float = 300.0) -> Rule:
    """Allow so many calls in a window, as the plain window rule does."""

    def rule(standing: Standing) -> Slot:
        recent = [stamp for stamp in standing.stamps if stamp > standing.now_s - window_s]
        start_s = standing.now_s if len(recent) < calls else recent[-calls] + window_s
        return Slot(start_s, standing.lockout)

    return rule


def lease(book: CallBook, rule: Rule = always, job_id: int | None = None) -> Lease:
    grant = book.lease(job_id, HOLD_S, rule)
    assert isinstance(grant, Lease)
    return grant


def settle(book: CallBook, grant: Lease, code: str = "0", *, is_seen: bool = True) -> None:
    book.settle(grant, code, as_it_is, None if is_seen else 0.0)


def store(book: CallBook, lockout: Lockout) -> None:
    """Have the end of a call leave the lockout so."""
    book.cancel(lease(book), lambda _standing: lockout)


def stamps(book: CallBook) -> list[float]:
    return list(book.standing().stamps)


def started_calls(database: Database) -> int:
    count: int = database.brief.execute("SELECT count(*) FROM calls").fetchone()[0]
    return count


def test_lease_weighs_as_a_call_given_up(book: CallBook, clock: HandClock) -> None:
    """Until its outcome is seen, a call counts as late as it could reach the server."""
    grant = lease(book)

    assert grant.stamp_s == clock.now_s() + HOLD_S
    assert stamps(book) == [grant.stamp_s]


def test_P_03_lease_is_in_the_file_before_it_is_handed_out(book: CallBook, other: CallBook) -> None:
    """A process that dies right after a lease leaves it written: nobody has to clean up."""
    grant = lease(book)

    assert stamps(other) == [grant.stamp_s]


def test_seen_outcome_moves_the_stamp_to_the_moment_of_seeing(book: CallBook, clock: HandClock) -> None:
    """An answer proves that the server has counted the call by now."""
    grant = lease(book)
    clock.pass_s(0.3)

    settle(book, grant, "0", is_seen=True)

    assert stamps(book) == [clock.now_s()]
    assert book._stamps == [clock.now_s()]


def test_R_02_lost_outcome_keeps_the_stamp(book: CallBook, clock: HandClock) -> None:
    """A call that was given up may still arrive: it weighs on until its grace is over."""
    grant = lease(book)
    clock.pass_s(30)

    settle(book, grant, "lost", is_seen=False)

    assert stamps(book) == [grant.stamp_s]


def test_cancelled_lease_never_was(book: CallBook, database: Database) -> None:
    """A call of which no byte left gives its token back at once."""
    kept, cancelled = lease(book), lease(book)

    book.cancel(cancelled)

    assert stamps(book) == [kept.stamp_s]
    assert book._stamps == [kept.stamp_s]
    assert started_calls(database) == 1


def test_rule_sees_ascending_stamps_and_decides(book: CallBook, clock: HandClock) -> None:
    """Where the rule names a later moment no call is written down and the moment is handed back."""
    first = lease(book)
    clock.pass_s(5)
    second = lease(book)

    def refuse(standing: Standing) -> Slot:
        assert list(standing.stamps) == [first.stamp_s, second.stamp_s]
        return Slot(standing.now_s + 60, standing.lockout)

    assert book.lease(None, HOLD_S, refuse) == clock.now_s() + 60
    assert len(stamps(book)) == 2


def test_stamps_beyond_memory_no_longer_matter(book: CallBook, clock: HandClock) -> None:
    """A stamp is shown to the rule for `memory_s` and no longer."""
    settle(book, lease(book), "0", is_seen=True)

    clock.pass_s(MEMORY_S - 1)
    assert len(stamps(book)) == 1
    clock.pass_s(2)
    assert stamps(book) == []


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
    settle(other, grant, "0", is_seen=True)
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
        assert stamps(CallBook(database, Window(account, endpoint, MEMORY_S), clock)) == []


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from(["lease", "seen", "lost", "cancel"]), st.floats(0, 100)),
        max_size=30,
    )
)
@settings(max_examples=40, deadline=None)
def test_R_13_no_process_ever_counts_less_than_the_file(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str, float]]
) -> None:
    """The rule of either process is shown every stamp of the file, or a later one; no answer is later than its hold."""
    path, clock = tmp_path_factory.mktemp("books") / "ledger.sqlite", HandClock()
    with closing(Database(path)) as first, closing(Database(path)) as second:
        books = [CallBook(database, WINDOW, clock) for database in (first, second)]
        out: tuple[list[Lease], list[Lease]] = ([], [])

        for who, what, pause_s in steps:
            clock.pass_s(pause_s)
            if what == "lease":
                true_stamps = stamps(CallBook(first, WINDOW, clock))
                shown: list[float] = []

                def rule(standing: Standing, shown: list[float] = shown) -> Slot:
                    shown.extend(standing.stamps)
                    return always(standing)

                out[who].append(lease(books[who], rule))
                assert len(shown) >= len(true_stamps)
                latest = shown[len(shown) - len(true_stamps) :]
                assert all(mine >= true for mine, true in zip(latest, true_stamps, strict=True))
            elif out[who]:
                grant = out[who].pop()
                if what == "cancel":
                    books[who].cancel(grant)
                else:
                    settle(books[who], grant, is_seen=what == "seen" and clock.now_s() <= grant.stamp_s)


# --- two sides ----------------------------------------------------------------------------------------------------


def waits(book: CallBook, until_s: float) -> None:
    """Have the process told to wait, and others told of it until then."""
    book.lease(None, HOLD_S, lambda standing: Slot(standing.now_s + 1, standing.lockout, demand_until_s=until_s))


@pytest.fixture
def backfill(other: CallBook, clock: HandClock) -> CallBook:
    """A backfill in another process."""
    return CallBook(other._database, WINDOW, clock, Command.BACKFILL)


def test_R_13_each_side_learns_that_the_other_waits(book: CallBook, backfill: CallBook, clock: HandClock) -> None:
    """A demand is seen by its own command and by the other side, with the calls of the side that looks."""
    mine = lease(book)
    lease(backfill)

    waits(backfill, clock.now_s() + 10)

    seen, own = book.standing(), backfill.standing()
    assert (seen.demand_until_s, seen.rival_until_s) == (0, clock.now_s() + 10)
    assert seen.side_stamps == (mine.stamp_s,)
    assert (own.demand_until_s, own.rival_until_s, own.side_stamps) == (clock.now_s() + 10, 0, ())


def test_a_run_and_a_nightly_run_are_one_side(database: Database, book: CallBook, clock: HandClock) -> None:
    """Only the backfill stands against others: who is on the same side is no rival, and its calls are counted in."""
    nightly = CallBook(database, WINDOW, clock, Command.NIGHTLY)
    lease(book), lease(nightly)
    waits(nightly, clock.now_s() + 10)

    assert book.standing().rival_until_s == 0
    waits(CallBook(database, WINDOW, clock, Command.BACKFILL), clock.now_s() + 5)
    assert len(nightly.standing().side_stamps) == 2


def test_a_demand_ends_with_the_slot_or_when_it_is_released(
    book: CallBook, backfill: CallBook, clock: HandClock
) -> None:
    """A slot that leaves no demand takes it back, and so does whoever stops waiting."""
    for end in (lambda: lease(backfill), backfill.release_demand):
        waits(backfill, clock.now_s() + 10)
        assert book.standing().rival_until_s

        end()

        assert not book.standing().rival_until_s


def test_P_03_a_demand_fades_by_itself(book: CallBook, backfill: CallBook, clock: HandClock) -> None:
    """The word of a process that died means nothing after its time."""
    waits(backfill, clock.now_s() + 10)
    clock.pass_s(10)

    standing = book.standing()
    assert standing.rival_until_s <= standing.now_s
    assert standing.side_stamps == ()


def test_a_call_that_slept_stays_on_its_side(book: CallBook, backfill: CallBook, clock: HandClock) -> None:
    """A call that is written down anew, since it ended later than it could, is still the backfill's."""
    grant = lease(backfill)
    clock.pass_s(HOLD_S + 60)
    settle(backfill, grant)
    waits(book, clock.now_s() + 10)

    assert backfill.standing().side_stamps == (clock.now_s(),)


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

    settle(book, lease(book, job_id=claimed.job.id), "6303", is_seen=True)
    settle(book, lease(book, job_id=claimed.job.id), "lost", is_seen=False)
    book.cancel(lease(book, job_id=claimed.job.id))

    (report,) = ledger.jobs(harvest)
    assert (report.calls, report.codes) == (2, {"6303": 1, "lost": 1})


# --- boots and old calls ------------------------------------------------------------------------------------------


def test_first_start_is_no_boot(database: Database, clock: HandClock) -> None:
    """A new ledger and a second run of the same boot have nothing to restate; another boot is told once."""
    assert not adopt_boot(database, clock)
    assert not adopt_boot(database, clock)
    clock.boot_id = "boot-2"
    assert adopt_boot(database, clock)
    assert not adopt_boot(database, clock)


def boot(database: Database, clock: HandClock, now_s: float) -> None:
    """Boot the machine: the clock of moments starts anew."""
    adopt_boot(database, clock)
    clock.now, clock.boot_id = now_s, "boot-2"
    assert adopt_boot(database, clock)


def test_R_12_after_another_boot_every_call_counts_as_just_made(
    database: Database, book: CallBook, clock: HandClock
) -> None:
    """Calls whose outcome was seen weigh from this moment, the others from the end of their grace."""
    settle(book, lease(book))
    lease(book)

    boot(database, clock, now_s=20.0)

    assert stamps(CallBook(database, WINDOW, clock)) == [20.0, 20.0 + HOLD_S]


def test_R_12_no_demand_outlives_a_boot(database: Database, book: CallBook, clock: HandClock) -> None:
    """Moments of another boot may lie days ahead: nobody is held back by them."""
    waits(CallBook(database, WINDOW, clock, Command.BACKFILL), clock.now_s() + 10)

    boot(database, clock, now_s=20.0)

    assert book.standing().rival_until_s == 0


def test_R_12_boot_is_adopted_for_all_accounts_and_endpoints(
    database: Database, book: CallBook, clock: HandClock
) -> None:
    """No account keeps moments of another boot because the first run after it did not name that account."""
    elsewhere = Window("other", "campaigns", MEMORY_S)
    for each in (book, CallBook(database, elsewhere, clock)):
        settle(each, lease(each))
        store(each, Lockout(LockoutPhase.OPEN, clock.now_s() + 60, 1))

    boot(database, clock, now_s=20.0)

    for window in (WINDOW, elsewhere):
        standing = CallBook(database, window, clock).standing()
        assert list(standing.stamps) == [20.0]
        assert standing.lockout.until_s == pytest.approx(80.0)


@pytest.mark.parametrize(("off_s", "left_s"), [(60.0, 1_740.0), (1_800.0, 0.0), (9e9, 0.0), (-9e9, 86_400.0)])
def test_R_11_lockout_outlives_a_boot_by_the_wall_clock(
    database: Database, book: CallBook, clock: HandClock, off_s: float, left_s: float
) -> None:
    """What was left of a lockout is kept over a boot, and a wall clock that jumped makes it at most a day."""
    store(book, Lockout(LockoutPhase.OPEN, clock.now_s() + 1_800, 1))
    clock.wall += off_s

    boot(database, clock, now_s=20.0)

    lockout = book.standing().lockout
    assert (lockout.phase, lockout.level) == (LockoutPhase.OPEN, 1)
    assert lockout.until_s == pytest.approx(20.0 + left_s)


def test_old_calls_are_pruned(book: CallBook, database: Database, clock: HandClock) -> None:
    """Now and then calls that no rule can need any more are deleted; the recent ones stay."""
    for number in range(PRUNE_EVERY_CALLS):
        if number == PRUNE_EVERY_CALLS - 10:
            clock.pass_s(HOLD_S + KEPT_MEMORIES * MEMORY_S)
        lease(book)

    assert started_calls(database) == 10
    assert len(stamps(book)) == 10


# --- the lockout --------------------------------------------------------------------------------------------------


def test_without_a_lockout_the_way_is_free(book: CallBook) -> None:
    """An account that was never locked has a clean lockout."""
    assert book.standing().lockout == Lockout()


@pytest.mark.parametrize("phase", LockoutPhase)
def test_R_08_lockout_is_stored_as_it_is(book: CallBook, other: CallBook, phase: LockoutPhase) -> None:
    """Every phase comes back as it was written, in another process too; the last word counts."""
    store(book, Lockout(LockoutPhase.DRAIN, 3_000.5, 3))
    store(book, Lockout(phase, 2_805.25, 2, 1_120.0))

    assert other.standing().lockout == Lockout(phase, 2_805.25, 2, 1_120.0)


def test_R_06_locked_answer_is_written_down_with_the_end_of_its_call(book: CallBook, other: CallBook) -> None:
    """Before anybody else can ask for a slot, the lockout stands in the file."""
    shut = Lockout(LockoutPhase.DRAIN, 3_000.0, 1)

    assert book.settle(lease(book), "locked", lambda _standing: shut) == shut

    def refuse(standing: Standing) -> Slot:
        assert standing.lockout == shut
        return Slot(shut.until_s, standing.lockout)

    assert other.lease(None, HOLD_S, refuse) == shut.until_s


def test_lockout_that_a_slot_moves_is_written_down(book: CallBook, other: CallBook) -> None:
    """A lease can begin a probe: other processes see it, and the lease knows what it is."""
    probing = Lockout(LockoutPhase.HALF_OPEN, 1_000.0, 1, 1_120.0)

    grant = lease(book, lambda standing: Slot(standing.now_s, probing, is_probe=True))

    assert grant.is_probe
    assert other.standing().lockout == probing


def test_slot_that_lies_ahead_may_still_move_the_lockout(book: CallBook) -> None:
    """What time alone has made of a lockout is written down even where no call may start yet."""
    waiting = Lockout(LockoutPhase.OPEN, 2_000.0, 1)

    assert book.lease(None, HOLD_S, lambda _standing: Slot(2_000.0, waiting)) == 2_000.0
    assert book.standing().lockout == waiting


def test_standing_of_a_lockout_counts_what_is_still_out(book: CallBook, other: CallBook, clock: HandClock) -> None:
    """During a lockout the calls under way of all processes are counted, and those given up until their grace ends."""
    seen, lost = lease(book), lease(other)
    clock.pass_s(10)
    under_way = lease(other)
    store(book, Lockout(LockoutPhase.DRAIN, 9_000.0, 1))
    assert book.standing().calls_out == 3

    settle(book, seen)
    settle(other, lost, "lost", is_seen=False)
    assert (book.standing().calls_out, book.standing().last_start_s) == (2, clock.now_s())
    clock.now = lost.stamp_s
    assert book.standing().calls_out == 1
    clock.now = under_way.stamp_s
    assert book.standing().calls_out == 0


def record(number: int) -> LockoutRecord:
    return LockoutRecord(1e9 + number, 1e9 + number + 1_805, 1, "http-429", "too many requests", 480 + number)


def test_records_of_lockouts_come_newest_first_and_are_bounded(book: CallBook, database: Database) -> None:
    """What was known at each lockout is kept for people, up to a number for each endpoint."""
    elsewhere = CallBook(database, Window("other", "recipients", MEMORY_S), HandClock())
    elsewhere.record(record(0))
    for number in range(LOCKOUT_RECORDS_MAX + 5):
        book.record(record(number))

    assert book.records(2) == [record(LOCKOUT_RECORDS_MAX + 4), record(LOCKOUT_RECORDS_MAX + 3)]
    assert len(book.records(10_000)) == LOCKOUT_RECORDS_MAX
    assert elsewhere.records(10) == [record(0)]


def test_R_12_call_that_slept_with_the_machine_still_weighs(book: CallBook, other: CallBook, clock: HandClock) -> None:
    """No process forgets a call under way after a suspend longer than its hold, until it may have ended."""
    lease(book)
    clock.pass_s(3_600)
    clock.asleep += 3_600

    for each in (other, book):
        assert len(seen_by(each)) == 1
    assert seen_by(book)[0] == pytest.approx(clock.now_s() + HOLD_S)


def seen_by(book: CallBook) -> list[float]:
    """The stamps that the next lease would be judged by."""
    shown: list[float] = []

    def rule(standing: Standing) -> Slot:
        shown[:] = standing.stamps
        return Slot(standing.now_s + 1, standing.lockout)

    book.lease(None, HOLD_S, rule)
    return shown
