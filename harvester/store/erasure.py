"""Files that are replaced by what is left of them: each in one step that is written down before it is taken.

What a step is to do stands in the ledger, whole, before the first file is touched. Killed at any moment it is carried
out to its end by whoever opens the ledger next to write (`settle`), and nobody needs to know whom it was for. Until
then files and ledger may disagree, and nothing may be made of that (`refuse_unsettled`): a repair would fetch again
what was to be erased. The erasure itself, which is many steps, stays open (`open_erasures`) until the command that
knows whom it is for has come to its end.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

import orjson

from harvester.errors import VerificationError
from harvester.flaws import REMEDIES, Flaw, FlawKind
from harvester.store.database import Database
from harvester.store.disk import copy_file, disk_errors, make_folder, sync_folder
from harvester.store.partitions import PARTS
from harvester.store.rewriting import PageSpot, Rewritten

DRAFT = "erasure.draft"
COPY = "erasure.copy"
"""What is left of a file, and a copy of it on the way to its place; both lie beside the parts."""


_AFTER_KEY_ID = ":"
"""Stands in the ledger between the id of a key and what was hashed with it."""


@dataclass(frozen=True, slots=True)
class OpenErasure:
    """An erasure that is not at its end.

    Attributes:
        id: as the audit trail will have it.
        began_at: when, ISO 8601.
        key_id: by which the key of its subject is known.
    """

    id: str
    began_at: str
    key_id: str


@dataclass(frozen=True, slots=True)
class Step:
    """One file that is replaced in every place where it lies.

    Attributes:
        places: its paths below the output folder; the names of one and the same file (hard links) stand together.
        old_sha256: of its bytes as the ledger knows them.
        rewritten: what is left; None where the file goes away.
        erased_rows: rows that are gone.
        job_ids: the jobs whose partition it is; none for other files.
        reader_id: the one among them whose pages it is made of, if there is one.
        changes: of the one job whose change file it is, as the ledger is to have them: (job id, JSON).
        listing: of the harvest whose listing it is, likewise.
    """

    places: tuple[tuple[str, ...], ...]
    old_sha256: str
    rewritten: Rewritten | None
    erased_rows: int
    job_ids: tuple[int, ...] = ()
    reader_id: int | None = None
    changes: tuple[int, str] | None = None
    listing: tuple[int, str] | None = None


class Erasures:
    """The erasures that are not at their end.

    Args:
        database: the open ledger.
        output: the output folder.
    """

    def __init__(self, database: Database, output: Path) -> None:
        self._database = database
        self._output = output
        self.draft = output / PARTS / DRAFT  #: where `rewrite` is to put what is left of the next file

    def begin(self, key_id: str, subject: str, now: str) -> str:
        """Return the id of the erasure of a subject, known again if it was cut off.

        Args:
            key_id: by which the key of the subject is known.
            subject: a keyed hash of whom it is for.
            now: ISO 8601.
        """
        subject = f"{key_id}{_AFTER_KEY_ID}{subject}"
        with self._database.writing(self._database.durable) as connection:
            connection.execute(
                "INSERT INTO erasures (id, subject, began_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (uuid4().hex, subject, now),
            )
        row = self._database.durable.execute("SELECT id FROM erasures WHERE subject = ?", (subject,)).fetchone()
        return str(row["id"])

    def take(self, erasure_id: str, step: Step) -> None:
        """Take one step: what is left of the file lies in the draft."""
        told = orjson.dumps(asdict(step)).decode()
        with self._database.writing(self._database.durable) as connection:
            connection.execute("UPDATE erasures SET step = ? WHERE id = ?", (told, erasure_id))
        self._carry_out(erasure_id, step)

    def settle(self) -> None:
        """Carry out what was written down and not done."""
        rows = self._database.durable.execute("SELECT id, step FROM erasures WHERE step IS NOT NULL").fetchall()
        for row in rows:
            self._carry_out(row["id"], _step_of(row["step"]))
        with disk_errors(self.draft):
            self.draft.unlink(missing_ok=True)

    def count(self, erasure_id: str, files: int) -> None:
        """Add to what an erasure has come to files without rows that are known."""
        with self._database.writing(self._database.durable) as connection:
            connection.execute("UPDATE erasures SET files = files + ? WHERE id = ?", (files, erasure_id))

    def totals(self, erasure_id: str) -> tuple[int, int]:
        """Return to how many files and rows an erasure has come, over all the runs that it took."""
        row = self._database.durable.execute("SELECT files, rows FROM erasures WHERE id = ?", (erasure_id,)).fetchone()
        return int(row["files"]), int(row["rows"])

    def end(self, erasure_id: str) -> None:
        """Forget the erasure itself: it is done, and told elsewhere."""
        with self._database.writing(self._database.durable) as connection:
            connection.execute("DELETE FROM erasures WHERE id = ?", (erasure_id,))

    def _carry_out(self, erasure_id: str, step: Step) -> None:
        """Replace the file wherever it lies, and then take the ledger's word for it; may be done again and again."""
        if step.rewritten is None:
            self._remove(step)
        else:
            self._place(step)
        with self._database.writing(self._database.durable) as connection:
            _note(connection, step)
            connection.execute(
                "UPDATE erasures SET files = files + ?, rows = rows + ?, step = NULL WHERE id = ?",
                (sum(map(len, step.places)), step.erased_rows, erasure_id),
            )
        with disk_errors(self.draft):
            self.draft.unlink(missing_ok=True)

    def _remove(self, step: Step) -> None:
        for path in (self._output / name for names in step.places for name in names):
            with disk_errors(path):
                path.unlink(missing_ok=True)
                sync_folder(path.parent)

    def _place(self, step: Step) -> None:
        copy = self.draft.with_name(COPY)
        for names in step.places:
            first, *others = (self._output / name for name in names)
            self._move(self.draft, first, copy, is_link=False)
            for other in others:
                self._move(first, other, copy, is_link=True)

    @staticmethod
    def _move(source: Path, target: Path, copy: Path, *, is_link: bool) -> None:
        """Put a copy of a file in the place of another, durably; a second name for it where the two were one file."""
        with disk_errors(target):
            copy.unlink(missing_ok=True)
            make_folder(target.parent)
            if is_link:
                copy.hardlink_to(source)
            else:
                copy_file(source, copy)
            copy.rename(target)
            copy.unlink(missing_ok=True)  # to rename a file to another name of itself does nothing
            sync_folder(target.parent)


