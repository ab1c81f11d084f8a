"""The key of the hash: made once, for its owner alone, and never shown."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harvester.config import load
from harvester.errors import ConfigError
from harvester.operations.protection import group_id_of, key_in, key_path, made_key, privacy_of
from harvester.settings import Settings
from harvester.zoho.privacy import KEEP_ALL, EmailPolicy

CONFIG = """\
[accounts.acme]
client_id = "1000.PRACTICE"
client_secret = "practice"
refresh_token = "practice"
[privacy]
"""


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("HARVESTER_")]:
        monkeypatch.delenv(name)


def settings_of(folder: Path, privacy: str = "") -> Settings:
    (folder / "config.toml").write_text(CONFIG + privacy)
    return load(folder / "config.toml")


def test_nothing_is_made_unless_addresses_are_hashed(tmp_path: Path) -> None:
    """No key lies about that nobody needs."""
    assert privacy_of(settings_of(tmp_path)) == KEEP_ALL
    assert privacy_of(settings_of(tmp_path, 'email = "drop"')).key == b""
    assert not (tmp_path / "state").exists()


def test_P5_the_key_is_made_by_the_first_that_needs_it(tmp_path: Path) -> None:
    """32 random bytes as hex digits, 0600, in the state folder; the next run has the same."""
    settings = settings_of(tmp_path, 'email = "hmac"\nraw = false\ndeny_fields = ["phone", "raw.City"]')

    first, again = privacy_of(settings), privacy_of(settings)

    path = tmp_path / "state" / "privacy.key"
    assert first == again
    assert (first.email, first.has_raw, first.deny_fields) == (EmailPolicy.HMAC, False, ("phone", "raw.City"))
    assert bytes.fromhex(path.read_text()) == first.key
    assert len(first.key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["privacy.key"]


def test_processes_that_make_it_at_once_get_the_same(tmp_path: Path) -> None:
    """Whoever comes second takes the first one's key."""
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: made_key(tmp_path / "privacy.key"), range(32)))

    assert len(keys) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["privacy.key"]


def test_the_key_may_lie_elsewhere(tmp_path: Path) -> None:
    """A path in the file counts from the file's folder."""
    assert key_path(settings_of(tmp_path, 'key_file = "keys/one"')) == tmp_path / "keys" / "one"


@pytest.mark.parametrize(
    ("content", "mode", "what"),
    [
        (b"ab" * 32, 0o644, "can be read or changed by others"),
        (b"ab" * 31, 0o600, "a key of 31 bytes instead of 32"),
        (b"zz" * 32, 0o600, "no key of hex digits"),
        (b"", 0o600, "is empty"),
    ],
)
def test_P5_a_key_that_is_none_is_refused_and_not_shown(tmp_path: Path, content: bytes, mode: int, what: str) -> None:
    """Exit code 2 before anything is written: other hashes than before would be worse than none."""
    path = tmp_path / "privacy.key"
    path.write_bytes(content)
    path.chmod(mode)

    with pytest.raises(ConfigError, match=what) as refused:
        key_in(path)

    assert content.decode()[:8] not in str(refused.value) or not content
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("privacy", "what"),
    [
        ('email = "hash"', "'hash' is not known"),
        ('deny_fields = ["fone"]', '"fone" is no column of a contact'),
        ('allow_fields = ["phone", "phone"]', "given more than once"),
        ('group = "no such group"', "is no group of this system"),
        ('deny_fields = ["raw."]', "is no column of a contact"),
    ],
)
def test_what_cannot_be_kept_or_left_out_is_refused(tmp_path: Path, privacy: str, what: str) -> None:
    """A misspelt field would be harvested for years."""
    with pytest.raises(ConfigError) as refused:
        settings_of(tmp_path, privacy)

    assert what.replace('"', "").replace("'", "") in str(refused.value).replace('"', "").replace("'", "")


def test_the_group_is_looked_up_by_its_name(tmp_path: Path) -> None:
    """Nobody but the owner, unless a group is named."""
    import grp  # noqa: PLC0415

    name = grp.getgrgid(os.getgid()).gr_name
    assert group_id_of(settings_of(tmp_path)) is None
    assert group_id_of(settings_of(tmp_path, f'group = "{name}"')) == os.getgid()
