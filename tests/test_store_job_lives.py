"""Whole lives of jobs in the ledger: random runs and crashes, against a model that obeys `model.TRANSITIONS`."""

import itertools
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from factories import DATE, delay, stored_page
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from harvester.model import Action, Campaign, GivenUp, Job, JobState, Published
from harvester.store.database import Database
from harvester.store.ledger import Ledger

PARTITION = Published("recipients/a.jsonl", rows=3, bytes=30, sha256="ab" * 32)
FAILED = GivenUp(JobState.FAILED, "2000", "no such list")
SKIPPED = GivenUp(JobState.SKIPPED, "6601", "no A/B test")
END_STATES = (JobState.DONE, JobState.PARTIAL, JobState.SKIPPED, JobState.FAILED)


class JobLife(RuleBasedStateMachine):
    """Random runs over a few jobs, against a dictionary that obeys the table."""

    KEYS = ("k1", "k2", "k3")
    ACTIONS = (Action.SENT, Action.OPENED)

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.runs = itertools.count(1)
        self.open()

    def open(self) -> None:
        self.database = Database(Path(self.folder.name) / "ledger.sqlite")
        self.ledger = Ledger(self.database, f"run-{next(self.runs)}")
        self.harvest = self.ledger.open_harvest("acme", DATE)

    @initialize()
    def plan(self) -> None:
        self.ledger.plan(self.harvest, [Campaign(key) for key in self.KEYS], self.ACTIONS)
        self.states = dict.fromkeys(itertools.product(self.KEYS, self.ACTIONS), JobState.PENDING)
        self.jobs: dict[tuple[str, Action], Job] = {}
        self.pages = dict.fromkeys(self.states, 0)

    def has_running(self) -> bool:
        return JobState.RUNNING in self.states.values()

    def running(self) -> list[Job]:
        return [self.jobs[name] for name, state in self.states.items() if state is JobState.RUNNING]

    def known(self, job: Job) -> tuple[str, Action]:
        return job.campaign.key, job.action

    @rule(limit=st.integers(1, 4))
    def claim(self, limit: int) -> None:
        claimed = self.ledger.claim(self.harvest, limit, now_s=0.0)

        pending = [name for name, state in self.states.items() if state is JobState.PENDING]
        assert [self.known(each.job) for each in claimed] == pending[:limit]
        for each in claimed:
            self.jobs[self.known(each.job)] = each.job
            self.states[self.known(each.job)] = JobState.RUNNING
            assert (each.last_page.number if each.last_page else 0) == self.pages[self.known(each.job)]

    @precondition(has_running)
    @rule(data=st.data())
    def commit_page(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.running()))
        self.pages[self.known(job)] += 1
        self.ledger.commit([(job, stored_page(self.pages[self.known(job)]))], [], [], wall_s=0.0)

    @precondition(has_running)
    @rule(data=st.data())
    def publish(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.running()))
        partition = data.draw(st.sampled_from([PARTITION, replace(PARTITION, unreadable_rows=1)]))
        self.ledger.commit([], [], [(job, partition)], wall_s=0.0)
        self.states[self.known(job)] = partition.state

    @precondition(has_running)
    @rule(data=st.data())
    def postpone(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.running()))
        self.ledger.postpone(job, delay())
        self.states[self.known(job)] = JobState.PENDING

    @precondition(has_running)
    @rule(data=st.data(), end=st.sampled_from([FAILED, SKIPPED]))
    def give_up(self, data: st.DataObject, end: GivenUp) -> None:
        job = data.draw(st.sampled_from(self.running()))
        self.ledger.give_up(job, end)
        self.states[self.known(job)] = end.state

    @precondition(has_running)
    @rule(data=st.data(), end=st.sampled_from([FAILED, SKIPPED]))
    def give_up_campaign(self, data: st.DataObject, end: GivenUp) -> None:
        job = data.draw(st.sampled_from(self.running()))
        siblings = [name for name in self.states if name[0] == job.campaign.key]
        ended = [name for name in siblings if self.states[name] is JobState.PENDING] + [self.known(job)]

        assert self.ledger.give_up_campaign(self.harvest, [job], end) == len(ended)
        self.states.update(dict.fromkeys(ended, end.state))

    @precondition(has_running)
    @rule(data=st.data())
    def restart(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.running()))
        self.ledger.restart(job)
        self.pages[self.known(job)] = 0

    @rule(again=st.sets(st.sampled_from(END_STATES)))
    def requeue(self, again: set[JobState]) -> None:
        self.ledger.requeue(self.harvest, again)
        for name, state in self.states.items():
            if state in again:
                self.states[name] = JobState.PENDING
                self.pages[name] *= state is JobState.FAILED  # it goes on after its last page

    @rule(data=st.data())
    def refuse_to_end_what_is_not_running(self, data: st.DataObject) -> None:
        ended = [job for name, job in self.jobs.items() if self.states[name] in END_STATES]
        if ended:
            job = data.draw(st.sampled_from(ended))
            with pytest.raises(ValueError, match="cannot go"):
                self.ledger.give_up(job, FAILED)
            with pytest.raises(ValueError, match="cannot go"):
                self.ledger.commit([], [], [(job, PARTITION)], wall_s=0.0)

    @rule()
    def crash_and_start_again(self) -> None:
        self.database.close()
        self.open()
        self.ledger.release(self.harvest)
        self.ledger.plan(self.harvest, [Campaign(key) for key in self.KEYS], self.ACTIONS)
        for name, state in self.states.items():
            if state is JobState.RUNNING:
                self.states[name] = JobState.PENDING

    @invariant()
    def every_job_is_in_the_state_of_the_model(self) -> None:
        found = {(job.campaign_key, job.action): job.state for job in self.ledger.jobs(self.harvest)}
        assert found == self.states
        assert sum(self.ledger.counts(self.harvest).values()) == len(self.states)

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()


def test_jobs_live_as_the_table_says() -> None:
    """Whatever runs do, and whenever they are cut off, each job is in exactly one state, reached by legal moves."""
    run_state_machine_as_test(JobLife, settings=settings(max_examples=40, stateful_step_count=25, deadline=None))
