"""What must not happen beside a run that is at work on the same dates."""

from collections.abc import Iterable

from harvester.errors import BusyError
from harvester.model import Harvest
from harvester.settings import Settings
from harvester.store.database import Database
from harvester.store.lock import runs_at_work
from harvester.store.verification import is_worked_on


def refuse_beside_a_run(
    settings: Settings, database: Database, harvests: Iterable[Harvest], what_was_left: str, remedy: str
) -> None:
    """Go on only if no run is at work on any of the harvests.

    Args:
        settings: say where runs leave their marks.
        database: the open ledger.
        harvests: those that are meant.
        what_was_left: what was not done, for the message: "nothing was changed".
        remedy: what a person can do instead.

    Raises:
        BusyError: a run is; it is named.
    """
    live = runs_at_work(settings.state)
    for harvest in harvests:
        if is_worked_on(database, harvest, live):
            runs, date = ", ".join(live.values()), f"{harvest.account} {harvest.date}"
            raise BusyError(f"Another run ({runs}) is at work on {date}; {what_was_left}.", remedy)
