"""What becomes of any row on its way through a partition and a Parquet file, and that nothing else goes unnoticed."""

import json
from collections.abc import Iterator
from contextlib import chdir
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from factories import DATE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harvester.errors import DiskError
from harvester.model import Action, Row
from harvester.store.partitions import Compression
from harvester.warehouse.columns import columns_of
from harvester.warehouse.parquet import MismatchError, ParquetFiles
from harvester.zoho.contacts import SOURCES, RecordContext, lines
from harvester.zoho.record_schema import DESCRIPTION

TEXT = st.text(st.characters(exclude_categories=[]), max_size=6)
KEYS = [name for names in SOURCES.values() for name in names]
SCALARS = TEXT | st.integers(-(10**30), 10**30) | st.none() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(TEXT, SCALARS, max_size=2)
ROWS = st.lists(st.dictionaries(st.sampled_from(KEYS) | TEXT, VALUES, max_size=6), min_size=1, max_size=6)

NUMBERS = count()


@pytest.fixture
def files(tmp_path: Path) -> Iterator[ParquetFiles]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with ParquetFiles(columns_of(DESCRIPTION), scratch) as opened:
        yield opened


def partition(output: Path, rows: list[Row], number: int) -> tuple[str, list[bytes]]:
    """Write rows as a partition, and return its path below the output folder and its lines."""
    context = RecordContext("acme", "k1", None, Action.SENT, "2026-03-14T02:00:00.120Z", "run-1", -3_600_000)
    text = lines(rows, range(1, len(rows) + 1), context)
    path = Path(f"recipients/account=acme/dt={DATE}/action=sentcontacts/{number}.jsonl.gz")
    (output / path).parent.mkdir(parents=True, exist_ok=True)
    (output / path).write_bytes(Compression.GZIP.frame(text))
    return str(path), [line + b"\n" for line in text.split(b"\n")[:-1]]


def written(files: ParquetFiles, output: Path, rows: list[Row]) -> tuple[Path, list[tuple[Any, bytes]]]:
    number = next(NUMBERS)
    path, made = partition(output, rows, number)
    target = output / f"{number}.parquet"
    with chdir(output):
        files.write([path], target)
    return target, [(json.loads(line), line) for line in made]


@given(rows=ROWS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_row_comes_through(rows: list[Row], files: ParquetFiles, tmp_path: Path) -> None:
    """Whatever the server may say, lone surrogates, control characters and numbers of any size included."""
    target, records = written(files, tmp_path, rows)

    files.verify(target, records)


@pytest.mark.parametrize(
    "change",
    [
        {"email": "other@x.example"},
        {"contact_id": None},
        {"sent_time_ms": 1},
        {"sent_at": "2026-03-14T02:00:00.121Z"},
        {"position": 2},
        {"event_times": ["2026-02-12T12:09"]},
    ],
    ids=str,
)
def test_another_value_is_noticed(change: dict[str, Any], files: ParquetFiles, tmp_path: Path) -> None:
    """Each column of each row is compared; the message names the row and no value."""
    row = {
        "contactid": "1",
        "contactemailaddress": "a@x.example",
        "sent_time": "1785028800000",
        "reports": [{"time": "Feb 12, 2026 12:08 PM"}],
    }
    target, [(record, line)] = written(files, tmp_path, [row])

    with pytest.raises(MismatchError, match=r"^differs from its partitions at row 1$"):
        files.verify(target, [(record | change, line)])


def test_another_raw_is_noticed(files: ParquetFiles, tmp_path: Path) -> None:
    """Even where it means the same."""
    target, [(record, line)] = written(files, tmp_path, [{"x": 1.0}])

    with pytest.raises(MismatchError):
        files.verify(target, [(record, line.replace(b"1.0", b"1.00"))])


@pytest.mark.parametrize("rows", [1, 3])
def test_another_number_of_rows_is_noticed(rows: int, files: ParquetFiles, tmp_path: Path) -> None:
    """One row too few, and one too many."""
    target, records = written(files, tmp_path, [{"x": 1}, {"x": 2}])

    with pytest.raises(MismatchError, match="at row"):
        files.verify(target, (records * 2)[:rows])


def test_raw_that_is_not_kept_is_null(files: ParquetFiles, tmp_path: Path) -> None:
    """As in the partition, where `raw = false` leaves no row."""
    path, [line] = partition(tmp_path, [{"x": 1}], next(NUMBERS))
    bare = line.replace(b'{"x":1}', b"null")
    (tmp_path / path).write_bytes(Compression.GZIP.frame(bare))
    with chdir(tmp_path):
        files.write([path], tmp_path / "bare.parquet")

    files.verify(tmp_path / "bare.parquet", [(json.loads(bare), bare)])


def test_a_full_disk_is_told_of_the_target(files: ParquetFiles, tmp_path: Path) -> None:
    """With the file that cannot be written, and what to do about it: nobody typed a statement."""
    path, _ = partition(tmp_path, [{"contactid": "1"}], next(NUMBERS))

    with chdir(tmp_path), pytest.raises(DiskError, match=r"^/dev/full: ") as refused:
        files.write([path], Path("/dev/full"))

    assert refused.value.remedy.startswith("Free space")
