"""Reads a date as a warehouse does: its manifest, job by job, and the partition that each job points to."""

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from simulation.night import Night
from simulation.oracle import Set
from simulation.truth import require, world_of

from harvester.simulator.world import World
from harvester.store.manifest_reading import read_manifest

Digest = tuple[int, str]
"""Of the raw rows of a set, in their order: how many, and a hash of them."""

HOLDING = frozenset({"done", "carried"})
"""States of jobs that point to a partition with all rows."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the manifest of a date says of one set, and what lies where it points to.

    Attributes:
        state: of the job.
        read_on: the date on which the set was read, ISO 8601.
        rows: digest of the rows; None where there is no partition.
    """

    state: str
    read_on: str
    rows: Digest | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a reader of one date sees: every set, and whether all of them are whole."""

    is_complete: bool
    sets: Mapping[Set, Standing]


class SnapshotReader:
    """Reads the snapshots of one account; a partition is taken apart once, and known again by its hash."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._known: dict[tuple[str, str], Digest] = {}

    def read(self, night: Night) -> Snapshot:
        """Return the snapshot of the night's date.

        Raises:
            ViolationError: manifest and files do not agree, or a row is not what its place says.
        """
        output, date = night.settings.output, night.date.isoformat()
        folder = output / f"recipients/account={self._account}/dt={date}"
        manifest = read_manifest(folder / "_manifest.json")
        is_complete = next(manifest)["state"] == "complete"
        require(is_complete == (folder / "_SUCCESS").exists(), "P4: _SUCCESS and the manifest disagree")
        return Snapshot(is_complete, dict(self._sets(manifest, output, date)))

    def _sets(self, jobs: Iterator[Mapping[str, Any]], output: Path, date: str) -> Iterator[tuple[Set, Standing]]:
        for job in jobs:
            rows = self._rows(output, job) if job["state"] in HOLDING else None
            yield (job["campaign_key"], job["action"]), Standing(job["state"], job["carried_from"] or date, rows)

    def _rows(self, output: Path, job: Mapping[str, Any]) -> Digest:
        content = (output / job["path"]).read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        require((len(content), sha256) == (job["bytes"], job["sha256"]), f"P2: {job['path']} is not the manifest's")
        known = self._known.get((job["path"], sha256))
        if known is None:
            known = self._known[job["path"], sha256] = self._taken_apart(content, job)
        require(known[0] == job["rows"], f"P2: {job['path']} has {known[0]} rows, the manifest says {job['rows']}")
        return known

    def _taken_apart(self, content: bytes, job: Mapping[str, Any]) -> Digest:
        text = gzip.decompress(content) if job["path"].endswith(".gz") else content
        records = [json.loads(line) for line in text.splitlines()]
        place = (self._account, job["campaign_key"], job["parent_campaign_key"], job["action"])
        for position, record in enumerate(records, start=1):
            told = (record["account"], record["campaign_key"], record["parent_campaign_key"], record["action"])
            require(told == place, f"P2: {job['path']}: a row of {told}")
            require(record["position"] == position, f"P2: {job['path']}: row {position} stands elsewhere")
            raw = record["raw"]
            contact = (record["contact_id"], record["email"], record["contact_status"])
            theirs = (raw["contactid"], raw["contactemailaddress"], raw["contactstatus"])
            require(contact == theirs, f"P2: {job['path']}: row {position} is another contact than its raw row")
        return digest_of([record["raw"] for record in records])


class Truths:
    """The rows of each set as the world has them at present; taken anew only where they may have changed."""

    def __init__(self, night: Night, account: str) -> None:
        self._world: World = world_of(night, account)
        self._is_restless = night.scenario.server.age.restless_share > 0
        self._known: dict[Set, tuple[float, Digest]] = {}

    def forget(self) -> None:
        """Take all of them anew."""
        self._known.clear()

    def of(self, one: Set) -> Digest:
        """Return the digest of a set's rows at present."""
        day, known = self._world.day or 0.0, self._known.get(one)
        is_new = known is None or self._is_restless or self._world.changed_on(*one, since_day=known[0])
        digest = digest_of(list(self._world.rows(*one))) if known is None or is_new else known[1]
        self._known[one] = day, digest
        return digest


def digest_of(rows: Sequence[Mapping[str, Any]]) -> Digest:
    """Return the number of rows and a hash of them in their order; the order of a row's keys plays no part."""
    digest = hashlib.blake2b(digest_size=16)
    for row in rows:
        digest.update(orjson.dumps(row, option=orjson.OPT_SORT_KEYS))
    return len(rows), digest.hexdigest()
