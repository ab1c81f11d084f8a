"""One prefix of an object store: S3, GCS, Azure, or a folder; the only module that speaks to it.

Requests that leave the object as it is are tried again by the library. A conditional one is not, once it may have
arrived: the answer to the second would tell of the first. `cloud.delivery` looks and decides.
"""

import datetime as dt
import hashlib
import os
import re
from collections.abc import Awaitable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import unquote, urlsplit

import obstore
from obstore.store import LocalStore, from_url

from harvester.cloud.refusals import Meaning, folder_trouble, meaning_of, opening_trouble, trouble_of
from harvester.errors import HarvestError
from harvester.publication import Deliverable, Stored

T = TypeVar("T")

PART_BYTES = 8 * 1024 * 1024
"""Up to this size a file is one conditional request; a larger one goes up in parts of it. S3 takes 5 MiB at least."""

PARTS_AT_ONCE = 4
"""Of one file; with its neighbours it shares the line."""

READ_BYTES = 1024 * 1024
"""Hashed at a time: a millisecond of the event loop."""

CONNECT_TIMEOUT_S = 10.0
BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 5.0
RETRIES_MAX = 8
"""Of one request by the library: some 30 s; `patience_s` ends it sooner."""

SHA256 = "sha256"
"""The remark beside each object, where the store keeps one: a name that S3, GCS and Azure all take."""

PROVEN_ON_ARRIVAL = {"aws_checksum_algorithm": "SHA256"}
"""S3 alone: each request carries the SHA-256 of its body, and the server stores none that has another."""

CREDENTIAL = re.compile(
    r"(AWS|GOOGLE|AZURE)_(?!SSE_|SERVER_SIDE_).*"
    r"(KEY|TOKEN|SECRET|SAS|SIGNATURE|CREDENTIALS|CLIENT_ID|TENANT|ACCOUNT|AUTHORITY)"
)
"""What the library reads as a credential in the environment, or as the wish to go without one."""


@dataclass(frozen=True, slots=True)
class Access:
    """How a prefix is reached.

    Attributes:
        url: such as `s3://bucket/prefix`; has no secret.
        options: endpoint, region and credentials, by the library's names; secret.
        has_credentials: whether they are among them: then those of the environment do not count.
        is_plain_http: whether http is allowed; for loopback alone.
        timeout_s: from the start of one request to its last byte.
        patience_s: for how long a request that fails is tried again.
    """

    url: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    has_credentials: bool = False
    is_plain_http: bool = False
    timeout_s: float = 60.0
    patience_s: float = 60.0


class RefusedError(Exception):
    """The store refused one request; `meaning` says what follows, `trouble` what to tell if that ends it all."""

    def __init__(self, meaning: Meaning, trouble: HarvestError) -> None:
        super().__init__(trouble.message)
        self.meaning = meaning
        self.trouble = trouble


