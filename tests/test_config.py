"""Loading: file and environment become settings, or a refusal that says what and where."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import ErrorDetails

from harvester.config import CONFIG_MAX_BYTES, KEYS, PROBLEMS_SHOWN_MAX, Origin, describe, load
from harvester.errors import ConfigError
from harvester.model import Action
from harvester.settings import KeyFile, Settings

SECRET = "canary-7f3a"
ACCOUNT = f"""
[accounts.acme]
client_id = "1000.X"
client_secret = "{SECRET}"
refresh_token = "{SECRET}"
"""


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.upper().startswith("HARVESTER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def settings_of(text: str) -> Settings:
    path = Path("config.toml")
    path.write_text(text)
    return load(path)


def refusal_of(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        settings_of(text)
    assert SECRET not in f"{caught.value}{caught.value!r}{caught.value.__cause__!r}"
    return caught.value.message


def secret_file(name: str, body: str) -> Path:
    path = Path(name)
    path.write_text(body)
    path.chmod(0o600)
    return path


def test_defaults_are_the_documented_ones() -> None:
    """An account alone is a whole configuration, at the documented limit."""
    settings = settings_of(ACCOUNT)

    assert (settings.budget.calls, settings.budget.period_s, settings.budget.lock_s) == (500, 300.0, 1800.0)
    assert settings.harvest.actions == tuple(Action)
    assert settings.harvest.campaigns == "discover"
    assert settings.accounts["acme"].client_secret.get_secret_value() == SECRET


@pytest.mark.parametrize("text", ["a = [1,\nb = 2", "client_secret = canary-7f3a", "x = 1\nx = 2", "\0", "[" * 5000])
def test_IN_01_bad_toml_is_refused(text: str) -> None:
    """What is not TOML is told as such, whatever is wrong with it."""
    assert refusal_of(text).startswith("config.toml: not valid TOML")


def test_IN_01_bad_toml_is_refused_with_its_line_and_column() -> None:
    """The place is named as editors count it."""
    assert "line 2, column 11" in refusal_of("x = 1\ncalls = 5 m\n")


def test_IN_01_a_file_that_is_no_utf_8_is_refused_with_its_place() -> None:
    """The first byte that is no UTF-8 is named by line and column."""
    Path("config.toml").write_bytes(b'x = 1\ny = "\xff"')

    with pytest.raises(ConfigError, match=r"not UTF-8 \(at line 2, column 6\)"):
        load(Path("config.toml"))


def test_IN_01_an_endless_file_is_refused() -> None:
    """No more than the bound of a configuration is read."""
    assert "larger than" in refusal_of("#" * (CONFIG_MAX_BYTES + 1))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("outptu = 1\n", "config.toml: outptu: unknown key; did you mean output?"),
        ("[budget]\ncals = 1\n", "config.toml: budget.cals: unknown key; did you mean calls?"),
        ("[harvest]\noutput = 'x'\n", "config.toml: harvest.output: unknown key; did you mean output?"),
        ("[budget]\npage_size = 9\n", "config.toml: budget.page_size: unknown key; did you mean harvest.page_size?"),
        (
            "[harvest]\ncampaigns = { fil = 'x' }\n",
            "config.toml: harvest.campaigns.fil: unknown key; did you mean file?",
        ),
        ("OUTPUT = 'x'\n", "config.toml: OUTPUT: unknown key; valid are output, state, accounts, budget, harvest"),
        ("_env_file = 'x'\n", "config.toml: _env_file: unknown key"),
    ],
)
def test_IN_02_an_unknown_key_names_the_nearest_valid_one(text: str, line: str) -> None:
    """A misspelt or misplaced key is refused with the one that was probably meant."""
    assert line in refusal_of(text + ACCOUNT)


def test_IN_02_an_unknown_key_of_an_account_does_not_spill_its_value() -> None:
    """A secret under a misspelt name stays secret."""
    assert "accounts.acme.client_secert: unknown key; did you mean client_secret?" in refusal_of(
        ACCOUNT + f"client_secert = '{SECRET}'"
    )


@pytest.mark.parametrize(
    ("section", "setting", "line"),
    [
        ("budget", "calls = 0", "budget.calls: 0 is too small; give at least 1"),
        ("budget", "calls = 501", "budget.calls: 501 is more than the documented 500"),
        ("budget", "calls = 2.5", "budget.calls: 2.5 is not a whole number"),
        ("budget", "calls = true", "budget.calls: true is not a number"),
        ("budget", f"calls = 0x{'f' * 5000}", "budget.calls: the value is"),
        ("budget", f"period_s = 0x{'f' * 5000}", "budget.period_s: "),
        ("budget", 'period_s = "5m"', "budget.period_s: '5m' is not a number"),
        ("budget", "period_s = nan", "budget.period_s: nan is not a finite number"),
        ("budget", "lock_s = inf", "budget.lock_s: inf is not a finite number"),
        ("budget", "lock_s = 1800000", "budget.lock_s: 1800000 is too large; give at most 86400"),
        ("budget", "lock_s = -1", "budget.lock_s: -1 is too small; give at least 0.001"),
        ("budget", "reserve_calls = 500", "budget.reserve_calls: 500 leaves nothing of 500 calls"),
        ("budget", "period_s = 30", "budget: period_s = 30 is less than the documented 300"),
        ("budget", 'admission = "wild"', "budget.admission: 'wild' is not known; give 'robust' or 'window'"),
        ("budget", 'allow_over_documented_limit = "ja"', "budget.allow_over_documented_limit: 'ja' is neither true"),
        ("harvest", "concurrency = 257", "harvest.concurrency: 257 is too large; give at most 256"),
        ("harvest", "page_size = -1", "harvest.page_size: -1 is too small; give at least 1"),
        ("harvest", 'compression = "lz4"', "harvest.compression: 'lz4' is not known; give 'none', 'gzip' or 'zstd'"),
    ],
)
def test_IN_03_a_wrong_type_or_range_is_refused_with_what_was_given(section: str, setting: str, line: str) -> None:
    """Each refusal names the key, the value and what would do."""
    assert f"config.toml: {line}" in refusal_of(f"{ACCOUNT}[{section}]\n{setting}")


def test_IN_03_every_problem_is_told_at_once() -> None:
    """One run of the program shows all that is to be corrected."""
    lines = refusal_of("outptu = 1\n[accounts.acme]\n[budget]\ncalls = 0\n[harvest]\nactions = []").splitlines()

    assert [line.split(": ")[1] for line in lines] == [
        "accounts.acme.client_id",
        "accounts.acme.client_secret",
        "accounts.acme.refresh_token",
        "budget.calls",
        "harvest.actions",
        "outptu",
    ]


def test_IN_03_a_flood_of_problems_is_cut() -> None:
    """A screen of problems is enough, and the rest is counted."""
    lines = refusal_of("".join(f"x{number} = 1\n" for number in range(99)) + ACCOUNT).splitlines()

    assert len(lines) == PROBLEMS_SHOWN_MAX + 1
    assert lines[-1] == "and 79 more problems."


def test_IN_04_a_missing_file_is_named() -> None:
    """The path is in the message as it was given."""
    with pytest.raises(ConfigError, match=r"^absent\.toml: there is no such file"):
        load(Path("absent.toml"))


def test_IN_04_no_account_at_all_is_refused() -> None:
    """Without an account there is nothing to do, whether the table is absent or empty."""
    assert "config.toml: accounts: missing" in refusal_of("")
    assert "config.toml: accounts: is empty" in refusal_of("[accounts]")
    with pytest.raises(ConfigError, match=r"^environment: accounts: missing"):
        load(None)


def test_IN_04_a_missing_secret_names_the_key_and_the_variable() -> None:
    """Whoever forgot a secret reads both ways to give it."""
    line = refusal_of("[accounts.acme]\nclient_id = 'x'\nrefresh_token = 'y'")

    assert "accounts.acme.client_secret: missing" in line
    assert "accounts.acme.client_secret_file" in line
    assert "HARVESTER_ACCOUNTS__ACME__CLIENT_SECRET" in line


def test_IN_04_an_empty_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable is a mistake of the environment, not a reason to fall back to the file."""
    monkeypatch.setenv("HARVESTER_ACCOUNTS__ACME__CLIENT_SECRET", "")

    assert refusal_of(ACCOUNT).startswith("environment: HARVESTER_ACCOUNTS__ACME__CLIENT_SECRET: missing or empty")


