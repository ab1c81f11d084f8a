"""Scratch folders: empty, private, and gone with their process."""

from pathlib import Path

from factories import no_umask

from harvester.store.scratch import scratch_folder


def test_a_scratch_folder_is_empty_private_and_goes_away(tmp_path: Path) -> None:
    """With all that is in it."""
    with no_umask(), scratch_folder(tmp_path, "one") as folder:
        assert list(folder.iterdir()) == []
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "spilled").write_text("an address")

    assert not folder.exists()


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    """Its mark is nobody's any more; one that is at work is left alone."""
    (tmp_path / "scratch" / "dead").mkdir(parents=True)
    (tmp_path / "scratch" / "dead" / "spilled").write_text("an address")

    with scratch_folder(tmp_path, "one") as one, scratch_folder(tmp_path, "two") as two:
        assert one.is_dir()
        assert two.is_dir()
        assert not (tmp_path / "scratch" / "dead").exists()
