"""P3: `forget` and `purge`, killed before each step on the disk; the same command completes."""

from pathlib import Path

import pytest
from purged import assert_kills_do_no_harm as assert_kills_of_purge_do_no_harm
from traced import assert_kills_do_no_harm

from harvester.snapshot import Carry


@pytest.mark.parametrize("carry", Carry)
def test_P_03_forget_killed_at_every_step(tmp_path: Path, carry: Carry) -> None:
    """Nothing but the person is missing, and a repair never fetches them again."""
    assert_kills_do_no_harm(tmp_path, carry)


@pytest.mark.parametrize("carry", Carry)
def test_P_03_purge_killed_at_every_step(tmp_path: Path, carry: Carry) -> None:
    """What later dates have stays whole, and nothing of the old dates is left."""
    assert_kills_of_purge_do_no_harm(tmp_path, carry)