def test_IN_04_secrets_are_read_from_files() -> None:
    """A secret file gives its text without the line end, and is found beside the configuration."""
    secret_file("token", f"{SECRET}\n")

    settings = settings_of(ACCOUNT.replace("refresh_token =", "refresh_token_file = 'token' #"))

    assert settings.accounts["acme"].refresh_token.get_secret_value() == SECRET


def test_IN_04_a_secret_given_twice_is_refused() -> None:
    """Which of two secrets is meant is not guessed."""
    secret_file("token", SECRET)

    assert "given both as a value and as a file" in refusal_of(f"{ACCOUNT}refresh_token_file = 'token'")


def test_IN_04_a_wrong_secret_path_is_one_problem_not_two() -> None:
    """Where the path is wrong, the secret is not called missing as well."""
    text = refusal_of(ACCOUNT.replace("refresh_token =", "refresh_token_file = '~/token' #"))

    assert "~ means a home directory only to a shell" in text
    assert len(text.splitlines()) == 1


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable replaces the file's value, in sections, tables and lists, and adds accounts."""
    monkeypatch.setenv("HARVESTER_BUDGET__CALLS", "400")
    monkeypatch.setenv("HARVESTER_HARVEST__ACTIONS", '["spamcontacts"]')
    monkeypatch.setenv("HARVESTER_HARVEST__CAMPAIGNS__FILE", "keys.txt")
    monkeypatch.setenv("HARVESTER_ACCOUNTS__ACME__CLIENT_ID", "1000.Y")

    settings = settings_of(f"{ACCOUNT}[budget]\ncalls = 300\nreserve_calls = 2\n[harvest]\ncampaigns = ['3zaa']")

    assert (settings.budget.calls, settings.budget.reserve_calls) == (400, 2)
    assert settings.harvest.actions == (Action.SPAM,)
    assert settings.harvest.campaigns == KeyFile(file=Path("keys.txt"))
    assert settings.accounts["acme"].client_id == "1000.Y"


