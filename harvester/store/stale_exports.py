"""Exports below the output folder that hold rows which the partitions of their date do not hold any more."""

from collections.abc import Iterator
from pathlib import Path

from harvester.store.database import Database
from harvester.store.disk import disk_errors
from harvester.store.exports import MANIFEST, discard
from harvester.store.partitions import RECIPIENTS

EXPORTS = f"*/{RECIPIENTS}/account=*/dt=*/{MANIFEST}"


def exports_below(output: Path) -> Iterator[Path]:
    """Yield the manifests of all exports below the output folder."""
    yield from sorted(output.glob(EXPORTS))


def discard_stale(database: Database, output: Path) -> int:
    """Remove the exports that were made before their date lost rows, or was last harvested; return how many.

    The next export makes them again. May be done any number of times.
    """
    stale = [manifest for manifest in exports_below(output) if _is_stale(database, manifest)]
    for manifest in stale:
        discard(*_owner(manifest))
    with database.writing(database.durable) as connection:
        connection.execute("UPDATE harvests SET is_export_stale = 0 WHERE is_export_stale")
    return len(stale)


def discard_of(output: Path, account: str, date: str) -> None:
    """Remove all exports of an account and date below the output folder."""
    for manifest in exports_below(output):
        if _owner(manifest)[1:] == (account, date):
            discard(*_owner(manifest))


def _is_stale(database: Database, manifest: Path) -> bool:
    _, account, date = _owner(manifest)
    row = database.durable.execute(
        "SELECT is_export_stale, (SELECT max(finished_s) FROM jobs WHERE harvest_id = harvests.id) AS finished_s"
        " FROM harvests WHERE account = ? AND date = ?",
        (account, date),
    ).fetchone()
    with disk_errors(manifest):
        made_s = manifest.stat().st_mtime
    return row is None or bool(row["is_export_stale"]) or (row["finished_s"] or 0.0) >= made_s


def _owner(manifest: Path) -> tuple[Path, str, str]:
    """Return home, account and ISO date of an export."""
    folder = manifest.parent
    home = folder.parent.parent.parent
    return home, folder.parent.name.removeprefix("account="), folder.name.removeprefix("dt=")
