"""Text of unknown origin made fit for logs: no addresses, no secrets, no control characters."""

import re

MESSAGE_CHARS_MAX = 200
"""Longest redacted text: one line of a log or of the manifest."""

_EXAMINED_CHARS_MAX = 4_000
"""How much foreign text is looked at: enough for any real message, little enough to cost nothing."""

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_AT_SIGN = re.compile(r"@|\uff20|%40")
_WORD = re.compile(r"\S+")
_SECRETS = re.compile(
    r"(?:zoho-oauthtoken|bearer)\s+\S+"  # an Authorization header
    r"|\b1000\.[\w.]+"  # every Zoho client id, grant and token starts like this
    r"|[\w-]*(?:token|secret)[\"']?\s*[=:]\s*\S+"
    r"|\b[0-9a-f]{40,}\b",  # a client secret; campaign keys start with 3z and stay
    re.IGNORECASE,
)


def without_addresses(text: str) -> str:
    """Return `text` with each word that has an at sign in it, however it is written, replaced."""
    return _WORD.sub(lambda word: "[e-mail]" if _AT_SIGN.search(word[0]) else word[0], text)


def redact(text: str) -> str:
    """Return `text` as one line of at most 200 printable characters without addresses or secrets.

    Words are dropped whole: whoever cuts an address at its quote or bracket keeps half a name.
    """
    # What is invisible goes first, or a zero-width space inside a token would hide it from the patterns.
    visible = "".join(
        character if character.isprintable() else " " if character.isspace() else ""
        for character in _ANSI.sub("", text[:_EXAMINED_CHARS_MAX])
    )
    words = visible.split()
    if len(text) > _EXAMINED_CHARS_MAX:
        words = words[:-1]  # the last word may be the uncovered half of an address
    line = _SECRETS.sub("[secret]", without_addresses(" ".join(words)))
    return line if len(line) <= MESSAGE_CHARS_MAX else f"{line[: MESSAGE_CHARS_MAX - 3]}..."
