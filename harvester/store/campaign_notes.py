"""What is known of a harvest's sets beside their rows: sizes to be expected, waits, and what replies said."""

from collections.abc import Mapping
from typing import Any

import orjson

from harvester.model import Job
from harvester.store.database import Database

GROWTH_MAX = 1.5
"""By how much a set is believed to have grown since an earlier harvest."""

COUNTED = """
SELECT counters.rows FROM jobs JOIN counters USING (harvest_id, campaign_id, action) WHERE jobs.id = ?
"""

EARLIER = """
SELECT origin.rows FROM jobs
JOIN snapshots ON snapshots.campaign_id = jobs.campaign_id AND snapshots.action = jobs.action
JOIN jobs AS origin ON origin.id = snapshots.origin_id
WHERE jobs.id = ? AND origin.state = 'done'
"""


class CampaignNotes:
    """The notes of all harvests of one state folder.

    Args:
        database: the open file.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.durable

    def expected_rows(self, job: Job) -> int | None:
        """Return how many rows the job's set should have; None if unknown.

        By the campaign's counters, which may count each open where the set lists who opened: so never by much more
        than an earlier harvest found.
        """
        counted = self._rows(COUNTED, job.id)
        earlier = self._rows(EARLIER, job.id)
        if counted is None or earlier is None:
            return earlier if counted is None else counted
        return min(counted, int(GROWTH_MAX * earlier))

    def _rows(self, query: str, *values: int) -> int | None:
        found = self._connection.execute(query, values).fetchone()
        rows: int | None = found["rows"] if found else None
        return rows

    def note_wait(self, job: Job, wait_s: float) -> None:
        """Remember that the next attempt of a running job waits, for `wait_s` seconds, without being put off."""
        with self._database.writing(self._connection) as connection:
            connection.execute(
                "UPDATE jobs SET retries = retries + 1, waited_s = waited_s + ? WHERE id = ?", (wait_s, job.id)
            )

    def note_details(self, job: Job, details: Mapping[str, Any]) -> None:
        """Remember what a reply said of the job's campaign; the newest word counts."""
        with self._database.writing(self._connection) as connection:
            connection.execute(
                "INSERT INTO campaign_notes (harvest_id, campaign_id, details)"
                " SELECT harvest_id, campaign_id, ? FROM jobs WHERE id = ?"
                " ON CONFLICT DO UPDATE SET details = excluded.details",
                (orjson.dumps(details).decode(), job.id),
            )
