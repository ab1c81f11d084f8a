"""What the ledger knows of objects that were published.

Its word is never stronger than the truth, and never weaker: an object is doubted before it is uploaded, replaced or
removed, and noted after its upload. So whatever may be in the store has a row here, and what is doubted is found again
by looking at the store; nothing waits for the disk.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import orjson

from harvester.model import Harvest
from harvester.publication import Deliverable
from harvester.store.change_files import CHANGES
from harvester.store.database import Database
from harvester.store.listing_files import FOLDER as LISTINGS
from harvester.store.partitions import RECIPIENTS

FOLDERS = (RECIPIENTS, CHANGES, LISTINGS)
"""Where readers look, below the output folder and below the prefix."""

BATCH_PATHS = 500
"""Paths read at once, so that no query stays open while objects travel."""

CARRIED = """
    SELECT reading.path FROM harvests JOIN jobs AS reading ON reading.harvest_id = harvests.id
    JOIN publications AS object
    ON object.target = :target AND object.path = reading.path AND object.sha256 = reading.sha256
    WHERE harvests.account = :account AND harvests.date = :date AND EXISTS (
        SELECT 1 FROM jobs AS later JOIN harvests AS other ON other.id = later.harvest_id AND other.purge IS NULL
        JOIN publications AS manifest ON manifest.target = :target AND manifest.path =
        'recipients/account=' || other.account || '/dt=' || other.date || '/_manifest.json'
        WHERE later.origin_id = reading.id AND later.path = reading.path
    )
"""
"""Objects of a date that hold what the ledger has of a set, and that some other published date carries.

A date that carries by hard link or copy names a file of its own."""


def has_publications(database: Database) -> bool:
    """Tell whether anything may be in any object store."""
    return database.durable.execute("SELECT 1 FROM publications LIMIT 1").fetchone() is not None


@dataclass(frozen=True, slots=True)
class Word:
    """What the ledger says of one object.

    Attributes:
        sha256: of its bytes, in hex; None while it is in doubt what is there.
        modified_ns: of the local file, as it was uploaded; None where nobody asks for it.
    """

    sha256: str | None
    modified_ns: int | None


class Publications:
    """The objects below one prefix.

    Args:
        database: the open file.
        target: the URL of the prefix: what was published elsewhere does not count here.
    """

    def __init__(self, database: Database, target: str) -> None:
        self._database = database
        self._connection = database.brief
        self._target = target

    def words(self, paths: Sequence[str]) -> dict[str, Word]:
        """Return what is known of some objects, by their paths; unknown ones are left out."""
        rows = self._connection.execute(
            "SELECT path, sha256, modified_ns FROM publications"
            " WHERE target = ? AND path IN (SELECT value FROM json_each(?))",
            (self._target, orjson.dumps(list(paths)).decode()),
        )
        return {row["path"]: Word(row["sha256"], row["modified_ns"]) for row in rows}

    def word(self, path: str) -> Word | None:
        """Return what is known of one object; None if nothing is."""
        return self.words([path]).get(path)

    def below(self, folder: str) -> Iterator[str]:
        """Yield the paths that begin with `folder` and a slash, in their order; what is known may change meanwhile."""
        after, end = f"{folder}/", f"{folder}0"  # 0 is the character that follows the slash
        while True:
            rows = self._connection.execute(
                "SELECT path FROM publications WHERE target = ? AND path > ? AND path < ? ORDER BY path LIMIT ?",
                (self._target, after, end, BATCH_PATHS),
            ).fetchall()
            if not rows:
                return
            yield from (row["path"] for row in rows)
            after = rows[-1]["path"]

    def accounts(self) -> list[str]:
        """Return the accounts of which objects are known."""
        return sorted({account for folder in FOLDERS for account in self._parts(folder, "account=")})

    def dates(self, account: str) -> list[str]:
        """Return the ISO dates of which objects of an account are known, the oldest first."""
        return sorted({date for folder in FOLDERS for date in self._parts(f"{folder}/account={account}", "dt=")})

    def _parts(self, folder: str, key: str) -> Iterator[str]:
        """Yield the values of a Hive key right below a folder; one look at the index for each."""
        after, head = f"{folder}/", f"{folder}/{key}"
        while (path := self._first(after, f"{folder}0")) is not None:
            value, _, _ = path.removeprefix(head).partition("/")
            yield value
            after = f"{head}{value}0"

    def _first(self, after: str, end: str) -> str | None:
        row = self._connection.execute(
            "SELECT min(path) AS path FROM publications WHERE target = ? AND path > ? AND path < ?",
            (self._target, after, end),
        ).fetchone()
        path: str | None = row["path"]
        return path

    def carried(self, harvest: Harvest) -> Iterator[str]:
        """Yield the objects of a date that other published dates carry, as the ledger has them now."""
        named = {"target": self._target, "account": harvest.account, "date": harvest.date.isoformat()}
        return (row["path"] for row in self._connection.execute(CARRIED, named))

    def note(self, deliverable: Deliverable, modified_ns: int | None = None) -> None:
        """Write down that an object is this file now."""
        with self._database.writing(self._connection) as connection:
            connection.execute(
                "INSERT INTO publications (target, path, sha256, modified_ns) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET sha256 = excluded.sha256, modified_ns = excluded.modified_ns",
                (self._target, deliverable.path, deliverable.sha256, modified_ns),
            )

    def doubt(self, paths: Iterable[str]) -> None:
        """Take back what is said of objects that are about to be uploaded, replaced or removed: they may be there."""
        with self._database.writing(self._connection) as connection:
            connection.executemany(
                "INSERT INTO publications (target, path) VALUES (?, ?)"
                " ON CONFLICT DO UPDATE SET sha256 = NULL, modified_ns = NULL",
                [(self._target, path) for path in paths],
            )

    def drop(self, paths: Iterable[str]) -> None:
        """Forget objects that were removed."""
        with self._database.writing(self._connection) as connection:
            connection.executemany(
                "DELETE FROM publications WHERE target = ? AND path = ?", [(self._target, path) for path in paths]
            )
