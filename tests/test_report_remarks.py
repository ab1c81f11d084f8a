"""Remarks on a harvest: sentences that a person can act on."""

from hypothesis import given
from hypothesis import strategies as st

from harvester.report import remarks
from harvester.report.remarks import EXAMPLES_MAX, ShortJob, Topic, told_findings


def short_job(number: int, rows: int, *, is_doubted: bool = False) -> ShortJob:
    return ShortJob(f"3z{number:064}", "openedcontacts", rows, is_doubted)


def test_findings_are_told_without_those_that_nobody_has() -> None:
    """Counts in the order given, with thousands set apart."""
    assert told_findings({"proven": 1204, "short": 3, "over": 0, "unknown": 40}) == "1,204 proven, 3 short, 40 unknown"
    assert told_findings({}) == ""


def test_the_largest_shortfalls_are_named() -> None:
    """All are counted, a few are named, and how many were harvested twice is said."""
    jobs = [short_job(number, rows, is_doubted=rows > 5) for number, rows in enumerate([2, 9, 1, 7, 1_000])]

    remark = remarks.short(jobs)

    assert remark is not None
    assert remark.topic is Topic.SHORT
    assert remark.sentence == (
        "5 jobs short of the server's counters by 1,019 rows, 3 of them harvested twice:"
        " 3z0000000000… openedcontacts by 1,000, 3z0000000000… openedcontacts by 9,"
        " 3z0000000000… openedcontacts by 7, ..."
    )


def test_where_no_job_is_short_nothing_is_said() -> None:
    """A remark is about something."""
    assert remarks.short([]) is None


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=20))
def test_a_remark_on_shortfalls_is_bounded_and_adds_up(rows: list[int]) -> None:
    """However many jobs are short, the sentence names a few and tells the sum of all."""
    remark = remarks.short(short_job(number, each) for number, each in enumerate(rows))

    assert remark is not None
    assert f"by {sum(rows):,} row" in remark.sentence
    assert remark.sentence.count("openedcontacts") == min(len(rows), EXAMPLES_MAX)


def test_the_other_remarks_say_what_and_where() -> None:
    """Which counter does not fit, which law is broken by how many, and where unreadable rows lie."""
    said = [
        remarks.unreadable(2, 3, "_quarantine/account=acme"),
        remarks.misfit("spamcontacts", ["spams_count", "complaints_count"], "over", 12),
        remarks.broken_law("a apart from b", 2, 4),
        remarks.unchecked(1),
        remarks.children_missing(2),
    ]

    assert [(remark.topic, remark.sentence) for remark in said] == [
        (Topic.UNREADABLE, "2 jobs, 3 rows that could not be read: the answers lie in _quarantine/account=acme"),
        (
            Topic.MISFIT,
            "spamcontacts does not list what spams_count and complaints_count counts: 12 sets over, nearly all",
        ),
        (Topic.LAW, "not a apart from b: 4 contacts of 2 campaigns; sets are read one after another"),
        (Topic.UNCHECKED, "1 campaign whose sets were not held against each other: the manifest says why"),
        (Topic.CHILDREN, "2 A/B campaigns without known test halves: who was in the test is missing"),
    ]
