"""A folder in which somebody stands in every place where contacts can stand; and a search through all of it."""

import asyncio
import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
from factories import DATE, stored_page
from nights import Nights
from pyarrow.parquet import read_table  # type: ignore[import-untyped]
from stepwise import Request, Told, killed

from harvester.errors import VerificationError
from harvester.listing import Listing
from harvester.model import Action, Campaign, Contents, Discovery, Job, Row, StoredPage
from harvester.snapshot import Carry
from harvester.store.carrier import Carrier
from harvester.store.database import Database
from harvester.store.listing_files import ListingFiles
from harvester.store.manifest import write_manifest
from harvester.store.partitions import Compression, Partitions
from harvester.store.reading import lines_of
from harvester.store.snapshots import Snapshots
from harvester.zoho.contacts import RecordContext, lines
from harvester.zoho.forgetting import FORGOTTEN
from harvester.zoho.privacy import KEEP_ALL, Privacy, normalised, pseudonym

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CONFIG = """\
output = "data"
state = "state"
[accounts.acme]
client_id = "1000.PRACTICE"
client_secret = "practice"
refresh_token = "practice"
base_url = "http://127.0.0.1:1"
accounts_url = "http://127.0.0.1:1"
"""

PERSON = "Ada.Lovelace+news@Example.org"
KEY = bytes(range(32))
NOW = "2026-03-20T02:00:00+00:00"

PAGE_ROWS = 2


def contact(number: int, address: str | None = None, **more: Any) -> Row:
    return {"contactid": str(number), "contactemailaddress": address or f"r{number}@example.org", **more}


PERSON_ROW = contact(3, PERSON, firstname="Ada")
MENTIONS = {
    "referrer": "mailto:ada.lovelace%2Bnews%40example.org",
    "note": f"told {PERSON.upper()}, and rada@example.org",
}
FIRST_ROWS = (contact(1), contact(2, **MENTIONS), PERSON_ROW, contact(4), contact(5, f"x{PERSON}"))
"""Three pages; the person has a row in the second, is named in the first, and somebody's address ends with theirs."""

SECOND_ROWS = (contact(1), contact(2, **MENTIONS), {**PERSON_ROW, "firstname": "A."}, contact(4), contact(6))


def traced(folder: Path, compression: Compression, carry: Carry = Carry.REFERENCE, privacy: Privacy = KEEP_ALL) -> None:
    """Harvest three nights: one read, one carried, one read again and compared; and leave a run cut off on a fourth."""
    (folder / "config.toml").write_text(CONFIG)
    key_file = folder / "state" / "privacy.key"
    with closing(Database(folder / "state" / "ledger.sqlite")) as database:
        key_file.write_text(KEY.hex())
        key_file.chmod(0o600)
        nights = Nights(folder, database, compression)
        harvest(nights, 0, FIRST_ROWS, privacy)
        harvest(nights, 0, [PERSON_ROW], privacy, key="k2")  # all of the set: nothing is left of it
        quarantine(nights, 0)
        listing(nights, 0)
        carry_over(nights, 1, carry)
        harvest(nights, 2, SECOND_ROWS, privacy)
        listing(nights, 2)
        carry_over(nights, 3, carry)
        cut_off(nights, 4, privacy)


def harvest(nights: Nights, night: int, rows: Sequence[Row], privacy: Privacy = KEEP_ALL, key: str = "k1") -> Job:
    """Read a set whole, in pages of `PAGE_ROWS`."""
    ledger, date = nights.ledger, nights.of(night)
    ledger.plan(date, [Campaign(key)], [Action.SENT])
    (claimed,) = ledger.claim(date, 1, now_s=0.0)
    parts = Partitions(nights.output, nights.compression)
    parts.cut(claimed.job, 0, b"")
    pages = list(appended(parts, claimed.job, rows, privacy))
    ledger.commit([(claimed.job, page) for page in pages], [(claimed.job, "short page")], [], wall_s=0.0)
    ledger.commit([], [], [(claimed.job, parts.publish([Contents(claimed.job, len(rows))])[0])], wall_s=1.0)
    parts.close_all()
    return claimed.job


