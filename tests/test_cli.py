"""The command line by itself: its help, its exit codes, and what it says when something is wrong."""

import os
from collections.abc import Iterator
from typing import NoReturn

import click
import pytest

from harvester import __version__
from harvester.cli.main import COMMANDS, harvester, main
from harvester.errors import (
    BusyError,
    ConfigError,
    CredentialsError,
    DiskError,
    HarvestError,
    StoppedError,
    VerificationError,
)

EXIT_CODES = {0, 1, 2, 3, 4, 5, 6, 7, 75, 130, 143}
CODE_OF: dict[type[HarvestError], int] = {
    HarvestError: 1,
    ConfigError: 2,
    CredentialsError: 4,
    BusyError: 5,
    VerificationError: 6,
    DiskError: 7,
    StoppedError: 75,
}


@pytest.fixture(autouse=True)
def _umask_restored() -> Iterator[None]:
    """`main` makes the process private; the tests after it are not its concern."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


def exit_code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert isinstance(ended.value.code, int)
    return ended.value.code


def loaded(name: str) -> click.Command:
    command = harvester.get_command(click.Context(harvester), name)
    assert command is not None
    return command


def test_help_lists_every_command_and_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """The first screen is enough to begin with, and to write a cron job."""
    code = exit_code("--help")

    text = " ".join(capsys.readouterr().out.split())
    assert code == 0
    assert [name for name, sentence in COMMANDS.items() if f"{name} {sentence}" not in text] == []
    listed = text.partition("Exit codes:")[2].partition("Options:")[0]
    assert [number for number in EXIT_CODES if str(number) not in listed] == []


def test_without_arguments_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Who knows nothing yet is told what there is."""
    code = exit_code()

    shown = capsys.readouterr()
    assert code in {0, 2}
    assert "Usage: harvester" in shown.out + shown.err


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of a command names its options."""
    code = exit_code(name, "--help")

    text = capsys.readouterr().out
    options = [option for parameter in loaded(name).params for option in parameter.opts]
    assert code == 0
    assert f"Usage: harvester {name}" in text
    assert [option for option in options if option.startswith("-") and option not in text] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_says_what_it_does(name: str) -> None:
    """No option is left to be guessed."""
    options = [parameter for parameter in loaded(name).params if isinstance(parameter, click.Option)]

    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_S_03_no_option_takes_a_secret(name: str) -> None:
    """A command line is open to every user of the machine: secrets come from files or the environment."""
    names = {option for parameter in loaded(name).params for option in parameter.opts}

    assert not [option for option in names if "secret" in option or option in {"--token", "--refresh-token"}]


def test_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A report of a fault begins with it."""
    code = exit_code("--version")

    assert code == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("kind", CODE_OF, ids=lambda kind: kind.__name__)
def test_each_error_has_its_exit_code_and_is_told_with_its_remedy(
    kind: type[HarvestError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What can be expected ends in a sentence, what to do and a code, never in a traceback."""

    def refuse(_: object) -> NoReturn:
        raise kind("The cellar is under water.", "Pump it dry.")

    monkeypatch.setattr("harvester.cli.status.load", refuse)
    code = exit_code("status")

    shown = capsys.readouterr()
    assert code == CODE_OF[kind]
    assert shown.out == ""
    assert shown.err == "harvester: The cellar is under water.\n           Pump it dry.\n"


def test_no_error_is_without_a_code_of_its_own() -> None:
    """Scripts tell errors apart by number, so no two share one, and the table above is whole."""
    kinds: set[type[HarvestError]] = {HarvestError, *HarvestError.__subclasses__()}

    assert {kind: kind.exit_code for kind in kinds} == CODE_OF
    assert len(set(CODE_OF.values())) == len(CODE_OF)


@pytest.mark.parametrize("arguments", [("harvest",), ("run", "--unknown"), ("run", "--as-of", "tomorrow")])
def test_a_wrong_command_line_is_exit_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Usage errors end before anything is opened or asked."""
    assert exit_code(*arguments) == 2
    assert "Error:" in capsys.readouterr().err


def test_S_06_the_process_is_made_private() -> None:
    """Whatever it writes holds addresses or tokens, so nobody else may read it."""
    exit_code("--version")

    assert os.umask(0o077) == 0o077