def test_the_environment_alone_is_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A container needs no file."""
    for key in ("CLIENT_ID", "CLIENT_SECRET", "REFRESH_TOKEN"):
        monkeypatch.setenv(f"HARVESTER_ACCOUNTS__ACME__{key}", SECRET)

    settings = load(None)

    assert settings.accounts["acme"].data_center == "com"
    assert settings.output == tmp_path / "data"


def test_a_secret_of_the_environment_replaces_the_other_form_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file secret of the configuration gives way to a value of the environment, and the other way round."""
    monkeypatch.setenv("HARVESTER_ACCOUNTS__ACME__CLIENT_SECRET", "from-environment")
    monkeypatch.setenv("HARVESTER_ACCOUNTS__ACME__REFRESH_TOKEN_FILE", str(secret_file("token", "from-file")))

    account = settings_of(ACCOUNT.replace("client_secret =", "client_secret_file = 'absent' #")).accounts["acme"]

    assert account.client_secret.get_secret_value() == "from-environment"
    assert account.refresh_token.get_secret_value() == "from-file"


def test_A_05_signs_of_a_lockout_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes are a list in JSON; a pattern is taken as it stands, even if it starts like a list."""
    monkeypatch.setenv("HARVESTER_BUDGET__LOCKOUT_CODES", '["4711"]')
    monkeypatch.setenv("HARVESTER_BUDGET__LOCKOUT_PATTERN", "[Cc]ool down")

    budget = settings_of(ACCOUNT).budget

    assert (budget.lockout_codes, budget.lockout_pattern) == (("4711",), "[Cc]ool down")


def test_an_account_may_have_the_name_of_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a secret gives way to its other form, never an account."""
    monkeypatch.setenv("HARVESTER_ACCOUNTS__CLIENT_SECRET__CLIENT_ID", "1000.Y")

    account = settings_of(ACCOUNT.replace("acme", "client_secret")).accounts["client_secret"]

    assert account.client_id == "1000.Y"
    assert account.client_secret.get_secret_value() == SECRET


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        ("HARVESTER_BUDGET__CALLS", "many", "'many' is not a whole number"),
        ("HARVESTER_BUDGET__CALS", "1", "unknown key; did you mean calls?"),
        ("HARVESTER_BUDGET", "{", "is no table"),
        ("HARVESTER_HARVEST__ACTIONS", "sentcontacts", "is no list"),
        ("HARVESTER_ACCOUNTS", f'{{"acme": {{"client_secret": "{SECRET}"', "is no table"),
        ("HARVESTER_ACCOUNTS__ACME", SECRET, "is no table"),
    ],
)
def test_a_problem_of_the_environment_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, text: str
) -> None:
    """What the environment got wrong is not blamed on the file."""
    monkeypatch.setenv(variable, value)

    assert f"environment: {variable}: {text}" in refusal_of(ACCOUNT)