def appended(parts: Partitions, job: Job, rows: Sequence[Row], privacy: Privacy) -> Iterator[StoredPage]:
    """Append a set to a part, page by page."""
    context = RecordContext(
        job.account, job.campaign.key, None, job.action, f"{job.date}T02:00:00.000Z", "run-1", has_raw=privacy.has_raw
    )
    for number, begin in enumerate(range(0, len(rows), PAGE_ROWS), start=1):
        kept = [privacy.row(row) for row in rows[begin : begin + PAGE_ROWS]]
        content = lines(kept, range(begin + 1, begin + 1 + len(kept)), context)
        size_bytes, sha256 = parts.append(job, parts.frame(content))
        plain = stored_page(number, begin + 1, len(kept))
        yield StoredPage(
            *(number, begin + 1, len(kept), len(kept), 0, 0),
            is_shifted=False,
            end_bytes=size_bytes,
            sha256=sha256,
            digest=plain.digest,
        )


def carry_over(nights: Nights, night: int, carry: Carry) -> None:
    ledger, date = nights.ledger, nights.of(night)
    ledger.plan(date, [Campaign("k1"), Campaign("k2")], [Action.SENT])
    carrier = Carrier(nights.output, Partitions(nights.output, nights.compression), carry)
    snapshots = Snapshots(nights.database, "run-1", carrier)
    candidates = snapshots.candidates(date, 0)
    assert snapshots.carry([(each.job, each.snapshot, date.date) for each in candidates if each.snapshot]) == 2


def quarantine(nights: Nights, night: int) -> None:
    """Leave a reply with a row that could not be read; the person's address is escaped in it."""
    place = Partitions(nights.output, nights.compression)
    escaped = PERSON.replace("@", "\\u0040")
    job = harvest(nights, night, [contact(1)], key="k3")
    place.quarantine(job, 1, f'{{"list_of_details": [{{"contactemailaddress": "{escaped}"}}, 7]}}'.encode())
    with nights.database.writing(nights.database.durable) as connection:
        connection.execute("UPDATE jobs SET state = 'partial', quarantine = '[[1, 1]]' WHERE id = ?", (job.id,))
        connection.execute("UPDATE pages SET unreadable_rows = 1, received_rows = 2 WHERE job_id = ?", (job.id,))


def listing(nights: Nights, night: int) -> Listing:
    """Write a listing in which the person is a sender."""
    line = {"campaign_key": "k1", "name": "News", "raw": {"from_email": f"Ada <{PERSON}>", "reply_to": PERSON.lower()}}
    harvest_of = nights.of(night)
    told = ListingFiles(nights.output, nights.database).publish(harvest_of, [orjson.dumps(line) + b"\n"], 0)
    assert nights.of(night).discovery is Discovery.WHOLE
    return told


def cut_off(nights: Nights, night: int, privacy: Privacy, key: str = "k1") -> None:
    """Leave a job after two of its pages, with bytes behind them that no page was committed for."""
    ledger, date = nights.ledger, nights.of(night)
    ledger.plan(date, [Campaign(key)], [Action.SENT])
    (claimed,) = ledger.claim(date, 1, now_s=0.0)
    parts = Partitions(nights.output, nights.compression)
    parts.cut(claimed.job, 0, b"")
    pages = list(appended(parts, claimed.job, FIRST_ROWS[:4], privacy))
    ledger.commit([(claimed.job, page) for page in pages], [], [], wall_s=0.0)
    parts.append(claimed.job, parts.frame(b"torn")[:-1])
    parts.close_all()


def write_manifests(nights: Nights) -> None:
    for each in nights.ledger.harvests():
        write_manifest(nights.output, nights.ledger, each, NOW)


def made(
    folder: Path,
    compression: Compression = Compression.GZIP,
    carry: Carry = Carry.REFERENCE,
    privacy: Privacy = KEEP_ALL,
) -> Path:
    """Make such a folder, with the changes of the nights on which sets were read, and all manifests."""
    folder.mkdir()
    traced(folder, compression, carry, privacy)
    with closing(Database(folder / "state" / "ledger.sqlite")) as database:
        nights = Nights(folder, database, compression, privacy=privacy)
        for night in (0, 2):
            asyncio.run(nights.compared(night))
        write_manifests(nights)
    return folder


EXPORT_HOMES = {"compact": ("compact",), "export": ("export", "--to", "parquet")}


