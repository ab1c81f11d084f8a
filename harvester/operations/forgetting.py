"""Takes one person out of everything below the output folder; behind `harvester forget`."""

import datetime as dt
import hmac
import sys
from collections.abc import Mapping

from harvester.errors import ConfigError
from harvester.operations.protection import key_in, key_path, made_key
from harvester.report.erasure import ErasureReport
from harvester.report.progress import reading_progress
from harvester.settings import Settings
from harvester.store.audit import note_erasure
from harvester.store.database import Database
from harvester.store.entries import Entries
from harvester.store.erasure import Erasures, open_erasures
from harvester.store.ledger import Ledger, new_run_id
from harvester.store.manifest import overdue, write_manifest
from harvester.store.publications import has_publications
from harvester.store.scratch import sweep_scratch
from harvester.store.stale_exports import discard_stale
from harvester.store.strangers import search_strangers
from harvester.store.traces import Traces, Traits
from harvester.zoho.forgetting import Person
from harvester.zoho.privacy import key_id, note_instead, pseudonym
from harvester.zoho.redaction import without_addresses

SUBJECT = b"harvester erasure of "
"""Stands before the address whose keyed hash the audit trail has, so that it is no pseudonym of any record."""

KEY_BACK = "Put that key back; if it is lost, harvester forget --give-up ID ends it, and harvester status tells the id."


class Forgetting:
    """One erasure, begun or gone on with; nobody else may be at work.

    Args:
        settings: of everything.
        database: the open ledger.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._output = settings.output
        self._erasures = Erasures(database, settings.output)

    def forget(self, address: str, contact_ids: tuple[str, ...]) -> ErasureReport:
        """Take the person out of all files and return what came of it; told in the audit trail.

        Args:
            address: normalised.
            contact_ids: Zoho's ids of the person.

        Raises:
            ConfigError: an erasure was cut off that has another key.
            VerificationError: the ledger is damaged.
            DiskError: the disk refuses.
        """
        Entries(self._database).check()
        key = self._key()
        self._erasures.settle()
        sweep_scratch(self._settings.state)
        erasure_id = self._erasures.begin(key_id(key), _subject(key, address, *sorted(contact_ids)), _now())
        report = self._erase(Person(address, (pseudonym(key, address),), contact_ids), erasure_id)
        counts = {"files": report.files, "rows": report.rows, "files_left": report.files_left}
        self._end(erasure_id, {"subject": _subject(key, address), **counts})
        return report

    def give_up(self, erasure_id: str) -> None:
        """End an erasure that was cut off and that nobody can go on with; told in the audit trail.

        Raises:
            ConfigError: none is open under this id.
            DiskError: the disk refuses.
        """
        if erasure_id not in {each.id for each in open_erasures(self._database)}:
            raise ConfigError("No erasure is open under this id.", "harvester status tells those that are.")
        self._erasures.settle()
        discard_stale(self._database, self._output)
        self._write_manifests()
        files, rows = self._erasures.totals(erasure_id)
        self._end(erasure_id, {"files": files, "rows": rows, "is_given_up": True})

    def _key(self) -> bytes:
        """Return the key of the hashes; where an erasure was cut off it must be that one's, or nobody could end it."""
        path, key_ids = key_path(self._settings), {each.key_id for each in open_erasures(self._database)}
        if key_ids and not (path.exists() and key_ids == {key_id(key_in(path))}):
            raise ConfigError(f"{path}: not the key with which an erasure began that was cut off.", KEY_BACK)
        return made_key(path)

    def _end(self, erasure_id: str, told: Mapping[str, str | int]) -> None:
        note_erasure(self._settings.state, {"id": erasure_id, "at": _now(), **told})
        self._erasures.end(erasure_id)

    def _erase(self, person: Person, erasure_id: str) -> ErasureReport:
        traits = Traits(person.without, person.is_in, note_instead)
        traces = Traces(self._database, self._output, traits, erasure_id)
        with reading_progress(sys.stderr, "searching", self._bytes()) as advance:
            found = traces.erase(advance)
        manifests = self._write_manifests()
        exports = discard_stale(self._database, self._output)
        strangers = search_strangers(
            self._output, lambda name: traces.is_ours(name) or name in exports.kept, person.is_in
        )
        files, rows = self._erasures.totals(erasure_id)
        return ErasureReport(
            files=files,
            rows=rows,
            manifests=manifests,
            exports=exports.exports,
            jobs_again=found.jobs_again,
            is_published=files > 0 and has_publications(self._database),
            unreadable=sorted(set(found.unreadable)),
            strange=list(map(_shown, strangers.naming)),
            unsearched=list(map(_shown, strangers.unsearched)),
        )

    def _bytes(self) -> int:
        entries = Entries(self._database)
        return sum(entries.totals(harvest).bytes_read for harvest in entries.harvests())

    def _write_manifests(self) -> int:
        """Write the manifests anew that tell of what is gone, or of a run that is; return how many these are."""
        ledger, now = Ledger(self._database, new_run_id()), _now()
        accounts = sorted({harvest.account for harvest in ledger.harvests()})
        harvests = [harvest for account in accounts for harvest in overdue(ledger, account)]
        for harvest in harvests:
            write_manifest(self._output, ledger, harvest, now)
        return len(harvests)


def _subject(key: bytes, address: str, *contact_ids: str) -> str:
    """Return the keyed hash of whom an erasure is for; no address and no id holds a zero."""
    return hmac.digest(key, SUBJECT + "\0".join((address, *contact_ids)).encode(), "sha256").hex()


def _shown(path: str) -> str:
    """Return the path of a file of others as it may be told: names that have an address in them without it."""
    return "/".join(map(without_addresses, path.split("/")))


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
