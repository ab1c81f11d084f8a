"""Whom files are for: their owner alone, or a group that loads what lies in the output folder."""

import grp
import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from factories import no_umask
from harvested import carried, harvested

from harvester.errors import ConfigError
from harvester.snapshot import Carry
from harvester.store import sharing
from harvester.store.database import Database
from harvester.store.disk import make_folder, replace_file
from harvester.store.sharing import share

GROUP_ID = os.getgid()


@pytest.fixture(autouse=True)
def _as_the_program_runs() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def modes(folder: Path) -> set[tuple[str, str]]:
    """Return the kinds and modes of all that is in a folder, itself included."""
    return {
        ("folder" if path.is_dir() else "file", oct(stat.S_IMODE(path.stat().st_mode)))
        for path in (folder, *folder.rglob("*"))
    }


PRIVATE = {("folder", "0o700"), ("file", "0o600")}
SHARED = {("folder", "0o2750"), ("file", "0o640")}


@pytest.mark.parametrize("carry", Carry)
@pytest.mark.parametrize("group_id", [None, GROUP_ID], ids=["owner", "group"])
def test_P5_everything_below_the_output_folder_is_for_the_same_people(
    tmp_path: Path, carry: Carry, group_id: int | None
) -> None:
    """Partitions, manifests, `_SUCCESS`, links and copies; the state folder is never for a group."""
    share(tmp_path / "data", group_id)
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        carried(harvested(tmp_path, database), carry=carry)

        assert modes(tmp_path / "data") == (SHARED if group_id is not None else PRIVATE)
        assert modes(tmp_path / "state") <= PRIVATE


@pytest.mark.parametrize("carry", Carry)
def test_P5_what_is_there_already_follows_the_setting(tmp_path: Path, carry: Carry) -> None:
    """To share and to stop sharing reach the files of all dates, and not what links lead to."""
    outside = tmp_path / "outside"
    outside.write_text("x")
    outside.chmod(0o600)
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        done = carried(harvested(tmp_path, database), carry=carry)
    (done.output / "link").symlink_to(outside)

    share(done.output, GROUP_ID)
    (done.output / "link").unlink()
    assert modes(done.output) == SHARED
    assert stat.S_IMODE(outside.stat().st_mode) == 0o600

    share(done.output, None)
    assert modes(done.output) == PRIVATE


def test_nothing_is_looked_through_where_it_is_as_it_should_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run over a million files does not pay for them."""
    share(tmp_path / "data", GROUP_ID)
    monkeypatch.setattr(sharing, "files_below", lambda _: pytest.fail("looked through"))

    share(tmp_path / "data", GROUP_ID)


def test_P_03_cut_off_it_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder itself comes last, so that it never says more than is done."""
    output = tmp_path / "data"
    replace_file(output / "a" / "b", b"x")
    chmod = Path.chmod
    monkeypatch.setattr(Path, "chmod", lambda path, mode: None if path == output else chmod(path, mode))
    share(output, GROUP_ID)
    monkeypatch.undo()
    (output / "a" / "b").chmod(0o600)

    share(output, GROUP_ID)

    assert modes(output) == SHARED


def test_a_folder_of_the_operator_with_other_modes_shares_nothing(tmp_path: Path) -> None:
    """Only the very modes that we give are inherited; whoever made 2775 for something else meant no contacts."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o2775)

    share(tmp_path / "data", None)
    replace_file(tmp_path / "data" / "a" / "b", b"x")

    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o2775
    assert stat.S_IMODE((tmp_path / "data" / "a" / "b").stat().st_mode) == 0o600


def test_a_group_that_the_user_is_not_in_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to do is said, with exit code 2, before anything is asked of the server."""

    def refused(_path: Path, _user: int, _group: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "chown", refused)

    with pytest.raises(ConfigError, match="may not give files to the group"):
        share(tmp_path / "data", max(entry.gr_gid for entry in grp.getgrall()) + 1)


def test_P5_the_umask_lets_nobody_in(tmp_path: Path) -> None:
    """Whatever the umask, modes are what they should be."""
    with no_umask():
        make_folder(tmp_path / "data" / "a")
        replace_file(tmp_path / "data" / "a" / "b", b"x")

    assert modes(tmp_path / "data") == PRIVATE
