"""Opens the ledger for commands that make no call."""

from collections.abc import Iterator
from contextlib import contextmanager

from harvester.errors import ConfigError
from harvester.operations.workshop import LEDGER_FILE
from harvester.settings import Settings
from harvester.store.database import Database


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """Open the ledger of earlier runs.

    Raises:
        ConfigError: there is none yet.
    """
    path = settings.state / LEDGER_FILE
    if not path.exists():
        raise ConfigError(f"{path}: there is no ledger yet.", "harvester run makes one.")
    database = Database(path)
    try:
        with database.refusals():
            yield database
    finally:
        database.close()
