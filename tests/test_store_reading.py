"""Lines read back: none lost, none joined, and damage never taken for data."""

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harvester.store.partitions import Compression
from harvester.store.reading import DamagedError, lines_of

LINES = [b'{"a":1}\n', b'{"a":"\xe2\x80\xa8"}\n', b"{}\n"]
each_compression = pytest.mark.parametrize("compression", Compression)


def written(folder: Path, compression: Compression, frames: list[bytes]) -> Path:
    path = folder / f"k.jsonl{compression.suffix}"
    path.write_bytes(b"".join(compression.frame(frame) for frame in frames))
    return path


@each_compression
def test_A_26_lines_come_as_they_were_written(tmp_path: Path, compression: Compression) -> None:
    """A line ends at a line feed and nowhere else, over any number of frames, empty ones too."""
    path = written(tmp_path, compression, [b"".join(LINES), b"", LINES[0]])

    assert list(lines_of(path)) == [*LINES, LINES[0]]


@each_compression
def test_only_the_committed_bytes_of_a_part_are_read(tmp_path: Path, compression: Compression) -> None:
    """What lies behind the given size may be anything."""
    path = written(tmp_path, compression, [LINES[0]])
    size_bytes = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"half a frame")

    assert list(lines_of(path, size_bytes)) == [LINES[0]]


@each_compression
def test_D_10_a_file_without_its_last_byte_is_damaged(tmp_path: Path, compression: Compression) -> None:
    """The lines before the damage come, then the error says after how many."""
    path = written(tmp_path, compression, [LINES[0], LINES[1]])
    path.write_bytes(path.read_bytes()[:-1])

    lines = lines_of(path)

    assert next(lines) == LINES[0]
    with pytest.raises(DamagedError, match=r"line [12]\b"):
        list(lines)


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD])
def test_D_10_bytes_behind_the_last_frame_are_damage(tmp_path: Path, compression: Compression) -> None:
    """What is no frame is not passed over."""
    path = written(tmp_path, compression, [LINES[0]])
    path.write_bytes(path.read_bytes() + b"more")

    with pytest.raises(DamagedError):
        list(lines_of(path))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bit=st.integers(0), compression=st.sampled_from([Compression.GZIP, Compression.ZSTD]))
def test_D_10_no_flipped_bit_is_an_unexpected_error(tmp_path: Path, bit: int, compression: Compression) -> None:
    """Whatever the bytes: lines or DamagedError, never the decompressor's own error; gzip never gives wrong lines."""
    path = written(tmp_path, compression, [b"".join(LINES) * 5, LINES[0] * 3])
    content = bytearray(path.read_bytes())
    content[bit // 8 % len(content)] ^= 1 << bit % 8
    path.write_bytes(content)

    try:
        lines = list(lines_of(path))
    except DamagedError:
        return
    if compression is Compression.GZIP:
        assert lines == [*LINES * 5, *[LINES[0]] * 3]


def test_a_file_that_is_not_there_is_no_damage(tmp_path: Path) -> None:
    """The disk's own errors stay what they are."""
    with pytest.raises(FileNotFoundError):
        next(lines_of(tmp_path / "k.jsonl.gz"))


def test_ordinary_gzip_is_read_too(tmp_path: Path) -> None:
    """A file of one member, as another program writes it, has the same lines."""
    path = tmp_path / "k.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(LINES)))

    assert list(lines_of(path)) == LINES
