"""Every manifest that a test leaves behind is held against the schema that readers get."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from harvester.store.manifest_schema import SCHEMA


def closed(schema: Any) -> Any:
    """Return a schema in which no key may stand that it does not describe: what we write is documented."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(value) for name, value in schema.items()}
    return {**inner, "additionalProperties": False} if "required" in schema else inner


VALIDATOR = Draft202012Validator(closed(dict(SCHEMA)))


def misfits(folder: Path) -> Iterator[str]:
    """Yield what does not fit in the manifests below a folder; what a test has damaged beyond JSON is passed over."""
    for path in folder.rglob("_manifest.json"):
        try:
            manifest = json.loads(path.read_bytes())
        except ValueError:
            continue
        yield from (f"{path}: {error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(manifest))
