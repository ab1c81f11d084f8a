"""The flags that several commands have in common."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict, TypeVar, cast

import click

from harvester.listing import CampaignType
from harvester.model import Action
from harvester.operations.choosing import Choice
from harvester.operations.workshop import OnLockout

CONFIG = "config.toml"

Function = TypeVar("Function", bound=Callable[..., Any])
Decorator = Callable[[Function], Function]

DATE = click.DateTime(["%Y-%m-%d"])

CONFIG_FLAG = click.option(
    "--config", "config_path", type=click.Path(path_type=Path), default=CONFIG, show_default=True,
    help="The configuration file.",
)  # fmt: skip
ACCOUNT_FLAG = click.option(
    "--account", "accounts", multiple=True, metavar="NAME", help="Only this account; may be repeated."
)
CAMPAIGN_FLAG = click.option(
    "--campaign", "campaigns", multiple=True, metavar="KEY", help="Only this campaign; may be repeated."
)
CAMPAIGNS_FILE_FLAG = click.option(
    "--campaigns-file", metavar="FILE", help="Campaign keys, one a line; - for standard input."
)
ACTION_FLAG = click.option(
    "--action", "actions", multiple=True, type=click.Choice([action.value for action in Action]), metavar="ACTION",
    help="Only this action; may be repeated.",
)  # fmt: skip
AS_OF_FLAG = click.option("--as-of", type=DATE, metavar="DATE", help="The harvest date; default: today, UTC.")
NAME_FLAG = click.option(
    "--name", "names", multiple=True, metavar="PATTERN",
    help="Only campaigns with such a name; * stands for anything; may be repeated.",
)  # fmt: skip
TYPE_FLAG = click.option(
    "--type", "types", multiple=True, type=click.Choice([each.value for each in CampaignType]), metavar="TYPE",
    help="Only campaigns of this type; may be repeated.",
)  # fmt: skip
ON_LOCKOUT_FLAG = click.option(
    "--on-lockout", type=click.Choice([choice.value for choice in OnLockout]), default=OnLockout.WAIT.value,
    show_default=True, help="Sit a lockout out, or exit with 75 and the time to come back.",
)  # fmt: skip
JSON_FLAG = click.option("--json", "is_json", is_flag=True, help="A summary in JSON on standard output.")
VERBOSE_FLAG = click.option(
    "-v", "--verbose", "is_verbose", is_flag=True, help="Log every page and every call, as JSON lines."
)
MAX_CALLS_FLAG = click.option(
    "--max-calls", type=click.IntRange(min=1), metavar="N", help="Make at most N calls to the recipients endpoint."
)
DEADLINE_FLAG = click.option(
    "--deadline", metavar="WHEN", help='Start no call after this: "2h30m", "06:00" (UTC), or a date and time.'
)
DRY_RUN_FLAG = click.option("--dry-run", "is_dry", is_flag=True, help="Only say what it would cost: harvester plan.")
OUT_FLAG = click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
    help="Where the files go; default: a folder in the output folder.",
)  # fmt: skip


def flags(*decorators: Decorator[Any]) -> Decorator[Any]:
    """Return one decorator that adds flags in the order in which `--help` lists them."""

    def add(function: Any) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return add


def of_dates(*decorators: Decorator[Any]) -> Decorator[Any]:
    """Return one decorator for a command that works on harvested dates: which ones, then what else it takes."""
    which = (
        click.option(
            "--as-of", type=DATE, metavar="DATE", help="The harvest date; default: the newest of each account."
        ),
        click.option("--all", "is_all", is_flag=True, help="All dates, the oldest first."),
    )
    return flags(CONFIG_FLAG, ACCOUNT_FLAG, *which, *decorators)


def choice_of(accounts: tuple[str, ...], as_of: dt.datetime | None, *, is_all: bool) -> Choice:
    """Return which dates the flags of `of_dates` name.

    Raises:
        click.UsageError: they contradict each other.
    """
    if is_all and as_of is not None:
        raise click.UsageError("--all and --as-of exclude each other.")
    return Choice(accounts, as_of.date() if as_of else None, is_all)


def narrowed(*decorators: Decorator[Any]) -> Decorator[Any]:
    """Return one decorator for a command that harvests: what narrows it, then how it goes about it."""
    how = (MAX_CALLS_FLAG, DEADLINE_FLAG, DRY_RUN_FLAG, ON_LOCKOUT_FLAG, JSON_FLAG, VERBOSE_FLAG)
    return flags(CONFIG_FLAG, ACCOUNT_FLAG, *decorators, *how)


class How(TypedDict):
    """How a run goes about it, as the flags of `narrowed` say it."""

    max_calls: int | None
    deadline: str | None
    is_dry: bool
    on_lockout: str
    is_json: bool
    is_verbose: bool


def how_of(chosen: dict[str, Any]) -> How:
    """Take out of the flags what says how the run goes about it; what stays says what is harvested."""
    return cast("How", {name: chosen.pop(name) for name in How.__annotations__})
