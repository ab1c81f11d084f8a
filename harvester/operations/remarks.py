"""Gathers what is to be known of a harvest beside its jobs' states, from the ledger."""

from collections.abc import Iterator

from harvester.engine.proof import Finding, leaning
from harvester.model import Harvest, JobState
from harvester.report import remarks
from harvester.report.remarks import Remark, ShortJob
from harvester.store.laws import LawBook
from harvester.store.ledger import Ledger
from harvester.store.listing_files import listing_of
from harvester.store.partitions import QUARANTINE
from harvester.store.verdicts import FinishedJob, VerdictBook
from harvester.zoho.reports import SOURCES


def verdicts_of(ledger: Ledger, harvest: Harvest, *, is_plan_only: bool) -> dict[str, int]:
    """Return how many jobs there are of each finding, all of them named; empty where nothing was counted."""
    found = VerdictBook(ledger.database, ledger.run_id).findings(harvest, is_plan_only=is_plan_only)
    return {finding.value: found.get(finding, 0) for finding in Finding} if found else {}


def remarks_on(ledger: Ledger, harvest: Harvest) -> Iterator[Remark]:
    """Yield what a person should know of the plan's jobs and of the date's campaigns, the gravest first."""
    verdicts, laws = VerdictBook(ledger.database, ledger.run_id), LawBook(ledger.database, ledger.run_id)
    unreadable_rows = [job.unreadable_rows for job in ledger.jobs(harvest, JobState.PARTIAL)]
    if unreadable_rows:
        folder = f"{QUARANTINE}/account={harvest.account}/dt={harvest.date.isoformat()} of the output folder"
        yield remarks.unreadable(len(unreadable_rows), sum(unreadable_rows), folder)
    if remark := remarks.short(map(_short_job, verdicts.short(harvest))):
        yield remark
    listing = listing_of(ledger.database, harvest)
    if listing is not None and listing.children_missing:
        yield remarks.children_missing(listing.children_missing)
    for action, findings in verdicts.findings_by_action(harvest).items():
        if (direction := leaning(findings)) is not None:
            yield remarks.misfit(action, SOURCES[action].fields, direction, findings[direction])
    for law, (campaigns, contacts) in laws.broken(harvest).items():
        yield remarks.broken_law(law, campaigns, contacts)
    if campaigns := laws.unchecked(harvest):
        yield remarks.unchecked(campaigns)


def _short_job(job: FinishedJob) -> ShortJob:
    return ShortJob(job.campaign_key, job.action, job.missing_rows, job.is_doubted)
