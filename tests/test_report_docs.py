import logging
import re
from dataclasses import fields
from pathlib import Path

import pytest

from harvester import events
from harvester.report.log import level_of
from harvester.report.status import BudgetStatus, HarvestStatus, Status, Waiting
from harvester.report.summary import AccountSummary, Problem, RunSummary

PAGE = (Path(__file__).parent.parent / "docs" / "events.md").read_text(encoding="utf-8")
KINDS = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, events.Event)]
KINDS.remove(events.Event)


def section(title: str, mark: str) -> str:
    """Return the text from the heading to the next heading of the same or a higher level."""
    _, _, rest = PAGE.partition(f"\n{mark} {title}\n")
    return re.split(rf"\n#{{1,{len(mark)}}} ", rest)[0]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_event_is_documented_with_its_level_and_fields(kind: type[events.Event]) -> None:
    """The page has a section for each event, its level, and a line for each field, no more and no less."""
    text = section(f"`{kind.name}`", "###")

    assert f"Level: {logging.getLevelName(level_of(kind)).lower()}." in text
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == {field.name for field in fields(kind)}


def test_no_event_is_documented_that_does_not_exist() -> None:
    """A section stands for an event that the program can send."""
    documented = set(re.findall(r"^### `([\w.]+)`$", PAGE, re.MULTILINE))

    assert documented == {kind.name for kind in KINDS}


@pytest.mark.parametrize("kind", [RunSummary, AccountSummary, Problem])
def test_every_key_of_the_summary_is_documented(kind: type) -> None:
    """Each key of the summary's JSON occurs in its section."""
    text = section("Summary", "##")

    assert [field.name for field in fields(kind) if f"`{field.name}`" not in text] == []


@pytest.mark.parametrize("kind", [Status, HarvestStatus, Waiting, BudgetStatus])
def test_every_key_of_the_status_is_documented(kind: type) -> None:
    """Each key of the status' JSON occurs in its section."""
    text = section("Status", "##")

    assert [field.name for field in fields(kind) if f"`{field.name}`" not in text] == []
