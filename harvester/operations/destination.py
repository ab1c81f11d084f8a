"""Where a configuration publishes to, ready; found out before the first call is spent."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harvester.clock import SystemClock
from harvester.engine.ports import Offload
from harvester.engine.stop import Stop
from harvester.errors import ConfigError
from harvester.events import Emit
from harvester.model import Harvest
from harvester.settings import Settings
from harvester.store.database import Database
from harvester.store.date_files import DateFiles, is_published
from harvester.store.manifest import mistold
from harvester.store.publications import Publications

if TYPE_CHECKING:
    from harvester.cloud.delivery import Courier


@dataclass(frozen=True, slots=True)
class Work:
    """What publishing takes from the run or command that it is part of.

    Attributes:
        database: the open ledger.
        offload_disk: runs what touches ledger and manifest.
        offload: runs what reads and hashes files.
        emit: is told what happens.
        stop: the wish to end.
    """

    database: Database
    offload_disk: Offload
    offload: Offload
    emit: Emit
    stop: Stop


EXTRA = "make extras, or: pip install 'harvester[cloud]'"


def publish_lock(state: Path, account: str) -> Path:
    """Return the folder to be held by whoever publishes an account, or changes files that may be under way."""
    return state / "publish" / account


def open_courier(settings: Settings, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> "Courier":
    """Return what brings files to `publish.url`, with the credentials of this moment; no request is made. Blocks.

    Args:
        settings: of everything.
        pause: waits between two tries; see `Courier`.

    Raises:
        ConfigError: there is no such setting, the library is not installed, or the endpoint cannot be used.
        CredentialsError: there are none that can be used.
        DiskError: it is a folder, and cannot be made.
    """
    publish = settings.publish
    if publish.url is None:
        raise ConfigError("publish.url is not set.", "Name a bucket in the configuration: [publish] url.")
    try:
        from harvester.cloud.bucket import Access, Bucket
        from harvester.cloud.delivery import Courier
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "obstore":
            raise
        raise ConfigError("publish.url needs the library obstore, which is not installed.", EXTRA) from None
    access = Access(
        url=publish.url,
        options=_options(settings),
        has_credentials=publish.credentials_file is not None,
        is_plain_http=publish.endpoint is not None and publish.endpoint.startswith("http:"),
        timeout_s=publish.timeout_s,
        patience_s=publish.patience_s,
    )
    rng = random.Random()  # noqa: S311  jitter needs no secrecy
    return Courier(Bucket(access), SystemClock().now_s, pause, rng)


def published_state(settings: Settings, database: Database, harvest: Harvest) -> bool | None:
    """Tell whether the object store has a date as it lies on disk; None where nothing is published."""
    if settings.publish.url is None:
        return None
    is_told = harvest.id not in {each.id for each in mistold(database, harvest.account)}
    return is_told and is_published(DateFiles(settings.output, harvest), Publications(database, settings.publish.url))


def _options(settings: Settings) -> dict[str, str]:
    """Return endpoint, region and credentials by the library's names; secret."""
    publish = settings.publish
    try:
        options = {name.lower(): value for name, value in publish.credentials().items()}
    except ValueError as error:
        raise ConfigError(f"publish.credentials_file: {error}.", "config.example.toml explains every key.") from None
    if publish.endpoint is not None:
        options["aws_endpoint"] = publish.endpoint
    if publish.region is not None:
        options["aws_region"] = publish.region
    return options
