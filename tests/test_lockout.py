"""The lockout as a state machine: never shorter than the lock, one probe at a time, bounded."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from harvester.engine import lockout as breaker
from harvester.engine.lockout import (
    ASKED_WAIT_MAX_SHARE,
    LEVEL_MAX,
    MARGIN_SHARE,
    PROBE_PAUSE_SHARE,
    answered,
    locked,
    opens_s,
    probing,
)
from harvester.leases import Lockout, LockoutPhase, Standing

LOCK_S = 1_800.0
PERIOD_S = 300.0
PAUSE_S = LOCK_S * (1 + MARGIN_SHARE)
EVEN_GAP_S = 0.6
HOLD_S = 120.0
T0 = 10_000.0

CLOSED, DRAIN, OPEN, HALF_OPEN, RAMP = LockoutPhase


def standing(
    lockout: Lockout | None = None, now_s: float = T0, *, calls_out: int = 0, last_start_s: float = 0.0
) -> Standing:
    return Standing(now_s, (), lockout or Lockout(), last_start_s, calls_out)


def now(at: Standing) -> Lockout:
    return breaker.aged(at, LOCK_S)


def end_of_call(at: Standing, *, is_probe: bool = False, is_good: bool = True) -> Lockout:
    return answered(at, LOCK_S, PERIOD_S, is_probe=is_probe, is_good=is_good)


def test_lockout_walks_through_all_its_phases() -> None:
    """Locked, drained, waited out, probed, ramped up, and clean again: each phase follows from the one before."""
    state = locked(standing(calls_out=2), LOCK_S, None)
    assert (state.phase, state.until_s, state.level) == (DRAIN, T0 + PAUSE_S, 1)

    state = end_of_call(standing(state, T0 + 5, calls_out=1))
    assert state.phase is DRAIN
    state = end_of_call(standing(state, T0 + 9))
    assert (state.phase, state.until_s) == (OPEN, T0 + 9 + PAUSE_S)

    state = now(standing(state, state.until_s))
    assert state.phase is HALF_OPEN
    probe_s = T0 + 9 + PAUSE_S
    state = probing(state, probe_s + HOLD_S)
    state = end_of_call(standing(state, probe_s + 1), is_probe=True)
    assert (state.phase, state.until_s) == (RAMP, probe_s + 1 + PERIOD_S)

    assert now(standing(state, state.until_s)) == Lockout()


@pytest.mark.parametrize("phase", [CLOSED, DRAIN, OPEN, HALF_OPEN, RAMP])
@pytest.mark.parametrize("asked_s", [None, 0.0, 60.0, LOCK_S])
def test_R_06_pause_is_never_shorter_than_the_lock(phase: LockoutPhase, asked_s: float | None) -> None:
    """In whatever phase a locked answer comes, and however short a wait it names, the whole lock is waited out."""
    level = 0 if phase is CLOSED else 1
    state = locked(standing(Lockout(phase, T0 - 1, level)), LOCK_S, asked_s)

    assert state.phase is DRAIN
    assert state.until_s >= T0 + PAUSE_S


def test_pause_runs_from_the_last_answer() -> None:
    """A server may extend its lock with every call made into it: any answer, good or locked, moves the end."""
    state = locked(standing(calls_out=2), LOCK_S, None)

    good = end_of_call(standing(state, T0 + 50, calls_out=1))
    bad = locked(standing(state, T0 + 50, calls_out=1), LOCK_S, None)

    assert good.until_s == bad.until_s == T0 + 50 + PAUSE_S


def test_late_answer_moves_a_pause_that_runs_already() -> None:
    """A call that was given up and is answered during the pause counts as a call into the lock."""
    state = Lockout(OPEN, T0 + 100, 1)

    assert end_of_call(standing(state)).until_s == T0 + PAUSE_S


def test_answers_of_one_lockout_do_not_raise_its_level() -> None:
    """Sixteen workers that run into the same lock have met it once."""
    state = Lockout()
    for number in range(16):
        state = locked(standing(state, T0 + number, calls_out=15 - number), LOCK_S, None)

    assert (state.level, state.until_s) == (1, T0 + 15 + PAUSE_S)


def test_later_answer_never_shortens_the_pause() -> None:
    """A server that first asked for two hours and then for nothing is held to the two hours."""
    state = locked(standing(calls_out=1), LOCK_S, 7_200.0)

    assert locked(standing(state, T0 + 1), LOCK_S, None).until_s == T0 + 7_200


def test_R_15_wait_that_is_asked_for_is_believed_to_a_bound() -> None:
    """A longer wait than the lock is kept; an absurd one is cut to so many lock periods."""
    assert locked(standing(), LOCK_S, 3_600.0).until_s == T0 + 3_600
    assert locked(standing(), LOCK_S, 1e12).until_s == T0 + LOCK_S * ASKED_WAIT_MAX_SHARE


@pytest.mark.parametrize("phase", [HALF_OPEN, RAMP])
def test_R_15_lock_met_again_doubles_the_pause_to_a_bound(phase: LockoutPhase) -> None:
    """Locked at each probe, or while ramping up, the pause grows to eight lock periods and no further."""
    pauses, state = [], Lockout()
    for _ in range(10):
        state = locked(standing(state), LOCK_S, None)
        pauses.append(state.until_s - T0)
        state = replace(state, phase=phase, until_s=T0)

    assert pauses == pytest.approx([PAUSE_S * 2 ** min(number, LEVEL_MAX - 1) for number in range(10)])


def test_lock_met_long_after_the_last_starts_from_the_first_level() -> None:
    """Once the ramp is over nothing is left of the lockout before."""
    clean = now(standing(Lockout(RAMP, T0, LEVEL_MAX)))

    assert locked(standing(clean), LOCK_S, None).level == 1


def test_probe_without_a_clear_answer_is_repeated_soon() -> None:
    """A timeout of the probe says nothing about the lock: the next probe follows after a short pause, same level."""
    state = probing(Lockout(HALF_OPEN, T0, 2), T0 + HOLD_S)

    state = end_of_call(standing(state), is_probe=True, is_good=False)

    assert (state.phase, state.until_s, state.level) == (OPEN, T0 + LOCK_S * PROBE_PAUSE_SHARE, 2)


@pytest.mark.parametrize("phase", [CLOSED, HALF_OPEN, RAMP])
@pytest.mark.parametrize("is_good", [False, True])
def test_other_answers_change_nothing_outside_the_pause(phase: LockoutPhase, *, is_good: bool) -> None:
    """Only the probe decides in HALF_OPEN; elsewhere good answers and failures leave the lockout alone."""
    state = Lockout(phase, T0 + 10, 0 if phase is CLOSED else 1)

    assert end_of_call(standing(state), is_good=is_good) == state


# --- when calls may start -----------------------------------------------------------------------------------------


def test_clean_endpoint_lets_calls_start_at_once() -> None:
    """Without a lockout only the window counts."""
    assert opens_s(Lockout(), standing(), EVEN_GAP_S) == T0


@pytest.mark.parametrize("phase", [DRAIN, OPEN])
def test_R_08_no_call_starts_before_the_end_of_the_pause(phase: LockoutPhase) -> None:
    """While the pause runs nobody sends."""
    state = Lockout(phase, T0 + 100, 1)

    assert now(standing(state, calls_out=1)).phase is phase
    assert opens_s(state, standing(state), EVEN_GAP_S) == T0 + 100


def test_R_08_drain_of_a_dead_process_becomes_a_pause() -> None:
    """A run that starts into a drain with nothing under way waits out what is left, no more."""
    state = now(standing(Lockout(DRAIN, T0 + 100, 1)))

    assert (state.phase, state.until_s) == (OPEN, T0 + 100)
    assert now(standing(Lockout(DRAIN, T0, 1))).phase is HALF_OPEN


def test_drain_does_not_end_while_a_call_is_out() -> None:
    """A pause that is over by the clock is not over while a call may still be answered."""
    assert now(standing(Lockout(DRAIN, T0 - 1, 1), calls_out=1)).phase is DRAIN


def test_no_call_starts_in_a_drain_that_outlasts_its_pause() -> None:
    """Where calls may be late by more than the lock, the probe waits for the last that may still arrive."""
    at = Standing(T0, [T0 - 5, T0 + 40], Lockout(DRAIN, T0 - 1, 1), calls_out=1)

    assert opens_s(now(at), at, EVEN_GAP_S) == T0 + 40


def test_one_probe_goes_ahead() -> None:
    """In HALF_OPEN one call starts at once; until its lease ends no other does."""
    state = now(standing(Lockout(OPEN, T0, 1)))
    assert opens_s(state, standing(state), EVEN_GAP_S) == T0

    state = probing(state, T0 + HOLD_S)

    assert opens_s(state, standing(state, T0 + 1), EVEN_GAP_S) == T0 + HOLD_S
    assert opens_s(state, standing(state, T0 + HOLD_S), EVEN_GAP_S) == T0 + HOLD_S


def test_probe_of_an_earlier_lockout_blocks_no_new_one() -> None:
    """The lease of a probe is forgotten when the next HALF_OPEN begins."""
    assert now(standing(Lockout(OPEN, T0, 2, probe_until_s=T0 + 500))).probe_until_s == 0.0


def test_ramp_spaces_calls_evenly() -> None:
    """After the probe no burst follows: each call keeps its distance from the one before."""
    state = Lockout(RAMP, T0 + PERIOD_S, 1)

    assert opens_s(state, standing(state, last_start_s=T0 - 0.1), EVEN_GAP_S) == pytest.approx(T0 + 0.5)
    assert opens_s(state, standing(state, last_start_s=T0 - 9), EVEN_GAP_S) == T0


@pytest.mark.parametrize("phase", [CLOSED, DRAIN, OPEN, RAMP])
def test_only_half_open_has_a_probe(phase: LockoutPhase) -> None:
    """A call that starts in any other phase leaves the lockout as it is."""
    state = Lockout(phase, T0 + 10, 1)

    assert probing(state, T0 + HOLD_S) == state


# --- any walk -----------------------------------------------------------------------------------------------------


class AnyWalk(RuleBasedStateMachine):
    """Calls that start when they may and end in any way at any time, on a clock that only goes on."""

    hold_s = HOLD_S

    def __init__(self) -> None:
        super().__init__()
        self.now_s, self.state = T0, Lockout()
        self.calls: list[tuple[float, bool]] = []  # those under way: stamp, and whether it is the probe
        self.last_start_s = 0.0
        self.shut_until_s = 0.0

    def standing(self) -> Standing:
        stamps = sorted(stamp_s for stamp_s, _ in self.calls)
        out = sum(stamp_s > self.now_s for stamp_s in stamps)
        return Standing(self.now_s, stamps, self.state, self.last_start_s, out)

    def has_calls(self) -> bool:
        return bool(self.calls)

    @rule(seconds=st.sampled_from([0.1, 1.0, 60.0, PERIOD_S, HOLD_S, PAUSE_S, 10 * LOCK_S]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @rule()
    def start(self) -> None:
        self.state = now(self.standing())
        if opens_s(self.state, self.standing(), EVEN_GAP_S) > self.now_s:
            return
        assert not self.state.is_draining
        assert self.now_s >= self.shut_until_s
        after = probing(self.state, self.now_s + self.hold_s)
        is_probe = after != self.state
        self.calls.append((self.now_s + self.hold_s, is_probe))
        self.state, self.last_start_s = after, self.now_s

    @precondition(has_calls)
    @rule(data=st.data(), asked_s=st.none() | st.floats(0, 1e9))
    def end_locked(self, data: st.DataObject, asked_s: float | None) -> None:
        level = self.state.level
        self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        self.state = locked(self.standing(), LOCK_S, asked_s)
        self.shut_until_s = self.now_s + LOCK_S
        assert self.state.until_s >= self.now_s + PAUSE_S
        assert level <= self.state.level <= level + 1

    @precondition(has_calls)
    @rule(data=st.data(), is_good=st.booleans())
    def end_otherwise(self, data: st.DataObject, *, is_good: bool) -> None:
        was_draining = self.state.is_draining
        _, is_probe = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        self.state = end_of_call(self.standing(), is_probe=is_probe, is_good=is_good)
        if was_draining:
            self.shut_until_s = self.now_s + LOCK_S

    @invariant()
    def the_pause_is_bounded(self) -> None:
        assert 0 <= self.state.level <= LEVEL_MAX
        longest_s = LOCK_S * ASKED_WAIT_MAX_SHARE * 2 ** (LEVEL_MAX - 1)
        assert self.state.until_s - self.now_s <= longest_s

    @invariant()
    def there_is_always_a_way_out(self) -> None:
        """With nothing under way and time enough, a call may start again."""
        later = standing(self.state, max(self.now_s, self.state.until_s, self.state.probe_until_s) + self.hold_s)
        state = now(later)
        assert not state.is_draining
        assert opens_s(state, later, EVEN_GAP_S) == later.now_s


class AnyLateWalk(AnyWalk):
    """The same where a call given up may arrive long after the lock is over."""

    hold_s = 3 * LOCK_S


@pytest.mark.parametrize("walk", [AnyWalk, AnyLateWalk])
def test_any_walk_keeps_out_of_the_lock(walk: type[AnyWalk]) -> None:
    """Whatever calls answer and in whatever order, none starts within a lock period of the last locked answer."""
    run_state_machine_as_test(walk, settings=settings(max_examples=100, stateful_step_count=30, deadline=None))


def test_each_phase_is_reached_from_each_other_or_said_not_to_be() -> None:
    """One event moves the lockout along its arrows and along no others."""
    moves = set()
    for phase, calls_out, wait_s in itertools.product(LockoutPhase, (0, 1), (0.0, 1e6)):
        state = Lockout(phase, T0 + 10, 0 if phase is CLOSED else 1)
        at = standing(state, T0 + wait_s, calls_out=calls_out)
        ends = [end_of_call(at, is_probe=probe, is_good=good) for probe in (False, True) for good in (False, True)]
        moves |= {(phase, after.phase) for after in (now(at), locked(at, LOCK_S, None), *ends)}

    assert {(before, after) for before, after in moves if before is not after} == {
        (CLOSED, DRAIN),
        (DRAIN, OPEN),
        (DRAIN, HALF_OPEN),
        (OPEN, DRAIN),
        (OPEN, HALF_OPEN),
        (HALF_OPEN, RAMP),
        (HALF_OPEN, OPEN),
        (HALF_OPEN, DRAIN),
        (RAMP, CLOSED),
        (RAMP, DRAIN),
    }


def test_R_06_pause_runs_from_the_end_of_a_call_given_up() -> None:
    """A call whose answer was never seen may have extended the lock as late as its stamp: the pause starts there."""
    lost_until_s = T0 + 90
    drained = Standing(lost_until_s, (T0 - 5, lost_until_s), Lockout(DRAIN, T0 + PAUSE_S, 1), calls_out=0)

    state = now(drained)

    assert (state.phase, state.until_s) == (OPEN, lost_until_s + PAUSE_S)
