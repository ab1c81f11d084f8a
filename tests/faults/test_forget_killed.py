"""P3: `forget` and `purge`, killed before steps on the disk all along their way; the same command completes.

A kill costs half a second, most of which looks at what it left; all of them would take minutes for each way to carry.
So every so many steps are taken, for each way others. To take them all, or one by its number, give
`assert_kills_do_no_harm` another `first` and `stride`.
"""

from pathlib import Path

import pytest
from purged import assert_kills_do_no_harm as assert_kills_of_purge_do_no_harm
from traced import assert_kills_do_no_harm

from harvester.snapshot import Carry

FORGET_STRIDE, PURGE_STRIDE = 12, 3
"""So that this file takes less than a minute on four cores; a purge has fewer steps than an erasure."""


@pytest.mark.parametrize(("carry", "first"), [(Carry.REFERENCE, 1), (Carry.HARDLINK, 5), (Carry.COPY, 9)])
def test_P_03_forget_killed_all_along_its_way(tmp_path: Path, carry: Carry, first: int) -> None:
    """Nothing but the person is missing, and a repair never fetches them again."""
    assert_kills_do_no_harm(tmp_path, carry, first=first, stride=FORGET_STRIDE)


@pytest.mark.parametrize(("carry", "first"), [(Carry.REFERENCE, 1), (Carry.HARDLINK, 2), (Carry.COPY, 3)])
def test_P_03_purge_killed_all_along_its_way(tmp_path: Path, carry: Carry, first: int) -> None:
    """What later dates have stays whole, and nothing of the old dates is left."""
    assert_kills_of_purge_do_no_harm(tmp_path, carry, first=first, stride=PURGE_STRIDE)
