"""Finished sets once more, in fewer and larger files: for each account and date a folder with a manifest of its own.

```
<home>/recipients/account=<name>/dt=<date>/action=<action>/part-0000.<ending>
<home>/recipients/account=<name>/dt=<date>/_export.json
<home>/_export_parts/                           files being written
```

The files of an action are written beside their place and moved there together. Before, the manifest takes back its word
for that action; after, it gives it again. So what the manifest names is whole, and a kill costs one action's work.
"""

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from harvester import __version__
from harvester.errors import ConfigError, VerificationError
from harvester.store.disk import (
    COPY_BYTES,
    FILE_MODE,
    SHARED_FILE_MODE,
    disk_errors,
    is_file_of,
    is_shared,
    make_folder,
    open_file,
    replace_file,
    sync_folder,
)
from harvester.store.partitions import RECIPIENTS

EXPORT_VERSION = 1
EXPORT_MANIFEST = "_export.json"
PART = "part-"
"""How the names of our files begin."""

DRAFTS = "_export_parts"
"""A folder of our own: whatever lies in it may be removed, in a home that is somebody else's as well."""


@dataclass(frozen=True, slots=True)
class Export:
    """What an export is of.

    Attributes:
        form: as what its files are: "parquet" or "jsonl".
        shape: says in what way these are made; what was made in another way is made anew.
        account: the account's name.
        date: the harvest date, ISO 8601.
    """

    form: str
    shape: str
    account: str
    date: str


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One file of an export; its path counts from the export's home."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ExportedAction:
    """The files of one action.

    Attributes:
        sources: how many partitions they were made of.
        sources_sha256: of these, see there.
        files: in the order of the rows.
    """

    sources: int
    sources_sha256: str
    files: tuple[ExportedFile, ...]


