"""A stream that never stops the run: once it cannot be written, it goes silent (fault P-10)."""

import io
from typing import TextIO, cast


class _QuietStream(io.TextIOBase):
    """Pass text on to `stream` until it fails once; from then on drop it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_silent = False

    @property
    def encoding(self) -> str:  # type: ignore[override]  # the base declares an attribute, we ask the stream
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        return not self._is_silent and self._stream.isatty()

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        if not self._is_silent:
            try:
                self._stream.write(text)
            except (OSError, ValueError):  # a reader that left, a full disk; ValueError is a closed file
                self._is_silent = True
        return len(text)

    def flush(self) -> None:
        if not self._is_silent:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._is_silent = True


def quiet(stream: TextIO) -> TextIO:
    """Wrap `stream` so that writing and flushing never raise; closing the wrapper leaves `stream` open."""
    return cast("TextIO", _QuietStream(stream))
