"""From what an examination saw of machine and accounts to findings, and which call may settle a doubt (pure)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harvester.engine.probing import PROBED, Answer, Probe, Sample, Withheld, of_range
from harvester.errors import CredentialsError, DiskError, HarvestError, StoppedError
from harvester.findings import Finding, Verdict
from harvester.listing import CampaignPage
from harvester.model import Counters, Failure, FailureKind

SKEW_S_MAX = 60.0
"""A clock that is off by less harms nothing: harvest dates are days, lockouts last half an hour."""

OTHERS: Mapping[str, tuple[int, str]] = {"output": (0o007, "o-rwx"), "state": (0o077, "go-rwx")}
"""To whom a folder should be closed, as permission bits and as chmod takes them: a warehouse may read the output as a
member of its group, and nobody else need see ledger and tokens."""

WRITE_BITS = 0o022
READ_BITS = 0o044

FREE_BYTES_MIN = 64 * 10**6
"""Less free space ends a harvest soon: ledger and parts of a night of 200 campaigns have some ten megabytes."""

FREE_BYTES_LOW = 10**9
"""Less is worth a word: large accounts fill it in some nights."""

PRIVILEGE_CODES = frozenset({"6601", "6607", "6304", "6306", "2701"})
"""Codes that the pages of the developer help call insufficient privileges."""

HOST_TROUBLES = frozenset({FailureKind.UNREACHED, FailureKind.LOST, FailureKind.NO_TOKEN})
"""Failures after which another call would only meet the same."""

NETWORK_CURE = (
    "Check the host's name, the network and the firewall, and that the hosts can be reached directly: a proxy named by"
    " the environment is not used."
)
LOCK_CURE = "Wait for the end of the lock and let nothing else use this endpoint; harvester budget shows what was sent."
SCOPE_CURE = (
    "Make a new refresh token with the scope ZohoCampaigns.campaign.READ, by harvester login, as a user of the"
    " organisation, and check that data_center is the account's own."
)
HOSTS_CURE = "Check that base_url and accounts_url are hosts of the same data centre. "

STRANGE_CURE = "Try again later; if it stays, report it with the words of this line."
PASSING_CURES: Mapping[FailureKind, str] = {
    FailureKind.UNREACHED: NETWORK_CURE,
    FailureKind.LOST: NETWORK_CURE,
    FailureKind.LOCKED: LOCK_CURE,
    FailureKind.NO_TOKEN: "Wait, and see what else asks for tokens with this refresh token: 10 in 10 minutes are given"
    " at most.",
}
NO_PROBLEMS: Mapping[FailureKind, Verdict] = {
    FailureKind.CAMPAIGN: Verdict.UNKNOWN,
    FailureKind.NOT_APPLICABLE: Verdict.UNKNOWN,
    FailureKind.OVERSIZE: Verdict.WARNING,
}
"""Failures about what was asked for: they say little of the account."""


@dataclass(frozen=True, slots=True)
class FolderSeen:
    """A folder of the configuration, as it was found.

    Attributes:
        name: the key that names it, one of `OTHERS`.
        path: where it is.
        trouble: why nothing can be written there; None if it can.
        mode: its permission bits; None if it is not there yet.
        free_bytes: on its file system.
    """

    name: str
    path: str
    trouble: DiskError | None
    mode: int | None
    free_bytes: int


@dataclass(frozen=True, slots=True)
class AccountSeen:
    """What the calls of an examination brought; what was not asked is `Withheld`.

    Attributes:
        token: why there is no access token, or why none was asked for; None if there is one.
        is_token_new: whether it was made just now.
        has_own_hosts: whether base_url or accounts_url replaces a host of the data centre.
        listing: of the campaigns.
        counters: of the campaign that `probes` begin with.
        probes: calls for recipients, in their order; the first asks for a whole page from row 1.
        skew_s: by how many seconds this machine's clock is ahead of the servers'; None if none told the time.
        xml_paths: of answers in XML to calls that asked for JSON.
    """

    token: HarvestError | Failure | Withheld | None
    is_token_new: bool = False
    has_own_hosts: bool = False
    listing: Answer[CampaignPage] = field(default_factory=Withheld)
    counters: Answer[Counters] = field(default_factory=Withheld)
    probes: Sequence[Probe] = ()
    skew_s: float | None = None
    xml_paths: Sequence[str] = ()

    @property
    def is_about_one_campaign(self) -> bool:
        """Whether a campaign was refused and another one was read."""
        answers = [probe.answer for probe in self.probes]
        return len(answers) > 1 and not isinstance(answers[0], Sample) and isinstance(answers[-1], Sample)

    @property
    def counted_rows(self) -> int | None:
        """How many rows the set of the first probe should have, by its campaign's counter."""
        return self.counters.rows.get(PROBED) if isinstance(self.counters, Counters) else None


