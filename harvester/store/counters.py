"""How many rows each job should have, as the server's own report counts them."""

from harvester.model import Action, Counters, Harvest, Job
from harvester.store.database import Database

ANSWERED = "0"
"""The code of a campaign whose report was read."""

OPEN_CAMPAIGNS = """
FROM campaigns LEFT JOIN campaign_notes ON campaign_notes.campaign_id = campaigns.id AND campaign_notes.harvest_id = :h
WHERE {asked} AND campaigns.id > :after AND EXISTS (
    SELECT 1 FROM jobs WHERE harvest_id = :h AND campaign_id = campaigns.id AND run_id = :run
    AND state NOT IN ('skipped', 'carried')
)
"""
"""The campaigns of a plan, but for those that have nothing to ask for."""

NOTE_CODE = (
    "INSERT INTO campaign_notes (harvest_id, campaign_id, counters_code) VALUES (?, ?, ?)"
    " ON CONFLICT DO UPDATE SET counters_code = excluded.counters_code"
)

IS_JUDGED = """EXISTS (
    SELECT 1 FROM jobs WHERE harvest_id = excluded.harvest_id AND campaign_id = excluded.campaign_id
    AND action = excluded.action AND verdict IS NOT NULL AND verdict != 'unknown'
)"""


class CounterBook:
    """The counters of all harvests of one state folder.

    What is lost here is asked again, so nothing waits for the disk: pages and jobs sync, and these go with them.

    Args:
        database: the open file.
        run_id: of the run whose plan is meant.
        is_ranking: whether a campaign with more recipients comes before one with fewer from the moment they are known.
    """

    def __init__(self, database: Database, run_id: str, *, is_ranking: bool = False) -> None:
        self._database = database
        self._connection = database.brief
        self._run_id = run_id
        self._is_ranking = is_ranking

    def renew(self, harvest: Harvest, *, is_all: bool) -> None:
        """See that campaigns are asked about again: those that were not answered, or all of them."""
        with self._database.writing(self._connection) as connection:
            connection.execute(
                "UPDATE campaign_notes SET counters_code = NULL WHERE harvest_id = ? AND (? OR counters_code != ?)"
                " AND campaign_id IN (SELECT campaign_id FROM jobs WHERE harvest_id = ? AND run_id = ?)",
                (harvest.id, is_all, ANSWERED, harvest.id, self._run_id),
            )

    def uncounted(self, harvest: Harvest, after_id: int, limit: int) -> list[tuple[int, str]]:
        """Return numbers and keys of planned campaigns that were not asked about, from beyond `after_id` on."""
        rows = self._connection.execute(
            f"SELECT campaigns.id, key {OPEN_CAMPAIGNS.format(asked='counters_code IS NULL')}"
            " ORDER BY campaigns.id LIMIT :limit",
            {"h": harvest.id, "run": self._run_id, "after": after_id, "limit": limit},
        )
        return [(row["id"], row["key"]) for row in rows]

    def campaign_id(self, job: Job) -> int:
        """Return the number of a job's campaign."""
        row = self._connection.execute("SELECT campaign_id FROM jobs WHERE id = ?", (job.id,)).fetchone()
        return int(row["campaign_id"])

    def is_uncounted(self, harvest: Harvest, campaign_id: int) -> bool:
        """Tell whether nobody has asked about a campaign for this date."""
        row = self._connection.execute(
            "SELECT 1 FROM campaign_notes WHERE harvest_id = ? AND campaign_id = ? AND counters_code IS NOT NULL",
            (harvest.id, campaign_id),
        ).fetchone()
        return row is None

    def missing(self, harvest: Harvest) -> int:
        """Return how many planned campaigns were not asked about, or not answered."""
        unanswered = OPEN_CAMPAIGNS.format(asked="counters_code IS NOT :answered")
        row = self._connection.execute(
            f"SELECT count(*) AS campaigns {unanswered}",
            {"h": harvest.id, "run": self._run_id, "after": 0, "answered": ANSWERED},
        ).fetchone()
        return int(row["campaigns"])

    def note(self, harvest: Harvest, campaign_id: int, counters: Counters) -> None:
        """Write down what was answered about a campaign.

        A counter by which a job was judged stays: beside a verdict stands the number that it was made by.

        Args:
            harvest: for which date.
            campaign_id: the ledger's number of the campaign.
            counters: what is known of it.
        """
        with self._database.writing(self._connection) as connection:
            connection.execute(NOTE_CODE, (harvest.id, campaign_id, ANSWERED))
            connection.executemany(
                "INSERT INTO counters (harvest_id, campaign_id, action, rows) VALUES (?, ?, ?, ?)"
                f" ON CONFLICT DO UPDATE SET rows = excluded.rows WHERE NOT {IS_JUDGED}",
                ((harvest.id, campaign_id, action, rows) for action, rows in counters.rows.items()),
            )
            if self._is_ranking:
                connection.execute(
                    "UPDATE jobs SET rank = ? WHERE harvest_id = ? AND campaign_id = ? AND run_id = ?",
                    (-counters.rows.get(Action.SENT, 0), harvest.id, campaign_id, self._run_id),
                )

    def note_refusal(self, harvest: Harvest, campaign_id: int, code: str) -> None:
        """Write down under which code the counters of a campaign were refused; what was known before stays."""
        with self._database.writing(self._connection) as connection:
            connection.execute(NOTE_CODE, (harvest.id, campaign_id, code))
