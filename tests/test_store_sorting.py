"""Lines put in order with bounded memory."""

import os
import stat
import tracemalloc
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harvester.errors import DiskError
from harvester.store.sorting import sorted_lines

LINES = st.lists(st.binary(max_size=60).map(lambda line: line.replace(b"\n", b"") + b"\n"), max_size=60)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES, chunk_bytes=st.integers(1, 1_000))
def test_lines_come_out_in_order_whatever_the_chunk(tmp_path: Path, lines: list[bytes], chunk_bytes: int) -> None:
    """None is lost and none is made, whether they fit into memory or each is a piece of its own."""
    assert list(sorted_lines(lines, tmp_path, chunk_bytes)) == sorted(lines)


def test_a_small_set_touches_no_file(tmp_path: Path) -> None:
    """The folder is not even made."""
    folder = tmp_path / "_parts"

    assert list(sorted_lines([b"b\n", b"a\n"], folder)) == [b"a\n", b"b\n"]
    assert not folder.exists()


def test_P5_the_temporary_file_has_no_name_and_is_ours_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds rows: nobody else can open it, and nothing of it outlives the process."""
    made: list[IO[bytes]] = []

    def watched(**arguments: Any) -> IO[bytes]:
        made.append(TemporaryFile(**arguments))  # noqa: SIM115  who asked for it closes it
        return made[-1]

    monkeypatch.setattr("harvester.store.sorting.TemporaryFile", watched)

    with closing(sorted_lines([b"b\n", b"a\n", b"c\n"], tmp_path / "_parts", chunk_bytes=1)) as lines:
        assert next(lines) == b"a\n"
        (file,) = made
        status = os.fstat(file.fileno())
        assert list((tmp_path / "_parts").iterdir()) == []
        assert (status.st_nlink, stat.S_IMODE(status.st_mode)) == (0, 0o600)
        assert status.st_dev == (tmp_path / "_parts").stat().st_dev

    assert file.closed


def test_IN_11_memory_holds_one_chunk(tmp_path: Path) -> None:
    """A hundred times the chunk takes little more memory than the chunk and a buffer for each piece."""
    chunk_bytes, rows = 100_000, 20_000

    tracemalloc.start()
    try:
        lines = (b"%05d %b\n" % (number * 7 % rows, b"x" * 500) for number in range(rows))
        count = sum(1 for _ in sorted_lines(lines, tmp_path, chunk_bytes))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert count == rows
    assert peak_bytes < 3_000_000  # of 10 MB of lines


def test_a_disk_that_refuses_is_told_as_such(tmp_path: Path) -> None:
    """The folder is named, and what to do."""
    (tmp_path / "_parts").write_bytes(b"")

    with pytest.raises(DiskError, match="_parts"):
        list(sorted_lines([b"a\n"], tmp_path / "_parts", chunk_bytes=1))