def test_relative_paths_of_a_file_count_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a run is started, it finds the same state; the environment's paths are the shell's."""
    monkeypatch.setenv("HARVESTER_OUTPUT", "here")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "config.toml").write_text(ACCOUNT + "[harvest]\ncampaigns = { file = 'keys.txt' }")

    settings = load(Path("etc/config.toml"))

    assert settings.output == Path("here")
    assert settings.state == tmp_path / "etc" / "state"
    assert settings.harvest.campaigns == KeyFile(file=tmp_path / "etc" / "keys.txt")


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("campaigns = []", "harvest.campaigns: is empty, so nothing is harvested"),
        ("campaigns = 'all'", 'harvest.campaigns: must be "discover", a list of keys'),
        ("campaigns = 3", 'harvest.campaigns: must be "discover", a list of keys'),
        ("campaigns = ['3zaa', '../x']", "harvest.campaigns[1]: '../x' is no campaign key"),
        ("campaigns = ['3zaa', '3zaa']", "harvest.campaigns: '3zaa' is given more than once"),
        ("actions = []", "harvest.actions: is empty, so nothing is harvested"),
    ],
)
def test_IN_05_IN_06_what_is_harvested_is_never_guessed(setting: str, text: str) -> None:
    """An empty or wrong choice of campaigns is an error, never all campaigns."""
    assert f"config.toml: {text}" in refusal_of(f"{ACCOUNT}[harvest]\n{setting}")


def test_S_15_an_address_as_account_name_is_not_repeated() -> None:
    """A message shows no e-mail address, even where a name was expected."""
    assert "john" not in refusal_of(ACCOUNT.replace("acme", '"john@example.com"'))


@pytest.mark.parametrize("action", ["sent", "", "SentContacts", " sentcontacts"])
def test_IN_12_an_unknown_action_lists_the_nine(action: str) -> None:
    """A wrong action is refused with all the valid ones."""
    text = refusal_of(f"{ACCOUNT}[harvest]\nactions = ['{action}']")

    assert text.startswith(f"config.toml: harvest.actions[0]: '{action}' is not known")
    assert all(repr(str(valid)) in text for valid in Action)


@pytest.mark.parametrize("kind", ["string_type", "made_up", "less_than_equal", "value_error"])
def test_S_03_no_kind_of_problem_shows_a_secret(kind: str) -> None:
    """The text of a problem never holds what was given for a secret."""
    problem = ErrorDetails(
        type=kind,
        loc=("accounts", "acme", "client_secret"),
        msg="Input is wrong",
        input=SECRET,
        ctx={"le": 1, "error": ValueError("wrong")},
    )

    line = describe(problem, Origin("config.toml", frozenset()))

    assert line.startswith("config.toml: accounts.acme.client_secret: ")
    assert SECRET not in line


def test_IN_01_a_wrong_client_secret_line_is_not_quoted() -> None:
    """The parser's own message holds no part of the line that it could not read."""
    assert "line 1, column 17" in refusal_of(f"client_secret = {SECRET}")


VALUES = st.recursive(
    st.sampled_from(["1", "-1", "0.5", "nan", "true", '""', '"x"', '"a\\u0000"', "1979-05-27", "0x" + "f" * 5000]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | inner.map(lambda item: f"{{ file = {item} }}")
    ),
    max_leaves=4,
)
LINES = (
    st.tuples(st.sampled_from([*(name for names in KEYS.values() for name in names), "x", '"a.b"']), VALUES).map(
        " = ".join
    )
    | st.sampled_from(["[budget]", "[harvest]", "[accounts]", "[accounts.acme]", "[accounts.acme.x]"])
    | st.sampled_from(["client_secret", "refresh_token", "accounts.acme.client_secret"]).map(
        lambda name: f"{name} = '{SECRET}'"
    )
)
NEARLY_TOML = st.lists(LINES, max_size=6).map(lambda lines: "\n".join(lines).encode())


@given(st.binary(max_size=200) | NEARLY_TOML | NEARLY_TOML.map(lambda body: ACCOUNT.encode() + body))
def test_IN_01_IN_03_any_bytes_give_settings_or_a_config_error(body: bytes) -> None:
    """Whatever the file holds, it is a configuration or a refusal without a secret."""
    path = Path("config.toml")
    path.write_bytes(body)

    try:
        outcome = f"{load(path)!r}"
    except ConfigError as error:
        outcome = f"{error!r} {error} {error.__cause__!r}"

    assert SECRET not in outcome
