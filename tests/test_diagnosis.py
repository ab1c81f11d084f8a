"""From what an examination saw to findings: each failure has its verdict, its exit code and a cure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.engine.diagnosis import (
    FREE_BYTES_LOW,
    FREE_BYTES_MIN,
    AccountSeen,
    FolderSeen,
    findings,
    of_folder,
    of_runs,
)
from harvester.engine.probing import Answer, Probe, Sample, Withheld
from harvester.errors import ConfigError, CredentialsError, DiskError, HarvestError, StoppedError
from harvester.findings import Finding, Verdict, exit_code
from harvester.listing import CampaignPage, SentCampaign
from harvester.model import Action, Counters, Failure, FailureKind, PageRequest

LISTING = CampaignPage((SentCampaign("3zabc", None, None),), ("3zabc",), 1)
REQUEST = PageRequest("3zabc", Action.SENT, 1, 500)
SOUND = AccountSeen(
    token=None,
    is_token_new=True,
    listing=LISTING,
    counters=Counters({Action.SENT: 1200}),
    probes=(Probe(REQUEST, Sample(500, 500)),),
    skew_s=0.4,
)
FREE_BYTES = 10**12

failures = st.builds(
    Failure,
    kind=st.sampled_from(FailureKind),
    message=st.just("a message"),
    code=st.sampled_from([None, "6607", "6601", "6306", "1007", "INVALID_SCOPE", "9999"]),
    status=st.sampled_from([None, 200, 401, 503]),
    remedy=st.sampled_from(["", "Do this."]),
)
answers = failures | st.sampled_from(
    [Withheld(), Withheld("locked", is_locked=True), CredentialsError("no.", "Do."), StoppedError("late.", "Wait.")]
)


def found(seen: AccountSeen) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings(seen)}


def with_listing(listing: Answer[CampaignPage]) -> Finding:
    return found(AccountSeen(token=None, listing=listing))["campaigns"]


def folder(name: str = "state", mode: int | None = 0o700, free_bytes: int = FREE_BYTES) -> list[Finding]:
    return list(of_folder(FolderSeen(name, name, None, mode, free_bytes)))


def test_a_sound_account_has_nothing_but_good_findings() -> None:
    """Where every call brought what a harvest needs, every check is ok."""
    assert {finding.verdict for finding in findings(SOUND)} == {Verdict.OK}


@given(
    token=answers | st.none(),
    listing=answers | st.just(LISTING),
    counters=answers | st.just(Counters({})),
    recipients=answers | st.builds(Sample, st.integers(0, 600), st.none() | st.integers(1, 600)),
)
def test_whatever_was_seen_each_check_has_one_finding(
    token: HarvestError | Failure | Withheld | None,
    listing: Answer[CampaignPage],
    counters: Answer[Counters],
    recipients: Answer[Sample],
) -> None:
    """Each check is told once; a problem, and nothing else, leads to an exit code."""
    seen = AccountSeen(token, listing=listing, counters=counters, probes=(Probe(REQUEST, recipients),))

    told = list(findings(seen))

    checks = ["access token", "campaigns", "reports", "recipients", "range", "format", "clock"]
    assert [finding.check for finding in told] == checks
    assert all((finding.verdict is Verdict.PROBLEM) == (finding.trouble is not None) for finding in told)
    assert all(finding.seen for finding in told)


@pytest.mark.parametrize(
    ("failure", "trouble"),
    [
        (Failure(FailureKind.UNREACHED, "cannot resolve", is_sent=False), StoppedError),
        (Failure(FailureKind.LOST, "no whole answer in time"), StoppedError),
        (Failure(FailureKind.ACCOUNT, "the certificate is not trusted", is_sent=False), StoppedError),
        (Failure(FailureKind.NO_TOKEN, "too many", is_sent=False), StoppedError),
        (Failure(FailureKind.LOCKED, "locked", status=429), StoppedError),
        (Failure(FailureKind.TRANSIENT, "HTTP 503", status=503), StoppedError),
        (Failure(FailureKind.MALFORMED, "not JSON", status=200), StoppedError),
        (Failure(FailureKind.UNKNOWN, "what", "9999", 200), StoppedError),
        (Failure(FailureKind.TOKEN, "unauthorized", "1007", 401), CredentialsError),
        (Failure(FailureKind.ACCOUNT, "not the API", status=404), CredentialsError),
        (Failure(FailureKind.ACCOUNT, "no scope", "INVALID_SCOPE", 200, remedy="Do."), CredentialsError),
        (Failure(FailureKind.CAMPAIGN, "privileges", "6607", 200, remedy="Ask."), CredentialsError),
        (Failure(FailureKind.JOB, "privileges", "6306", 200, remedy="Ask."), CredentialsError),
    ],
    ids=lambda value: value.signature if isinstance(value, Failure) else value.__name__,
)
def test_a_failure_is_a_matter_of_a_person_or_passes(failure: Failure, trouble: type[HarvestError]) -> None:
    """Credentials, scope and rights need a person; network, lockouts and failing servers pass."""
    finding = with_listing(failure)

    assert (finding.verdict, finding.trouble) == (Verdict.PROBLEM, trouble)


@pytest.mark.parametrize("kind", [FailureKind.CAMPAIGN, FailureKind.NOT_APPLICABLE])
def test_what_is_wrong_with_one_campaign_says_little_of_the_account(kind: FailureKind) -> None:
    """An A/B campaign that is too small, or a deleted one, is no problem and no proof of health."""
    answer = Failure(kind, "fewer than 4 recipients", "6601" if kind is FailureKind.NOT_APPLICABLE else "2206", 200)

    assert found(AccountSeen(None, probes=(Probe(REQUEST, answer),)))["recipients"].verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("has_own_hosts", [True, False])
def test_a_refused_token_sends_to_the_hosts_where_they_were_set_by_hand(has_own_hosts: bool) -> None:  # noqa: FBT001
    """Only base_url and accounts_url can be of two data centres: data_center sets both."""
    refused = Failure(FailureKind.TOKEN, "unauthorized", "1007", 401)

    cure = found(AccountSeen(None, has_own_hosts=has_own_hosts, listing=refused))["campaigns"].cure

    assert ("base_url" in cure) == has_own_hosts
    assert "ZohoCampaigns.campaign.READ" in cure


def test_a_lockout_of_the_ledger_is_a_problem_and_a_call_that_is_pointless_is_not() -> None:
    """Withheld calls are told apart: the lock ends with 75, the other says nothing."""
    assert with_listing(Withheld("locked for 3 min", is_locked=True)).trouble is StoppedError
    assert with_listing(Withheld()).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(("skew_s", "verdict"), [(60.0, "ok"), (-60.0, "ok"), (60.1, "warning"), (-3600.0, "warning")])
def test_a_clock_may_be_a_minute_off(skew_s: float, verdict: str) -> None:
    """Less harms nothing; more is told with its side."""
    clock = found(AccountSeen(None, skew_s=skew_s))["clock"]

    assert clock.verdict == verdict
    assert verdict == "ok" or ("ahead of" in clock.seen) == (skew_s > 0)


@pytest.mark.parametrize(
    ("name", "mode", "verdict"),
    [
        ("state", 0o700, Verdict.OK),
        ("state", None, Verdict.OK),
        ("state", 0o750, Verdict.WARNING),
        ("state", 0o770, Verdict.PROBLEM),
        ("state", 0o702, Verdict.PROBLEM),
        ("output", 0o750, Verdict.OK),
        ("output", 0o770, Verdict.OK),
        ("output", 0o755, Verdict.WARNING),
        ("output", 0o777, Verdict.PROBLEM),
    ],
)
def test_S_09_folders_are_closed_to_those_who_have_no_business_there(name: str, mode: int, verdict: Verdict) -> None:
    """The state is for its owner alone; a group may use the output, and nobody else."""
    first, _ = folder(name, mode)

    assert first.verdict is verdict
    assert ("chmod" in first.cure) == (verdict is not Verdict.OK)


@pytest.mark.parametrize(
    ("free_bytes", "verdict"),
    [
        (FREE_BYTES_LOW, "ok"),
        (FREE_BYTES_LOW - 1, "warning"),
        (FREE_BYTES_MIN, "warning"),
        (FREE_BYTES_MIN - 1, "problem"),
    ],
)
def test_little_space_is_told_before_it_ends_a_harvest(free_bytes: int, verdict: str) -> None:
    """Less than a gigabyte is worth a word, less than 64 MB a problem."""
    assert folder(free_bytes=free_bytes)[1].verdict == verdict


def test_a_folder_that_cannot_be_written_is_told_as_a_run_would() -> None:
    """The words are those of the disk error, and nothing is said of modes and space."""
    error = DiskError("state: read-only file system.", "Remount it.")

    (finding,) = of_folder(FolderSeen("state", "state", error, 0o700, 0))

    assert (finding.seen, finding.cure, finding.trouble) == ("state: read-only file system", "Remount it.", DiskError)


def test_other_runs_are_named() -> None:
    """A run at work is no problem, but shares the budget."""
    assert of_runs({}).verdict is Verdict.OK
    assert of_runs({"r1": "process 7"}).seen == "at work: r1 (process 7)"


def test_the_most_urgent_problem_gives_the_exit_code() -> None:
    """Disk before credentials before configuration before what passes; warnings give none."""
    told = [
        Finding("a", Verdict.PROBLEM, "x", trouble=trouble)
        for trouble in (StoppedError, ConfigError, CredentialsError, DiskError)
    ]

    assert [exit_code(told[:number]) for number in range(5)] == [0, 75, 2, 4, 7]
    assert exit_code([Finding("a", Verdict.WARNING, "x")]) == 0
