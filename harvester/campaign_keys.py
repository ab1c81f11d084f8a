"""Lists of campaign keys: lines of bytes in, checked and distinct keys out.

Nothing is held but a digest of each key seen, so a list of a million keys streams through.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Self

from harvester.errors import ConfigError

# Real keys have 66 characters and documented ones 32, so their length proves nothing; the bound only
# keeps a wrong file from passing for a list. A leading "-" would read as an option on a command line.
KEY_MAX_CHARS = 128
KEY_PATTERN = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{KEY_MAX_CHARS - 1}}}")
KEY_RULE = (
    f"a key has letters, digits, _ and -, starts with a letter or digit, and has at most {KEY_MAX_CHARS} characters"
)

LINE_MAX_BYTES = 4096
"""A key with a long comment fits; a line without an end (binary data) does not fill the memory."""

QUOTE_MAX_CHARS = 40
"""Enough of a wrong key to find it in the list, little enough for one line of a terminal."""

DIGEST_BYTES = 16
"""At 128 bits no two keys of any real list share a digest; at 64 bits one could silently be lost."""

UTF8_BOM = b"\xef\xbb\xbf"
UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
BLANKS = b" \t\r\n"
COMMENT = re.compile(rb"(?:^|[ \t])#")


class CampaignKeys:
    """The distinct keys of a list, in its order; an iterator, so it can be read once.

    Exhaust it before the first call is made: a wrong key in the last line is found there, and so is
    that the list is empty.

    Args:
        lines: one key a line, UTF-8, with or without line ends, byte order mark, comments and blank lines.
        source: what messages call the list, a file name or "standard input".

    Attributes:
        kept: distinct keys given out so far.
        duplicates: repeated keys left out so far; keys that differ in case are different keys.

    Raises:
        ConfigError: while iterating, at a line that is no key, or at the end of a list without keys.
    """

    def __init__(self, lines: Iterable[bytes], source: str) -> None:
        self.kept = 0
        self.duplicates = 0
        self._source = source
        self._keys = self._distinct(lines)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        return next(self._keys)

    def _distinct(self, lines: Iterable[bytes]) -> Iterator[str]:
        seen: set[bytes] = set()
        for number, line in enumerate(lines, start=1):
            key = _key_in(line.removeprefix(UTF8_BOM) if number == 1 else line, f"{self._source}:{number}")
            if key is None:
                continue
            digest = blake2b(key.encode(), digest_size=DIGEST_BYTES).digest()
            if digest in seen:
                self.duplicates += 1
                continue
            seen.add(digest)
            self.kept += 1
            yield key
        if not self.kept:
            raise ConfigError(
                f"{self._source}: no campaign key in the list; nothing is harvested.",
                'Give one key a line, or set campaigns = "discover" to harvest every campaign.',
            )


def _key_in(line: bytes, where: str) -> str | None:
    """Return the key of one line, None for a blank line or a comment."""
    if len(line) > LINE_MAX_BYTES:
        raise ConfigError(f"{where}: longer than {LINE_MAX_BYTES} bytes.", "Give one key a line.")
    if line.startswith(UTF16_BOMS) or b"\0" in line:
        raise ConfigError(f"{where}: NUL bytes or a UTF-16 mark, so this is no UTF-8 text.", "Save the list as UTF-8.")
    text = COMMENT.split(line, maxsplit=1)[0].strip(BLANKS).decode("utf-8", "backslashreplace")
    if not text:
        return None
    if not KEY_PATTERN.fullmatch(text):
        raise ConfigError(f"{where}: {quoted(text)} is no campaign key.", f"Give one key a line; {KEY_RULE}.")
    return text


def quoted(text: str) -> str:
    r"""Return foreign text as it may stand in a message: quoted, in ASCII, short, without addresses.

    Control characters, look-alike letters and marks that turn the writing direction come out as ``\x..``
    or ``\u....``. A list of recipients given by mistake must not spill its first address.
    """
    if "@" in text:
        return "(an e-mail address)"
    cut = text[:QUOTE_MAX_CHARS]
    return ascii(cut) if cut == text else f"{cut!a}... ({len(text)} characters)"


def open_key_file(path: Path) -> Iterator[bytes]:
    """Yield the lines of a key file; the file is opened at the first line and closed after the last.

    Raises:
        ConfigError: the file is missing, unreadable or not a regular file.
    """
    with open_regular(path) as stream:
        yield from read_lines(stream)


def read_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a stream, such as standard input, none longer than `LINE_MAX_BYTES` + 1."""
    return iter(lambda: stream.readline(LINE_MAX_BYTES + 1), b"")


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; a symbolic link to one will do.

    The file is judged after it was opened, so that nobody can exchange it in between, and opened
    without blocking, so that a fifo nobody writes to cannot stop the run.

    Raises:
        ConfigError: it is missing, unreadable, or a directory, device, socket or fifo.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}.", "Check the path and its permissions.") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ConfigError(f"{path}: not a regular file.", "Give a file, no directory, device or pipe.")
    return os.fdopen(descriptor, "rb")
