"""What all jobs of a harvest date come to: the whole snapshot, and what of it was read on that date."""

from dataclasses import dataclass

from harvester.model import Harvest
from harvester.store.database import Database


@dataclass(frozen=True, slots=True)
class DateTotals:
    """Sums over the jobs of one account and date.

    Attributes:
        rows: in the partitions that hold the date's snapshot, wherever they lie.
        bytes: of the same.
        rows_read: of these, in partitions that were read on this date; the others are carried.
        bytes_read: of the same.
        calls: spent on the jobs since each last began from its first row.
    """

    rows: int
    bytes: int
    rows_read: int
    bytes_read: int
    calls: int


def date_totals(database: Database, harvest: Harvest) -> DateTotals:
    """Return the sums of a harvest as it stands now."""
    row = database.durable.execute(
        "SELECT total(iif(path IS NULL, 0, rows)), total(iif(path IS NULL, 0, bytes)),"
        " total(iif(path IS NULL OR origin_id IS NOT NULL, 0, rows)),"
        " total(iif(path IS NULL OR origin_id IS NOT NULL, 0, bytes)), total(calls)"
        " FROM jobs WHERE harvest_id = ?",
        (harvest.id,),
    ).fetchone()
    return DateTotals(*map(int, row))
