"""What a harvest date holds, for those who load it: one manifest, and `_SUCCESS` when all of it is there.

The manifest is written when a run begins to work on a date, and last of all when it ends; each time it is replaced as a
whole, so a reader always sees a true one. It is streamed, a job or a campaign a line, and so readable by `jq` and flat
in memory however many there are. What stands in it says `manifest_schema`.

A manifest describes the whole snapshot of its date: a set that was not read on it is carried, and its entry names the
partition of the date on which it was. So a reader of one manifest finds every set, and needs no other.

`_SUCCESS` says that every job the ledger knows of the date is done, carried or skipped. It does not say that the ledger
knows all of them: a run that named its campaigns or actions planned no others, and `discovery` tells whether the
account was listed.
"""

import datetime as dt
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path

import orjson

from harvester import __version__
from harvester.model import Action, Campaign, Discovery, Harvest, Job, JobState
from harvester.store.campaign_report import CampaignReport, campaign_reports
from harvester.store.database import Database
from harvester.store.date_totals import date_totals
from harvester.store.disk import disk_errors, make_folder, open_file, sync_folder
from harvester.store.job_report import JobReport
from harvester.store.ledger import Ledger
from harvester.store.listing_files import listing_of
from harvester.store.manifest_reading import MANIFEST, SUCCESS, manifest_path
from harvester.store.manifest_schema import MANIFEST_VERSION, DateState
from harvester.store.partitions import Compression, Partitions
from harvester.store.privacy_notes import privacy_rules
from harvester.store.runs import last_run_on, run_record, runs_on

COMPLETE = frozenset({JobState.DONE, JobState.CARRIED, JobState.SKIPPED})
"""States of jobs that hold all that the server had to give."""

SIGNATURE = frozenset(
    {"run_id", "command", "started_at", "finished_at", "written_at", "harvester_version", "config_sha256"}
)
"""What says who wrote a manifest, how and when, not what it holds."""

HALF_REPLACED = """
    SELECT 1 FROM jobs JOIN jobs AS reader ON reader.id = ifnull(jobs.origin_id, jobs.id)
    WHERE jobs.harvest_id = ? AND reader.path = jobs.path
    AND reader.state IN ('pending', 'running') AND reader.ending IS NOT NULL LIMIT 1
"""
"""Whether a job that a harvest has, or refers to, may have put a new file into the place of the one that it names."""


@dataclass(frozen=True, slots=True)
class Heading:
    """What a manifest says of itself.

    Attributes:
        harvest: the account and date.
        state: how far it has come.
        run_id: the run that is at work on it, or the last one that was.
        written_at: the present, ISO 8601, UTC.
    """

    harvest: Harvest
    state: DateState
    run_id: str
    written_at: str


def write_manifest(output: Path, ledger: Ledger, harvest: Harvest, written_at: str) -> Path:
    """Describe a harvest as the ledger knows it, and set or remove `_SUCCESS`.

    Where another run is at work on the date the manifest names that one, as it is not the last word.

    Args:
        output: the output folder.
        ledger: what is true; of the run that writes.
        harvest: the account and date, as it stands now.
        written_at: the present, ISO 8601, UTC.

    Returns:
        Where the manifest lies.
    """
    if others := runs_on(ledger.database, harvest, ledger.live_runs(), is_open_only=True):
        return _write_running(output, ledger, Heading(harvest, DateState.RUNNING, others[0], written_at))
    counts = ledger.counts(harvest)
    has_ended = sum(counts[state] for state in COMPLETE) == sum(counts.values())
    is_complete = has_ended and harvest.discovery is not Discovery.PARTIAL
    state = DateState.COMPLETE if is_complete else DateState.PARTIAL
    run_id = last_run_on(ledger.database, harvest) or ledger.run_id
    path = _write(output, ledger, Heading(harvest, state, run_id, written_at))
    _note(ledger.database, harvest, is_mistold=False)
    return path


def mark_running(output: Path, ledger: Ledger, harvest: Harvest, written_at: str) -> None:
    """Say that a run is at work on a date, and take back that it is complete, before its files change.

    A run that is killed leaves this manifest behind: then its `run_id` is that of no run at work, and the next run of
    the account writes it anew (`overdue`). Arguments as above.
    """
    _write_running(output, ledger, Heading(harvest, DateState.RUNNING, ledger.run_id, written_at))


def mistold(database: Database, account: str | None = None) -> list[Harvest]:
    """Return the harvests, of one account or of all, whose manifests are not what the ledger will have to tell.

    A run is at work on them, or was killed at it, or something was erased from their files.
    """
    rows = database.durable.execute(
        "SELECT * FROM harvests WHERE is_mistold AND purge IS NULL AND account = ifnull(?, account)"
        " ORDER BY account, date",
        (account,),
    )
    return [
        Harvest(row["id"], row["account"], dt.date.fromisoformat(row["date"]), Discovery(row["discovery"]))
        for row in rows.fetchall()
    ]


def overdue(ledger: Ledger, account: str) -> list[Harvest]:
    """Return the harvests of an account whose manifests nobody else is to write anew.

    No other run is at work on them, and no run was killed between the two steps by which a file takes the place of
    another: whether the old or the new one lies there is known when that job goes on.
    """
    database, live = ledger.database, ledger.live_runs()
    return [
        harvest
        for harvest in mistold(database, account)
        if not runs_on(database, harvest, live)
        and database.durable.execute(HALF_REPLACED, (harvest.id,)).fetchone() is None
    ]


def _write_running(output: Path, ledger: Ledger, heading: Heading) -> Path:
    _note(ledger.database, heading.harvest, is_mistold=True)
    return _write(output, ledger, heading)


