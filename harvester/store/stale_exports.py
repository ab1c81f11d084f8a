"""Exports below the output folder that hold what the partitions of their date do not hold any more.

An export is known by its manifest, however deep it lies. It is fresh if that names all that lies beside it, and if each
action of it was made of just the partitions that the ledger knows now. Whatever else it may hold, nobody can tell.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from harvester.store.database import Database
from harvester.store.date_folder import files_below
from harvester.store.disk import disk_errors
from harvester.store.exports import EXPORT_MANIFEST, PART, discard, sources_sha256, sweep
from harvester.store.partitions import RECIPIENTS

HOMES = ("compact", "parquet")
"""Where exports lie below the output folder unless another place is named; each may be a link to a larger disk."""


@dataclass(frozen=True, slots=True)
class Discarded:
    """How many exports were removed, and the files of those that stay, by path below the output folder."""

    exports: int
    kept: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Export:
    """The export of one account and ISO date below a home."""

    home: Path
    account: str
    date: str

    @property
    def folder(self) -> Path:
        return self.home / RECIPIENTS / f"account={self.account}" / f"dt={self.date}"


def discard_stale(database: Database, output: Path) -> Discarded:
    """Remove the exports that are not fresh, and what killed ones left; no export may be at work.

    The next export makes them again. May be done any number of times.
    """
    found, kept, discarded = list(_exports_below(output)), set[str](), 0
    for home in {export.home for export in found}:
        sweep(home)
    for export in found:
        if _is_fresh(database, export):
            kept.update(str(path.relative_to(output)) for path in (export.folder / EXPORT_MANIFEST, *_files(export)))
        else:
            discard(export.home, export.account, export.date)
            discarded += 1
    return Discarded(discarded, frozenset(kept))


def linked_homes(output: Path) -> list[Path]:
    """Return those of our own folders of exports that are links to folders."""
    homes = (output / name for name in HOMES)
    return [home for home in homes if home.is_symlink() and home.is_dir()]


def _exports_below(output: Path) -> Iterator[_Export]:
    for path in files_below(output, linked_homes(output)):
        if path.name == EXPORT_MANIFEST and len(path.relative_to(output).parts) > _DEPTH:
            date, account, home = path.parent, path.parent.parent, path.parent.parent.parent.parent
            export = _Export(home, account.name.removeprefix("account="), date.name.removeprefix("dt="))
            if export.folder == date:
                yield export


_DEPTH = 4
"""Folders above the manifest that are an export's own."""


def _is_fresh(database: Database, export: _Export) -> bool:
    if not _is_known(database, export):
        return False
    try:
        actions: dict[str, dict[str, Any]] = orjson.loads((export.folder / EXPORT_MANIFEST).read_bytes())["actions"]
        named = {file["path"]: file["bytes"] for action in actions.values() for file in action["files"]}
        made_of = {name: action["sources_sha256"] for name, action in actions.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    with disk_errors(export.folder):
        there = {str(path.relative_to(export.home)): path.lstat().st_size for path in _files(export)}
    return there == named and all(made_of[name] == _sources_now(database, export, name) for name in made_of)


def _files(export: _Export) -> list[Path]:
    return [path for path in files_below(export.folder) if path.name.startswith(PART)]


def _is_known(database: Database, export: _Export) -> bool:
    """Tell whether the ledger has the date: of one that is purged nothing need be left, not even an empty export."""
    row = database.durable.execute(
        "SELECT 1 FROM harvests WHERE account = ? AND date = ?", (export.account, export.date)
    ).fetchone()
    return row is not None


def _sources_now(database: Database, export: _Export, action: str) -> str:
    rows = database.durable.execute(
        "SELECT path, sha256 FROM jobs JOIN harvests ON harvests.id = harvest_id"
        " WHERE account = ? AND date = ? AND action = ? AND state IN ('done', 'partial') AND rows > 0 ORDER BY path",
        (export.account, export.date, action),
    )
    return sources_sha256((row["path"], row["sha256"]) for row in rows)
