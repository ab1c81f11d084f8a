"""What the ledger knows of runs: what they are for, and whether they are at work on a harvest."""

from collections.abc import Collection
from dataclasses import dataclass

import orjson

from harvester.model import Harvest
from harvester.store.database import Database

_AMONG = (
    "{jobs}.run_id IN (SELECT value FROM json_each(:among))"
    " AND (NOT :is_open_only OR {jobs}.state IN ('pending', 'running'))"
)

AT_WORK = f"""
    SELECT run_id FROM jobs WHERE harvest_id = :harvest AND {_AMONG.format(jobs="jobs")}
    UNION
    SELECT origin.run_id FROM jobs JOIN jobs AS origin ON origin.id = jobs.origin_id
    WHERE jobs.harvest_id = (SELECT id FROM harvests WHERE id = :harvest AND is_mistold)
    AND origin.path = jobs.path AND {_AMONG.format(jobs="origin")}
    ORDER BY run_id
"""
"""Who replaces files of another date marks the dates that refer to them first: only there references are looked at."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What the ledger knows of a run; every attribute is None where it knows of none, such as for a repair.

    Attributes:
        command: what it is for.
        started_s: when it began, seconds since the epoch.
        finished_s: when it ended, likewise; None also where it was killed.
        config_sha256: of the settings that shape its output.
    """

    command: str | None = None
    started_s: float | None = None
    finished_s: float | None = None
    config_sha256: str | None = None


def run_record(database: Database, run_id: str) -> RunRecord:
    """Return what the ledger knows of a run."""
    row = database.durable.execute(
        "SELECT command, started_s, finished_s, config_sha256 FROM runs WHERE id = ?", (run_id,)
    ).fetchone()
    return RunRecord(*row) if row else RunRecord()


def last_run_on(database: Database, harvest: Harvest) -> str | None:
    """Return the run that began last of those that had jobs of a harvest in their plan; None if none is known."""
    row = database.durable.execute(
        "SELECT id FROM runs WHERE EXISTS (SELECT 1 FROM jobs WHERE harvest_id = ? AND run_id = runs.id)"
        " ORDER BY started_s DESC LIMIT 1",
        (harvest.id,),
    ).fetchone()
    return str(row["id"]) if row else None


def runs_on(database: Database, harvest: Harvest, among: Collection[str], *, is_open_only: bool = False) -> list[str]:
    """Return which of these runs are at work on a harvest.

    They have jobs of it in their plan; or jobs of another date whose files jobs of this one refer to: who replaces
    these has taken the manifest of this date back as well.

    Args:
        database: the ledger.
        harvest: the account and date.
        among: the runs.
        is_open_only: leave those out whose jobs, of which it may be any, are at their end.
    """
    if not among:
        return []
    rows = database.durable.execute(
        AT_WORK, {"harvest": harvest.id, "among": orjson.dumps(sorted(among)).decode(), "is_open_only": is_open_only}
    )
    return [row["run_id"] for row in rows]
