"""What is published, as values: a file that readers of a date need, and the object that holds it."""

import re
from dataclasses import dataclass

_NAME = r"[^/\x00-\x1f\x7f*?\[\]{}]+"
"""No part of a path that an engine would take for a pattern."""

_FINISHED = re.compile(
    rf"(?:recipients|changes)/account={_NAME}/dt=\d{{4}}-\d\d-\d\d/action=[a-z]+/{_NAME}\.jsonl(?:\.gz|\.zst)?"
    rf"|campaigns/account={_NAME}/dt=\d{{4}}-\d\d-\d\d/campaigns\.jsonl"
)


def is_finished_file(path: str) -> bool:
    """Tell whether a path below the output folder is one that we give: a changed manifest shall not lead elsewhere."""
    return _FINISHED.fullmatch(path) is not None


@dataclass(frozen=True, slots=True)
class Deliverable:
    """A finished file as the manifest names it.

    Attributes:
        path: below the output folder, and so the key of its object below the prefix.
        bytes: its size.
        sha256: of its bytes, in hex.
    """

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Stored:
    """What an object store has under a key.

    Attributes:
        bytes: its size.
        etag: the store's own name for these bytes; None where it has none.
        version: the store's number of the object's version; None where it keeps none.
        sha256: in hex, as whoever uploaded it said; None where the store keeps no such remark.
    """

    bytes: int
    etag: str | None = None
    version: str | None = None
    sha256: str | None = None

    def is_of(self, deliverable: Deliverable) -> bool:
        """Tell whether it is this very file, as far as the remark goes."""
        return (self.bytes, self.sha256) == (deliverable.bytes, deliverable.sha256)