def of_trouble(check: str, error: HarvestError) -> Finding:
    """Return what a run would end with as a finding."""
    return Finding(check, Verdict.PROBLEM, error.message.rstrip("."), error.remedy, trouble=type(error))


def of_folder(seen: FolderSeen) -> Iterator[Finding]:
    """Yield whether a folder can be written, by whom, and how much room it has."""
    check = f"{seen.name} folder"
    if seen.trouble is not None:
        yield of_trouble(check, seen.trouble)
        return
    others, closing = OTHERS[seen.name]
    open_bits, cure = (seen.mode or 0) & others, f"Run: chmod {closing} {seen.path}"
    if open_bits & WRITE_BITS:
        seen_text = f"{seen.path} can be changed by others"
        yield Finding(check, Verdict.PROBLEM, seen_text, cure, trouble=DiskError)
    elif open_bits & READ_BITS:
        yield Finding(check, Verdict.WARNING, f"{seen.path} can be read by others", cure)
    else:
        is_there = "can be written" if seen.mode is not None else "can be made"
        yield Finding(check, Verdict.OK, f"{seen.path} {is_there}")
    yield _space(seen)


def _space(seen: FolderSeen) -> Finding:
    check, free = f"{seen.name} space", f"{seen.free_bytes / 10**9:,.1f} GB free"
    if seen.free_bytes < FREE_BYTES_MIN:
        return Finding(check, Verdict.PROBLEM, free, "Free some space, or choose another folder.", trouble=DiskError)
    if seen.free_bytes < FREE_BYTES_LOW:
        return Finding(check, Verdict.WARNING, free, "Free some space before a large harvest.")
    return Finding(check, Verdict.OK, free)


def of_runs(runs: Mapping[str, str]) -> Finding:
    """Return whether other runs are at work; `runs` names the process of each."""
    if not runs:
        return Finding("other runs", Verdict.OK, "none is at work")
    told = ", ".join(f"{run} ({process})" for run, process in runs.items())
    return Finding(
        "other runs", Verdict.WARNING, f"at work: {told}", "They share the budget; a new run leaves their jobs."
    )


def findings(seen: AccountSeen) -> Iterator[Finding]:
    """Yield a finding for each check of an account, in the order of the calls."""
    yield _token(seen)
    yield _listing(seen)
    for finding in (_reports(seen), _recipients(seen)):
        is_harmless = seen.is_about_one_campaign and finding.trouble is CredentialsError
        yield replace(finding, verdict=Verdict.WARNING, trouble=None) if is_harmless else finding
    yield of_range(seen.probes, seen.counted_rows)
    yield _format(seen)
    yield _clock(seen.skew_s)


def _token(seen: AccountSeen) -> Finding:
    if seen.token is not None:
        return _missed("access token", seen, seen.token)
    how = "the accounts host gave one" if seen.is_token_new else "one from the cache is good"
    return Finding("access token", Verdict.OK, how)


def _listing(seen: AccountSeen) -> Finding:
    if not isinstance(seen.listing, CampaignPage):
        return _missed("campaigns", seen, seen.listing)
    number = seen.listing.total or len(seen.listing.campaigns)
    if not seen.listing.campaigns:
        return Finding(
            "campaigns", Verdict.WARNING, "the account lists no sent campaign", "There is nothing to harvest."
        )
    return Finding("campaigns", Verdict.OK, f"the account lists {number:,} sent")


