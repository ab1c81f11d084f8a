"""P3: `publish`, killed before each change on the disk, commit and request; the same command completes."""

from pathlib import Path

import pytest
from published import assert_kills_do_no_harm

SHARES = 3
"""How many take turns at the steps, so that as many cores share the work."""


@pytest.mark.parametrize("first", range(1, SHARES + 1))
def test_P_03_publish_killed_at_every_step(tmp_path: Path, first: int) -> None:
    """No reader of the store is misled at any moment, and in the end it has what the folder has."""
    assert_kills_do_no_harm(tmp_path, first=first, stride=SHARES)