def refuse_unsettled(database: Database) -> None:
    """Raise VerificationError if the files of a step may not be those that the ledger knows."""
    row = database.durable.execute("SELECT 1 FROM erasures WHERE step IS NOT NULL").fetchone()
    if row is not None:
        what = f"{database.path}: harvester forget is at work, or was cut off."
        raise VerificationError(what, REMEDIES[FlawKind.ERASURE])


def open_erasures(database: Database) -> list[OpenErasure]:
    """Return the erasures that are at work, or were cut off, the oldest first; nobody can tell whom they are for."""
    rows = database.durable.execute("SELECT id, began_at, subject FROM erasures ORDER BY began_at, id")
    return [
        OpenErasure(row["id"], row["began_at"], row["subject"].partition(_AFTER_KEY_ID)[0]) for row in rows.fetchall()
    ]


def erasure_flaws(database: Database) -> Iterator[Flaw]:
    """Yield a flaw for each of them."""
    for each in open_erasures(database):
        what = f"harvester forget began at {each.began_at} and is at work, or was cut off"
        yield Flaw(FlawKind.ERASURE, f"erasure {each.id}", what)


def _note(connection: sqlite3.Connection, step: Step) -> None:
    if step.rewritten is not None and step.job_ids:
        _note_partition(connection, step, step.rewritten)
    if step.changes is not None:
        job_id, told = step.changes
        connection.execute("UPDATE jobs SET changes = ? WHERE id = ?", (told, job_id))
        _mistell(connection, "id = ?", job_id)
    if step.listing is not None:
        harvest_id, told = step.listing
        connection.execute("UPDATE harvests SET listing = ?, is_mistold = 1 WHERE id = ?", (told, harvest_id))


def _note_partition(connection: sqlite3.Connection, step: Step, new: Rewritten) -> None:
    for job_id in step.job_ids:
        connection.execute(
            "UPDATE jobs SET rows = ?, bytes = ?, sha256 = ? WHERE id = ? AND sha256 = ?",
            (new.rows, new.bytes, new.sha256, job_id, step.old_sha256),
        )
        _mistell(connection, "id = ?", job_id)
    if step.reader_id is not None:
        connection.executemany(
            "UPDATE pages SET rows = ?, end_bytes = ?, sha256 = ? WHERE job_id = ? AND number = ?",
            (
                (page.rows, page.end_bytes, bytes.fromhex(page.sha256), step.reader_id, page.number)
                for page in new.pages
            ),
        )
    # Comparisons with the file hold for what is left of it too: what is gone is gone from their own files.
    compared = (
        "(campaign_id, action) = (SELECT campaign_id, action FROM jobs WHERE id = ?)"
        " AND json_extract(changes, '$.against_sha256') = ?"
    )
    _mistell(connection, compared, step.job_ids[0], step.old_sha256)
    connection.execute(
        f"UPDATE jobs SET changes = json_set(changes, '$.against_sha256', ?) WHERE {compared}",
        (new.sha256, step.job_ids[0], step.old_sha256),
    )


def _mistell(connection: sqlite3.Connection, jobs: str, *values: object) -> None:
    """Mark the dates of some jobs as told wrongly by their manifests."""
    connection.execute(
        f"UPDATE harvests SET is_mistold = 1 WHERE id IN (SELECT harvest_id FROM jobs WHERE {jobs})", values
    )


def _step_of(told: str) -> Step:
    step = orjson.loads(told)
    rewritten = step.pop("rewritten")
    if rewritten is not None:
        pages = tuple(PageSpot(**page) for page in rewritten.pop("pages"))
        rewritten = Rewritten(**rewritten, pages=pages)
    return Step(
        places=tuple(map(tuple, step.pop("places"))),
        job_ids=tuple(step.pop("job_ids")),
        rewritten=rewritten,
        changes=_pair(step.pop("changes")),
        listing=_pair(step.pop("listing")),
        **step,
    )


def _pair(told: Sequence[int | str] | None) -> tuple[int, str] | None:
    return None if told is None else (int(told[0]), str(told[1]))
