"""Which rules on personal data were in force while the sets of a date were read, for its manifest."""

from collections.abc import Mapping
from typing import Any

import orjson

from harvester.model import Harvest
from harvester.store.database import Database
from harvester.store.requeuing import begin_again

HALF_READ = "harvest_id = ? AND state IN ('pending', 'failed') AND EXISTS (SELECT 1 FROM pages WHERE job_id = jobs.id)"


def begin_reading(database: Database, harvest: Harvest, rules: Mapping[str, Any]) -> int:
    """Write down under which rules a run reads sets of a harvest from now on.

    Sets that were read in part under others begin again from their first row: one partition is never of two kinds, and
    its contacts would not be known again.

    Returns:
        How many sets these are.
    """
    known = privacy_rules(database, harvest)
    told = [each for each in known if each != rules] + [dict(rules)]
    with database.writing(database.durable) as connection:
        connection.execute("UPDATE harvests SET privacy = ? WHERE id = ?", (orjson.dumps(told).decode(), harvest.id))
        return begin_again(connection, HALF_READ, harvest.id) if known and known[-1] != rules else 0


def privacy_rules(database: Database, harvest: Harvest) -> list[dict[str, Any]]:
    """Return the rules that were in force for a harvest, the newest last; nearly always they are one."""
    row = database.durable.execute("SELECT privacy FROM harvests WHERE id = ?", (harvest.id,)).fetchone()
    rules: list[dict[str, Any]] = orjson.loads(row["privacy"]) if row else []
    return rules
