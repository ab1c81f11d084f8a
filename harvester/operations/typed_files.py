"""Parquet files of partitions; behind `harvester export`, and needs DuckDB."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

import orjson

from harvester.errors import VerificationError
from harvester.operations.exporting import changed
from harvester.store.disk import disk_errors
from harvester.store.reading import DamagedError, lines_of
from harvester.warehouse.holdings import Reading, paths_of
from harvester.warehouse.parquet import ENDING, MismatchError, ParquetFiles
from harvester.zoho.envelopes import read_document

REPORT = "Nothing was put in its place. Report it, with the version of DuckDB: pip show duckdb."


class Typed:
    """Rows with a type for each column; see `exporting.Maker`.

    Args:
        output: the output folder.
        files: writes them.
    """

    form = "parquet"

    def __init__(self, output: Path, files: ParquetFiles) -> None:
        self._output = output
        self._files = files
        self.shape = "parquet 1 " + " ".join(f"{name}:{kind}" for name, kind in files.columns.items())

    def ending(self, _sources: Sequence[Reading]) -> str:
        """See `Maker`."""
        return ENDING

    def make(self, sources: Sequence[Reading], target: Path) -> None:
        """See `Maker`."""
        with chdir(self._output):
            self._files.write(list(paths_of(sources)), target)
        try:
            self._files.verify(target, self._records(sources))
        except MismatchError as error:
            raise VerificationError(f"{target}: {error}.", REPORT) from None

    def _records(self, sources: Sequence[Reading]) -> Iterator[tuple[Mapping[str, Any], bytes]]:
        for source in sources:
            path = self._output / source.path
            with disk_errors(path), path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            if sha256 != source.sha256:
                raise changed(path)
            try:
                for line in lines_of(path):
                    yield _record(line), line
            except DamagedError:
                raise changed(path) from None


def _record(line: bytes) -> Mapping[str, Any]:
    """Return what a line says; numbers that the quick reader rounds stand in `raw` alone, which is compared as text."""
    try:
        record: Mapping[str, Any] = orjson.loads(line)
    except orjson.JSONDecodeError:
        return read_document(line)
    return record
