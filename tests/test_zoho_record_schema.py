"""The description of a record: the same as its columns, its documentation, and the records themselves."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from harvester.json_schema import DRAFT
from harvester.model import Action
from harvester.zoho.contacts import COLUMNS, RecordContext, lines
from harvester.zoho.record_schema import DESCRIPTION, SCHEMA, RecordError, valid_record

PAGE = Path(__file__).parent.parent / "docs" / "records.md"
VALIDATOR = Draft202012Validator(SCHEMA)
NAMES = (
    "contactid", "contactemailaddress", "contact_email", "contactfn", "firstname", "contactln", "companyname", "phone",
    "contactstatus", "sent_time", "sentdate", "added_time", "openreports", "clickcount", "clickedurls", "bouncedDate",
    "optOutTime", "reports", "Feld mit Leerzeichen", "\u2028", "",
)  # fmt: skip
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=5,
)


def context(offset_ms: int | None = 28_800_000) -> RecordContext:
    return RecordContext("acme", "3za", None, Action.CLICKED, "2026-01-01T00:00:00.000Z", "r1", offset_ms)


def written(*rows: dict[str, Any]) -> list[bytes]:
    return lines(rows, range(1, len(rows) + 1), context()).split(b"\n")[:-1]


def test_the_schema_is_one() -> None:
    """A validator takes it, and it names the draft that it is written in."""
    Draft202012Validator.check_schema(SCHEMA)

    assert SCHEMA["$schema"] == DRAFT


def test_every_column_is_described_in_its_order() -> None:
    """The columns that are written and those that are described are the same."""
    assert tuple(column.name for column in DESCRIPTION) == COLUMNS


def test_every_column_is_documented_in_the_words_of_its_description() -> None:
    """docs/records.md has a line for each column, with name, type and meaning, in order."""
    table = re.findall(r"^\| `([a-z_]+)` \| (.+?) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert table == [(column.name, column.type_words, column.meaning) for column in DESCRIPTION]


@given(st.dictionaries(st.sampled_from(NAMES), VALUES), st.sampled_from([None, 0, 28_800_000]))
def test_A_20_A_24_A_32_every_record_fits_the_schema(row: dict[str, Any], offset_ms: int | None) -> None:
    """Whatever a row holds: its record has the described columns, of their types, within their limits."""
    line = lines([row], [1], context(offset_ms))

    record = valid_record(line)

    VALIDATOR.validate(record)
    assert record == json.loads(line)
    assert record["raw"] == row


@given(st.sampled_from(COLUMNS), VALUES)
def test_our_check_and_the_schema_agree(column: str, value: Any) -> None:
    """What is of another type is refused by both; only limits are the validator's alone."""
    assume(not (isinstance(value, float) and value.is_integer()))  # JSON Schema calls 1.0 an integer
    spoiled = {**json.loads(written({"contactid": "1"})[0]), column: value}

    told = {error.validator for error in VALIDATOR.iter_errors(spoiled) if len(error.absolute_path) == 1}

    if "type" in told:
        with pytest.raises(RecordError, match=column):
            valid_record(json.dumps(spoiled).encode())
    else:
        valid_record(json.dumps(spoiled).encode())


@pytest.mark.parametrize("change", ["missing", "unknown"])
def test_other_columns_are_refused_by_name_or_number(change: str) -> None:
    """A missing column is named; an unknown one is counted, as its name is nobody's."""
    record = json.loads(written({"contactid": "1"})[0])
    if change == "missing":
        del record["phone"]
    else:
        record["secret of jane@example.com"] = 1

    with pytest.raises(RecordError) as caught:
        valid_record(json.dumps(record).encode())

    assert str(caught.value) == (
        "1 columns missing (phone), 0 unknown" if change == "missing" else "0 columns missing (), 1 unknown"
    )


def test_A_21_numbers_beyond_64_bits_are_read_back_whole() -> None:
    """Two ids that differ in their last digit stay two."""
    first, second = written({"contactid": 303000014269257999999999}, {"contactid": 303000014269257999999998})

    assert valid_record(first)["raw"] != valid_record(second)["raw"]
    assert valid_record(first)["contact_id"] == "303000014269257999999999"
