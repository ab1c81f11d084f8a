"""Nights that are published to a real server that speaks S3, and what a reader of the bucket finds there."""

import asyncio
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from factories import inline, seeded
from nights import Nights
from object_store import BUCKET, CREDENTIALS, Asked, ObjectStore, Spoiling, proxied

from harvester.cloud.bucket import Access, Bucket
from harvester.cloud.delivery import Courier
from harvester.engine.stop import Stop
from harvester.errors import HarvestError
from harvester.operations.date_publication import PublishDesk
from harvester.operations.destination import Work
from harvester.operations.publishing import publish
from harvester.report.publishing import DateLine
from harvester.store.database import Database
from harvester.store.date_files import DateFiles, is_published
from harvester.store.manifest import write_manifest
from harvester.store.publications import FOLDERS, Publications

CONCURRENCY = 4
NOW = "2026-03-20T02:00:00+00:00"


@dataclass
class Shore:
    """Nights that are published below a prefix of the test's own."""

    nights: Nights
    server: ObjectStore
    prefix: str
    stop: Stop = field(default_factory=Stop)

    @property
    def book(self) -> Publications:
        return Publications(self.nights.database, f"s3://{BUCKET}/{self.prefix}")

    def told(self, *nights: int) -> None:
        """Write the manifests of dates, as runs do at their end."""
        for night in nights:
            write_manifest(self.nights.output, self.nights.ledger, self.nights.of(night), NOW)

    def desk(self, endpoint: str | None = None) -> PublishDesk:
        options = {name.lower(): value for name, value in CREDENTIALS.items()}
        options |= {"aws_endpoint": endpoint or self.server.url, "aws_region": "us-east-1"}
        access = Access(f"s3://{BUCKET}/{self.prefix}", options, is_plain_http=True, patience_s=10.0)
        courier = Courier(Bucket(access), time.monotonic, asyncio.sleep, seeded())
        work = Work(self.nights.database, inline, inline, self.nights.events.append, self.stop)
        lock = self.nights.state / "publish" / "acme"
        return PublishDesk("acme", self.nights.output, lock, self.book, courier, CONCURRENCY, work)

    async def published(self, *nights: int, endpoint: str | None = None) -> list[DateLine]:
        """Publish dates; what goes wrong is raised alone."""
        chosen = [self.nights.of(night) for night in nights]
        try:
            return await publish(self.desk(endpoint), chosen)
        except* HarvestError as group:
            trouble: BaseException = group
            while isinstance(trouble, BaseExceptionGroup):
                trouble = trouble.exceptions[0]
        raise trouble

    def objects(self) -> dict[str, bytes]:
        """What the bucket holds below the prefix."""
        objects = self.server.objects(f"{self.prefix}/")
        return {key.removeprefix(f"{self.prefix}/"): content for key, content in objects.items()}

    def files(self) -> dict[str, bytes]:
        """What lies in the folders that readers know."""
        paths = [path for folder in FOLDERS for path in (self.nights.output / folder).rglob("*") if path.is_file()]
        return {str(path.relative_to(self.nights.output)): path.read_bytes() for path in paths}

    def is_published(self, night: int) -> bool:
        return is_published(DateFiles(self.nights.output, self.nights.of(night)), self.book)


def flaws_in(objects: Mapping[str, bytes]) -> list[str]:
    """What a reader must never see: a `_SUCCESS` without its manifest, or a manifest whose files are not there."""
    flaws = []
    for key, content in objects.items():
        if key.endswith("_SUCCESS") and key.replace("_SUCCESS", "_manifest.json") not in objects:
            flaws.append(f"{key} stands alone")
        if key.endswith("_manifest.json"):
            flaws += [
                f"{key} names another {job['path']}"
                for job in json.loads(content)["jobs"]
                if job["path"] and hashlib.sha256(objects.get(job["path"], b"?")).hexdigest() != job["sha256"]
            ]
    return flaws


async def cut_off(shore: Shore, night: int, number: int, *, is_done: bool) -> int:
    """Publish a date, and end it at its n-th request; return how many requests came."""
    reached = asyncio.Event()

    def cut(asked: Asked) -> Spoiling:
        if asked.number < number:
            return Spoiling.PASS
        reached.set()
        return Spoiling.HOLD if is_done else Spoiling.NEVER

    async with proxied(shore.server, cut) as proxy:
        publishing = asyncio.create_task(shore.published(night, endpoint=proxy.url))
        waiting = asyncio.create_task(reached.wait())
        await asyncio.wait([publishing, waiting], return_when=asyncio.FIRST_COMPLETED)
        for task in (publishing, waiting):
            task.cancel()
        await asyncio.gather(publishing, waiting, return_exceptions=True)
        return len(proxy.asked)


@contextmanager
def ashore(folder: Path, server: ObjectStore, name: str) -> Iterator[Shore]:
    """Give a test, by its name, a prefix and a state of its own."""
    with closing(Database(folder / "state" / "ledger.sqlite")) as database:
        yield Shore(Nights(folder, database), server, hashlib.sha256(name.encode()).hexdigest()[:16])


async def watched(shore: Shore, night: int) -> list[DateLine]:
    """Publish a date while somebody reads the bucket before each request, and must never be misled."""
    seen = []

    def look(_: Asked) -> Spoiling:
        seen.extend(flaws_in(shore.objects()))
        return Spoiling.PASS

    async with proxied(shore.server, look) as proxy:
        lines = await shore.published(night, endpoint=proxy.url)
    assert seen == []
    return lines
