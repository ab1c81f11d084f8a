"""What must be true of the disk whenever no process runs, after a kill as well."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

from simulation.night import Night
from simulation.truth import Truth, require, world_of

from harvester.model import Harvest, JobState
from harvester.operations.workshop import LEDGER_FILE
from harvester.store.database import Database
from harvester.store.job_report import JobReport
from harvester.store.ledger import Ledger


@contextmanager
def opened_ledger(night: Night) -> Iterator[Ledger]:
    """Open the ledger to read; a night whose first process died early has none yet."""
    database = Database(night.settings.state / LEDGER_FILE)
    try:
        yield Ledger(database, run_id="")
    finally:
        database.close()


class DiskWatch:
    """Compares ledger, files and the server's truth; a done partition is read whole once, after that by its hash."""

    def __init__(self) -> None:
        self._verified: dict[str, str] = {}
        self._doubted: set[str] = set()

    def look(self, night: Night) -> None:
        """Check all that is there.

        Raises:
            ViolationError: something is not as promised.
        """
        if not (night.settings.state / LEDGER_FILE).exists():
            return
        with opened_ledger(night) as ledger:
            for harvest in ledger.harvests():
                for job in chain(ledger.jobs(harvest, JobState.DONE), ledger.jobs(harvest, JobState.PARTIAL)):
                    self._check_partition(night, harvest, job)
                _check_no_stranger(night, harvest, ledger)

    def _check_partition(self, night: Night, harvest: Harvest, job: JobReport) -> None:
        name, file = _name(job), night.settings.output / str(job.path)
        require(file.is_file(), f"P2: {name} is done and has no file")
        content = file.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        require((len(content), sha256) == (job.bytes, job.sha256), f"P2: {name}: the file is not the ledger's")
        path = str(job.path)
        require(job.is_doubted or path not in self._doubted, f"P2: {name}: it was doubted once, and is trusted again")
        if job.is_doubted:
            self._doubted.add(path)
        known = self._verified.get(path)
        require(known in {None, sha256} or job.is_doubted, f"P4: {name} was changed after it was done")
        if known == sha256:
            return
        if job.state is JobState.DONE:  # a partial one is read again by every run
            self._verified[path] = sha256
        _check_rows(night, harvest, job, gzip.decompress(content) if file.suffix == ".gz" else content)


def _check_rows(night: Night, harvest: Harvest, job: JobReport, content: bytes) -> None:
    """See that the rows are framed and counted, belong to this job, and are those of the server."""
    name, lines = _name(job), content.split(b"\n")
    require(lines.pop() == b"", f"P4: {name} does not end with a newline")
    require(len(lines) == job.rows, f"P2: {name} has {len(lines)} rows, the ledger says {job.rows}")
    records = [json.loads(line) for line in lines]
    for record in records:
        place = (record["account"], record["campaign_key"], record["action"])
        require(place == (harvest.account, job.campaign_key, job.action), f"P2: {name}: a row of {place}")
    Truth(night, world_of(night, harvest.account), job.campaign_key, job.action).check(name, records)


def _check_no_stranger(night: Night, harvest: Harvest, ledger: Ledger) -> None:
    """See that each file is known: a job's partition, or one whose publishing was cut off."""
    folder = night.settings.output / f"recipients/account={harvest.account}/dt={harvest.date.isoformat()}"
    found = {path.relative_to(night.settings.output).as_posix() for path in folder.glob("action=*/*")}
    known = {job.path for job in ledger.jobs(harvest)}
    ending = {
        f"{job.campaign_key}.jsonl"
        for job in ledger.jobs(harvest)
        if job.ending and job.state not in {JobState.DONE, JobState.PARTIAL}
    }
    strangers = [path for path in found - known if path.rsplit("/", 1)[1].removesuffix(".gz") not in ending]
    require(not strangers, f"P4: a file that no job accounts for: {strangers}")


def _name(job: JobReport) -> str:
    return f"{job.campaign_key[:8]}/{job.action}"
