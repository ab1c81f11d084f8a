"""The folder of one account and date as a whole: manifest, `_SUCCESS`, and files that nobody accounts for."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import Any

from harvester.flaws import Flaw, FlawKind
from harvester.model import Discovery, Harvest, JobState
from harvester.store.entries import Entries, Entry
from harvester.store.manifest import COMPLETE
from harvester.store.manifest_reading import MANIFEST, SUCCESS, ManifestError, manifest_path, read_manifest
from harvester.store.partitions import QUARANTINE, RECIPIENTS, Compression, Partitions

OPEN = frozenset({JobState.PENDING, JobState.RUNNING})
NEED_PARTS = OPEN | {JobState.FAILED}

OWN_NAMES = frozenset({MANIFEST, SUCCESS, f".{MANIFEST}.draft"})


class DateFolder:
    """One harvest, as the output folder shows it.

    Args:
        output: the output folder.
        entries: the ledger.
        harvest: the account and date.
    """

    def __init__(self, output: Path, entries: Entries, harvest: Harvest) -> None:
        self._output = output
        self._entries = entries
        self._harvest = harvest
        self._date = f"account={harvest.account}/dt={harvest.date.isoformat()}"

    def flaws(self, is_known: Callable[[str], bool]) -> Iterator[Flaw]:
        """Yield what is wrong; `is_known` tells whether a job accounts for a path below the output folder."""
        present = {state for state, jobs in self._entries.counts(self._harvest).items() if jobs}
        is_complete = present <= COMPLETE and self._harvest.discovery is not Discovery.PARTIAL
        if self._entries.is_purged(self._harvest):  # its files are those of later dates, and told there
            yield from self._strangers(is_known)
            return
        if not present & OPEN:  # what a killed run left is unfinished, and the next run writes it anew
            yield from self._of_manifest(is_complete=is_complete)
        yield from self._of_success(is_complete=is_complete)
        yield from self._strangers(is_known)
        if not present & NEED_PARTS:
            yield from self._leftovers()

    def _of_manifest(self, *, is_complete: bool) -> Iterator[Flaw]:
        path = manifest_path(self._harvest.account, self._harvest.date.isoformat())
        try:
            told = read_manifest(self._output / path)
            if differing := self._differing_words(next(told), is_complete=is_complete):
                yield Flaw(FlawKind.MANIFEST, path, f"it tells another {', '.join(differing)} than the ledger")
            elif jobs := self._differing_jobs(told):
                yield Flaw(FlawKind.MANIFEST, path, f"the ledger tells otherwise of {jobs} of its jobs")
        except ManifestError as error:
            yield Flaw(FlawKind.MANIFEST, path, f"{error}")

    def _differing_words(self, head: Mapping[str, Any], *, is_complete: bool) -> list[str]:
        totals = asdict(self._entries.totals(self._harvest))
        expected = {
            "account": self._harvest.account,
            "date": self._harvest.date.isoformat(),
            "state": "complete" if is_complete else "partial",
            **{name: totals[name] for name in ("rows", "bytes", "rows_read", "bytes_read")},
        }
        return [name for name, value in expected.items() if head.get(name) != value]

    def _differing_jobs(self, told: Iterator[Mapping[str, Any]]) -> int:
        pairs = zip_longest(told, self._entries.entries(self._harvest))
        return sum(job is None or entry is None or not _agree(job, entry) for job, entry in pairs)

    def _of_success(self, *, is_complete: bool) -> Iterator[Flaw]:
        path = f"{RECIPIENTS}/{self._date}/{SUCCESS}"
        if (self._output / path).exists() != is_complete:
            what = "it is missing, though the date is complete" if is_complete else "it stands, and jobs are not done"
            yield Flaw(FlawKind.SUCCESS, path, what)

    def _strangers(self, is_known: Callable[[str], bool]) -> Iterator[Flaw]:
        for folder in (RECIPIENTS, QUARANTINE):
            for path in files_below(self._output / folder / self._date):
                relative = str(path.relative_to(self._output))
                if path.name not in OWN_NAMES and not is_known(relative):
                    yield Flaw(FlawKind.STRANGER, relative, "no job of the ledger accounts for it")

    def _leftovers(self) -> Iterator[Flaw]:
        parts = Partitions(self._output, Compression.NONE).parts_of(self._harvest.account, self._harvest.date)
        for path in sorted(parts):
            yield Flaw(FlawKind.LEFTOVER, str(path.relative_to(self._output)), "every job of its date has ended")


def strange_dates(output: Path, harvests: list[Harvest], is_chosen: Callable[[str, str], bool]) -> Iterator[Flaw]:
    """Yield the folders of dates that none of the harvests wrote; `is_chosen` takes account and ISO date."""
    known = {(harvest.account, harvest.date.isoformat()) for harvest in harvests}
    for folder in sorted((output / RECIPIENTS).glob("account=*/dt=*")):
        owner = folder.parent.name.removeprefix("account="), folder.name.removeprefix("dt=")
        if is_chosen(*owner) and owner not in known and any(files_below(folder)):
            path = str(folder.relative_to(output))
            yield Flaw(FlawKind.STRANGER, path, "the ledger knows no harvest of this account and date")


def files_below(folder: Path, followed: Collection[Path] = ()) -> Iterator[Path]:
    """Yield all that is no folder below a folder, in the order of the names.

    Args:
        folder: where to look.
        followed: links to folders that are followed; of all others the link itself is yielded.
    """
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for path in (Path(parent, name) for name in sorted((*names, *folders))):
            if path in followed:
                yield from files_below(path)
            elif path.is_symlink() or not path.is_dir():
                yield path


def _agree(job: Mapping[str, Any], entry: Entry) -> bool:
    """Tell whether an entry of the manifest says what the ledger says."""
    published = entry.published
    return (
        job.get("campaign_key") == entry.job.campaign.key
        and job.get("action") == entry.job.action
        and job.get("state") == entry.state
        and job.get("carried_from") == (entry.origin.job.date.isoformat() if entry.origin else None)
        and (job.get("path"), job.get("rows"), job.get("bytes"), job.get("sha256"))
        == ((published.path, published.rows, published.bytes, published.sha256) if published else (None,) * 4)
    )
