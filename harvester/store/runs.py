"""What the ledger knows of runs: what they are for, and whether they are at work on a harvest."""

from collections.abc import Collection
from dataclasses import dataclass

import orjson

from harvester.model import Harvest
from harvester.store.database import Database


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What the ledger knows of a run; every attribute is None where it knows of none, such as for a repair.

    Attributes:
        command: what it is for.
        started_s: when it began, seconds since the epoch.
        config_sha256: of the settings that shape its output.
    """

    command: str | None = None
    started_s: float | None = None
    config_sha256: str | None = None


def run_record(database: Database, run_id: str) -> RunRecord:
    """Return what the ledger knows of a run."""
    row = database.durable.execute(
        "SELECT command, started_s, config_sha256 FROM runs WHERE id = ?", (run_id,)
    ).fetchone()
    return RunRecord(*row) if row else RunRecord()


def runs_on(database: Database, harvest: Harvest, among: Collection[str], *, is_open_only: bool = False) -> list[str]:
    """Return which of these runs have jobs of a harvest in their plan, or such that are not at their end."""
    rows = database.durable.execute(
        "SELECT DISTINCT run_id FROM jobs WHERE harvest_id = ? AND (NOT ? OR state IN ('pending', 'running'))"
        " AND run_id IN (SELECT value FROM json_each(?)) ORDER BY run_id",
        (harvest.id, is_open_only, orjson.dumps(sorted(among)).decode()),
    )
    return [row["run_id"] for row in rows]