def export(folder: Path) -> list[Path]:
    """Export all dates in both ways: to the folders of the commands, and to others deeper below the output folder."""
    for command in EXPORT_HOMES.values():
        for place in ((), ("--out", f"data/deep/{command[0]}")):
            told = typed(folder, *command, "--all", *place)
            assert told.code == 0, told.err
    return sorted((folder / "data").rglob("_export.json"))


def leave_scratch(folder: Path) -> None:
    """Leave what a query that was killed had not taken into memory."""
    spilled = folder / "state" / "scratch" / "deadrun" / "spilled.tmp"
    spilled.parent.mkdir(parents=True)
    spilled.write_text(PERSON)


def typed(folder: Path, *arguments: str, said: str = "") -> Told:
    """Type a command in a folder, as a process of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HARVESTER_")}
    process = subprocess.run(
        [sys.executable, "-m", "harvester", *arguments],
        input=said, capture_output=True, text=True, check=False, cwd=folder,
        env={**inherited, "PYTHONWARNINGS": "error"},
    )  # fmt: skip
    return Told(process.returncode, process.stdout, process.stderr)


# --- what is there ----------------------------------------------------------------------------------------------------


def traces(folder: Path, address: str = PERSON) -> list[str]:
    """Return the files below a folder that name the person: as they lie there, decompressed, or unescaped."""
    names = {normalised(address), normalised(address).replace("+", "%2b").replace("@", "%40"), pseudonym(KEY, address)}
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(_stands_in(name, text) for text in _texts(path) for name in names)
    ]


def _stands_in(name: str, text: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(name)}", text) is not None


def _texts(path: Path) -> Iterator[str]:
    if path.suffix == ".parquet":
        yield str(read_table(path).to_pylist()).casefold()
    content = path.read_bytes()
    for body in (content, _decompressed(path, content)):
        text = body.decode("utf-8", "replace").casefold()
        yield text
        yield text.replace("\\u0040", "@")


def _decompressed(path: Path, content: bytes) -> bytes:
    try:
        if path.suffix == ".gz":
            return gzip.decompress(content)
        if path.suffix == ".zst":
            return zstd.decompress(content)
    except (OSError, EOFError, zstd.ZstdError):
        pass
    return b""


def records(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the records of all partitions by their path below the output folder."""
    output = folder / "data"
    return {
        str(path.relative_to(output)): [json.loads(line) for line in lines_of(path)]
        for path in sorted(output.glob("recipients/**/*.jsonl*"))
    }


FORGOTTEN_MENTIONS = {"referrer": f"mailto:{FORGOTTEN}", "note": f"told {FORGOTTEN}, and rada@example.org"}
assert DATE.isoformat() == "2026-03-14"


def assert_kills_do_no_harm(folder: Path, carry: Carry, *, first: int = 1, stride: int = 1) -> None:
    """Kill `forget` again and again: nothing but the person is missing, and nothing of them is left at the end.

    Between, a repair would fetch nothing again: it mends manifests, or says that the erasure is not at its end.
    """
    template, whole = made(folder / "template", carry=carry), made(folder / "whole", carry=carry)
    export(template)
    leave_scratch(template)
    rows = json.loads(typed(whole, "forget", "--json", said=PERSON).out)["rows"]
    (folder / "work").mkdir()
    request = Request(
        str(template), str(folder / "work"), ["forget", "--json"], PERSON,
        between=[["verify", "--repair", "--json"]], after=[["verify", "--json"]], first=first, stride=stride,
    )  # fmt: skip
    kills = killed(request)
    assert len(kills) * stride > 100
    for each in kills:
        between, left = Told(**each["between"][0]), Path(each["folder"])
        assert between.code in {0, VerificationError.exit_code}, between.err
        assert not between.out or json.loads(between.out)["requeued"] == 0, between.out
        assert each["again"]["code"] == 0, each["again"]["err"]
        assert traces(left) == [], left
        assert records(left) == records(whole)
        assert each["after"][0]["code"] == 0, each["after"][0]
        audit = [json.loads(line) for line in (left / "state" / "audit.jsonl").read_text().splitlines()]
        assert audit[0]["rows"] == rows
        assert len({line["id"] for line in audit}) == len(audit) <= 2
