"""What earlier runs left to be done."""

import datetime as dt
from collections.abc import Sequence

import orjson

from harvester.model import Command
from harvester.store.database import Database


def unfinished_dates(database: Database, command: Command, accounts: Sequence[str]) -> list[dt.date]:
    """Return the harvest dates on which runs of a command left open jobs of these accounts."""
    rows = database.durable.execute(
        "SELECT DISTINCT date FROM jobs JOIN runs ON runs.id = jobs.run_id JOIN harvests ON harvests.id = harvest_id"
        " WHERE command = ? AND account IN (SELECT value FROM json_each(?)) AND state IN ('pending', 'running')",
        (command, orjson.dumps(list(accounts)).decode()),
    )
    return [dt.date.fromisoformat(row["date"]) for row in rows]
