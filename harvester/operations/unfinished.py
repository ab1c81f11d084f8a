"""The harvest date of a backfill that was stopped: the same command on another day goes on with it."""

import datetime as dt

from harvester.operations.selection import Selection
from harvester.operations.workshop import LEDGER_FILE
from harvester.settings import Settings
from harvester.store.database import Database
from harvester.store.plans import unfinished_dates

GOES_ON_FOR_DAYS = 7
"""A backfill left alone for longer begins anew: what it has read is carried over, and nobody waits for the rest."""


def unfinished_date(settings: Settings, selection: Selection) -> dt.date | None:
    """Return the newest date on which a backfill of these accounts has open jobs; None if there is none of late."""
    path = settings.state / LEDGER_FILE
    if not path.exists():
        return None
    database = Database(path)
    try:
        with database.refusals():
            dates = unfinished_dates(database, selection.command, selection.accounts)
    finally:
        database.close()
    oldest = selection.date - dt.timedelta(days=GOES_ON_FOR_DAYS)
    return max((date for date in dates if oldest <= date < selection.date), default=None)
