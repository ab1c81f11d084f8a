"""All runs that the ledger knows, for those who look back."""

import datetime as dt

from harvester.store.database import Database


def all_runs(database: Database) -> list[dict[str, str | None]]:
    """Return every run, the oldest first; moments ISO 8601, UTC, None for what did not come or was never told."""
    rows = database.durable.execute(
        "SELECT id, command, started_s, finished_s, outcome FROM runs ORDER BY started_s, id"
    )
    return [
        {
            "run_id": row["id"],
            "command": row["command"],
            "started_at": _iso(row["started_s"]),
            "finished_at": _iso(row["finished_s"]),
            "outcome": row["outcome"],
        }
        for row in rows
    ]


def _iso(wall_s: float | None) -> str | None:
    return None if wall_s is None else dt.datetime.fromtimestamp(wall_s, dt.UTC).isoformat(timespec="milliseconds")
