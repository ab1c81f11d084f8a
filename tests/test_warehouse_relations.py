"""SQL over our files: what is quoted, and how half a character is mended."""

import json
import re

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.warehouse.columns import ColumnType
from harvester.warehouse.relations import FileSet, listed, mended, name, quoted, select

LONE = re.compile("[\ud800-\udfff]")
TEXTS = st.lists(
    st.sampled_from(["\ud83d", "\ude00", "\U0001f600", "\\", "\\ud800", "ud800", '"', "\n", "\x01", "é", "a"])
    | st.text(max_size=2),
    max_size=8,
).map("".join)


@given(text=TEXTS)
def test_every_lone_surrogate_becomes_a_sign_and_nothing_else_does(text: str) -> None:
    """Pairs, escaped backslashes, and text that only looks like an escape stay as they are."""
    written = json.dumps(text)

    found = duckdb.execute(f"FROM (SELECT ?::VARCHAR AS line) SELECT {mended('line')}", [written]).fetchall()

    assert json.loads(found[0][0]) == LONE.sub("\ufffd", json.loads(written))


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_text_and_names_are_quoted(text: str) -> None:
    """No path and no column name can end the place where it stands."""
    found = duckdb.execute(f"SELECT {quoted(text)}, {listed([text, text])}, 1 AS {name(text or 'x')}").fetchall()

    assert found == [(text, [text, text], 1)]


@pytest.mark.parametrize("has_care", [True, False])
def test_no_files_are_no_rows_in_the_same_columns(*, has_care: bool) -> None:
    """A view over nothing has the types that it would have."""
    columns = dict(zip("abcdef", ColumnType, strict=True))

    described = duckdb.execute(f"DESCRIBE {select(FileSet([], columns), has_care=has_care)}").fetchall()

    assert [(row[0], row[1]) for row in described] == [
        *((key, kind.value) for key, kind in columns.items()),
        ("dt", "DATE"),
    ]
