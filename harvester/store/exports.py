"""Finished sets once more, in fewer and larger files: for each account and date a folder with a manifest of its own.

```
<home>/recipients/account=<name>/dt=<date>/action=<action>/part-0000.<ending>
<home>/recipients/account=<name>/dt=<date>/_export.json
<home>/_parts/                                  files being written
```

The files of an action are written beside their place and moved there together. Before, the manifest takes back its word
for that action; after, it gives it again. So what the manifest names is whole, and a kill costs one action's work.
"""

import hashlib
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from harvester import __version__
from harvester.errors import ConfigError, VerificationError
from harvester.store.disk import (
    FILE_MODE,
    SHARED_FILE_MODE,
    disk_errors,
    is_shared,
    make_folder,
    open_file,
    replace_file,
    sync_folder,
)
from harvester.store.partitions import COPY_BYTES, RECIPIENTS

EXPORT_VERSION = 1
MANIFEST = "_export.json"
PARTS = "_parts"
PART = "part-"
"""How the names of our files begin."""


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
        sources: how many partitions they were made of; `sources_sha256` changes with any of these.
        files: in the order of the rows.
    """

    sources: int
    sources_sha256: str
    files: tuple[ExportedFile, ...]


class ExportedDate:
    """The export of one account and date; to be used by one process at a time.

    Args:
        home: the folder of all exports of a form.
        form: as what: "parquet" or "jsonl".
        account: the account's name.
        date: the harvest date, ISO 8601.

    Raises:
        ConfigError: the folder holds exports of another form.
    """

    def __init__(self, home: Path, form: str, account: str, date: str) -> None:
        self._home = home
        self._head = {"export_version": EXPORT_VERSION, "form": form, "account": account, "date": date}
        self._folder = home / RECIPIENTS / f"account={account}" / f"dt={date}"
        self._draft = home / PARTS / _draft_prefix(account, date)
        self._actions, self._is_complete = self._read()

    @property
    def actions(self) -> Mapping[str, ExportedAction]:
        """What is in its place, by action: named by the manifest, and of the size that it says."""
        return self._actions

    def draft(self, action: str, number: int) -> Path:
        """Return where a file may grow; what lay there is gone, and the folder is there.

        The manifest is there before: whoever looks for what was exported, to erase it, finds all of it by manifests.
        """
        if not (self._folder / MANIFEST).exists():
            self._write({}, is_complete=False)
        path = self._draft.with_name(f"{self._draft.name}{action}-{number:04}")
        with disk_errors(path):
            make_folder(path.parent)
            path.unlink(missing_ok=True)
        return path

    def publish(self, action: str, exported: ExportedAction, drafts: Sequence[Path]) -> None:
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
        self._clear(folder, {Path(file.path).name for file in exported.files})
        self._write({**self._actions, action: exported}, is_complete=False)

    def finish(self, actions: Sequence[str]) -> bool:
        """Say that the export holds these actions, and so all that there is; files of others go away.

        Returns:
            Whether that is news.
        """
        for action in sorted({*self._actions, *self._present()} - set(actions)):
            self._withdraw(action)
            self._clear(self._folder / f"action={action}", set())
        if self._is_complete:
            return False
        self._write(self._actions, is_complete=True)
        return True

    def path_of(self, action: str, number: int, ending: str) -> str:
        """Return where a file is to lie, below the home."""
        return str((self._folder / f"action={action}" / f"{PART}{number:04}{ending}").relative_to(self._home))

    def _present(self) -> list[str]:
        return [folder.name.removeprefix("action=") for folder in self._folder.glob("action=*")]

    @staticmethod
    def _clear(folder: Path, kept: Collection[str]) -> None:
        """Remove files of ours that are not kept, and a folder that is empty then; whatever else lies there stays."""
        with disk_errors(folder):
            for file in [each for each in folder.glob(f"{PART}*") if each.name not in kept]:
                file.unlink()
            sync_folder(folder)
            if not any(folder.iterdir()):
                folder.rmdir()
                sync_folder(folder.parent)

    def _withdraw(self, action: str) -> None:
        if action in self._actions:
            rest = {name: files for name, files in self._actions.items() if name != action}
            self._write(rest, is_complete=False)

    def _write(self, actions: Mapping[str, ExportedAction], *, is_complete: bool) -> None:
        told = {
            **self._head,
            "state": "complete" if is_complete else "partial",
            "harvester_version": __version__,
            "rows": sum(file.rows for each in actions.values() for file in each.files),
            "actions": {name: asdict(actions[name]) for name in sorted(actions)},
        }
        path = self._folder / MANIFEST
        with disk_errors(path):
            replace_file(path, orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        self._actions, self._is_complete = dict(actions), is_complete

    def _read(self) -> tuple[dict[str, ExportedAction], bool]:
        """Return what the manifest names and is there; one that cannot be read names nothing."""
        path = self._folder / MANIFEST
        try:
            told = orjson.loads(path.read_bytes())
            head = {key: told[key] for key in self._head}
            actions = {name: _action_of(each) for name, each in told["actions"].items()}
            is_complete = told["state"] == "complete"
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}, False
        if head["form"] != self._head["form"]:
            raise ConfigError(f"{path}: there are exports of another form here.", "Name another folder with --out.")
        if head != self._head:
            return {}, False
        whole = {name: each for name, each in actions.items() if all(map(self._is_there, each.files))}
        return whole, is_complete and len(whole) == len(actions)

    def _is_there(self, file: ExportedFile) -> bool:
        path = self._home / file.path
        return path.is_file() and not path.is_symlink() and path.stat().st_size == file.bytes


def sweep(home: Path) -> None:
    """Remove what a killed export left of its drafts; no other may be at work."""
    parts = home / PARTS
    with disk_errors(parts):
        for draft in list(parts.iterdir()) if parts.is_dir() else []:
            draft.unlink()


def discard(home: Path, account: str, date: str) -> None:
    """Remove the export of an account and date, and its drafts; may be done any number of times.

    The manifest takes back its word first and goes last: until then what is left can be found by it.
    """
    folder = home / RECIPIENTS / f"account={account}" / f"dt={date}"
    with disk_errors(folder):
        for draft in list((home / PARTS).glob(f"{_draft_prefix(account, date)}*")):
            draft.unlink()
        if not (folder / MANIFEST).exists():
            return
        replace_file(folder / MANIFEST, orjson.dumps({"state": "partial", "actions": {}}))
        for action in list(folder.glob("action=*")):
            shutil.rmtree(action)
        sync_folder(folder)
        shutil.rmtree(folder)
        sync_folder(folder.parent)


def _draft_prefix(account: str, date: str) -> str:
    return f"{date}-{account}-"


def concatenate(sources: Sequence[Path], target: Path) -> list[str]:
    """Write files one behind the other, durable on return; frames of gzip and zstd stay what they are.

    Returns:
        The SHA-256 of each, in hex, as it was read.

    Raises:
        VerificationError: other bytes came back than were written.
    """
    digests, whole = [], hashlib.sha256()
    with disk_errors(target):
        file = open_file(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with open(file, "wb") as stream:  # noqa: PTH123  a path cannot be opened with a mode
        for source in sources:
            digest = hashlib.sha256()
            with disk_errors(source), source.open("rb") as part:
                while chunk := part.read(COPY_BYTES):
                    digest.update(chunk)
                    whole.update(chunk)
                    stream.write(chunk)
            digests.append(digest.hexdigest())
    sync_file(target)
    if _sha256(target) != whole.hexdigest():
        raise VerificationError(f"{target}: reads back with other bytes than were written.", "Check the device.")
    return digests


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
