"""Which laws the sets of a campaign break, as it was found when its partitions were last read for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from harvester.model import Action, Harvest
from harvester.store.database import Database

STAMP = "printf('%.6f', total(finished_s))"
"""Changes whenever a partition of the campaign is published again."""

KNOWN_STAMP = """(
    SELECT json_extract(broken_laws, '$.stamp') FROM campaign_notes
    WHERE campaign_notes.harvest_id = :h AND campaign_notes.campaign_id = jobs.campaign_id
)"""


@dataclass(frozen=True, slots=True)
class CampaignSets:
    """The finished sets of one campaign that nobody has held against each other as they are now.

    Attributes:
        campaign_id: the ledger's number of the campaign.
        stamp: tells these partitions from earlier and later ones.
        paths: by action, relative to the output folder.
        rows: of all of them together.
    """

    campaign_id: int
    stamp: str
    paths: Mapping[Action, str]
    rows: int


class LawBook:
    """The broken laws of all harvests of one state folder.

    What is lost here is found again, so nothing waits for the disk.

    Args:
        database: the open file.
        run_id: of the run whose plan is meant.
    """

    def __init__(self, database: Database, run_id: str) -> None:
        self._database = database
        self._connection = database.brief
        self._run_id = run_id

    def next_due(self, harvest: Harvest, actions: Sequence[Action], after_id: int) -> CampaignSets | None:
        """Return the next planned campaign, beyond `after_id`, that has two or more done sets not yet checked.

        A partial job is none: what lies in quarantine would seem to break laws.
        """
        chosen = "harvest_id = :h AND state = 'done' AND action IN (SELECT value FROM json_each(:actions))"
        values = {"h": harvest.id, "run": self._run_id, "after": after_id, "actions": orjson.dumps(actions).decode()}
        found = self._connection.execute(
            f"SELECT campaign_id, {STAMP} AS stamp, total(rows) AS rows FROM jobs WHERE {chosen}"
            " AND campaign_id > :after GROUP BY campaign_id HAVING count(*) > 1 AND sum(run_id = :run)"
            f" AND stamp IS NOT {KNOWN_STAMP} ORDER BY campaign_id LIMIT 1",
            values,
        ).fetchone()
        if found is None:
            return None
        paths = self._connection.execute(
            f"SELECT action, path FROM jobs WHERE {chosen} AND campaign_id = :campaign",
            values | {"campaign": found["campaign_id"]},
        )
        return CampaignSets(
            found["campaign_id"],
            found["stamp"],
            {Action(row["action"]): row["path"] for row in paths},
            int(found["rows"]),
        )

    def note(self, harvest: Harvest, sets: CampaignSets, broken: Mapping[str, int], unchecked: str = "") -> None:
        """Write down what the sets of a campaign are worth.

        Args:
            harvest: for which date.
            sets: those that were looked at.
            broken: the laws that they break, each with the number of contacts.
            unchecked: why they could not be checked; empty if they were.
        """
        told = orjson.dumps({"stamp": sets.stamp, "broken": broken, "unchecked": unchecked}).decode()
        with self._database.writing(self._connection) as connection:
            connection.execute(
                "INSERT INTO campaign_notes (harvest_id, campaign_id, broken_laws) VALUES (?, ?, ?)"
                " ON CONFLICT DO UPDATE SET broken_laws = excluded.broken_laws",
                (harvest.id, sets.campaign_id, told),
            )

    def broken(self, harvest: Harvest) -> dict[str, tuple[int, int]]:
        """Return the laws that are broken on a date: of how many campaigns, by how many contacts."""
        rows = self._connection.execute(
            "SELECT law.key AS law, count(*) AS campaigns, sum(law.value) AS contacts"
            " FROM campaign_notes, json_each(broken_laws, '$.broken') AS law WHERE harvest_id = ?"
            " GROUP BY law.key ORDER BY contacts DESC",
            (harvest.id,),
        )
        return {row["law"]: (row["campaigns"], row["contacts"]) for row in rows}

    def unchecked(self, harvest: Harvest) -> int:
        """Return of how many campaigns the sets could not be checked."""
        row = self._connection.execute(
            "SELECT count(*) AS campaigns FROM campaign_notes"
            " WHERE harvest_id = ? AND json_extract(broken_laws, '$.unchecked') != ''",
            (harvest.id,),
        ).fetchone()
        return int(row["campaigns"])
