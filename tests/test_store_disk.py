"""Small durable steps on the file system, and how a refusal of the disk is told."""

import errno
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from factories import no_umask

from harvester.errors import DiskError
from harvester.store.disk import REMEDIES, disk_errors, make_folder, replace_file, sync_folder, write_whole

WRITE_300_BYTES = """
import os, resource, sys
from pathlib import Path
from harvester.store.disk import disk_errors, write_whole

path = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
with disk_errors(path):
    write_whole(os.open(path, os.O_WRONLY | os.O_CREAT), b"x" * 300, 0)
"""


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refusal(path: Path, number: int) -> DiskError:
    with pytest.raises(DiskError) as caught, disk_errors(path):
        raise OSError(number, os.strerror(number), str(path))
    return caught.value


@pytest.mark.parametrize("number", REMEDIES)
def test_refusal_names_file_cause_and_remedy(tmp_path: Path, number: int) -> None:
    """Each known refusal says which file, what the system says, and what a person can do."""
    path = tmp_path / "a.part"

    error = refusal(path, number)

    assert error.message.startswith(f"{path}: {os.strerror(number).lower()}")
    assert error.remedy == REMEDIES[number]
    assert error.exit_code == 7


def test_D_01_full_disk_tells_the_free_bytes(tmp_path: Path) -> None:
    """A full disk is told with the bytes that are free, even where the folder of the file is not there yet."""
    error = refusal(tmp_path / "not" / "yet" / "a.part", errno.ENOSPC)

    assert "no space left on device (" in error.message
    assert error.message.endswith(" bytes free).")


def test_D_13_remedy_for_a_full_disk_speaks_of_inodes() -> None:
    """A disk with free bytes and no free inode looks full too; the remedy says so."""
    assert "inodes" in REMEDIES[errno.ENOSPC]


def test_unknown_refusal_says_what_is_safe(tmp_path: Path) -> None:
    """A refusal without a remedy of its own still says that committed work is safe."""
    assert "committed before is safe" in refusal(tmp_path, errno.ENXIO).remedy


def test_refusal_keeps_no_chain_of_causes(tmp_path: Path) -> None:
    """The translated error stands for itself: no second trace is printed for it."""
    assert refusal(tmp_path, errno.EIO).__suppress_context__


def test_other_errors_pass_untouched(tmp_path: Path) -> None:
    """Only what the operating system refuses is a fault of the disk."""
    with pytest.raises(KeyError), disk_errors(tmp_path):
        raise KeyError


def test_D_01_real_full_device_is_a_disk_error() -> None:
    """A write to a full device ends as a DiskError."""
    device = Path("/dev/full")
    file = os.open(device, os.O_WRONLY)
    try:
        with pytest.raises(DiskError, match="no space left"), disk_errors(device):
            write_whole(file, b"row\n", 0)
    finally:
        os.close(file)


def write_300_bytes(path: Path, limit_bytes: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", WRITE_300_BYTES, str(path), str(limit_bytes)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_D_02_short_write_is_never_taken_for_a_whole_one(tmp_path: Path) -> None:
    """Where the system takes 100 of 300 bytes, the rest is tried again and its refusal is told."""
    path = tmp_path / "a.part"

    done = write_300_bytes(path, 100)

    assert path.stat().st_size == 100
    assert "DiskError" in done.stderr
    assert "file too large" in done.stderr


def test_write_within_the_limit_is_whole(tmp_path: Path) -> None:
    """The same write with room for it succeeds."""
    path = tmp_path / "a.part"

    done = write_300_bytes(path, resource.RLIM_INFINITY)

    assert (done.returncode, path.read_bytes()) == (0, b"x" * 300)


def test_write_goes_to_its_offset(tmp_path: Path) -> None:
    """Bytes land at the offset named, wherever the file's own position is."""
    path = tmp_path / "a.part"
    path.write_bytes(b"headtail")
    file = os.open(path, os.O_WRONLY)

    write_whole(file, b"TAIL!", 4)
    os.close(file)

    assert path.read_bytes() == b"headTAIL!"


def test_S_06_folders_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Every folder that is made on the way has mode 0700 under a umask that forbids nothing."""
    with no_umask():
        make_folder(tmp_path / "a" / "b")

    assert [mode_of(tmp_path / "a"), mode_of(tmp_path / "a" / "b")] == [0o700, 0o700]


def test_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    """A folder of the operator keeps its mode."""
    tmp_path.chmod(0o750)

    make_folder(tmp_path)

    assert mode_of(tmp_path) == 0o750


def test_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    """A file that stands where a folder belongs is told as a fault of the disk."""
    (tmp_path / "a").touch()

    with pytest.raises(DiskError), disk_errors(tmp_path / "a"):
        make_folder(tmp_path / "a" / "b")


def test_sync_folder_wants_a_folder(tmp_path: Path) -> None:
    """A file is not taken for a folder."""
    (tmp_path / "a").touch()

    with pytest.raises(NotADirectoryError):
        sync_folder(tmp_path / "a")


def test_replace_file_puts_the_whole_new_one_in_place(tmp_path: Path) -> None:
    """The new content is there with mode 0600, and neither a draft nor the leftover of a kill remains."""
    path = tmp_path / "token.json"
    path.write_bytes(b"old")
    (tmp_path / ".token.json.draft").write_bytes(b"left by a kill, and longer than the new content")

    with no_umask():
        replace_file(path, b"new")

    assert path.read_bytes() == b"new"
    assert mode_of(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_S_07_replace_file_follows_no_symbolic_link(tmp_path: Path) -> None:
    """Links planted at the file and at its draft are replaced; what they point to is not touched."""
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    path = tmp_path / "token.json"
    path.symlink_to(target)
    (tmp_path / ".token.json.draft").symlink_to(target)

    replace_file(path, b"new")

    assert target.read_bytes() == b"precious"
    assert path.read_bytes() == b"new"
    assert not path.is_symlink()