class Bucket:
    """A prefix, ready; makes no request before it is asked to.

    Args:
        access: how it is reached.

    Raises:
        HarvestError: endpoint or credentials cannot be used.
    """

    def __init__(self, access: Access) -> None:
        self.url = access.url.rstrip("/")
        self.patience_s = access.patience_s
        self._folder = _folder_of(access.url)
        try:
            self._store: Any = _opened(access) if self._folder is None else LocalStore(self._folder, mkdir=True)
        except Exception as error:  # noqa: BLE001  the library raises whatever its layers do
            raise opening_trouble(error, self.url) if self._folder is None else folder_trouble(self.url) from None

    @property
    def keeps_remarks(self) -> bool:
        """Whether the store keeps a remark beside each object; a plain folder does not."""
        return self._folder is None

    async def look(self, key: str) -> Stored | None:
        """Return what is stored under a key; None if nothing is."""
        try:
            found = await self._asked(obstore.get_async(self._store, key, options={"head": True}))
        except RefusedError as refusal:
            if refusal.meaning is Meaning.ABSENT:
                return None
            raise
        meta = found.meta
        return Stored(meta["size"], meta["e_tag"], meta["version"], found.attributes.get(SHA256))

    async def create(self, deliverable: Deliverable, content: bytes) -> None:
        """Put a small object where there is none."""
        await self._put(deliverable, content, mode="create")

    async def exchange(self, deliverable: Deliverable, content: bytes, seen: Stored) -> None:
        """Put a small object in the place of the one that was seen, if that is still there."""
        mode = {name: value for name, value in (("e_tag", seen.etag), ("version", seen.version)) if value is not None}
        await self._put(deliverable, content, mode=mode)

    async def overwrite(self, deliverable: Deliverable, content: bytes | BinaryIO) -> None:
        """Put an object whatever is there; a file goes up in parts, and shows up when all of them are there."""
        await self._put(
            deliverable, content, mode="overwrite", use_multipart=not isinstance(content, bytes),
            chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE,
        )  # fmt: skip

    async def delete(self, key: str) -> None:
        """Remove an object; no harm if there is none."""
        try:
            await self._asked(obstore.delete_async(self._store, key))
        except RefusedError as refusal:
            if refusal.meaning is not Meaning.ABSENT:
                raise

    def clear_leftovers(self, keys: Iterable[str]) -> None:
        """Remove what a killed process left beside these objects in a folder; no other store has such. Blocks.

        The library writes to `name#1`, or the next free number, and renames.

        Raises:
            DiskError: the folder refuses.
        """
        if self._folder is None:
            return
        for target in (self._folder / key for key in keys):
            for number in count(1):
                try:
                    target.with_name(f"{target.name}#{number}").unlink()
                except (FileNotFoundError, NotADirectoryError):
                    break
                except OSError:
                    raise folder_trouble(self.url) from None

    async def digest(self, key: str) -> str:
        """Read an object again and return the SHA-256 of its bytes, in hex."""
        return await self._asked(self._digest(key))

    async def _digest(self, key: str) -> str:
        sha256 = hashlib.sha256()
        async for piece in (await obstore.get_async(self._store, key)).stream(min_chunk_size=READ_BYTES):
            sha256.update(piece)
        return sha256.hexdigest()

    async def _put(self, deliverable: Deliverable, content: bytes | BinaryIO, **how: Any) -> None:
        attributes = {SHA256: deliverable.sha256} if self.keeps_remarks else None
        try:
            await self._asked(obstore.put_async(self._store, deliverable.path, content, attributes=attributes, **how))
        except RefusedError as refusal:
            if refusal.meaning is Meaning.ABSENT:  # nothing needs to be there for a put: it is the bucket that is not
                raise RefusedError(Meaning.ENDING, refusal.trouble) from None
            raise

    async def _asked(self, request: Awaitable[T]) -> T:
        try:
            return await request
        except Exception as error:  # noqa: BLE001  the library raises whatever its layers do
            raise RefusedError(meaning_of(error), trouble_of(error, self.url)) from None


def _opened(access: Access) -> Any:
    retries: Any = {
        "max_retries": RETRIES_MAX,
        "retry_timeout": dt.timedelta(seconds=access.patience_s),
        "backoff": {
            "init_backoff": dt.timedelta(seconds=BACKOFF_FIRST_S),
            "max_backoff": dt.timedelta(seconds=BACKOFF_MAX_S),
            "base": 2,
        },
    }
    client: Any = {
        "allow_http": access.is_plain_http,
        "timeout": dt.timedelta(seconds=access.timeout_s),
        "connect_timeout": dt.timedelta(seconds=min(CONNECT_TIMEOUT_S, access.timeout_s)),
    }
    is_s3 = urlsplit(access.url).scheme == "s3"
    options: Any = {**(PROVEN_ON_ARRIVAL if is_s3 else {}), **access.options}
    with _no_credentials_around(access):
        return from_url(access.url, config=options, client_options=client, retry_config=retries)


@contextmanager
def _no_credentials_around(access: Access) -> Iterator[None]:
    """Hide the credentials of the environment from the library where others were given: it would mix the two."""
    hidden = {name: value for name, value in os.environ.items() if access.has_credentials and CREDENTIAL.match(name)}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


def _folder_of(url: str) -> Path | None:
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None
