"""DuckDB as both queries and exports use it: in memory, bounded, without extensions, and its refusals in our words."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from harvester.errors import ConfigError, DiskError, VerificationError

MEMORY_SHARE = "50%"
"""Of the machine's memory; what needs more goes to the scratch folder. A harvest beside it shall not starve."""

ROWS_AT_ONCE = 1_000
"""Rows that are in Python's hands at once."""

_ADDRESS = re.compile(r"\S*(?:@|%40|\uff20)\S*")
"""A word with an address in it; DuckDB repeats values that it cannot convert."""

_SPOILED = "harvester verify says which files are not as they were published; where a run is at work, try again."
_OF_FILES = re.compile(r"\b(?:recipients|changes|campaigns)/account=")
"""A path of ours in what DuckDB says: then the file is at fault, not the statement."""

_NO_SPACE = re.compile(r"No space left|disk quota|max_temp_directory_size", re.IGNORECASE)


def connected(scratch: Path) -> duckdb.DuckDBPyConnection:
    """Return an engine that loads nothing from elsewhere; `scratch` is a folder for what does not fit into memory."""
    connection = duckdb.connect(
        config={
            "memory_limit": MEMORY_SHARE,
            "temp_directory": str(scratch),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            "python_enable_replacements": "false",  # else a name in SQL may mean a variable of this program
        }
    )
    connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
    return connection


@contextmanager
def refusals() -> Iterator[None]:
    """Translate what DuckDB refuses: of the disk, of our files, and else of the statement.

    Raises:
        DiskError: there is no space.
        VerificationError: a file of ours cannot be read.
        ConfigError: the statement makes no sense, or needs more than there is.
    """
    try:
        yield
    except duckdb.IOException as error:
        if _NO_SPACE.search(str(error)):
            raise DiskError(_printed(error), "Free some space, then give the same command.") from None
        raise VerificationError(_printed(error), _SPOILED) from None
    except duckdb.InvalidInputException as error:
        if _OF_FILES.search(str(error)):
            raise VerificationError(_printed(error), _SPOILED) from None
        raise ConfigError(_printed(error)) from None
    except duckdb.OutOfMemoryException as error:
        raise ConfigError(_printed(error), "Ask for less at once, or free memory and disk space.") from None
    except duckdb.Error as error:
        raise ConfigError(_printed(error)) from None


def _printed(error: duckdb.Error) -> str:
    return _ADDRESS.sub("[e-mail]", str(error)).strip()
