"""What stands under the keys of a JSON object that we write, described once (pure).

From the description come the JSON Schema that `harvester schema` prints, and the tables of the documentation, which
tests hold against it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

DRAFT = "https://json-schema.org/draft/2020-12/schema"

_WORDS: Mapping[str, str] = {"string": "text", "array": "list"}
"""What people call a type of JSON Schema, where that is another word."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an object.

    Attributes:
        name: the key.
        types: the names that JSON Schema has for what may stand there.
        meaning: for those who load it; a line of Markdown.
        limits: further keywords of JSON Schema.
    """

    name: str
    types: tuple[str, ...]
    meaning: str
    limits: Mapping[str, Any] = field(default_factory=dict)

    @property
    def type_words(self) -> str:
        """The type as people say it: "text or null"."""
        return " or ".join(map(self._word, self.types))

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of what stands there."""
        types = self.types[0] if len(self.types) == 1 else list(self.types)
        return {"type": types, "description": self.meaning, **self.limits}

    def _word(self, name: str) -> str:
        is_list_of_text = name == "array" and self.limits.get("items") == {"type": "string"}
        return "list of text" if is_list_of_text else _WORDS.get(name, name)


def object_schema(keys: Sequence[Key]) -> dict[str, Any]:
    """Return the JSON Schema of an object in which all of these keys stand; others may as well."""
    return {
        "type": "object",
        "properties": {key.name: key.schema for key in keys},
        "required": [key.name for key in keys],
    }
