"""In which order a run takes its jobs up."""

from harvester.model import Harvest
from harvester.store.ledger import Ledger


def rank_newest_first(ledger: Ledger, harvest: Harvest) -> None:
    """Let the jobs of campaigns that were sent last come first; those of unknown age come last."""
    with ledger.database.writing(ledger.database.durable) as connection:
        connection.execute(
            "UPDATE jobs SET rank = coalesce(-(SELECT sent_at_ms FROM campaigns WHERE campaigns.id = campaign_id), 0)"
            " WHERE harvest_id = ? AND run_id = ? AND state = 'pending'",
            (harvest.id, ledger.run_id),
        )
