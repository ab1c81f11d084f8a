"""Text of foreign origin, made safe to show on a terminal and in a log (pure).

A server's message may hold escape sequences, newlines or direction marks (fault S-12). JSON alone is no shield: whoever
unpacks the string and prints it has the sequence back.
"""

from typing import Any


def printable(text: str) -> str:
    r"""Return `text` with each character that is not printable written as its Python escape, such as `\x1b`.

    Lone surrogates are escaped as well, so the result can always be encoded as UTF-8.
    """
    if text.isprintable():
        return str(text)
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def printable_tree(value: Any) -> Any:
    """Return a JSON-shaped value with every string in it, keys included, made printable."""
    match value:
        case str():
            return printable(value)
        case dict():
            return {printable_tree(key): printable_tree(item) for key, item in value.items()}
        case list() | tuple():
            return [printable_tree(item) for item in value]
        case _:
            return value
