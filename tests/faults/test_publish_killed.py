"""P3: `publish`, killed before each change on the disk, commit and request; the same command completes."""

from pathlib import Path

from published import assert_kills_do_no_harm


def test_P_03_publish_killed_at_every_step(tmp_path: Path) -> None:
    """No reader of the store is misled at any moment, and in the end it has what the folder has."""
    assert_kills_do_no_harm(tmp_path)