class ExportedDate:
    """The export of one account and date; to be used by one process at a time.

    Args:
        home: the folder of all exports of a form.
        export: what it is of.

    Raises:
        ConfigError: the folder holds exports of another form.
    """

    def __init__(self, home: Path, export: Export) -> None:
        self._home = home
        self._head = {"export_version": EXPORT_VERSION, **asdict(export)}
        self._folder = home / RECIPIENTS / f"account={export.account}" / f"dt={export.date}"
        self._draft = home / DRAFTS / _draft_prefix(export.account, export.date)
        self._actions: dict[str, ExportedAction] = {}
        self._date_state: str | None = None
        self._is_true = False
        self._read()

    @property
    def actions(self) -> Mapping[str, ExportedAction]:
        """What is in its place, by action: named by the manifest, and of the size that it says."""
        return self._actions

    def draft(self, action: str, number: int) -> Path:
        """Return where a file may grow; what lay there is gone, and the folder is there.

        The manifest is there before: whoever looks for what was exported, to erase it, finds all of it by manifests.
        And it names nothing by then but what is in its place.
        """
        if not self._is_true:
            self._write(self._actions)
        path = self._draft.with_name(f"{self._draft.name}{action}-{number:04}")
        with disk_errors(path):
            make_folder(path.parent)
            path.unlink(missing_ok=True)
        return path

    def place(self, action: str, exported: ExportedAction, drafts: Sequence[Path]) -> None:
        """Move the files of an action to their places, durable on return; older ones of it go away.

        Args:
            action: whose files.
            exported: what they are; paths as `path_of` gives them.
            drafts: the files themselves, in the same order.
        """
        self._withdraw(action)
        folder = self._folder / f"action={action}"
        with disk_errors(folder):
            make_folder(folder)
            for draft, file in zip(drafts, exported.files, strict=True):
                sync_file(draft)
                draft.rename(self._home / file.path)
        _clear(folder, {Path(file.path).name for file in exported.files})
        self._write({**self._actions, action: exported})

    def finish(self, actions: Sequence[str], date_state: str) -> bool:
        """Say that the export holds these actions, and so all that there is; files of others go away.

        Args:
            actions: of which there is something.
            date_state: how complete the date itself is: "complete", "partial" or "purged".

        Returns:
            Whether that is news.
        """
        for action in sorted({*self._actions, *self._present()} - set(actions)):
            self._withdraw(action)
            _clear(self._folder / f"action={action}")
        if self._date_state == date_state:
            return False
        self._write(self._actions, date_state)
        return True

    def path_of(self, action: str, number: int, ending: str) -> str:
        """Return where a file is to lie, below the home."""
        return str((self._folder / f"action={action}" / f"{PART}{number:04}{ending}").relative_to(self._home))

    def _present(self) -> list[str]:
        return [folder.name.removeprefix("action=") for folder in self._folder.glob("action=*")]

    def _withdraw(self, action: str) -> None:
        if action in self._actions or not self._is_true:
            rest = {name: files for name, files in self._actions.items() if name != action}
            self._write(rest)

    def _write(self, actions: Mapping[str, ExportedAction], date_state: str | None = None) -> None:
        """Put the manifest into its place; `date_state` once the export is complete."""
        told = {
            **self._head,
            "state": "partial" if date_state is None else "complete",
            "date_state": date_state,
            "harvester_version": __version__,
            "rows": sum(file.rows for each in actions.values() for file in each.files),
            "actions": {name: asdict(actions[name]) for name in sorted(actions)},
        }
        path = self._folder / EXPORT_MANIFEST
        with disk_errors(path):
            replace_file(path, orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        self._actions, self._date_state, self._is_true = dict(actions), date_state, True

    def _read(self) -> None:
        """Take in what the manifest names and is there; one that cannot be read names nothing."""
        path = self._folder / EXPORT_MANIFEST
        try:
            told = orjson.loads(path.read_bytes())
            head = {key: told[key] for key in self._head}
            actions = {name: _action_of(each) for name, each in told["actions"].items()}
            date_state = told["date_state"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return
        if head["form"] != self._head["form"]:
            raise ConfigError(f"{path}: there are exports of another form here.", "Name another folder with --out.")
        if head == self._head:
            self._actions = {
                name: each
                for name, each in actions.items()
                if all(is_file_of(self._home / file.path, file.bytes) for file in each.files)
            }
            self._is_true = self._actions == actions
            self._date_state = date_state if self._is_true else None


def sweep(home: Path) -> None:
    """Remove what a killed export left of its drafts; no other may be at work."""
    parts = home / DRAFTS
    with disk_errors(parts):
        for draft in list(parts.iterdir()) if parts.is_dir() else []:
            draft.unlink()


def discard(home: Path, account: str, date: str) -> None:
    """Remove the export of an account and date, and its drafts; may be done any number of times.

    The manifest takes back its word first and goes last: until then what is left can be found by it. What somebody else
    put there stays.
    """
    folder = home / RECIPIENTS / f"account={account}" / f"dt={date}"
    with disk_errors(folder):
        for draft in list((home / DRAFTS).glob(f"{_draft_prefix(account, date)}*")):
            draft.unlink()
        if not (folder / EXPORT_MANIFEST).exists():
            return
        replace_file(folder / EXPORT_MANIFEST, orjson.dumps({"state": "partial", "actions": {}}))
        for action in list(folder.glob("action=*")):
            _clear(action)
        (folder / EXPORT_MANIFEST).unlink()
        _remove_if_empty(folder)


def _clear(folder: Path, kept: Collection[str] = ()) -> None:
    """Remove files of ours that are not kept, and a folder that is empty then; whatever else lies there stays."""
    with disk_errors(folder):
        for file in [each for each in folder.glob(f"{PART}*") if each.name not in kept]:
            file.unlink()
        _remove_if_empty(folder)


def _remove_if_empty(folder: Path) -> None:
    """Make the names in a folder durable, or its going if there are none."""
    sync_folder(folder)
    if not any(folder.iterdir()):
        folder.rmdir()
        sync_folder(folder.parent)


def _draft_prefix(account: str, date: str) -> str:
    return f"{date}-{account}-"


def sources_sha256(sources: Iterable[tuple[str, str]]) -> str:
    """Return a hash, in hex, that changes with every source of an action.

    Args:
        sources: the partitions that hold rows, in the order of their paths: path below the output folder, and SHA-256.
    """
    digest = hashlib.sha256()
    for path, sha256 in sources:
        digest.update(f"{path}\t{sha256}\n".encode())
    return digest.hexdigest()


def concatenate(sources: Sequence[Path], target: Path) -> list[str]:
    """Write files one behind the other, durable on return; frames of gzip and zstd stay what they are.

    Returns:
        The SHA-256 of each, in hex, as it was read.

    Raises:
        VerificationError: other bytes came back than were written.
    """
    digests, whole = [], hashlib.sha256()
    new_one = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with disk_errors(target), open(open_file(target, new_one), "wb") as stream:  # noqa: PTH123  a path has no mode
        for source in sources:
            digest = hashlib.sha256()
            for chunk in _chunks(source):
                digest.update(chunk)
                whole.update(chunk)
                stream.write(chunk)
            digests.append(digest.hexdigest())
    sync_file(target)
    if _sha256(target) != whole.hexdigest():
        raise VerificationError(f"{target}: reads back with other bytes than were written.", "Check the device.")
    return digests


def _chunks(path: Path) -> Iterator[bytes]:
    with disk_errors(path), path.open("rb") as file:
        while chunk := file.read(COPY_BYTES):
            yield chunk


def sync_file(path: Path) -> None:
    """Make the bytes of a file durable, and let those read it for whom its folder is."""
    with disk_errors(path):
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fchmod(file, SHARED_FILE_MODE if is_shared(path.parent) else FILE_MODE)
            os.fsync(file)
        finally:
            os.close(file)


def described(path: Path, place: str, rows: int) -> ExportedFile:
    """Return a file as the manifest tells of it.

    Args:
        path: where it lies now.
        place: where it is to lie, below the home.
        rows: how many it holds.
    """
    with disk_errors(path):
        return ExportedFile(place, rows, path.stat().st_size, _sha256(path))


def _sha256(path: Path) -> str:
    with disk_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _action_of(told: Mapping[str, Any]) -> ExportedAction:
    files = tuple(ExportedFile(**file) for file in told["files"])
    return ExportedAction(told["sources"], told["sources_sha256"], files)
