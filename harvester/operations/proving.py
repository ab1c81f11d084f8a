"""Proves what was harvested: rows held against counters, the sets of a campaign held against each other."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path

from harvester.engine.proof import (
    LAW_ACTIONS,
    LAW_ROWS_MAX,
    Doubts,
    Finding,
    Shortfall,
    Verdict,
    Yield,
    broken_laws,
    doubts_on,
    leaning,
    verdict_of,
)
from harvester.events import CounterMisfits, HarvestJudged, JobsDoubted
from harvester.model import Action, Harvest
from harvester.operations.workshop import AccountBench
from harvester.store.laws import CampaignSets, LawBook
from harvester.store.reading import DamagedError, lines_of
from harvester.store.verdicts import FinishedJob, VerdictBook
from harvester.zoho.contacts import identity_of_record

UNREADABLE = (DamagedError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What a partition that somebody has changed comes to: laws are a remark, and to find damage is the work of verify."""

VERDICTS_BATCH = 1_000
"""Verdicts written in one transaction, so that other accounts need not wait for 900,000 of them."""


async def judge(bench: AccountBench, harvest: Harvest, withdraw: Callable[[], None]) -> bool:
    """Hold the plan's finished jobs against the counters, and send those that fall short back to their first row.

    For runs that ask for counters: a verdict without its doubt followed up would stand for good. A run that is asked to
    stop judges nothing: the one that goes on does.

    Args:
        bench: the account.
        harvest: the date.
        withdraw: takes back the word that the date is complete; called before any job is sent back, with the disk.

    Returns:
        Whether any job is to be harvested again; of each that happens once.
    """
    tools, book = bench.tools, VerdictBook(bench.store.database, bench.store.ledger.run_id)
    if tools.stop.is_asked:
        return False
    doubts = await tools.offload_disk(partial(_doubts, bench, book, harvest))
    if doubts.job_ids:
        tools.emit(JobsDoubted(bench.name, len(doubts.job_ids), doubts.left))
        await tools.offload_disk(withdraw)
        await tools.offload_disk(partial(book.doubt, doubts.job_ids))
    await tools.offload_disk(partial(_write_verdicts, book, harvest))
    return bool(doubts.job_ids)


async def tell(bench: AccountBench, harvest: Harvest) -> None:
    """Tell how many jobs are proven, and which counters do not fit; nothing where nothing was counted.

    What is still short has no counter to be carried by.
    """
    tools, book = bench.tools, VerdictBook(bench.store.database, bench.store.ledger.run_id)
    findings = await tools.offload_disk(partial(book.findings, harvest))
    if not findings:
        return
    for action, found in (await tools.offload_disk(partial(book.findings_by_action, harvest))).items():
        if (direction := leaning(found)) is not None:
            tools.emit(CounterMisfits(bench.name, action, direction.value, found[direction]))
    misfits = await tools.offload_disk(partial(_leanings, book, harvest))
    await tools.offload_disk(partial(book.distrust, harvest, misfits, bench.settings.harvest.tolerance_share))
    counts = {finding.value: findings.get(finding, 0) for finding in Finding}
    tools.emit(HarvestJudged(bench.name, harvest.date.isoformat(), **counts))


async def check_laws(bench: AccountBench, harvest: Harvest, output: Path) -> None:
    """Read the sets of each campaign that has new ones and note which laws they break, until the run stops."""
    tools = bench.tools
    book, actions, after_id = LawBook(bench.store.database, bench.store.ledger.run_id), sorted(LAW_ACTIONS), 0
    while not tools.stop.is_asked:
        sets = await tools.offload_disk(partial(book.next_due, harvest, actions, after_id))
        if sets is None:
            return
        broken, unchecked = await tools.offload(partial(_broken_laws, sets, output))
        await tools.offload_disk(partial(book.note, harvest, sets, broken, unchecked))
        after_id = sets.campaign_id


def _write_verdicts(book: VerdictBook, harvest: Harvest) -> None:
    verdicts = ((job.id, text) for job in book.unjudged(harvest) if (text := str(_verdict(job))) != job.verdict)
    while batch := list(islice(verdicts, VERDICTS_BATCH)):
        book.write(batch)


def _verdict(job: FinishedJob) -> Verdict:
    return verdict_of(Yield(job.rows, job.duplicates, job.unreadable_rows, job.is_shifted), job.counter_rows)


def _doubts(bench: AccountBench, book: VerdictBook, harvest: Harvest) -> Doubts:
    """Choose among the jobs that no verdict was made of before: so a doubt is followed up once, over all runs."""
    _, _, calls = bench.store.ledger.totals(harvest)
    tolerance_share = bench.settings.harvest.tolerance_share
    beyond = (each for each in _shortfalls(book.unjudged(harvest)) if each.is_beyond(tolerance_share))
    return doubts_on(beyond, _leanings(book, harvest), calls)


def _leanings(book: VerdictBook, harvest: Harvest) -> set[Action]:
    """Return the actions whose counters do not fit, by the verdicts of earlier runs and those about to be made."""
    found = defaultdict(
        Counter[str], {action: Counter(each) for action, each in book.findings_by_action(harvest).items()}
    )
    for job in book.unjudged(harvest):
        found[job.action][_verdict(job).finding] += not job.is_empty
    return {action for action, findings in found.items() if leaning(findings) is not None}


def _shortfalls(jobs: Iterable[FinishedJob]) -> Iterator[Shortfall]:
    """Yield what may be worth another try; jobs with unreadable rows are tried again by the next run anyway."""
    for job in jobs:
        verdict = _verdict(job)
        if verdict.finding is Finding.SHORT and not (job.is_doubted or job.unreadable_rows):
            yield Shortfall(job.id, job.action, verdict.rows, job.counter_rows or 0, max(1, job.pages))


def _broken_laws(sets: CampaignSets, output: Path) -> tuple[Mapping[str, int], str]:
    """Return the laws that the sets break, and why they were not checked if they were not."""
    if sets.rows > LAW_ROWS_MAX:
        return {}, f"{sets.rows:,} rows are more than {LAW_ROWS_MAX:,}"
    try:
        return broken_laws({action: _contacts(output / path) for action, path in sets.paths.items()}), ""
    except UNREADABLE:
        return {}, "a partition could not be read: see harvester verify"


def _contacts(path: Path) -> set[int]:
    """Return the contacts of a partition, each as a number: the hash of its identity takes the least memory.

    Rows that name nobody are left out.

    The standard library reads back every number of `raw` exactly, which faster readers do not.
    """
    identities = (identity_of_record(json.loads(line)) for line in lines_of(path))
    return {hash(identity) for identity in identities if identity}
