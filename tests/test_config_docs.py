"""The example and the reference of the configuration: what they say is what the program does."""

import os
import re
import tomllib
from pathlib import Path

import pytest

from harvester.config import KEYS, load
from harvester.errors import ConfigError
from harvester.settings import Settings

ROOT = Path(__file__).parent.parent
EXAMPLE = (ROOT / "config.example.toml").read_text()
REFERENCE = (ROOT / "docs" / "configuration.md").read_text()


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.upper().startswith("HARVESTER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def uncommented(example: str) -> str:
    """The example with its commented settings (not its remarks) made real."""
    return re.sub(r'(?m)^# (?=\w+ = |  "|\]$)', "", example)


def test_the_example_loads_and_names_every_key_with_its_default() -> None:
    """Copying the example is enough, and what it calls a default is one."""
    Path("secrets").mkdir()
    for name in ("client-secret", "refresh-token"):
        path = Path("secrets", name)
        path.write_text(name)
        path.chmod(0o600)
    Path("config.toml").write_text(EXAMPLE)

    settings = load(Path("config.toml"))

    shown = tomllib.loads(uncommented(EXAMPLE))
    assert settings.accounts["acme"].refresh_token.get_secret_value() == "refresh-token"
    assert shown.keys() == set(KEYS[""])
    assert shown["accounts"]["acme"].keys() == set(KEYS["accounts"])
    assert shown["accounts"]["acme"]["data_center"] == settings.accounts["acme"].data_center
    assert shown["budget"].pop("lockout_pattern")
    assert shown["budget"] == settings.budget.model_dump(mode="json", exclude={"lockout_pattern"})
    assert shown["harvest"] == settings.harvest.model_dump(mode="json")
    assert {shown["discovery"].pop("sent_since"), shown["discovery"].pop("sent_until")} != {None}
    assert shown["discovery"] == settings.discovery.model_dump(mode="json", exclude={"sent_since", "sent_until"})
    assert shown["nightly"].pop("refresh_of").keys() == {"sentcontacts"}
    assert shown["nightly"] == settings.nightly.model_dump(mode="json", exclude={"refresh_of"})
    assert shown["backfill"] == settings.backfill.model_dump(mode="json")
    assert shown["changes"] == settings.changes.model_dump(mode="json")
    assert shown["publish"].keys() == set(KEYS["publish"])
    examples = {"url", "endpoint", "region", "credentials_file"}
    assert {name: value for name, value in shown["publish"].items() if name not in examples} == (
        settings.publish.model_dump(mode="json", exclude=examples)
    )
    assert (Path(shown["output"]), Path(shown["state"])) == (Settings.model_fields["output"].default, Path("state"))


def test_the_documentation_names_every_key() -> None:
    """A key that nobody can look up does not exist."""
    assert [key for names in KEYS.values() for key in names if f"`{key}`" not in REFERENCE] == []


def test_the_documentation_shows_the_messages_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusals that the reference prints are those of the program."""
    monkeypatch.setenv("HARVESTER_HARVEST__CONCURRENCY", "many")
    Path("config.toml").write_text(
        "outptu = 1\n[accounts.acme]\nclient_id = 'x'\nrefresh_token = 'y'\n[budget]\ncalls = 501"
    )

    with pytest.raises(ConfigError) as caught:
        load(Path("config.toml"))

    lines = caught.value.message.splitlines()
    assert len(lines) == 4
    assert [line for line in lines if line.removesuffix(".") not in REFERENCE] == []
