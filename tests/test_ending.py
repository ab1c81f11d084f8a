"""How a run ended: which of several things that are left undone gives the exit code."""

import signal
from collections import Counter

import pytest

from harvester.errors import CredentialsError, HarvestError, StoppedError
from harvester.operations.ending import Ending, exit_code_of
from harvester.report.summary import AccountSummary, Problem

UNPUBLISHED = StoppedError("the store does not answer")
NO_PRIVILEGE = Problem("k1", None, 9, "6607", "no privilege", "grant it")


def account(*, published: bool | None = None, problem: Problem | None = None, **jobs: int) -> AccountSummary:
    problems = () if problem is None else (problem,)
    return AccountSummary("acme", "2026-01-15", Counter(jobs), 0, 0, 0, problems, published=published)


@pytest.mark.parametrize(
    ("asked", "troubles", "ended", "code"),
    [
        (None, [], account(done=1, published=True), 0),
        (signal.SIGINT, [], account(done=1, published=True), 0),
        (signal.SIGINT, [], account(done=1, published=False), 130),
        (signal.SIGTERM, [UNPUBLISHED], account(done=1, published=False), 143),
        (None, [UNPUBLISHED], account(done=1, published=False), 75),
        (None, [], account(done=1, published=False), 75),
        (None, [UNPUBLISHED], account(failed=9, published=False, problem=NO_PRIVILEGE), 4),
        (None, [UNPUBLISHED], account(failed=1, done=8, published=False), 75),
        (None, [], account(failed=1, done=8, published=True), 3),
        (None, [CredentialsError("the store")], account(failed=1, published=False), 4),
    ],
)
def test_what_is_not_published_is_left_undone(
    asked: signal.Signals | None, troubles: list[HarvestError], ended: AccountSummary, code: int
) -> None:
    """A date that is not in the store is work that the same command goes on with, as a job that is open."""
    ending = Ending(began_s=0.0, troubles=troubles, signal=asked)

    assert exit_code_of(ending, [ended]) == code
