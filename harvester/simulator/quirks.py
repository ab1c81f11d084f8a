"""Odd values and damaged rows: who has them, and how they are written. Pure.

An odd value is right and must come through as it is; a damaged row is wrong, and must not cost its neighbours.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson

from harvester.simulator.set_options import Damage, Oddity, QuirkOptions

Quirk = Oddity | Damage

DEEP_LEVELS = 300
"""Many JSON writers stop at 254 levels, and readers at 1,024."""

FIRST_IDS: Mapping[Quirk | None, int] = {
    Oddity.ID_OVER_2_53: 2**53 + 1,
    Oddity.ID_OVER_2_64: 303_000_014_269_000_000_000_000,
}
"""Where the ids of such contacts begin; they are JSON numbers."""

ODD_NAMES: Mapping[Quirk | None, str] = {
    Oddity.EMOJI: "👩🏽\u200d🚀 🇮🇳 \u202eKim",
    Oddity.LINE_SEPARATORS: "a\u2028b\u2029c\u0085d",
    Oddity.NUL: "be\x00fore",
    Oddity.LONE_SURROGATE: "half \ud83d a face",
}

ODD_FIELDS: Mapping[Quirk | None, Mapping[str, Any]] = {
    Oddity.NUMBERS: {"phone": 491_701_234_567, "companyname": 12.5, "timezone": None, "subscribed": True},
    Oddity.NESTED: {"companyname": {"name": {"short": "Acme", "parts": ["A", {"c": "me"}]}}},
    Oddity.CUSTOM_FIELDS: {
        "last seen yymmdd": "260214",
        " größe  in cm ": "180",
        'the "boss"': "",
        "a\tb": "c",
        "": "d",
    },
}
"""Fields that an odd row has besides or instead of its ordinary ones."""

_DAMAGED_JSON: Mapping[Damage, bytes] = {
    Damage.INVALID_UTF8: b'"Caf\xe9"',
    Damage.NAN: b"NaN",
    Damage.HUGE_NUMBER: b"1e999",
    Damage.DEEP: b"[" * DEEP_LEVELS + b"]" * DEEP_LEVELS,
    Damage.RAW_CONTROL: b'"a\x01b"',
}
_DAMAGED_XML: Mapping[Quirk | None, str] = {Damage.INVALID_UTF8: "Caf\udce9", Damage.RAW_CONTROL: "a\x01b"}
"""What XML can be damaged by; the surrogate stands for a byte that is no UTF-8."""

_NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Quirks:
    """Says which contacts of an account are odd.

    Attributes:
        salt: of the draws.
        options: how many are.
    """

    salt: str
    options: QuirkOptions

    def of(self, slot: int, position: int) -> Quirk | None:
        """Return what is odd about a contact, None for most."""
        options = self.options
        if not options.odd_share and not options.damaged_share:
            return None
        rng = Random(f"{self.salt}/quirk/{slot}/{position}")  # noqa: S311  a world, no secret
        drawn = rng.random()
        if drawn < options.odd_share:
            return rng.choice(options.oddities)
        return rng.choice(options.damages) if drawn < options.odd_share + options.damaged_share else None


def odd_row(row: dict[str, Any], quirk: Quirk | None) -> dict[str, Any]:
    """Return an ordinary JSON row as this quirk has it; a damaged row is damaged when it is written."""
    odd = row | dict(ODD_FIELDS.get(quirk, {}))
    if quirk in FIRST_IDS:
        odd["contactid"] = int(row["contactid"])
    if quirk is Oddity.NUMBERS:
        odd["sent_time"] = int(row["sent_time"])
    return odd


def json_element(row: dict[str, Any], quirk: Quirk | None) -> Any:
    """Return what orjson is to write for a row: itself, or its bytes where orjson cannot or must not write it."""
    match quirk:
        case None:
            return row
        case Damage.NOT_OBJECT:
            return "a contact"
        case Damage():
            return orjson.Fragment(orjson.dumps(row | {"companyname": orjson.Fragment(_DAMAGED_JSON[quirk])}))
        case _:
            # Only as an escape can half a character be written; all other characters are written as they are.
            text = json.dumps(row, ensure_ascii=quirk is Oddity.LONE_SURROGATE, separators=(",", ":"))
            return orjson.Fragment(text.encode())


def xml_values(values: dict[str, str], quirk: Quirk | None) -> dict[str, str]:
    """Return the `<fl>` values of a contact as this quirk has them, without the characters that XML cannot hold.

    Of the damages, XML has the invalid UTF-8, as a surrogate to be written as the byte it stands for, and the raw
    control character.
    """
    fields = ODD_FIELDS.get(quirk, {})
    odd = {name: _NOT_IN_XML.sub("", value) for name, value in values.items()}
    if quirk is Oddity.NUMBERS:
        odd |= {"phone": str(fields["phone"]), "company_name": str(fields["companyname"])}
    if quirk is Oddity.CUSTOM_FIELDS:
        odd |= fields
    if quirk in _DAMAGED_XML:
        odd["company_name"] = _DAMAGED_XML[quirk]
    return odd
