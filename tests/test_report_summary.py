import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from harvester.model import JobState
from harvester.report.remarks import Remark, Topic
from harvester.report.summary import (
    PROBLEM_LINES_MAX,
    AccountSummary,
    Problem,
    RunSummary,
    problem_lines,
    sentences,
    to_json,
)

OUTPUT = "data/recipients/account=acme/dt=2026-11-22"
COMMAND = "harvester run --config config.toml"
ACME = AccountSummary("acme", "2026-11-22", {"done": 530, "skipped": 10}, 1234, 3_400_000, 547)
COMPLETE = RunSummary("run-1", 0, "complete", (ACME,), 125.0, OUTPUT)
STOPPED = RunSummary(
    "run-1",
    75,
    "stopped, resumable",
    (replace(ACME, jobs={"done": 312, "pending": 228}, rows=45_210),),
    62.0,
    OUTPUT,
    resume_command=COMMAND,
    stopped_because="the lockout is longer than allowed",
    resume_at="2026-11-22T14:05:00Z",
)


def problem(number: int, reason: str = "Invalid campaign key.", jobs: int = 9) -> Problem:
    return Problem(f"3z{number:064}", None, jobs, "6002", reason, "check the keys")


def test_a_complete_run_says_what_is_where() -> None:
    """The last line of a complete run counts rows and jobs and names the place."""
    assert sentences(COMPLETE) == [
        "acme 2026-11-22: jobs 530 done, 10 skipped; 1,234 rows (3.4 MB), 547 calls",
        f"complete after 2 min 5 s: 1,234 rows of 540 jobs in {OUTPUT}",
    ]


def test_a_stopped_run_says_what_is_safe_and_how_to_go_on() -> None:
    """The last line of a stopped run says why, what is safe, from when and by which command to go on."""
    assert sentences(STOPPED)[-1] == (
        "stopped, resumable (the lockout is longer than allowed) after 1 min 2 s:"
        f" 312 of 540 jobs (45,210 rows) are safe in {OUTPUT};"
        f" not before 14:05 UTC; go on with: {COMMAND}"
    )


def test_a_run_that_never_began_says_so() -> None:
    """Without an account nothing was touched, and the reader is told."""
    summary = RunSummary("run-1", 2, "configuration error", (), 0.0, OUTPUT, stopped_because="no accounts")

    assert sentences(summary) == [
        "configuration error (no accounts) after 0 s: no harvest was begun, what was on disk is unchanged"
    ]


def test_accounts_are_added_up_in_the_last_line() -> None:
    """The last line speaks of the whole run."""
    beta = replace(ACME, account="beta", jobs={"done": 60}, rows=766)

    assert sentences(replace(COMPLETE, accounts=(ACME, beta)))[-1].endswith(f"2,000 rows of 600 jobs in {OUTPUT}")


def test_problems_are_grouped_by_code_and_reason() -> None:
    """Hundreds of campaigns that fail alike are one line; a single one is named."""
    problems = [*(problem(number) for number in range(300)), problem(7, "Deleted", jobs=1)]

    assert problem_lines(problems) == [
        "300 campaigns, 2,700 jobs: 6002 Invalid campaign key - check the keys",
        "1 campaign (3z0000000000…), 1 job: 6002 Deleted - check the keys",
    ]


def test_a_problem_without_remedy_ends_with_its_reason() -> None:
    """No dash hangs in the air."""
    (line,) = problem_lines([replace(problem(1), remedy="")])

    assert line.endswith("6002 Invalid campaign key")


@given(st.lists(st.integers(0, 30)))
def test_problem_lines_are_bounded_and_lose_none(reasons: list[int]) -> None:
    """At most the bound and one line more, which counts what is not shown."""
    lines = problem_lines(problem(reason, f"reason {reason}") for reason in reasons)

    kinds = len(set(reasons))
    assert len(lines) == min(kinds, PROBLEM_LINES_MAX) + (kinds > PROBLEM_LINES_MAX)
    if kinds > PROBLEM_LINES_MAX:
        assert lines[-1] == f"+{kinds - PROBLEM_LINES_MAX} more, see harvester status"


@given(st.text(st.characters(exclude_categories=[])))
def test_S_12_every_sentence_is_one_printable_line(reason: str) -> None:
    """No text from outside breaks a line or steers the terminal."""
    account = replace(ACME, not_done=(problem(1, f"\x1b[2J\n{reason}"),))
    summary = replace(STOPPED, accounts=(account,), stopped_because=reason)

    assert all(line.isprintable() for line in sentences(summary))
    assert to_json(summary).decode().removesuffix("\n").isprintable()


def test_verdicts_and_remarks_are_told_before_the_last_line() -> None:
    """What the counters say stands beside the figures; what else should be known has a line of its own."""
    verdicts = {"proven": 1204, "short": 3, "over": 0, "unknown": 40}
    remark = Remark(Topic.SHORT, "3 jobs short of the server's counters by 12 rows")
    account = replace(ACME, verdicts=verdicts, remarks=(remark,))

    told = sentences(replace(COMPLETE, accounts=(account,)))

    assert told[0].endswith("547 calls; 1,204 proven, 3 short, 40 unknown")
    assert told[1] == "acme: 3 jobs short of the server's counters by 12 rows"
    assert len(told) == 3


def test_carried_jobs_are_safe() -> None:
    """A set that stands as it was read before is as complete as one that was read tonight."""
    account = replace(ACME, jobs={"done": 20, "carried": 510, "skipped": 10})

    told = sentences(replace(COMPLETE, accounts=(account,)))

    assert told[0].startswith("acme 2026-11-22: jobs 20 done, 510 carried, 10 skipped;")
    assert "1,234 rows of 540 jobs" in told[-1]


def test_partial_jobs_are_safe() -> None:
    """What could be read of a set lies on disk like any other partition."""
    account = replace(ACME, jobs={"done": 529, "partial": 1, "skipped": 10})

    assert "1,234 rows of 540 jobs" in sentences(replace(COMPLETE, accounts=(account,)))[-1]


def test_json_keys_are_stable() -> None:
    """Programs read these keys; a change here is a change for them."""
    parsed = json.loads(to_json(replace(STOPPED, accounts=(replace(ACME, not_done=(problem(1),)),))))

    assert list(parsed) == [
        "run_id",
        "exit_code",
        "outcome",
        "accounts",
        "seconds",
        "output",
        "resume_command",
        "stopped_because",
        "remedy",
        "resume_at",
    ]
    (account,) = parsed["accounts"]
    assert list(account) == [
        "account",
        "date",
        "jobs",
        "rows",
        "bytes",
        "calls",
        "not_done",
        "verdicts",
        "remarks",
        "published",
    ]
    assert list(account["not_done"][0]) == [
        "campaign_key",
        "action",
        "jobs",
        "code",
        "reason",
        "remedy",
        "campaigns",
    ]
    assert account["jobs"] == {"done": 530, "skipped": 10}


def test_json_takes_the_states_of_the_model_as_keys() -> None:
    """Counts keyed by `JobState` are written under the state's name, on one line."""
    text = to_json(replace(COMPLETE, accounts=(replace(ACME, jobs={JobState.DONE: 3}),)))

    assert json.loads(text)["accounts"][0]["jobs"] == {"done": 3}
    assert text.count(b"\n") == 1
