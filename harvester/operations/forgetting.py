"""Takes one person out of everything below the output folder; behind `harvester forget`."""

import datetime as dt
import hmac
import sys

from harvester.operations.protection import key_path, made_key
from harvester.report.erasure import ErasureReport
from harvester.report.progress import reading_progress
from harvester.settings import Settings
from harvester.store.audit import note_erasure
from harvester.store.database import Database
from harvester.store.entries import Entries
from harvester.store.erasure import Erasures
from harvester.store.ledger import Ledger, new_run_id
from harvester.store.manifest import overdue, write_manifest
from harvester.store.scratch import sweep_scratch
from harvester.store.stale_exports import discard_stale
from harvester.store.strangers import search_strangers
from harvester.store.traces import Traces, Traits
from harvester.zoho.forgetting import Person
from harvester.zoho.privacy import note_instead, pseudonym

SUBJECT = b"harvester erasure of "
"""Stands before the address whose keyed hash the audit trail has, so that it is no pseudonym of any record."""


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
            VerificationError: the ledger is damaged.
            DiskError: the disk refuses.
        """
        Entries(self._database).check()
        key = made_key(key_path(self._settings))
        subject = hmac.digest(key, SUBJECT + address.encode(), "sha256").hex()
        self._erasures.settle()
        sweep_scratch(self._settings.state)
        erasure_id = self._erasures.begin(subject, _now())
        report = self._erase(Person(address, (pseudonym(key, address),), contact_ids), erasure_id)
        told: dict[str, str | int] = {"id": erasure_id, "at": _now(), "subject": subject}
        counts = {"files": report.files, "rows": report.rows, "files_left": report.files_left}
        note_erasure(self._settings.state, told | counts)
        self._erasures.end(erasure_id)
        return report

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
            is_published=self._settings.publish.url is not None,
            unreadable=sorted(set(found.unreadable)),
            strange=strangers.naming,
            unsearched=strangers.unsearched,
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


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
