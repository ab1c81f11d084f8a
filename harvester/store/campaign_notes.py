"""What is known of a harvest's campaigns beside their rows: sizes to be expected, and what replies said."""

from collections.abc import Mapping
from typing import Any

import orjson

from harvester.model import Job
from harvester.store.database import Database

EARLIER_HARVESTS_MAX = 7
"""How many harvests are looked back for a set's size: a week of nights."""

EXPECTED = """
SELECT rows FROM counters WHERE harvest_id = jobs.harvest_id AND campaign_id = jobs.campaign_id AND action = jobs.action
"""

EARLIER = """
SELECT earlier.rows FROM jobs
JOIN harvests ON harvests.id = jobs.harvest_id
JOIN jobs AS earlier ON earlier.campaign_id = jobs.campaign_id AND earlier.action = jobs.action
WHERE jobs.id = ? AND earlier.state = 'done' AND earlier.harvest_id IN (
    SELECT id FROM harvests AS before WHERE before.account = harvests.account AND before.id != harvests.id
    ORDER BY date DESC LIMIT ?
)
ORDER BY earlier.finished_s DESC LIMIT 1
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
        """Return how many rows the job's set should have: by the campaign's counters, else by an earlier harvest."""
        counted = f"SELECT ({EXPECTED}) AS rows FROM jobs WHERE id = ?"
        rows: int | None = self._connection.execute(counted, (job.id,)).fetchone()["rows"]
        if rows is None and (earlier := self._connection.execute(EARLIER, (job.id, EARLIER_HARVESTS_MAX)).fetchone()):
            rows = earlier["rows"]
        return rows

    def note_details(self, job: Job, details: Mapping[str, Any]) -> None:
        """Remember what a reply said of the job's campaign; the newest word counts."""
        with self._database.writing(self._connection) as connection:
            connection.execute(
                "INSERT INTO campaign_notes (harvest_id, campaign_id, details)"
                " SELECT harvest_id, campaign_id, ? FROM jobs WHERE id = ?"
                " ON CONFLICT DO UPDATE SET details = excluded.details",
                (orjson.dumps(details).decode(), job.id),
            )
