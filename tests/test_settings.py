"""Settings: what is taken, what is refused, and that they never change nor show a secret."""

import os
import re
import tomllib
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harvester.model import Action
from harvester.setting_values import is_exposed, is_loopback
from harvester.settings import DOCUMENTED_CALLS, DOCUMENTED_PERIOD_S, BudgetSettings, Settings

SECRET = "canary-7f3a"
ACCOUNT = f"""
[accounts.acme]
client_id = "1000.X"
client_secret = "{SECRET}"
refresh_token = "{SECRET}"
"""
TOKEN_FILE_ACCOUNT = ACCOUNT.replace("refresh_token =", "refresh_token_file = 'token' #")


@pytest.fixture(autouse=True)
def _empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def settings_of(text: str) -> Settings:
    return Settings.model_validate(tomllib.loads(text))


def refusal_of(text: str) -> str:
    """The problems, a line for each: place and message, without what was given."""
    with pytest.raises(ValidationError) as caught:
        settings_of(text)
    assert SECRET not in f"{caught.value}{caught.value!r}"
    problems = caught.value.errors(include_url=False, include_input=False, include_context=False)
    return "\n".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems)


def secret_file(body: str, mode: int = 0o600) -> None:
    path = Path("token")
    path.write_text(body)
    path.chmod(mode)


def test_settings_are_frozen() -> None:
    """Nobody changes a setting after it was checked."""
    settings = settings_of(ACCOUNT)

    for part, name in ((settings, "output"), (settings.budget, "calls"), (settings.accounts["acme"], "client_id")):
        with pytest.raises(ValueError, match="frozen"):
            setattr(part, name, 1)


@pytest.mark.parametrize(
    ("body", "mode", "text"),
    [
        (SECRET, 0o644, "run: chmod 600"),
        (SECRET, 0o640, "run: chmod 600"),
        ("\n", 0o600, "is empty or larger"),
        (SECRET * 1000, 0o600, "is empty or larger"),
        (f"{SECRET} {SECRET}", 0o600, "has blanks"),
        (f"{SECRET}\n{SECRET}", 0o600, "has blanks"),
        (f"{SECRET}\u00e4", 0o600, "outside ASCII"),
    ],
)
def test_IN_04_an_unusable_secret_file_is_refused_without_its_value(body: str, mode: int, text: str) -> None:
    """The refusal names the file and the remedy, never what is in it."""
    secret_file(body, mode)

    assert text in refusal_of(TOKEN_FILE_ACCOUNT)


def test_IN_04_a_secret_file_that_is_no_file_is_refused() -> None:
    """A missing file, a folder and a fifo cannot hold a secret, and nothing waits for one."""
    os.mkfifo("fifo")

    for name in ("absent", ".", "fifo"):
        line = refusal_of(TOKEN_FILE_ACCOUNT.replace("'token'", f"'{name}'"))
        assert line.startswith("accounts.acme.refresh_token: ")


@pytest.mark.parametrize(
    ("mode", "is_own", "exposed"),
    [
        (0o100600, True, False),
        (0o100400, True, False),
        (0o100640, True, True),
        (0o100604, True, True),
        (0o100440, False, False),
        (0o100460, False, True),
        (0o100444, False, True),
    ],
)
def test_IN_04_others_may_not_read_a_secret_file(mode: int, *, is_own: bool, exposed: bool) -> None:
    """Our own file is ours alone; another owner may let us in by the group, but not everybody."""
    assert is_exposed(mode, is_own=is_own) is exposed


@pytest.mark.parametrize("name", ["Acme", "", "a/b", "..", "-a", "a" * 64, "a b"])
def test_an_account_name_must_do_as_a_folder_name(name: str) -> None:
    """A name that is no safe folder name is refused."""
    assert refusal_of(ACCOUNT.replace("acme", f'"{name}"')).startswith(f"accounts.{name}.[key]: ")


def test_IN_12_actions_keep_their_order_and_come_once() -> None:
    """The operator's order is the order of the harvest; naming one twice is a mistake."""
    chosen = f"{ACCOUNT}[harvest]\nactions = ['spamcontacts', 'sentcontacts'"

    assert settings_of(f"{chosen}]").harvest.actions == (Action.SPAM, Action.SENT)
    assert "'spamcontacts' is given more than once" in refusal_of(f"{chosen}, 'spamcontacts']")


@pytest.mark.parametrize("key", ["output", "state"])
@pytest.mark.parametrize("place", ["'/'", "'//'", "'a/../../../../../../../../..'", "'token'", "''", '"a\\u0000"'])
def test_IN_14_a_place_that_is_no_folder_of_its_own_is_refused(key: str, place: str) -> None:
    """Neither the root folder nor a file nor an empty path can take the output or the state."""
    secret_file("")

    assert refusal_of(f"{key} = {place}\n{ACCOUNT}").startswith(f"{key}: ")


@pytest.mark.parametrize(
    ("output", "state"), [("x", "x"), ("x", "x/state"), ("state/out", "state"), ("a/../x", "x"), (".", "state")]
)
def test_IN_14_output_and_state_lie_apart(output: str, state: str) -> None:
    """Whoever reads the output never meets the ledger or a token."""
    assert "lie in one another" in refusal_of(f"output = '{output}'\nstate = '{state}'\n{ACCOUNT}")


