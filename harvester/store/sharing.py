"""Whom the files below the output folder are for: their owner alone, or a group that loads them as well.

The folder itself says it by its mode, and whatever is made in it inherits that (`disk.open_file`, `disk.make_folder`).
So nothing needs to be told whom it writes for, and the state folder, which is no part of it, stays its owner's alone.
"""

import os
from pathlib import Path

from harvester.errors import ConfigError
from harvester.store.date_folder import files_below
from harvester.store.disk import (
    FILE_MODE,
    FOLDER_MODE,
    SHARED_FILE_MODE,
    SHARED_FOLDER_MODE,
    disk_errors,
    is_shared,
    make_folder,
)


def share(output: Path, group_id: int | None) -> None:
    """Let a group read all that is, and all that will be, below the output folder; None for the owner alone.

    Nothing is looked through where the folder says so already. Cut off, it is done again: the folder comes last.

    Raises:
        ConfigError: this user may give nothing to the group.
        DiskError: the disk refuses.
    """
    with disk_errors(output):
        make_folder(output)
        status = output.stat()
    if is_shared(output) == (group_id is not None) and group_id in {None, status.st_gid}:
        return
    file_mode = FILE_MODE if group_id is None else SHARED_FILE_MODE
    folder_mode = FOLDER_MODE if group_id is None else SHARED_FOLDER_MODE
    for path in files_below(output):
        if not path.is_symlink():
            _set(path, group_id, file_mode)
    for parent, _, _ in os.walk(output, topdown=False):
        _set(Path(parent), group_id, folder_mode)


def _set(path: Path, group_id: int | None, mode: int) -> None:
    with disk_errors(path):
        if group_id is not None:
            try:
                os.chown(path, -1, group_id)
            except PermissionError:
                raise ConfigError(
                    f"{path}: this user may not give files to the group of privacy.group.",
                    "Add the user to the group and log in again, or leave privacy.group out.",
                ) from None
        path.chmod(mode)
