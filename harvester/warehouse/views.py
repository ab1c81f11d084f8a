"""The views that a query finds, as SQL over the files that the manifests name (pure)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harvester.warehouse.columns import Columns, ColumnType
from harvester.warehouse.relations import LISTINGS, FileSet, select

RUN_COLUMNS: Columns = {
    "run_id": ColumnType.TEXT,
    "command": ColumnType.TEXT,
    "started_at": ColumnType.MOMENT,
    "finished_at": ColumnType.MOMENT,
    "outcome": ColumnType.TEXT,
}

_NEWEST_LISTED = (
    "SELECT * FROM campaigns_all QUALIFY row_number() OVER (PARTITION BY account, campaign_key ORDER BY dt DESC) = 1"
)


@dataclass(frozen=True, slots=True)
class Shelves:
    """The files behind the views.

    Attributes:
        recipients: partitions, each reading of a set once.
        current: partitions that hold each set as it was last known whole.
        changes: change files.
        listings: listings of campaigns.
    """

    recipients: FileSet
    current: FileSet
    changes: FileSet
    listings: FileSet

    @property
    def paths(self) -> list[str]:
        """All files that a query may read."""
        sets = (self.recipients, self.current, self.changes, self.listings)
        return sorted({path for each in sets for path in each.paths})


@dataclass(frozen=True, slots=True)
class Shapes:
    """The columns of each kind of file."""

    record: Columns
    change: Columns
    campaign: Columns


def shelves_of(paths: Mapping[str, Sequence[str]], shapes: Shapes) -> Shelves:
    """Return the files behind the views; `paths` has those of each by the names of `Shelves`."""
    return Shelves(
        recipients=FileSet(paths["recipients"], shapes.record),
        current=FileSet(paths["current"], shapes.record),
        changes=FileSet(paths["changes"], shapes.change),
        listings=FileSet(paths["listings"], shapes.campaign, LISTINGS),
    )


def views(shelves: Shelves, *, has_care: bool) -> Iterator[tuple[str, str]]:
    """Yield names of views with the SELECT of each; `has_care` as `relations` has it."""
    yield "recipients", select(shelves.recipients, has_care=has_care)
    yield "recipients_current", select(shelves.current, has_care=has_care)
    yield "changes", select(shelves.changes, has_care=has_care)
    yield "campaigns_all", select(shelves.listings, has_care=has_care)
    yield "campaigns", _NEWEST_LISTED
