"""Where a manifest lies, and what it tells, a job at a time: it may hold 900,000 of them."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from harvester.store.partitions import RECIPIENTS

MANIFEST = "_manifest.json"
SUCCESS = "_SUCCESS"
"""The empty file beside a manifest that is there where the date is complete."""

JOBS_BEGIN = b'"jobs": [\n'
JOBS_END = b"]"
END = b"]}\n"

LINE_BYTES_MAX = 16 * 1024 * 1024
"""A job is some 500 bytes; a file without lines shall not fill the memory."""


class ManifestError(Exception):
    """A manifest cannot be read; the message says why."""


def manifest_path(account: str, date: str) -> str:
    """Return where the manifest of an account and ISO date lies, below the output folder."""
    return f"{RECIPIENTS}/account={account}/dt={date}/{MANIFEST}"


def read_manifest(path: Path) -> Iterator[dict[str, Any]]:
    """Yield first what a manifest tells of its date, then its jobs in their order.

    It is read as `write_manifest` writes it, a job a line; the same JSON in other lines is no manifest of ours.

    Raises:
        ManifestError: it is not there, or cannot be read.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise ManifestError("it is no regular file")
        with path.open("rb") as file:
            yield _object(file.readline(LINE_BYTES_MAX).rstrip(b",\n") + b"}")
            if file.readline(LINE_BYTES_MAX) != JOBS_BEGIN:
                raise ManifestError("its jobs do not begin where they should")
            while not (line := file.readline(LINE_BYTES_MAX)).startswith(JOBS_END):
                if not line:
                    raise ManifestError("its end is missing")
                if line != b"\n":  # what stands between the brackets where there is no job
                    yield _object(line.rstrip(b",\n"))
            while following := file.readline(LINE_BYTES_MAX):
                line = following
            if line != END:
                raise ManifestError("its end is missing")
    except (FileNotFoundError, NotADirectoryError):
        raise ManifestError("it is not there") from None
    except OSError as error:
        raise ManifestError(f"it cannot be read: {(error.strerror or 'input/output error').lower()}") from None


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise ManifestError("a line of it is no JSON object")
    return value
