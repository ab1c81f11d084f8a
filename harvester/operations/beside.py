"""What must not happen beside others who are at work on the same files."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harvester.errors import BusyError
from harvester.model import Harvest
from harvester.operations.changing import lock_folder
from harvester.operations.destination import publish_lock
from harvester.operations.exporting import LOCK as EXPORTS
from harvester.settings import Settings
from harvester.store.database import Database
from harvester.store.ledger import Ledger
from harvester.store.lock import exclusive, runs_at_work
from harvester.store.runs import runs_on

WAIT = "Wait for it to end, then give the same command again."


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
        if runs_on(database, harvest, live):
            runs, date = ", ".join(live.values()), f"{harvest.account} {harvest.date}"
            raise BusyError(f"Another run ({runs}) is at work on {date}; {what_was_left}.", remedy)


@contextmanager
def alone(settings: Settings, database: Database) -> Iterator[None]:
    """Keep runs, exports, and writers of changes and objects away for as long as files are rewritten or removed.

    Raises:
        BusyError: one is at work now; nothing was changed.
    """
    accounts = sorted({harvest.account for harvest in Ledger(database, "").harvests(is_purged_too=True)})
    state = settings.state
    writers = [folder for account in accounts for folder in (lock_folder(state, account), publish_lock(state, account))]
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(state))
            _refuse_beside_any_run(state)  # none begins from here on; the locks below are those of its own steps
            for folder in (state / EXPORTS, *writers):
                stack.enter_context(exclusive(folder))
        except BusyError as busy:
            raise BusyError(f"{busy.message} Nothing was changed.", WAIT) from None
        yield


def _refuse_beside_any_run(state: Path) -> None:
    if live := runs_at_work(state):
        raise BusyError(f"A run ({', '.join(live.values())}) is at work.", WAIT)
