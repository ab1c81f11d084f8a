"""All places below the output folder in which somebody may stand, each looked through and written anew without them.

What the ledger knows of comes first, set by set; then what unfinished jobs have, and what lies in quarantine.
"""

import datetime as dt
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath
from sqlite3 import Row

import orjson

from harvester.listing import Listing
from harvester.model import Action, Campaign, Job, JobState
from harvester.store.change_book import JobChanges
from harvester.store.change_files import trouble_with
from harvester.store.database import Database
from harvester.store.date_folder import OWN_NAMES, files_below
from harvester.store.disk import disk_errors, is_regular, replace_file
from harvester.store.erasure import Erasures, Step
from harvester.store.partitions import PARTS, QUARANTINE, Compression, Partitions
from harvester.store.reading import DamagedError
from harvester.store.requeuing import begin_again
from harvester.store.rewriting import Rewritten, Without, rewrite, says_something

READ_BACK = frozenset({JobState.DONE, JobState.PARTIAL})
"""States of jobs whose partition is what their pages made."""


@dataclass(frozen=True, slots=True)
class Traits:
    """By what somebody is found, which this room does not know.

    Attributes:
        without: what is left of a line.
        is_in: whether they are named anywhere in a text.
        note: what lies in quarantine in the place of a reply of so many bytes.
    """

    without: Without
    is_in: Callable[[bytes], bool]
    note: Callable[[int], bytes]


@dataclass(slots=True)
class Found:
    """Files that cannot be read, by path below the output folder; and how many unfinished jobs begin again."""

    unreadable: list[str] = field(default_factory=list)
    jobs_again: int = 0


