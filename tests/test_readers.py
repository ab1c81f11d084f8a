"""Partitions are ordinary files to the readers that people have: row for row, however many frames they consist of."""

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.dataset as pa_dataset  # type: ignore[import-untyped]
import pyarrow.json as pa_json  # type: ignore[import-untyped]
import pytest

from harvester.store import partitions
from harvester.store.partitions import Compression
from harvester.store.reading import lines_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Row = tuple[int, str]
Reader = Callable[[Path], list[Row]]

PAGE_ROWS = 500
ROWS = [(number, f"Zoë\u2028{number}") for number in range(3 * PAGE_ROWS)]
PAGES = [ROWS[first : first + PAGE_ROWS] for first in range(0, len(ROWS), PAGE_ROWS)]
SHAPES: dict[str, list[list[Row]]] = {
    "many": PAGES,
    "the first is empty": [[], *PAGES],
    "one between is empty": [PAGES[0], [], *PAGES[1:]],
    "no row": [[]],
}
"""Frames, each with the rows that it holds."""

SCHEMA = pa.schema([("n", pa.int64()), ("t", pa.string())])
TOOLS = {".gz": ("gzip", "-dc"), ".zst": ("zstd", "-dcq")}


def text_of(rows: Sequence[Row]) -> bytes:
    return b"".join(json.dumps({"n": n, "t": t}, ensure_ascii=False).encode() + b"\n" for n, t in rows)


def rows_of(text: bytes) -> list[Row]:
    records = [json.loads(line) for line in text.split(b"\n")[:-1]]
    return [(record["n"], record["t"]) for record in records]


def by_duckdb(path: Path) -> list[Row]:
    options = "format = 'newline_delimited', columns = {n: 'BIGINT', t: 'VARCHAR'}"
    with duckdb.connect() as connection:
        return connection.execute(f"SELECT n, t FROM read_json(?, {options})", [str(path)]).fetchall()  # noqa: S608


def by_polars(path: Path) -> list[Row]:
    return pl.read_ndjson(path, schema={"n": pl.Int64, "t": pl.String}).rows()


def by_pyarrow(path: Path) -> list[Row]:
    return [(row["n"], row["t"]) for row in pa_json.read_json(path).to_pylist()]


def by_tool(path: Path) -> list[Row]:
    program, *flags = TOOLS[path.suffix]
    assert shutil.which(program), f"the format's own tool is missing: apt-get install {program}"
    return rows_of(subprocess.run([program, *flags, str(path)], stdout=subprocess.PIPE, check=True).stdout)


def by_python(path: Path) -> list[Row]:
    return rows_of({".gz": gzip.decompress, ".zst": zstd.decompress}.get(path.suffix, bytes)(path.read_bytes()))


def by_harvester(path: Path) -> list[Row]:
    return rows_of(b"".join(lines_of(path)))


READERS: dict[str, Reader] = {
    "DuckDB": by_duckdb,
    "Polars": by_polars,
    "PyArrow": by_pyarrow,
    "tool": by_tool,
    "Python": by_python,
    "harvester": by_harvester,
}


@pytest.fixture(params=["none", "gzip by isal", "gzip by zlib", "zstd"])
def compression(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Compression:
    """Each way to make frames; gzip with and without its accelerator, which the tests have installed."""
    name, _, way = request.param.partition(" by ")
    if way == "zlib":
        monkeypatch.setattr(partitions, "accelerated_gzip", None)
    return Compression(name)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reader", READERS)
def test_every_reader_finds_every_row(tmp_path: Path, compression: Compression, reader: str, shape: str) -> None:
    """Row for row, in order: a frame that is empty ends no file, and a file without rows has none."""
    if reader == "tool" and compression is Compression.NONE:
        reader = "Python"
    frames = [compression.frame(text_of(rows)) for rows in SHAPES[shape]]
    path = tmp_path / f"k.jsonl{compression.suffix}"
    path.write_bytes(b"".join(frames))

    if (reader, shape) == ("PyArrow", "no row"):
        with pytest.raises(pa.ArrowInvalid, match="Empty JSON file"):  # as docs/output.md says
            READERS[reader](path)
        return
    assert READERS[reader](path) == [row for rows in SHAPES[shape] for row in rows]


def test_datasets_of_pyarrow_take_gzip_and_no_zstd(tmp_path: Path) -> None:
    """As docs/output.md says: they go by the endings, and do not know that of zstd."""
    for compression in Compression:
        path = tmp_path / f"k.jsonl{compression.suffix}"
        path.write_bytes(b"".join(compression.frame(text_of(rows)) for rows in PAGES))

    def rows_in(compression: Compression) -> int:
        dataset = pa_dataset.dataset(tmp_path / f"k.jsonl{compression.suffix}", SCHEMA, format="json")
        return int(dataset.count_rows())

    assert rows_in(Compression.NONE) == rows_in(Compression.GZIP) == len(ROWS)
    with pytest.raises(pa.ArrowInvalid, match="JSON parse error"):
        rows_in(Compression.ZSTD)


def test_a_part_may_grow_by_frames_of_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A harvest that goes on where isal is not installed any more goes on in the same file."""
    frames = [Compression.GZIP.frame(text_of(PAGES[0]))]
    monkeypatch.setattr(partitions, "accelerated_gzip", None)
    frames.append(Compression.GZIP.frame(text_of(PAGES[1])))
    path = tmp_path / "k.jsonl.gz"
    path.write_bytes(b"".join(frames))

    assert by_duckdb(path) == by_tool(path) == by_python(path) == PAGES[0] + PAGES[1]


def test_frames_need_no_accelerator() -> None:
    """Where the extra is not installed the standard library makes the frames, and nothing else is different."""
    program = (
        "import gzip, sys; sys.modules['isal'] = None\n"
        "from harvester.store.partitions import Compression\n"
        "assert Compression.GZIP.frame(b'row\\n') == gzip.compress(b'row\\n', 1, mtime=0)\n"
    )

    subprocess.run([sys.executable, "-c", program], check=True)
