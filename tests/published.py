"""A folder that was published and has changed since in every way; and what kills of `publish` may leave of it."""

import signal
from contextlib import closing
from pathlib import Path

from factories import rows
from nights import Nights
from shore import NOW, flaws_in
from stepwise import Request, killed
from traced import CONFIG, typed

from harvester.model import JobState
from harvester.store.database import Database
from harvester.store.manifest import write_manifest
from harvester.store.partitions import Compression
from harvester.store.publications import FOLDERS
from harvester.store.purging import Purge

PUBLISHED = (
    CONFIG
    + """
[publish]
url = "file:///proc/self/cwd/lake"
"""
)
"""Into the folder itself, wherever it is copied to."""

UNPUBLISHED = "dt=2026-03-16"


def made(folder: Path) -> None:
    """Publish three of four nights, then change them: the store has objects to add, to replace and to remove."""
    folder.mkdir()
    (folder / "config.toml").write_text(PUBLISHED)
    with closing(Database(folder / "state" / "ledger.sqlite")) as database:
        nights = Nights(folder, database)
        for key in ("k1", "k2"):
            nights.harvested(0, rows(1, 3), key=key)
            nights.carried(1, key=key)
        nights.harvested(2, rows(1, 3), key="k3")
        nights.carried(3, key="k1")
        nights.carried(3, key="k3")
        nights.harvested(3, rows(1, 3), key="k4")
        _tell(nights)
        for night in (0, 1, 3):
            ended = typed(folder, "publish", "--as-of", nights.date(night).isoformat())
            assert ended.code == 0, ended.err
        _change(nights)


def _change(nights: Nights) -> None:
    """Replace a file that two dates carry, give others another name, purge the first date, and harvest a new one."""
    nights.sent_back(0)
    for key in ("k1", "k2"):
        nights.harvested(0, rows(7, 4), key=key)
    nights.compression = Compression.ZSTD
    for night, keys in ((1, ("k2",)), (3, ("k3", "k4"))):
        nights.ledger.requeue(nights.of(night), [JobState.CARRIED, JobState.DONE])
        nights.carried(night, key="k1")
        for key in keys:
            nights.harvested(night, rows(5, 2), key=key)
    nights.harvested(4, rows(1, 2), key="k5")
    purge = Purge(nights.database, nights.output, nights.date(1))
    purge.carry_out(purge.dates())
    _tell(nights)


def _tell(nights: Nights) -> None:
    for each in nights.ledger.harvests():
        write_manifest(nights.output, nights.ledger, each, NOW)


def files_below(folder: Path, *below: str) -> dict[str, bytes]:
    paths = [path for name in below for path in (folder / name).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def assert_kills_do_no_harm(folder: Path, *, first: int = 1, stride: int = 1) -> None:
    """Kill `publish` again and again: no reader is misled, and the same command completes."""
    made(folder / "template")
    (folder / "work").mkdir()
    request = Request(
        str(folder / "template"), str(folder / "work"), ["publish"], "",
        between=[], after=[["publish"]], first=first, stride=stride, kept="lake",
    )  # fmt: skip
    kills = killed(request)
    assert len(kills) * stride > 100
    assert {each["first"]["code"] for each in kills[:-1]} == {-signal.SIGKILL}
    assert kills[-1]["first"]["code"] == 0
    for each in kills:
        left = Path(each["folder"])
        assert flaws_in(files_below(left.with_name(f"{left.name}.left"), *FOLDERS)) == [], left
        assert each["again"]["code"] == 0, each["again"]["err"]
        found = files_below(left / "data", *FOLDERS)
        wanted = {path: content for path, content in found.items() if UNPUBLISHED not in path}
        assert files_below(left / "lake", ".") == wanted, left
        assert "nothing was to be published" in each["after"][0]["err"]
