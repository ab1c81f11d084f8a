"""By which settings a run works, as one hash: another one in a manifest says that they were changed."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from harvester.settings import Settings

LEFT_OUT: dict[str, bool | set[str]] = {
    **dict.fromkeys(("output", "state", "accounts", "budget", "backfill", "publish"), True),
    "privacy": {"group"},
    "harvest": {"concurrency", "pages_ahead", "call_timeout_s", "late_grace_s"},
}
"""What shapes no record, whole sections or keys: where things lie, who may read them, how fast and in which order."""


def fingerprint(settings: Settings) -> str:
    """Return the SHA-256, in hex, of the settings that shape the output, as canonical JSON.

    No path plays a part, so that machines agree; nor does a secret: pydantic shows all of them alike; nor the order of
    names, such as actions or fields.
    """
    chosen = _canonical(settings.model_dump(exclude=LEFT_OUT))
    canonical = json.dumps(chosen, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _canonical(each) for name, each in value.items() if not isinstance(each, PurePath)}
    if isinstance(value, list | tuple):
        told = [_canonical(each) for each in value]
        return sorted(told) if all(isinstance(each, str) for each in told) else told
    return value