class Traces:
    """Takes somebody out of everything; nobody else may write meanwhile.

    Args:
        database: the open ledger.
        output: the output folder.
        traits: by what they are found.
        erasure_id: of the erasure that this is part of.
    """

    def __init__(self, database: Database, output: Path, traits: Traits, erasure_id: str) -> None:
        self._database = database
        self._connection = database.durable
        self._output = output
        self._traits = traits
        self._erasure_id = erasure_id
        self._erasures = Erasures(database, output)
        self._known: set[int] = set()  # hashes: the paths of 900,000 jobs themselves would weigh 150 MB
        self.found = Found()

    def erase(self, advance: Callable[[int], None]) -> Found:
        """Look through all places; `advance` is told of the bytes of partitions as they are done.

        What is left of a killed erasure must be settled before.
        """
        campaigns = self._connection.execute("SELECT id FROM campaigns ORDER BY id").fetchall()
        for row in campaigns:
            self._erase_campaign(row["id"], advance)
        self._erase_listings()
        self._erase_parts()
        self._erase_moved()
        self._erase_replies()
        return self.found

    def is_ours(self, name: str) -> bool:
        """Tell whether a path below the output folder is that of a file that was looked through."""
        is_known = hash(name) in self._known or PurePosixPath(name).name in OWN_NAMES
        return is_known or name.startswith((f"{PARTS}/", f"{QUARANTINE}/"))

    # --- what the ledger knows --------------------------------------------------------------------------------------

    def _erase_campaign(self, campaign_id: int, advance: Callable[[int], None]) -> None:
        rows = self._connection.execute(
            "SELECT id, action, state, path, rows, bytes, sha256, changes FROM jobs WHERE campaign_id = ?"
            " ORDER BY action, sha256, id",
            (campaign_id,),
        ).fetchall()
        held = [row for row in rows if row["path"] is not None]
        for _, group in groupby(held, key=lambda row: (row["action"], row["sha256"])):
            jobs = list(group)
            self._erase_partition(jobs)
            advance(jobs[0]["bytes"])
        for row in rows:
            if row["changes"] is not None:
                self._erase_changes(row["id"])

    def _erase_partition(self, jobs: Sequence[Row]) -> None:
        """Take them out of one partition, in all the places where jobs have it: links, copies, references."""
        paths = sorted({row["path"] for row in jobs})
        self._known.update(map(hash, paths))
        places = self._places(paths)
        held = [self._holds(names[0]) for names in places]
        if not any(held):
            return
        expected = jobs[0]
        sound = [names[0] for names in places if not self._trouble(names[0], expected["bytes"], expected["sha256"])]
        if not sound:
            self.found.unreadable += paths
            return
        reader = next((row for row in jobs if row["state"] in READ_BACK), None)
        rewritten = self._rewritten(sound[0], self._pages(reader) if reader else (), self._traits.without)
        if rewritten is not None:
            step = Step(
                places=places,
                old_sha256=expected["sha256"],
                rewritten=rewritten,
                erased_rows=expected["rows"] - rewritten.rows,
                job_ids=tuple(row["id"] for row in jobs),
                reader_id=reader["id"] if reader else None,
            )
            self._erasures.take(self._erasure_id, step)

    def _erase_changes(self, job_id: int) -> None:
        row = self._connection.execute("SELECT changes FROM jobs WHERE id = ?", (job_id,)).fetchone()
        changes = JobChanges(**orjson.loads(row["changes"]))
        if changes.path is None or not self._holds(changes.path):
            return
        if self._trouble(changes.path, changes.bytes, changes.sha256 or ""):
            self.found.unreadable.append(changes.path)
            return
        kinds = Counter[str]()
        rewritten = self._rewritten(changes.path, (), partial(self._counted, kinds))
        if rewritten is None:
            return
        told = replace(changes, added=kinds["added"], removed=kinds["removed"], changed=kinds["changed"])
        if rewritten.rows:
            told = replace(told, bytes=rewritten.bytes, sha256=rewritten.sha256)
        else:
            told = replace(told, path=None, bytes=0, sha256=None)
        step = Step(
            places=((changes.path,),),
            old_sha256=changes.sha256 or "",
            rewritten=rewritten if rewritten.rows else None,
            erased_rows=changes.added + changes.removed + changes.changed - rewritten.rows,
            changes=(job_id, orjson.dumps(asdict(told)).decode()),
        )
        self._erasures.take(self._erasure_id, step)

    def _counted(self, kinds: Counter[str], line: bytes) -> bytes | None:
        """Return what is left of a line of a change file, and count it by its kind."""
        left = self._traits.without(line)
        if left is not None:
            kinds[json.loads(left)["change"]] += 1  # orjson refuses some of what a row may hold
        return left

    def _erase_listings(self) -> None:
        for row in self._connection.execute("SELECT id, listing FROM harvests WHERE listing IS NOT NULL").fetchall():
            listing = Listing(**orjson.loads(row["listing"]))
            if not self._holds(listing.path):
                continue
            if self._trouble(listing.path, listing.bytes, listing.sha256):
                self.found.unreadable.append(listing.path)
                continue
            rewritten = self._rewritten(listing.path, (), self._traits.without)
            if rewritten is not None:
                told = replace(listing, bytes=rewritten.bytes, sha256=rewritten.sha256)
                step = Step(
                    places=((listing.path,),),
                    old_sha256=listing.sha256,
                    rewritten=rewritten,
                    erased_rows=0,
                    listing=(row["id"], orjson.dumps(asdict(told)).decode()),
                )
                self._erasures.take(self._erasure_id, step)

    def _holds(self, path: str) -> bool:
        """Tell whether a file of the ledger's says anything of them; one that is not there says nothing."""
        self._known.add(hash(path))
        place = self._output / path
        if not place.is_file() or place.is_symlink():
            return False
        try:
            with disk_errors(place):
                return says_something(place, self._traits.without)
        except DamagedError:
            self.found.unreadable.append(path)
            return False

    def _trouble(self, path: str, size_bytes: int, sha256: str) -> str:
        return trouble_with(self._output / path, size_bytes, sha256)

    def _rewritten(self, path: str, pages: Sequence[tuple[int, int]], without: Without) -> Rewritten | None:
        try:
            return rewrite(self._output / path, self._erasures.draft, pages, without)
        except DamagedError:
            self.found.unreadable.append(path)
            return None

    def _pages(self, job: Row) -> list[tuple[int, int]]:
        pages = self._connection.execute(
            "SELECT number, rows FROM pages WHERE job_id = ? ORDER BY number", (job["id"],)
        )
        return [(row["number"], row["rows"]) for row in pages]

    def _places(self, paths: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """Return the paths with those together that are names of one file."""
        names: dict[tuple[int, int], list[str]] = {}
        for path in paths:
            place = self._output / path
            status = place.lstat() if place.exists() else None
            if status is not None:
                names.setdefault((status.st_dev, status.st_ino), []).append(path)
        return tuple(map(tuple, names.values()))

    # --- what the ledger does not list ------------------------------------------------------------------------------

    def _erase_parts(self) -> None:
        """Remove the parts that hold them; their jobs begin again from their first row."""
        jobs = self._jobs_of_parts()
        for path in _regular_files_below(self._output / PARTS):
            job = jobs.get(path.name)
            if job is not None:
                self._cut(path, job["end_bytes"])
            if self._is_in_part(path):
                self._remove_part(path, job["id"] if job else None)

    def _erase_moved(self) -> None:
        """Remove likewise what lies in the places of unfinished jobs and is no partition that the ledger knows.

        A killed run moved a part there and did not come to say so; or the partition that was there was given up.
        """
        rows = self._connection.execute(
            "SELECT jobs.id, harvests.account, date, key, jobs.action FROM jobs"
            " JOIN harvests ON harvests.id = harvest_id JOIN campaigns ON campaigns.id = campaign_id"
            " WHERE jobs.state IN ('pending', 'running', 'failed') AND path IS NULL"
        )
        places = [Partitions(self._output, compression) for compression in Compression]
        names = ((str(place.relative_path(_job_of(row))), row["id"]) for row in rows for place in places)
        for name, job_id in [each for each in names if is_regular(self._output / each[0])]:
            self._known.add(hash(name))
            if self._is_in_part(self._output / name):
                self._remove_part(self._output / name, job_id)

    def _remove_part(self, path: Path, job_id: int | None) -> None:
        if job_id is not None:
            with self._database.writing(self._connection) as connection:
                self.found.jobs_again += begin_again(connection, "id = ?", job_id)
        with disk_errors(path):
            path.unlink(missing_ok=True)
        self._erasures.count(self._erasure_id, 1)

    def _jobs_of_parts(self) -> dict[str, Row]:
        """Return the unfinished jobs that have pages, by the names that their parts may have."""
        rows = self._connection.execute(
            "SELECT jobs.id, harvests.account, date, key, jobs.action, max(end_bytes) AS end_bytes FROM pages"
            " JOIN jobs ON jobs.id = job_id JOIN harvests ON harvests.id = harvest_id"
            " JOIN campaigns ON campaigns.id = campaign_id WHERE jobs.state IN ('pending', 'running', 'failed')"
            " GROUP BY jobs.id"
        ).fetchall()
        places = [Partitions(self._output, compression) for compression in Compression]
        return {place.part_path(_job_of(row)).name: row for row in rows for place in places}

    @staticmethod
    def _cut(path: Path, committed_bytes: int) -> None:
        """Cut off what no page was committed for: it is written again anyway."""
        with disk_errors(path):
            if path.stat().st_size > committed_bytes:
                os.truncate(path, committed_bytes)

    def _is_in_part(self, path: Path) -> bool:
        """Tell whether a part may hold them; one that cannot be read to its end may."""
        with disk_errors(path):
            try:
                return says_something(path, self._traits.without)
            except DamagedError:
                return True

    def _erase_replies(self) -> None:
        """Put a note in the place of each reply that names them: its rows count as unreadable still."""
        for path in _regular_files_below(self._output / QUARANTINE):
            with disk_errors(path):
                body = path.read_bytes()
                if self._traits.is_in(body):
                    replace_file(path, self._traits.note(len(body)))
                    self._erasures.count(self._erasure_id, 1)


def _job_of(row: Row) -> Job:
    date = dt.date.fromisoformat(row["date"])
    return Job(row["id"], row["account"], Campaign(row["key"]), Action(row["action"]), date)


def _regular_files_below(folder: Path) -> list[Path]:
    return [path for path in files_below(folder) if is_regular(path)]
