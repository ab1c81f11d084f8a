"""What the ledger knows of objects that were published.

Its word is never stronger than the truth: an object is uploaded before it is noted, and doubted before it is replaced
or removed. What is lost here is found again by looking at the store, so nothing waits for the disk.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import orjson

from harvester.publication import Deliverable
from harvester.store.database import Database

BATCH_PATHS = 500
"""Paths read at once, so that no query stays open while objects travel."""


@dataclass(frozen=True, slots=True)
class Word:
    """What the ledger says of one object.

    Attributes:
        sha256: of its bytes, in hex; None while it is in doubt what is there.
        bytes: its size.
        modified_ns: of the local file, as it was uploaded; None where nobody asks for it.
    """

    sha256: str | None
    bytes: int
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
            "SELECT path, sha256, bytes, modified_ns FROM publications"
            " WHERE target = ? AND path IN (SELECT value FROM json_each(?))",
            (self._target, orjson.dumps(list(paths)).decode()),
        )
        return {row["path"]: Word(row["sha256"], row["bytes"], row["modified_ns"]) for row in rows}

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

    def dates(self, folder: str) -> list[str]:
        """Return the ISO dates of which objects are known below the folder of an account, the oldest first."""
        dates, after, head = [], f"{folder}/", f"{folder}/dt="
        while (path := self._first(after, f"{folder}0")) is not None:
            date, _, _ = path.removeprefix(head).partition("/")
            dates.append(date)
            after = f"{head}{date}0"
        return dates

    def _first(self, after: str, end: str) -> str | None:
        row = self._connection.execute(
            "SELECT min(path) AS path FROM publications WHERE target = ? AND path > ? AND path < ?",
            (self._target, after, end),
        ).fetchone()
        path: str | None = row["path"]
        return path

    def note(self, deliverable: Deliverable, etag: str | None, wall_s: float, modified_ns: int | None = None) -> None:
        """Write down that an object is this file now."""
        with self._database.writing(self._connection) as connection:
            connection.execute(
                "INSERT INTO publications (target, path, sha256, etag, bytes, modified_ns, uploaded_s)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET sha256 = excluded.sha256,"
                " etag = excluded.etag, bytes = excluded.bytes, modified_ns = excluded.modified_ns,"
                " uploaded_s = excluded.uploaded_s",
                (
                    *(self._target, deliverable.path, deliverable.sha256, etag),
                    *(deliverable.bytes, modified_ns, wall_s),
                ),
            )

    def doubt(self, paths: Iterable[str]) -> None:
        """Take back what is said of objects that are about to be replaced or removed; they may be there or not."""
        with self._database.writing(self._connection) as connection:
            connection.executemany(
                "INSERT INTO publications (target, path, bytes, uploaded_s) VALUES (?, ?, 0, 0)"
                " ON CONFLICT DO UPDATE SET sha256 = NULL, etag = NULL, modified_ns = NULL",
                [(self._target, path) for path in paths],
            )

    def drop(self, path: str) -> None:
        """Forget an object that was removed."""
        with self._database.writing(self._connection) as connection:
            connection.execute("DELETE FROM publications WHERE target = ? AND path = ?", (self._target, path))