def _note(database: Database, harvest: Harvest, *, is_mistold: bool) -> None:
    with database.writing(database.durable) as connection:
        connection.execute("UPDATE harvests SET is_mistold = ? WHERE id = ?", (is_mistold, harvest.id))


def _write(output: Path, ledger: Ledger, heading: Heading) -> Path:
    harvest = heading.harvest
    target = output / manifest_path(harvest.account, harvest.date.isoformat())
    folder, success = target.parent, target.with_name(SUCCESS)
    with disk_errors(target):
        make_folder(folder)
        if heading.state is not DateState.COMPLETE:
            success.unlink(missing_ok=True)
        draft = folder / f".{MANIFEST}.draft"
        with open(open_file(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:  # noqa: PTH123 - a path cannot be opened with a mode
            file.writelines(_lines(ledger, heading))
            file.flush()
            os.fsync(file.fileno())
        if heading.state is not DateState.RUNNING and _tells_the_same(draft, target):
            draft.unlink()
        else:
            draft.rename(target)
        if heading.state is DateState.COMPLETE:
            os.close(open_file(success, os.O_WRONLY | os.O_CREAT))
        sync_folder(folder)
    return target


def _tells_the_same(draft: Path, target: Path) -> bool:
    """Whether two manifests differ in nothing but who wrote them when: then the older one stays as it is."""
    if target.is_symlink() or not target.is_file():
        return False
    with draft.open("rb") as new, target.open("rb") as old:
        return _substance(new.readline()) == _substance(old.readline()) and all(
            ours == theirs for ours, theirs in zip_longest(new, old)
        )


def _substance(head: bytes) -> object:
    try:
        told = orjson.loads(head.rstrip(b",\n") + b"}")
    except orjson.JSONDecodeError:
        return None
    return {key: value for key, value in told.items() if key not in SIGNATURE}


def _lines(ledger: Ledger, heading: Heading) -> Iterator[bytes]:
    database, harvest = ledger.database, heading.harvest
    listing = listing_of(database, harvest)
    head = {
        "manifest_version": MANIFEST_VERSION,
        "account": harvest.account,
        "date": harvest.date.isoformat(),
        "state": heading.state,
        "discovery": harvest.discovery,
        **_signature(ledger, heading),
        "listing": asdict(listing) if listing else None,
        "privacy": privacy_rules(database, harvest),
        "jobs_by_state": {state.value: number for state, number in ledger.counts(harvest).items()},
        **asdict(date_totals(database, harvest)),
    }
    yield orjson.dumps(head)[:-1] + b',\n"jobs": [\n'
    yield from _listed(_job(harvest, job) for job in ledger.jobs(harvest))
    yield b'\n],\n"campaigns": [\n'
    yield from _listed(map(_campaign, campaign_reports(database, harvest)))
    yield b"\n]}\n"


def _signature(ledger: Ledger, heading: Heading) -> dict[str, str | None]:
    """Return who made the date; who only describes it anew, to mend it or for another date, is not named."""
    run = run_record(ledger.database, heading.run_id)
    finished_at = _iso(run.finished_s)
    if heading.run_id == ledger.run_id and run.started_s is not None and heading.state is not DateState.RUNNING:
        finished_at = heading.written_at
    return {
        "run_id": heading.run_id,
        "command": run.command,
        "started_at": _iso(run.started_s),
        "finished_at": finished_at,
        "written_at": heading.written_at,
        "harvester_version": __version__,
        "config_sha256": run.config_sha256,
    }


def _iso(wall_s: float | None) -> str | None:
    return None if wall_s is None else dt.datetime.fromtimestamp(wall_s, dt.UTC).isoformat(timespec="seconds")


def _listed(entries: Iterable[dict[str, object]]) -> Iterator[bytes]:
    separator = b""
    for entry in entries:
        yield separator + orjson.dumps(entry)
        separator = b",\n"


def _job(harvest: Harvest, job: JobReport) -> dict[str, object]:
    is_published = job.state in {JobState.DONE, JobState.PARTIAL}
    return {
        "campaign_key": job.campaign_key,
        "parent_campaign_key": job.parent_campaign_key,
        "action": job.action,
        "state": job.state,
        "due": job.due,
        "carried_from": job.carried_from,
        "changes": job.changes,
        "path": job.path,
        "rows": job.rows,
        "bytes": job.bytes,
        "sha256": job.sha256,
        "calls": job.calls,
        "codes": job.codes,
        "ending": job.ending,
        "duplicates": job.duplicates,
        "consistency": job.consistency if is_published else None,
        "unreadable_rows": job.unreadable_rows,
        "quarantine": _quarantine(harvest, job),
        "counter": job.counter_rows,
        "verdict": job.verdict,
        "code": job.code,
        "reason": job.reason,
        "started_at": _iso(job.started_s) if is_published else None,
        "finished_at": _iso(job.finished_s) if is_published else None,
    }


def _quarantine(harvest: Harvest, job: JobReport) -> list[str]:
    """Return where the replies lie whose rows could not all be read, below the output folder."""
    if not job.unreadable_from:
        return []
    place = Job(0, harvest.account, Campaign(job.campaign_key), Action(job.action), harvest.date)
    parts = Partitions(Path(), Compression.NONE)
    return [str(parts.quarantine_path(place, from_index)) for from_index in job.unreadable_from]


def _campaign(campaign: CampaignReport) -> dict[str, object]:
    return {
        "campaign_key": campaign.campaign_key,
        "counters": campaign.counters,
        "counters_code": campaign.counters_code,
        "broken_laws": campaign.broken_laws,
        "laws_unchecked": campaign.laws_unchecked or None,
        "details": campaign.details,
    }
