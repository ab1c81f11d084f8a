"""The engine behind `harvester query`, asked without a command."""

from contextlib import closing
from pathlib import Path

import pytest

from harvester.errors import ConfigError
from harvester.operations.holding import SHAPES
from harvester.warehouse.query import Warehouse
from harvester.warehouse.views import shelves_of

NOTHING: dict[str, list[str]] = {"recipients": [], "current": [], "changes": [], "listings": []}


@pytest.mark.parametrize("form", ["texts", "json_texts"])
def test_rows_that_cannot_be_read_are_told_like_all_refusals(form: str, tmp_path: Path) -> None:
    """Here there is no answer yet; whatever the engine refuses on the way, no traceback of its own comes out."""
    with closing(Warehouse(shelves_of(NOTHING, SHAPES), [], tmp_path)) as warehouse, pytest.raises(ConfigError):
        list(getattr(warehouse, form)())
