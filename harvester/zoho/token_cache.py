"""The access token on disk, shared by the processes of one machine: a file for its owner only, under a lock."""

import asyncio
import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harvester.errors import ConfigError, DiskError
from harvester.model import FailureKind
from harvester.zoho.wire import TransportError

FORMAT_VERSION = 1

LOCK_WAIT_S_MAX = 120.0
"""Longest wait for another process: it holds the lock for one call to the token endpoint, 30 s by default."""

_LOCK_POLL_S = 0.05
"""flock gives no notice to an event loop, so it is asked again, 20 times a second."""

_FILE_BYTES_MAX = 65_536
_NO_FILE = frozenset({errno.ELOOP, errno.ENXIO, errno.EISDIR})
"""How the system refuses a link, a socket and a folder where a file is wanted."""

_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """What the processes tell each other; all times are wall seconds since the epoch.

    Attributes:
        access_token: the token, or "" before the first.
        obtained_at_s: when it was asked for; `expires_at_s` when it ends.
        expires_at_s: as said by the answer that brought the token.
        refreshes_at_s: when tokens were asked for lately, whatever the answer.
        throttled_until_s: before then the token endpoint is left alone.
    """

    access_token: str = field(default="", repr=False)
    obtained_at_s: float = 0.0
    expires_at_s: float = 0.0
    refreshes_at_s: tuple[float, ...] = ()
    throttled_until_s: float = 0.0


class TokenCache:
    """The file of one account's token in the state directory.

    Args:
        state: the state directory; made with mode 0700 if missing.
        account: the account's name, part of the file's name.
        fingerprint: stands for the credentials; a file of other credentials counts as empty.
    """

    def __init__(self, state: Path, account: str, fingerprint: str) -> None:
        if not _ACCOUNT.fullmatch(account):
            raise ConfigError("An account's name is no file name.", "Use letters, digits, '-', '_' and '.'.")
        self._path = state / f"token-{account}.json"
        self._lock_path = state / f"token-{account}.lock"
        self._fingerprint = fingerprint

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Hold the lock that all processes of this machine respect.

        Raises:
            TransportError: another process held it for `LOCK_WAIT_S_MAX`. A later call may succeed.
            ConfigError: the lock file is not ours to use.
            DiskError: the disk refuses.
        """
        with _disk_errors(self._lock_path):
            self._lock_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with _disk_errors(self._lock_path):
                _check_ownership(self._lock_path, os.fstat(descriptor))
                await _flock(descriptor)
            yield
        finally:
            os.close(descriptor)

    def read(self) -> CacheEntry:
        """Return what the file holds; an empty entry where there is none, or none that we understand.

        Raises:
            ConfigError: others can read the file, or it is not our own regular file.
            DiskError: the disk refuses.
        """
        with _disk_errors(self._path):
            try:
                # O_NONBLOCK: a fifo planted here must not hang us.
                descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except FileNotFoundError:
                return CacheEntry()
            try:
                _check_ownership(self._path, os.fstat(descriptor))
                return _entry(os.read(descriptor, _FILE_BYTES_MAX), self._fingerprint)
            finally:
                os.close(descriptor)

    def write(self, entry: CacheEntry) -> None:
        """Replace the file in one step, mode 0600, synced to the disk; call it under `locked`.

        Raises:
            DiskError: the disk refuses.
        """
        content = {"version": FORMAT_VERSION, "fingerprint": self._fingerprint, **asdict(entry)}
        beside = self._path.with_name(f".{self._path.name}.{secrets.token_hex(8)}")
        with _disk_errors(self._path):
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(json.dumps(content).encode())
                    file.flush()
                    os.fsync(file.fileno())
                beside.replace(self._path)
            except BaseException:
                with suppress(OSError):
                    beside.unlink()
                raise


def fingerprint(*parts: str) -> str:
    """Return what stands for credentials on disk: it changes with them and does not tell them."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


async def _flock(descriptor: int) -> None:
    try:
        async with asyncio.timeout(LOCK_WAIT_S_MAX):
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    await asyncio.sleep(_LOCK_POLL_S)
                else:
                    return
    except TimeoutError:
        raise TransportError(
            FailureKind.TRANSIENT, "another process keeps the token cache locked", is_sent=False
        ) from None


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_FILE:
            raise _not_ours(path) from None
        raise DiskError(f"{path}: {error.strerror}.", "Check space and rights of the state directory.") from None


def _check_ownership(path: Path, status: os.stat_result) -> None:
    is_ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1
    if not is_ours:
        raise _not_ours(path)
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{path} can be used by others, and it guards an access token.", f"Run: chmod 600 {path}")


def _not_ours(path: Path) -> ConfigError:
    return ConfigError(
        f"{path} is not a regular file of the user who runs this.",
        f"Remove it, or run as its owner and set its mode: chmod 600 {path}",
    )


def _entry(content: bytes, fingerprint_wanted: str) -> CacheEntry:
    """Read a file's content; half a file, garbage, another version or other credentials are an empty entry."""
    try:
        match json.loads(content):
            case {
                "version": int(version),
                "fingerprint": str(found),
                "access_token": str(token),
                "obtained_at_s": int() | float() as obtained_at_s,
                "expires_at_s": int() | float() as expires_at_s,
                "refreshes_at_s": [*refreshes_at_s],
                "throttled_until_s": int() | float() as throttled_until_s,
            } if (version, found) == (FORMAT_VERSION, fingerprint_wanted):
                return CacheEntry(token, obtained_at_s, expires_at_s, _moments(refreshes_at_s), throttled_until_s)
    except (ValueError, RecursionError):
        pass
    return CacheEntry()


def _moments(values: list[Any]) -> tuple[float, ...]:
    return tuple(value for value in values if isinstance(value, int | float))
