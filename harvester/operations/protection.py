"""From the settings to what is kept of contacts: reads the key of the hash, and makes it where there is none."""

import os
import secrets
from grp import getgrnam
from pathlib import Path

from harvester.errors import ConfigError
from harvester.setting_values import secret_in
from harvester.settings import Settings
from harvester.store.disk import disk_errors, replace_file, sync_folder
from harvester.zoho.privacy import KEY_BYTES, EmailPolicy, Privacy

KEY_FILE = "privacy.key"

RESTORE = "Put the right key back: 64 hex digits, chmod 600. Without the file a new one is made, and hashes change."


def privacy_of(settings: Settings) -> Privacy:
    """Return what is kept of contacts; the key is made if addresses are hashed and there is none.

    Raises:
        ConfigError: the key cannot be used.
        DiskError: it cannot be written.
    """
    privacy = settings.privacy
    email = EmailPolicy(privacy.email)
    return Privacy(
        email=email,
        key=made_key(key_path(settings)) if email is EmailPolicy.HMAC else b"",
        allow_fields=privacy.allow_fields,
        deny_fields=privacy.deny_fields,
        has_raw=privacy.raw,
    )


def key_path(settings: Settings) -> Path:
    """Return where the key of the hash lies."""
    return settings.privacy.key_file or settings.state / KEY_FILE


def group_id_of(settings: Settings) -> int | None:
    """Return the group that may read the output folder; None for nobody else."""
    group = settings.privacy.group
    return None if group is None else getgrnam(group).gr_gid


def made_key(path: Path) -> bytes:
    """Return the key in a file, made if it is not there; two processes that make it at once get the same one."""
    if not os.path.lexists(path):
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.draft")
        with disk_errors(path):
            replace_file(draft, f"{secrets.token_hex(KEY_BYTES)}\n".encode())
            try:
                path.hardlink_to(draft)
            except FileExistsError:
                pass  # another process was first: its key counts
            finally:
                draft.unlink()
            sync_folder(path.parent)
    return key_in(path)


def key_in(path: Path) -> bytes:
    """Return the key that a file holds, which nobody else may read.

    Raises:
        ConfigError: it is not there, holds no key, or is exposed.
    """
    try:
        key = bytes.fromhex(secret_in(path))
    except ValueError as error:
        # What fromhex says would show a digit of a key that is nearly one.
        is_form = "fromhex" in str(error)
        raise ConfigError(
            f"{path}: no key of hex digits." if is_form else f"privacy.key_file: {error}.", RESTORE
        ) from None
    if len(key) != KEY_BYTES:
        raise ConfigError(f"{path}: a key of {len(key)} bytes instead of {KEY_BYTES}.", RESTORE)
    return key
