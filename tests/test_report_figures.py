import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.report.figures import clock_time, countdown, counted, duration, percent, short_key, size

UNIT_S = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
UNIT_BYTES = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15}


def parsed_s(text: str) -> float:
    words = text.split()
    return sum(float(number) * UNIT_S[unit] for number, unit in zip(words[::2], words[1::2], strict=True))


@given(st.floats(1, 1e8))
def test_duration_names_the_value_within_its_lesser_unit(duration_s: float) -> None:
    """Read back, a duration is short by less than its lesser unit, rounding aside."""
    text = duration(duration_s)

    greater = text.split()[1]
    lesser_s = {"d": UNIT_S["h"], "h": UNIT_S["min"], "min": UNIT_S["s"], "s": 0}[greater]
    assert abs(parsed_s(text) - duration_s) <= lesser_s + 0.5


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [
        (0, "0 s"),
        (-3, "0 s"),
        (0.42, "0.4 s"),
        (0.97, "1 s"),
        (59.7, "1 min"),
        (125, "2 min 5 s"),
        (3780, "1 h 3 min"),
        (187_200, "2 d 4 h"),
        (math.inf, "unknown"),
        (math.nan, "unknown"),
    ],
)
def test_duration_examples(duration_s: float, text: str) -> None:
    """A duration shows its two largest units."""
    assert duration(duration_s) == text


@given(st.floats(0, 1e6, exclude_min=True))
def test_countdown_never_says_zero_while_one_waits(duration_s: float) -> None:
    """A wait above 0 shows at least one second."""
    assert countdown(duration_s) != "0 s"


@given(st.integers(0, 10**17))
def test_size_is_right_to_the_digit_shown(size_bytes: int) -> None:
    """Read back, a size is off by at most half of its last digit."""
    number, unit = size(size_bytes).split()

    assert abs(float(number) * UNIT_BYTES[unit] - size_bytes) <= UNIT_BYTES[unit] * 0.0501
    assert float(number) < 1000


@given(st.integers(1, 10**9), st.integers(0, 10**9))
def test_percent_is_full_only_when_all_is_done(whole: int, part: int) -> None:
    """100 % means all of it, never nearly all."""
    part = min(part, whole)

    assert (percent(part, whole) == "100 %") == (part == whole)


def test_percent_of_nothing_is_zero() -> None:
    """No job at all is no division by zero."""
    assert percent(0, 0) == "0 %"


@given(st.integers(0, 10**15))
def test_counted_reads_back(number: int) -> None:
    """A count keeps its value and has the plural that it needs."""
    figure, noun = counted(number, "row").split()

    assert int(figure.replace(",", "")) == number
    assert noun == ("row" if number == 1 else "rows")


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("2026-11-22T14:05:00Z", "14:05 UTC"),
        ("2026-11-22T16:05:00+02:00", "14:05 UTC"),
        ("2026-11-22T14:05:00", "14:05"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
        ("soon", "soon"),
    ],
)
def test_clock_time_is_utc_or_the_text_itself(moment: str, text: str) -> None:
    """A moment shows as hour and minute in UTC; what is no moment is not made one."""
    assert clock_time(moment) == text


def test_short_key_keeps_what_fits_and_marks_what_it_cuts() -> None:
    """A long key is cut visibly, a short one stays."""
    assert short_key("3z5f") == "3z5f"
    assert short_key("3z" + "a" * 64) == "3zaaaaaaaaaa…"
