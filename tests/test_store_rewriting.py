"""A compressed file written anew without some of its lines: its frames stay its pages, to the byte."""

import hashlib
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.store.partitions import Compression
from harvester.store.reading import DamagedError, lines_of
from harvester.store.rewriting import FRAME_LINES, compression_of, rewrite, says_something

LINE = st.binary(max_size=20).map(lambda data: data.replace(b"\n", b"").hex().encode() + b"\n")
PAGES = st.lists(st.lists(st.tuples(LINE, st.sampled_from(["keep", "drop", "change"])), max_size=4), max_size=5)


def without(fates: dict[bytes, str], line: bytes) -> bytes | None:
    fate = fates.get(line, "keep")
    return None if fate == "drop" else b"x" + line if fate == "change" else line


@given(pages=PAGES, compression=st.sampled_from(Compression))
def test_every_page_ends_where_its_spot_says(pages: list[list[tuple[bytes, str]]], compression: Compression) -> None:
    """Cut at any page's end, the file holds what is left of the pages so far, and its hash is the spot's."""
    fates = {line: fate for page in pages for line, fate in page}
    with TemporaryDirectory() as folder:
        source, target = (Path(folder, f"{name}.jsonl{compression.suffix}") for name in ("old", "new"))
        frames = [compression.frame(b"".join(line for line, _ in page)) for page in pages if page]
        source.write_bytes(b"".join(frames) or compression.frame(b""))

        numbered = [(number, len(page)) for number, page in enumerate(pages, start=1)]
        rewritten = rewrite(source, target, numbered, lambda line: without(fates, line))

        left = [[kept for line, _ in page if (kept := without(fates, line)) is not None] for page in pages]
        content = target.read_bytes()
        assert (rewritten.rows, rewritten.bytes) == (sum(map(len, left)), len(content))
        assert rewritten.sha256 == hashlib.sha256(content).hexdigest()
        assert list(lines_of(target)) == [line for page in left for line in page]
        for spot, so_far in zip(rewritten.pages, range(1, len(pages) + 1), strict=bool(pages)):
            assert spot.rows == len(left[so_far - 1])
            assert spot.sha256 == hashlib.sha256(content[: spot.end_bytes]).hexdigest()
            expected = [line for page in left[:so_far] for line in page]
            assert list(lines_of(target, spot.end_bytes) if expected else ()) == expected


@pytest.mark.parametrize("compression", Compression)
def test_without_pages_frames_are_of_the_usual_size(tmp_path: Path, compression: Compression) -> None:
    """A copy whose reading was replaced has no pages any more; it is an ordinary file all the same."""
    source, target = (tmp_path / f"{name}.jsonl{compression.suffix}" for name in ("old", "new"))
    lines = [b"%d\n" % number for number in range(2 * FRAME_LINES + 1)]
    source.write_bytes(compression.frame(b"".join(lines)))

    rewritten = rewrite(source, target, (), lambda line: None if line == b"7\n" else line)

    assert list(lines_of(target)) == [line for line in lines if line != b"7\n"]
    assert (rewritten.rows, rewritten.pages) == (2 * FRAME_LINES, ())
    assert compression_of(target.name) is compression


@pytest.mark.parametrize("rows", [2, 4])
def test_D_10_a_file_with_other_rows_than_its_pages_is_damaged(tmp_path: Path, rows: int) -> None:
    """Nothing is made of it: which rows are whose cannot be told."""
    source = tmp_path / "old.jsonl"
    source.write_bytes(b"".join(islice((b"%d\n" % number for number in range(9)), rows)))

    with pytest.raises(DamagedError, match="rows than its pages"):
        rewrite(source, tmp_path / "new.jsonl", [(1, 2), (2, 1)], lambda line: line)


def test_a_line_that_is_none_of_ours_is_damage(tmp_path: Path) -> None:
    """It may say anything, so it is not passed over."""
    path = tmp_path / "old.jsonl"
    path.write_bytes(b"{\n")

    def refused(_line: bytes) -> bytes:
        raise ValueError

    with pytest.raises(DamagedError, match="no record"):
        says_something(path, refused)
