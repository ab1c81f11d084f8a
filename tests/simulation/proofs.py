"""What the manifest must say of each finished job at the end of a night: nothing that is doubtful stays unsaid."""

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from simulation.night import DATE, Night
from simulation.on_disk import opened_ledger
from simulation.truth import Truth, may_be_cut, require, world_of

from harvester.engine.paging import OVERLAP_PAGE_ROWS_MIN
from harvester.model import JobState
from harvester.simulator.set_options import Shift
from harvester.store.job_history import Histories, JobHistory, KnownCampaign

PRIVATE_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Finished:
    """A job with a partition: what the manifest says of it, what the ledger knows, and what is true."""

    name: str
    entry: Mapping[str, Any]
    history: JobHistory
    truth: Truth

    @property
    def is_whole(self) -> bool:
        """Whether it has as many rows as its set, which keeps still."""
        return bool(self.entry["rows"] == len(self.truth.places))


def check_proofs(night: Night) -> None:
    """Check what the manifest says of every finished job.

    Raises:
        ViolationError: it is silent, or wrong.
    """
    for job in _finished(night):
        _unreadable_rows_are_kept(night, job)
        _repeats_are_counted(job)
        _cut_sets_are_found_out(night, job)
        _missed_newcomers_are_told(night, job)


def _finished(night: Night) -> Iterator[Finished]:
    with opened_ledger(night) as ledger:
        histories = Histories(ledger.database)
        for account in night.scenario.accounts:
            folder = night.settings.output / f"recipients/account={account}/dt={DATE.isoformat()}"
            entries = json.loads((folder / "_manifest.json").read_bytes())["jobs"]
            for entry in entries:
                if entry["state"] not in {JobState.DONE, JobState.PARTIAL}:
                    continue
                key, action = entry["campaign_key"], entry["action"]
                known = KnownCampaign(account, key, DATE.isoformat())
                (history,) = histories.jobs(known, DATE.isoformat(), action)
                yield Finished(
                    f"{key[:8]}/{action}", entry, history, Truth(night, world_of(night, account), key, action)
                )


def _unreadable_rows_are_kept(night: Night, job: Finished) -> None:
    """Rows that cannot be read make a job partial; the replies that held them lie in quarantine, for us alone."""
    entry, truth = job.entry, job.truth
    is_partial = entry["state"] == JobState.PARTIAL
    require(is_partial == bool(entry["unreadable_rows"]), f"P2: {job.name}: {entry['unreadable_rows']} unreadable rows")
    require(is_partial == bool(entry["quarantine"]), f"P2: {job.name}: quarantine {entry['quarantine']}")
    if truth.is_still and job.is_whole and not may_be_cut(night):
        told, rows = entry["unreadable_rows"], truth.unreadable_rows
        require(told == rows, f"P2: {job.name}: {told} unreadable rows told, the server has {rows}")
    for path in entry["quarantine"]:
        file = night.settings.output / path
        require(file.is_file(), f"P2: {job.name}: {path} is not in quarantine")
        require(file.stat().st_mode & 0o777 == PRIVATE_MODE, f"P5: {path} can be read by others")


def _repeats_are_counted(job: Finished) -> None:
    """Of a set that keeps still and was read whole, each contact's second row was dropped and counted."""
    if job.truth.is_still and job.is_whole:
        told, repeats = job.entry["duplicates"], job.truth.repeats
        # Where the end is cut off and nothing but repeated rows lay behind it, fewer of them were seen.
        is_right = told <= repeats if may_be_cut(job.truth.night) else told == repeats
        require(is_right, f"P2: {job.name}: {told} duplicates told, the server has {repeats}")


def _cut_sets_are_found_out(night: Night, job: Finished) -> None:
    """Where counters are right, the verdict is too; what was harvested again for its shortfall is whole."""
    entry, truth = job.entry, job.truth
    if not truth.is_still or truth.unreadable_rows:
        return
    require(job.is_whole or not job.history.report.is_doubted, f"P2: {job.name}: read again, and still short")
    counter_rows = entry["counter"]
    if night.scenario.server.counters.share or counter_rows is None:
        return
    missing_rows = counter_rows - entry["rows"]
    require(missing_rows == len(truth.places) - entry["rows"], f"P2: {job.name}: the counter is {counter_rows}")
    if missing_rows and missing_rows == entry["duplicates"]:
        return  # a counter may count each row: nobody can tell
    verdict = f"short by {missing_rows}" if missing_rows else "proven"
    require(entry["verdict"] == verdict, f"P2: {job.name}: {entry['verdict']}, and it is {verdict}")


def _missed_newcomers_are_told(night: Night, job: Finished) -> None:
    """Who came before the reader, and was there when the last page was made, is there, or the set is called shifted.

    Where others left at the same time, as many as came, nobody could notice.
    """
    pages = job.history.pages
    is_overlapping = all(page.received_rows >= OVERLAP_PAGE_ROWS_MIN for page in pages[:-1])
    is_noticed = is_overlapping and not may_be_cut(night) and Shift.REMOVED not in night.scenario.server.shifts.kinds
    if not pages or job.truth.is_still or not is_noticed or job.entry["consistency"] == "shifted":
        return
    missed = job.truth.missed_newcomers(_ids(night, job), pages[-1].from_index)
    require(not missed, f"P2: {job.name}: {missed} newcomers missed, and the set is called steady")


def _ids(night: Night, job: Finished) -> set[str]:
    """Return the ids of the contacts that the job's partition holds."""
    content = (night.settings.output / job.entry["path"]).read_bytes()
    lines = (gzip.decompress(content) if job.entry["path"].endswith(".gz") else content).split(b"\n")[:-1]
    return {job.truth.contact_of(json.loads(line)).contact_id for line in lines}
