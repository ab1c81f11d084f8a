"""What `harvester export` and `harvester compact` have in common."""

import datetime as dt
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypedDict

from harvester.cli.flags import choice_of
from harvester.clock import SystemClock
from harvester.config import load
from harvester.operations.exporting import Maker, export, tell
from harvester.settings import Settings

Making = Callable[[Settings], AbstractContextManager[Maker]]


class Asked(TypedDict):
    """The values of the flags."""

    config_path: Path
    accounts: tuple[str, ...]
    as_of: dt.datetime | None
    is_all: bool
    out: Path | None
    is_json: bool


def carry_out(making: Making, folder: str, asked: Asked) -> int:
    """Export, say what came of it, and return the exit code.

    Args:
        making: gives what makes the files.
        folder: where they lie below the output folder, unless another place is named.
        asked: what is exported.
    """
    clock = SystemClock()
    began_s = clock.now_s()
    choice = choice_of(asked["accounts"], asked["as_of"], is_all=asked["is_all"])
    settings = load(asked["config_path"])
    home = (asked["out"] or settings.output / folder).absolute()
    with making(settings) as maker:
        exported = export(settings, home, maker, choice)
    tell(exported, home, clock.now_s() - began_s, is_json=asked["is_json"])
    return exported.exit_code
