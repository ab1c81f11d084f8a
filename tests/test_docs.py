"""The documents know every command, flag, exit code and key, and what they tell to type can be typed."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from harvester.cli.main import COMMANDS, EXIT_BUG, harvester
from harvester.errors import HarvestError

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
COMMANDS_PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
CONFIGURATION_PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "config.example.toml"

EXIT_PARTIAL = 3
SIGNALS = (130, 143)
EXIT_CODES = sorted({0, EXIT_BUG, EXIT_PARTIAL, *(kind.exit_code for kind in HarvestError.__subclasses__()), *SIGNALS})


def command_of(name: str) -> click.Command:
    command = harvester.get_command(click.Context(harvester), name)
    assert command is not None
    return command


def typed_as(parameter: click.Parameter) -> str:
    """Return an option by its longest name, an argument in capitals, as the help has it."""
    name = max(parameter.opts, key=len)
    return name.upper() if isinstance(parameter, click.Argument) else name


def section_of(name: str) -> str:
    """Return what docs/commands.md says of a command: from its heading to the next one."""
    _, _, rest = COMMANDS_PAGE.partition(f"\n## `harvester {name}`\n")
    return rest.partition("\n## ")[0]


def commands_in(text: str) -> Iterator[str]:
    """Yield the lines of shell blocks that call the program; other lines are output or other programs."""
    for block in re.findall(r"^ *```(?:sh|console|bash|shell)\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            typed = line.strip().removeprefix("$ ")
            if re.match(r"(\S*/)?harvester\s", typed):
                yield re.split(r"\s(?:[|>&]|2>|#)", typed)[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_of_every_command_is_documented(name: str) -> None:
    """docs/commands.md has a section for the command, and each of its flags in it."""
    section = section_of(name)
    flags = [typed_as(parameter) for parameter in command_of(name).params]

    assert section, f"docs/commands.md: no section '## `harvester {name}`'"
    assert [flag for flag in flags if not re.search(rf"`{flag}\b", section)] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_no_flag_is_documented_that_does_not_exist(name: str) -> None:
    """A flag that was renamed is renamed in its section too."""
    flags = {flag for parameter in command_of(name).params for flag in (*parameter.opts, *parameter.secondary_opts)}

    assert set(re.findall(r"`(--[a-z-]+)", section_of(name))) - flags - {"--help"} == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_worked_example(name: str) -> None:
    """Each section shows the command typed, with what it prints."""
    assert any(shlex.split(line)[1] == name for line in commands_in(section_of(name)))


@pytest.mark.parametrize("line", sorted(set(commands_in(TEXT))))
def test_every_command_shown_in_the_documents_can_be_typed(line: str) -> None:
    """The program takes each line as it stands; nothing is run."""
    _, name, *arguments = shlex.split(line)

    assert name in {*COMMANDS, "--help", "--version"}
    if name in COMMANDS and not {"-h", "--help"} & set(arguments):
        command_of(name).make_context(name, arguments)


@pytest.mark.parametrize("code", EXIT_CODES)
def test_every_exit_code_is_documented(code: int) -> None:
    """docs/commands.md says in a table what each code means."""
    assert re.search(rf"^\| `?{code}`? \|", COMMANDS_PAGE, re.MULTILINE)


def test_every_key_of_the_example_is_explained() -> None:
    """docs/configuration.md is the reference of all keys, those that the example has commented out too."""
    keys = re.findall(r"^(?:# )?([a-z_]+) = ", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE)

    assert keys
    assert [key for key in keys if not re.search(rf"`(?:[a-z]+\.)?{key}`", CONFIGURATION_PAGE)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_the_documents_lead_somewhere(page: Path) -> None:
    """Each relative link names a file that is there."""
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", prose)]
    inner = [target for target in targets if target and "://" not in target and not target.startswith("mailto:")]

    assert [target for target in inner if not (page.parent / target).exists()] == []
