"""What must be true of the disk whenever no process runs, after a kill as well."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any

from simulation.night import DATE, Night

from harvester.cli.workshop import LEDGER_FILE
from harvester.model import Harvest, JobState, ResponseFormat
from harvester.simulator.world import World
from harvester.store.database import Database
from harvester.store.job_report import JobReport
from harvester.store.ledger import Ledger


class ViolationError(Exception):
    """An invariant does not hold."""


def require(is_kept: object, what: str) -> None:
    """Raise unless the invariant holds."""
    if not is_kept:
        raise ViolationError(what)


@contextmanager
def opened_ledger(night: Night) -> Iterator[Ledger]:
    """Open the ledger to read; a night whose first process died early has none yet."""
    database = Database(night.settings.state / LEDGER_FILE)
    try:
        yield Ledger(database, run_id="")
    finally:
        database.close()


def world_of(night: Night, account: str) -> World:
    """Return the world that an account of the night sees."""
    return night.wire.zoho.world(night.settings.accounts[account].client_id)


class DiskWatch:
    """Compares ledger, files and the server's truth; a partition is read whole once, after that by its hash."""

    def __init__(self) -> None:
        self._verified: dict[str, str] = {}

    def look(self, night: Night) -> None:
        """Check all that is there.

        Raises:
            ViolationError: something is not as promised.
        """
        if not (night.settings.state / LEDGER_FILE).exists():
            return
        with opened_ledger(night) as ledger:
            for harvest in ledger.harvests():
                for job in ledger.jobs(harvest, JobState.DONE):
                    self._check_partition(night, harvest, job)
                _check_no_stranger(night, harvest, ledger)

    def _check_partition(self, night: Night, harvest: Harvest, job: JobReport) -> None:
        name, file = _name(job), night.settings.output / str(job.path)
        require(file.is_file(), f"P2: {name} is done and has no file")
        content = file.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        require((len(content), sha256) == (job.bytes, job.sha256), f"P2: {name}: the file is not the ledger's")
        known = self._verified.get(str(job.path))
        require(known in {None, sha256} or job.is_doubted, f"P4: {name} was changed after it was done")
        if known == sha256:
            return
        self._verified[str(job.path)] = sha256
        _check_rows(night, harvest, job, gzip.decompress(content) if file.suffix == ".gz" else content)


def _check_rows(night: Night, harvest: Harvest, job: JobReport, content: bytes) -> None:
    """See that the rows are those of the server, each once and in its order, and belong to this job."""
    name, lines = _name(job), content.split(b"\n")
    require(lines.pop() == b"", f"P4: {name} does not end with a newline")
    require(len(lines) == job.rows, f"P2: {name} has {len(lines)} rows, the ledger says {job.rows}")
    records = [json.loads(line) for line in lines]
    theirs = _truth(night, harvest, job)
    for position, (record, truth) in enumerate(zip_longest(records, theirs), start=1):
        require(record is not None and truth is not None, f"P2: {name}: {len(records)} rows, and not the server's")
        told = record["raw"] if isinstance(truth, dict) else record["email"]
        require(told == truth, f"P2: {name}: row {position} is not the server's")
        place = (record["account"], record["campaign_key"], record["action"], record["position"])
        require(place == (harvest.account, job.campaign_key, job.action, position), f"P2: {name}: a row of {place}")


def _truth(night: Night, harvest: Harvest, job: JobReport) -> Iterator[Any]:
    """Give the server's rows; of XML, whose fields differ, the addresses."""
    world = world_of(night, harvest.account)
    if night.settings.harvest.response_format is ResponseFormat.JSON:
        return world.rows(job.campaign_key, job.action)
    return (contact.email for contact in world.recipients(world.campaign(job.campaign_key), job.action))


def _check_no_stranger(night: Night, harvest: Harvest, ledger: Ledger) -> None:
    """See that each file is known: a job's partition, or one whose publishing was cut off."""
    folder = night.settings.output / f"recipients/account={harvest.account}/dt={DATE.isoformat()}"
    found = {path.relative_to(night.settings.output).as_posix() for path in folder.glob("action=*/*")}
    known = {job.path for job in ledger.jobs(harvest)}
    ending = {
        f"{job.campaign_key}.jsonl" for job in ledger.jobs(harvest) if job.ending and job.state is not JobState.DONE
    }
    strangers = [path for path in found - known if path.rsplit("/", 1)[1].removesuffix(".gz") not in ending]
    require(not strangers, f"P4: a file that no job accounts for: {strangers}")


def _name(job: JobReport) -> str:
    return f"{job.campaign_key[:8]}/{job.action}"