def test_IN_14_a_link_does_not_part_output_and_state() -> None:
    """Where a folder really lies counts, not how it is reached; a link that leads to itself leads nowhere."""
    Path("shared").mkdir()
    Path("link").symlink_to("shared")
    Path("loop").symlink_to("loop")

    assert "lie in one another" in refusal_of(f"output = 'link'\nstate = 'shared/state'\n{ACCOUNT}")
    assert settings_of(f"output = 'loop'\n{ACCOUNT}").output == Path("loop")


@pytest.mark.parametrize(
    "url",
    [
        "http://campaigns.zoho.com",
        "http://127.0.0.1.example.com",
        "http://10.0.0.1",
        "ftp://localhost",
        "https://",
        "https://user:canary-7f3a@campaigns.zoho.com",
        "https://campaigns.zoho.com?x=1",
        "https://campaigns.zoho.com/api",
        "https://a b",
        "https://a:99999",
        "http://[::1",
        "campaigns.zoho.com",
        "",
    ],
)
def test_S_11_tokens_go_over_https_or_stay_on_this_machine(url: str) -> None:
    """A host that would see a token in the clear, or is no plain host, is refused without being repeated."""
    text = refusal_of(f"{ACCOUNT}base_url = '{url}'")

    assert text.startswith("accounts.acme.base_url: ")


@pytest.mark.parametrize("url", ["http://127.0.0.1:8099/", "http://127.9.9.9", "http://[::1]:80", "http://localhost:1"])
def test_S_11_plain_http_is_for_loopback(url: str) -> None:
    """A simulator on this machine may speak plain http."""
    account = settings_of(f"{ACCOUNT}base_url = '{url}'\naccounts_url = 'https://accounts.zoho.uk'").accounts["acme"]

    assert account.base_url == url.rstrip("/")
    assert is_loopback(url)


def test_S_03_no_repr_shows_a_secret() -> None:
    """Settings can be printed and dumped without a leak."""
    settings = settings_of(ACCOUNT)

    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


@pytest.mark.parametrize("setting", ["calls = 501", "period_s = 30", "calls = 1000\nperiod_s = 60"])
def test_IN_03_more_than_the_documented_limit_needs_a_word(setting: str) -> None:
    """The override is explicit, and then it is enough."""
    budget = settings_of(f"{ACCOUNT}[budget]\nallow_over_documented_limit = true\n{setting}").budget

    assert budget.calls > DOCUMENTED_CALLS or budget.period_s < DOCUMENTED_PERIOD_S


def test_IN_03_a_rehearsal_on_loopback_may_run_in_scaled_time() -> None:
    """Where no real host can be locked, the period may be a fraction of a second."""
    settings = settings_of(f"{ACCOUNT}base_url = 'http://127.0.0.1:8099'\n[budget]\nperiod_s = 0.3")

    assert settings.budget.period_s == 0.3


@pytest.mark.parametrize("code", ["4711", "0042", "URL_ROLLING_THROTTLES_LIMIT_EXCEEDED"[:32], "E1"])
def test_A_05_codes_of_a_lockout_have_the_shape_of_codes(code: str) -> None:
    """What an answer may carry as its code can be named."""
    assert settings_of(f"{ACCOUNT}[budget]\nlockout_codes = ['{code}']").budget.lockout_codes == (code,)


@pytest.mark.parametrize("codes", ["['']", "['1234567890']", "['quota full']", "[2008]", "'2008'", "['2008', '2008']"])
def test_A_05_a_code_that_no_answer_carries_is_refused(codes: str) -> None:
    """A sign that could never be seen is a mistake."""
    assert refusal_of(f"{ACCOUNT}[budget]\nlockout_codes = {codes}").startswith("budget.lockout_codes")


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a", "is no regular expression ('missing ), unterminated subpattern at position 0')"),
        ("a{99999999999999999999}", "is no regular expression ('the repetition number is too large')"),
        ("(" * 5000, "is no regular expression"),
        ("", "matches an empty text"),
        ("(cool down)?", "matches an empty text"),
    ],
)
def test_A_05_a_pattern_that_fits_nothing_or_everything_is_refused(pattern: str, text: str) -> None:
    """A pattern compiles, and does not take every answer for a lockout."""
    assert refusal_of(f"{ACCOUNT}[budget]\nlockout_pattern = '{pattern}'").startswith(
        f"budget.lockout_pattern: Value error, {text}"
    )


@given(st.text(max_size=12) | st.text("()[]{}*+?|^$\\ab1,-", max_size=12))
def test_A_05_any_pattern_compiles_or_is_refused(pattern: str) -> None:
    """Whatever the text, what is accepted is a regular expression that does not fit everything."""
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # a doubtful set, as in "[[a]"
        try:
            accepted = BudgetSettings(lockout_pattern=pattern).lockout_pattern
        except ValidationError:
            return

        assert accepted == pattern
        assert re.compile(pattern).search("") is None


def test_a_timeline_needs_xml() -> None:
    """Nobody has seen it answered in JSON, so it is refused before it is asked for."""
    settings = settings_of(f'[harvest]\nresponse_format = "xml"\ntimeline = true\n{ACCOUNT}')

    assert settings.harvest.timeline
    for harvest in ("timeline = true", 'timeline = true\nresponse_format = "json"'):
        assert 'set harvest.response_format = "xml"' in refusal_of(f"[harvest]\n{harvest}\n{ACCOUNT}")
