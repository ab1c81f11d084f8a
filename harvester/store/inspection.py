"""One partition held against what the ledger knows of it; reads the file, changes nothing."""

import hashlib
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from harvester.flaws import Flaw, FlawKind
from harvester.model import Job, Published
from harvester.store.entries import PageSpan
from harvester.store.reading import DamagedError, lines_of

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RecordRules:
    """What a partition's reader must be told of records, which this room does not know.

    Attributes:
        read: the record of a line; a ValueError tells in words, and without any value, why it is none.
        identity: by what the same contact is known again; empty where the record names none.
    """

    read: Callable[[bytes], Record]
    identity: Callable[[Record], str]


@dataclass(frozen=True, slots=True)
class Expected:
    """What the ledger says of a partition.

    Attributes:
        job: whose it is.
        published: its place, size and hash.
        pages: that it was made of; None where the ledger has forgotten them: then nothing is said of its positions.
    """

    job: Job
    published: Published
    pages: Sequence[PageSpan] | None


def flaw_of(output: Path, expected: Expected, rules: RecordRules) -> Flaw | None:
    """Return what is wrong with a partition, the first thing that is found; None if nothing is."""
    path = output / expected.published.path
    try:
        found = _flaw_of_bytes(path, expected.published) or _flaw_of_rows(path, expected, rules)
    except OSError as error:
        found = FlawKind.DAMAGED, f"it cannot be read: {(error.strerror or 'input/output error').lower()}"
    return Flaw(found[0], expected.published.path, found[1]) if found else None


def _flaw_of_bytes(path: Path, published: Published) -> tuple[FlawKind, str] | None:
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return FlawKind.MISSING, "it is not there"
    if not stat.S_ISREG(status.st_mode):
        return FlawKind.CHANGED, "it is no regular file"
    if status.st_size != published.bytes:
        return FlawKind.CHANGED, f"it has {status.st_size} bytes instead of {published.bytes}"
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:  # noqa: PTH123  a path cannot be opened so
        if hashlib.file_digest(file, "sha256").hexdigest() != published.sha256:
            return FlawKind.CHANGED, "it has other bytes than were published: its SHA-256 differs"
    return None


def _flaw_of_rows(path: Path, expected: Expected, rules: RecordRules) -> tuple[FlawKind, str] | None:
    rows, check = 0, _RowCheck(expected, rules)
    try:
        for line in lines_of(path):
            rows += 1
            if trouble := check.trouble_of(line):
                return FlawKind.DAMAGED, f"line {rows}: {trouble}"
    except DamagedError as error:
        return FlawKind.DAMAGED, f"{error}"
    if rows != expected.published.rows:
        return FlawKind.DAMAGED, f"it has {rows} rows instead of {expected.published.rows}"
    return None


class _RowCheck:
    """Looks at the lines of one partition, in their order."""

    def __init__(self, expected: Expected, rules: RecordRules) -> None:
        job = expected.job
        self._owner = (job.account, job.campaign.key, job.action)
        self._rules = rules
        pages = expected.pages
        self._pages = None if pages is None else chain.from_iterable(repeat(page, page.rows) for page in pages)
        self._page: PageSpan | None = None
        self._position = 0
        # 64 bits of each identity: a set of a million takes 60 MB, and two of them meet once in 30 million such sets.
        self._seen: set[int] = set()

    def trouble_of(self, line: bytes) -> str:
        """Return what is wrong with the next line, or nothing."""
        try:
            record = self._rules.read(line)
        except ValueError as error:
            return f"no record: {error}"
        if (record["account"], record["campaign_key"], record["action"]) != self._owner:
            return "a record of another job"
        return self._misplaced(record["position"]) or self._repeated(record)

    def _misplaced(self, position: int) -> str:
        """Positions ascend within a page; pages may overlap where the loop went back to meet a row that is known."""
        if self._pages is None:
            return ""
        page = next(self._pages, None)
        if page is None:
            return "more rows than the pages had"
        if page is not self._page:
            self._page, self._position = page, page.from_index - 1
        if not self._position < position < page.from_index + page.received_rows:
            return f"position {position} is out of order in the page from row {page.from_index}"
        self._position = position
        return ""

    def _repeated(self, record: Record) -> str:
        identity = self._rules.identity(record)
        if not identity:
            return ""
        mark = hash(identity)
        if mark in self._seen:
            return "a contact that stands there already"
        self._seen.add(mark)
        return ""
