"""`harvester forget`: take one person out of everything below the output folder; no call is made."""

import datetime as dt
import hmac
import sys
from pathlib import Path

import click

from harvester.cli.flags import CONFIG_FLAG, JSON_FLAG
from harvester.config import load
from harvester.errors import ConfigError, VerificationError
from harvester.operations.beside import alone
from harvester.operations.opening import opened
from harvester.operations.protection import key_path, made_key
from harvester.report.erasure import ErasureReport, sentences, to_json
from harvester.report.progress import reading_progress
from harvester.report.quiet import quiet
from harvester.settings import Settings
from harvester.store.audit import note_erasure
from harvester.store.database import Database
from harvester.store.entries import Entries
from harvester.store.erasure import Erasures
from harvester.store.ledger import Ledger, new_run_id
from harvester.store.manifest import write_manifest
from harvester.store.stale_exports import discard_stale
from harvester.store.traces import Found, Traces, Traits
from harvester.zoho.forgetting import ADDRESS_CHARS_MAX, Person, is_address
from harvester.zoho.privacy import normalised, note_instead, pseudonym

SUBJECT = b"harvester erasure of "
"""Stands before the address whose keyed hash the audit trail has, so that it is no pseudonym of any record."""


@click.command(name="forget")
@CONFIG_FLAG
@click.option(
    "--contact-id", "contact_ids", multiple=True, metavar="ID", help="Rows of this contact as well; may be repeated."
)
@JSON_FLAG
def command(config_path: Path, contact_ids: tuple[str, ...], *, is_json: bool) -> int:
    """Take one person out of all files: partitions, change files, listings, answers in quarantine, and parts.

    The address is asked for on a terminal, and not shown; elsewhere it is read from standard input. It is never an
    argument, since every user of the machine sees those. Delete the person in Zoho first: what Zoho still has, the next
    harvest brings back. Where addresses were dropped, rows are found by --contact-id alone. Killed at any moment, the
    same command goes on.
    """
    settings = load(config_path)
    address = _address()
    with opened(settings) as database, alone(settings, database):
        report = _forget(settings, database, address, contact_ids)
    if is_json:
        quiet(sys.stdout).write(to_json(report).decode())
    quiet(sys.stderr).writelines(f"{line}\n" for line in sentences(report))
    return report.exit_code


def _address() -> str:
    """Return the address, normalised.

    Raises:
        ConfigError: there is none; what was given is not repeated.
    """
    if sys.stdin.isatty():
        given = click.prompt("Address", hide_input=True, err=True)
    else:
        given = sys.stdin.buffer.read(4 * ADDRESS_CHARS_MAX + 1).decode("utf-8", "replace")
    if not is_address(given):
        raise ConfigError(
            "There is no e-mail address, or more than one; nothing was changed.",
            "Type it at the prompt, or give it on standard input: harvester forget < address.txt",
        )
    return normalised(given)


def _forget(settings: Settings, database: Database, address: str, contact_ids: tuple[str, ...]) -> ErasureReport:
    Entries(database).check()
    key = made_key(key_path(settings))
    subject = hmac.digest(key, SUBJECT + address.encode(), "sha256").hex()
    erasures = Erasures(database, settings.output)
    erasures.settle()
    erasure_id = erasures.begin(subject)
    found = _erase(settings, database, Person(address, (pseudonym(key, address),), contact_ids), erasure_id)
    dates = _write_manifests(settings, database, erasures)
    exports = discard_stale(database, settings.output)
    files, rows = erasures.totals(erasure_id)
    unreadable, strange = sorted(set(found.unreadable)), found.strange
    told: dict[str, str | int] = {"id": erasure_id, "at": _now(), "subject": subject, "files": files, "rows": rows}
    note_erasure(settings.state, told | {"files_left": len(unreadable) + len(strange)})
    erasures.end(erasure_id)
    exit_code = VerificationError.exit_code if unreadable or strange else 0
    return ErasureReport(exit_code, files, rows, dates, exports, found.jobs_again, unreadable, strange)


def _erase(settings: Settings, database: Database, person: Person, erasure_id: str) -> Found:
    traits = Traits(person.without, person.is_in, note_instead)
    entries = Entries(database)
    total_bytes = sum(entries.totals(harvest).bytes_read for harvest in entries.harvests())
    with reading_progress(sys.stderr, "searching", total_bytes) as advance:
        return Traces(database, settings.output, traits, erasure_id).erase(advance)


def _write_manifests(settings: Settings, database: Database, erasures: Erasures) -> int:
    """Write the manifests of all dates anew that tell of rows which are gone; return how many these are."""
    ledger, now = Ledger(database, new_run_id()), _now()
    harvests = erasures.mistold()
    for harvest in harvests:
        write_manifest(settings.output, ledger, harvest, now)
        erasures.retold(harvest)
    return len(harvests)


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
