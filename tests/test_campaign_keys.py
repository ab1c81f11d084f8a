"""Lists of campaign keys: what is taken, what is refused, and how little is held."""

import os
import socket
import tracemalloc
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harvester.campaign_keys import (
    KEY_MAX_CHARS,
    KEY_PATTERN,
    LINE_MAX_BYTES,
    CampaignKeys,
    open_key_file,
    quoted,
    read_lines,
)
from harvester.errors import ConfigError


def keys_of(body: bytes) -> list[str]:
    return list(CampaignKeys(read_lines(BytesIO(body)), "keys.txt"))


def outcome_of(body: bytes) -> list[str] | ConfigError:
    try:
        return keys_of(body)
    except ConfigError as error:
        return error


def refusal_of(body: bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        keys_of(body)
    return str(caught.value)


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        (b"3zaa\n3zbb\n", ["3zaa", "3zbb"]),
        (b"3zaa\n3zbb", ["3zaa", "3zbb"]),
        (b"\xef\xbb\xbf3zaa\r\n3zbb\r\n", ["3zaa", "3zbb"]),
        (b"# head\n\n  3zaa \t\n3zbb # June\n3zcc\t#July\n", ["3zaa", "3zbb", "3zcc"]),
    ],
    ids=["plain", "no-last-line-end", "bom-crlf", "comments-blanks"],
)
def test_IN_09_marks_line_ends_blanks_and_comments_are_no_part_of_a_key(body: bytes, keys: list[str]) -> None:
    """What editors add around a key is taken off."""
    assert keys_of(body) == keys


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_IN_09_utf_16_is_refused_with_a_hint(codec: str) -> None:
    """A list in a wide encoding is named as such, with or without a byte order mark."""
    assert "keys.txt:1: " in (text := refusal_of("3zaa\n3zbb\n".encode(codec)))
    assert "Save the list as UTF-8" in text


@pytest.mark.parametrize("body", [b"", b"\n\n", b"# only\n   # remarks\n", b"\xef\xbb\xbf"])
def test_IN_05_an_empty_list_is_an_error_and_never_all_campaigns(body: bytes) -> None:
    """No key means that nothing is harvested, and that is said."""
    assert refusal_of(body).startswith("keys.txt: no campaign key in the list; nothing is harvested.")


@pytest.mark.parametrize(
    "key",
    [
        b"../x",
        b"/etc/passwd",
        b"a/b",
        b"..",
        b"-rf",
        b"_a",
        b"a b",
        b"a\x07b",
        b"a\rb",
        b"a%0d%0a",
        b"a&action=x",
        b"a#b",
    ],
)
def test_IN_06_keys_outside_the_allow_list_are_refused_with_their_place(key: bytes) -> None:
    """A key that could be a path, an option or a second parameter stops the run at its line."""
    text = refusal_of(b"3zaa\n" + key + b"\n")

    assert text.startswith("keys.txt:2: ")
    assert text.isprintable()


def test_IN_06_a_nul_is_refused() -> None:
    """A NUL inside a line never reaches a file name."""
    assert refusal_of(b"3zaa\n3z\0bb\n").startswith("keys.txt:2: NUL")


def test_IN_07_the_longest_key_is_taken_and_a_longer_one_refused() -> None:
    """The bound on a key's length holds on both sides."""
    assert keys_of(b"k" * KEY_MAX_CHARS) == ["k" * KEY_MAX_CHARS]
    assert len(refusal_of(b"k" * (KEY_MAX_CHARS + 1))) < 300


def test_IN_07_a_line_without_an_end_is_refused_before_it_fills_the_memory() -> None:
    """No more than the bound of a line is read before it is refused."""
    stream = BytesIO(b"k" * (1 << 20))

    with pytest.raises(ConfigError, match=r"keys\.txt:1: longer than 4096 bytes"):
        list(CampaignKeys(read_lines(stream), "keys.txt"))

    assert stream.tell() == LINE_MAX_BYTES + 1


def test_IN_08_duplicates_are_left_out_and_counted_and_case_matters() -> None:
    """Each exact key comes once, in the order of its first line."""
    keys = CampaignKeys([b"3zaa", b"3zAA", b"3zaa", b"3zbb", b"3zaa"], "keys.txt")

    assert list(keys) == ["3zaa", "3zAA", "3zbb"]
    assert (keys.kept, keys.duplicates) == (3, 2)


@pytest.mark.parametrize("key", ["3z\u0430a", "3z\u202eaa", "\uff21bc", "3z\u0661"])
def test_IN_10_look_alikes_and_direction_marks_are_refused_and_printed_escaped(key: str) -> None:
    """Letters and digits beyond ASCII are no key, and a terminal sees only their numbers."""
    text = refusal_of(key.encode())

    assert text.isascii()
    assert "\\u" in text


def test_IN_11_a_long_list_streams_in_little_memory() -> None:
    """A hundred thousand keys cost some tens of bytes each, not the text of the list."""
    lines = (b"3z%064x\n" % number for number in range(100_000))

    tracemalloc.start()
    kept = sum(1 for _ in CampaignKeys(lines, "keys.txt"))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kept == 100_000
    assert peak_bytes < 20_000_000


def test_IN_11_a_key_is_given_out_before_the_next_line_is_read() -> None:
    """The list is never held as a whole."""
    lines = iter([b"3zaa", b"3zbb"])
    keys = CampaignKeys(lines, "keys.txt")

    assert next(keys) == "3zaa"
    assert next(lines) == b"3zbb"


def test_IN_15_a_fifo_a_device_a_socket_and_a_folder_are_no_key_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no regular file is refused at once, without waiting for a writer or an end."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")

        for path in (Path("fifo"), Path("/dev/zero"), Path("socket"), tmp_path):
            with pytest.raises(ConfigError):
                next(open_key_file(path))


def test_IN_15_a_key_file_is_read_and_a_missing_one_named(tmp_path: Path) -> None:
    """A regular file gives its lines; one that is not there is named in the message."""
    path = tmp_path / "keys.txt"
    path.write_bytes(b"3zaa\n3zbb\n")

    assert list(CampaignKeys(open_key_file(path), str(path))) == ["3zaa", "3zbb"]
    with pytest.raises(ConfigError, match=r"absent\.txt: No such file"):
        next(open_key_file(tmp_path / "absent.txt"))


def test_S_15_a_list_of_recipients_given_by_mistake_spills_no_address() -> None:
    """An address in the place of a key is not repeated in the message."""
    assert "john" not in refusal_of(b"john.doe@example.com\n")


def test_foreign_text_is_cut_in_messages() -> None:
    """A quoted text says how long it was and shows its start only."""
    assert quoted("k" * 200) == f"'{'k' * 40}'... (200 characters)"


NEARLY_KEYS = st.lists(
    st.sampled_from(
        [b"3zaa", b"3zAA", b"\n", b"\r\n", b" ", b"#", b"-", b"_", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3\xa4"]
    )
).map(b"".join)


@given(st.binary(max_size=300) | NEARLY_KEYS)
def test_IN_06_any_bytes_give_distinct_keys_of_the_allow_list_or_a_config_error(body: bytes) -> None:
    """Whatever the file holds, only keys of the allow-list come out, each once, or one printable refusal."""
    outcome = outcome_of(body)

    if isinstance(outcome, ConfigError):
        assert str(outcome).isascii()
        assert str(outcome).isprintable()
    else:
        assert outcome
        assert len(set(outcome)) == len(outcome)
        assert all(KEY_PATTERN.fullmatch(key) and key[0].isalnum() for key in outcome)
