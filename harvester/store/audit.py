"""The audit trail of erasures: one line of JSON for each, in the state folder, never with whom it was for."""

import os
from collections.abc import Mapping
from pathlib import Path

import orjson

from harvester.store.disk import FILE_MODE, disk_errors, sync_folder, write_whole

AUDIT_FILE = "audit.jsonl"


def note_erasure(state: Path, told: Mapping[str, str | int]) -> None:
    """Append a line, durable on return, unless the last one has the same `id`; what a kill left half is cut off."""
    path = state / AUDIT_FILE
    with disk_errors(path):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, FILE_MODE)
        try:
            body = os.pread(file, os.fstat(file).st_size, 0)
            whole = body[: body.rfind(b"\n") + 1]
            last = whole.splitlines()[-1:]
            if not (last and orjson.loads(last[0]).get("id") == told["id"]):
                os.ftruncate(file, len(whole))
                write_whole(file, orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE), len(whole))
                os.fsync(file)
                sync_folder(state)
        finally:
            os.close(file)
