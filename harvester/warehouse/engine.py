"""DuckDB as both queries and exports use it: in memory, bounded, without extensions, and its refusals in our words."""

import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import TypeVar

import duckdb

from harvester.errors import ConfigError, DiskError, VerificationError

MEMORY_SHARE = "50%"
"""Of the machine's memory; what needs more goes to the scratch folder. A harvest beside it shall not starve."""

SCRATCH_SHARE = 0.5
"""Of what is free on the disk at the start, for the same reason."""

LOOK_S = 0.05
"""How often somebody looks whether an engine at work is to be interrupted."""

CLOSE_WAIT_S = 5.0
"""How long an interrupted engine may take to leave its statement; then it is left to the end of the process."""

Result = TypeVar("Result")

ROWS_AT_ONCE = 1_000
"""Rows that are in Python's hands at once."""

_ADDRESS = re.compile(r"\S*(?:@|%40|\uff20)\S*")
"""A word with an address in it: a statement may have one."""

_VALUE = re.compile(r"['\"(\n]| -?\d|(?<!Error): ")
"""Where in the engine's words a value may begin: it repeats cells, and whole lines, that it cannot make sense of."""

_PLACE = "\n\nLINE "
"""What stands between these words and the place in the statement that they are about."""

_OF_STATEMENT = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.PermissionException)
"""What is refused before the first row is read, so that its words are those of the statement."""

_SPOILED = "harvester verify says which files are not as they were published; where a run is at work, try again."
_OF_FILES = re.compile(r"\b(?:recipients|changes|campaigns)/account=[^\s'\"]+\.jsonl(?:\.gz|\.zst)?")
"""A path of ours in what DuckDB says: then the file is at fault, not the statement."""
_OF_DAMAGE = re.compile(r"gzip|zstd|frame (?:descriptor|parameter)|corrupt|checksum|buffer is too small", re.IGNORECASE)
"""What DuckDB says of a file that cannot be unpacked, often without naming it."""

_MORE_SPACE = "Ask for less at once, or free memory and disk space; then give the same command."


def connected(scratch: Path) -> duckdb.DuckDBPyConnection:
    """Return an engine that loads nothing from elsewhere; `scratch` is a folder for what does not fit into memory."""
    connection = duckdb.connect(
        config={
            "memory_limit": MEMORY_SHARE,
            "temp_directory": str(scratch),
            "max_temp_directory_size": f"{int(SCRATCH_SHARE * shutil.disk_usage(scratch).free)}B",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            "python_enable_replacements": "false",  # else a name in SQL may mean a variable of this program
        }
    )
    connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
    return connection


def close(connection: duckdb.DuckDBPyConnection) -> None:
    """Give memory and scratch files back, once what was interrupted has come to its end."""
    given_up_s = time.monotonic() + CLOSE_WAIT_S
    while time.monotonic() < given_up_s:
        with suppress(duckdb.ResourceInUseException):
            return connection.close()
        Event().wait(LOOK_S)
    return None


def interruptible(connection: duckdb.DuckDBPyConnection, work: Callable[[], Result]) -> Result:
    """Do a long work of an engine so that Ctrl-C ends it: the thread that gets the signal must not be in the engine.

    To be called in the main thread, where Python hands signals over.
    """
    before, heard = signal.getsignal(signal.SIGINT), Event()
    if not callable(before):  # as in the background of a script, where Ctrl-C is for others
        return work()
    signal.signal(signal.SIGINT, lambda *_: heard.set())
    try:
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="duckdb") as thread:
            doing = thread.submit(work)
            while not wait([doing], LOOK_S).done:
                if heard.is_set():  # again and again: between two statements the engine hears nothing
                    connection.interrupt()
    finally:
        signal.signal(signal.SIGINT, before)
    if heard.is_set():
        raise KeyboardInterrupt
    return doing.result()


@contextmanager
def refusals() -> Iterator[None]:
    """Translate what DuckDB refuses: of our files, of memory and disk, and else of the statement.

    Raises:
        VerificationError: a file of ours cannot be read.
        DiskError: there is no room, or the scratch folder cannot be used.
        ConfigError: the statement makes no sense, of itself or for what stands in the rows.
    """
    try:
        yield
    except duckdb.Error as error:
        is_of_file = isinstance(error, duckdb.IOException | duckdb.InvalidInputException)
        if is_of_file and (file := _OF_FILES.search(str(error))):
            raise VerificationError(f"{file[0]}: {_cut(str(error))}", _SPOILED) from None
        if not isinstance(error, _OF_STATEMENT) and _OF_DAMAGE.search(_cut(str(error))):
            raise VerificationError(f"One of the files cannot be read: {_printed(error)}", _SPOILED) from None
        if isinstance(error, duckdb.OutOfMemoryException | duckdb.IOException):
            raise DiskError(_printed(error), _MORE_SPACE) from None
        raise ConfigError(_printed(error)) from None


@contextmanager
def file_refusals() -> Iterator[None]:
    """Translate likewise where nobody gave a statement: what makes no sense then is a file.

    Raises:
        VerificationError: a file cannot be read.
        DiskError: there is no room, or the scratch folder cannot be used.
    """
    try:
        with refusals():
            yield
    except ConfigError as error:
        raise VerificationError(error.message, _SPOILED) from None


@contextmanager
def line_refusals() -> Iterator[None]:
    """Translate what is refused of lines that are read as text, since the engine does not say then which file it is.

    Raises:
        VerificationError: a line is no JSON; or the statement took some text for JSON, which looks the same.
    """
    try:
        yield
    except duckdb.InvalidInputException as error:
        if "Malformed JSON" not in str(error):
            raise
        raise VerificationError("A line of one of the files is no JSON.", _SPOILED) from None


def is_of_surrogate(error: duckdb.Error) -> bool:
    """Tell whether something was refused for half of a character; see `relations`."""
    return "surrogate" in str(error)


def _printed(error: duckdb.Error) -> str:
    """Return what DuckDB says, without addresses and without what stands in rows."""
    if isinstance(error, _OF_STATEMENT):
        return _ADDRESS.sub("[e-mail]", str(error)).strip()
    words, place, statement = str(error).partition(_PLACE)
    return _ADDRESS.sub("[e-mail]", _cut(words) + place + statement).strip()


def _cut(words: str) -> str:
    """Return words up to where the first value may begin."""
    value = _VALUE.search(words)
    return f"{words[: value.start()].rstrip()} [...]" if value else words