def _reports(seen: AccountSeen) -> Finding:
    if not isinstance(seen.counters, Counters):
        return _missed("reports", seen, seen.counters)
    return Finding("reports", Verdict.OK, f"the report of one campaign has {len(seen.counters.rows)} counters")


def _recipients(seen: AccountSeen) -> Finding:
    if not seen.probes:
        return _missed("recipients", seen, Withheld())
    first = seen.probes[0].answer
    if isinstance(first, Sample):
        return Finding("recipients", Verdict.OK, f"a call brought {first.received_rows:,} rows")
    refused = _missed("recipients", seen, first)
    if seen.is_about_one_campaign:
        return replace(refused, seen=f"{refused.seen}, but another campaign can be read")
    return refused


def _format(seen: AccountSeen) -> Finding:
    if seen.xml_paths:
        return Finding(
            "format",
            Verdict.WARNING,
            f"XML came where JSON was asked for ({', '.join(dict.fromkeys(seen.xml_paths))})",
            "Both are read, but XML has fewer columns; check that no proxy takes resfmt off the URL.",
        )
    if not isinstance(seen.listing, CampaignPage):
        return Finding("format", Verdict.UNKNOWN, "no answer was seen")
    return Finding("format", Verdict.OK, "the answers have the format that was asked for")


def _clock(skew_s: float | None) -> Finding:
    if skew_s is None:
        return Finding("clock", Verdict.UNKNOWN, "no server told the time")
    if abs(skew_s) <= SKEW_S_MAX:
        return Finding("clock", Verdict.OK, f"within {SKEW_S_MAX:g} s of the servers'")
    side = "ahead of" if skew_s > 0 else "behind"
    return Finding(
        "clock",
        Verdict.WARNING,
        f"this machine's clock is {abs(skew_s):,.0f} s {side} the servers'",
        "Set it (NTP): harvest dates, deadlines and the end of a lockout are told by it.",
    )


def _missed(check: str, seen: AccountSeen, why: object) -> Finding:
    """Return the finding about a call that brought nothing to judge."""
    match why:
        case HarvestError():
            return of_trouble(check, why)
        case Withheld(is_locked=True):
            return Finding(check, Verdict.PROBLEM, why.reason, LOCK_CURE, trouble=StoppedError)
        case Withheld():
            return Finding(check, Verdict.UNKNOWN, why.reason)
        case Failure():
            return _refused(check, why, SCOPE_CURE if not seen.has_own_hosts else HOSTS_CURE + SCOPE_CURE)
        case _:
            raise TypeError(f"{check}: no outcome of a call: {type(why).__name__}")


def _refused(check: str, failure: Failure, token_cure: str) -> Finding:
    """Return the finding about a failed call.

    Args:
        check: what was looked at.
        failure: how the call failed.
        token_cure: what to do where the API takes no access token, however new.
    """
    code = f"{failure.code} " if failure.code else ""
    refused = Finding(check, Verdict.PROBLEM, f"{code}{failure.message}", failure.remedy, trouble=CredentialsError)
    is_network = failure.kind is FailureKind.ACCOUNT and failure.status is None  # certificates, an unusable URL
    if failure.kind in NO_PROBLEMS and not _is_about_rights(failure):
        return replace(refused, verdict=NO_PROBLEMS[failure.kind], trouble=None)
    if failure.kind is FailureKind.TOKEN:
        return replace(refused, cure=token_cure)
    if _is_about_rights(failure) or (failure.kind is FailureKind.ACCOUNT and not is_network):
        return refused
    cure = NETWORK_CURE if is_network else PASSING_CURES.get(failure.kind) or failure.remedy or STRANGE_CURE
    return replace(refused, cure=cure, trouble=StoppedError)


def _is_about_rights(failure: Failure) -> bool:
    return failure.code in PRIVILEGE_CODES and failure.kind is not FailureKind.NOT_APPLICABLE
