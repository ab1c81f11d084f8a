"""The test halves of A/B campaigns, as they were told; they outlive harvests, as a campaign's halves do not change."""

import orjson

from harvester.listing import Split
from harvester.store.database import Database


class Splits:
    """The halves that are known of all accounts of one state folder.

    Args:
        database: the open file.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.durable

    def of(self, account: str) -> dict[str, Split]:
        """Return the halves of each A/B campaign that was asked about; an empty split where it had none then."""
        rows = self._connection.execute(
            "SELECT key, split FROM campaigns WHERE account = ? AND split IS NOT NULL ORDER BY id", (account,)
        )
        return {row["key"]: Split(orjson.loads(row["split"])) for row in rows}

    def note(self, account: str, campaign_key: str, split: Split) -> None:
        """Write down the halves of a campaign."""
        with self._database.writing(self._connection) as connection:
            connection.execute(
                "INSERT INTO campaigns (account, key, split) VALUES (?, ?, ?)"
                " ON CONFLICT DO UPDATE SET split = excluded.split",
                (account, campaign_key, orjson.dumps(split.child_keys).decode()),
            )
