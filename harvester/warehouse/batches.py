"""How the readings of a date are put together to fewer and larger files (pure)."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from harvester.warehouse.holdings import Reading

FILE_BYTES = 128 * 1024 * 1024
"""What a file is to come to, counted in compressed bytes of its sources: large enough for a warehouse to read in one
stride, small enough for many to read side by side. It is a goal: one set that is larger is one file."""


def by_action(readings: Iterable[Reading]) -> dict[str, list[Reading]]:
    """Return the readings of one account and date by their action, each list in the order of the paths."""
    ordered = sorted(readings, key=lambda reading: (reading.action, reading.path))
    return {action: list(group) for action, group in groupby(ordered, key=lambda reading: reading.action)}


def batches(readings: Sequence[Reading], file_bytes: int = FILE_BYTES) -> Iterator[list[Reading]]:
    """Yield the readings in their order, as many together as make a file; only files of one compression are together.

    Args:
        readings: of one action; may be none.
        file_bytes: a batch ends before the reading that would make it larger.
    """
    for _, group in groupby(sorted(readings, key=_ending), key=_ending):
        batch: list[Reading] = []
        size_bytes = 0
        for reading in group:
            if batch and size_bytes + reading.bytes > file_bytes:
                yield batch
                batch, size_bytes = [], 0
            batch.append(reading)
            size_bytes += reading.bytes
        yield batch


def _ending(reading: Reading) -> str:
    return reading.path.rpartition(".")[2]
