"""A text as it reads once its escapes are taken away, each letter with the place that it has in the text (pure).

An address in a link stands percent-encoded, in a page with entities, in JSON with backslashes, and in a link within a
link twice so. Whoever looks for it looks through all layers; whoever takes it out must know where in the text it stood.
"""

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

LAYERS_MAX = 5
"""The text, and four layers of escapes: a link in a link in a page in JSON. More is no accident any more."""

_ESCAPE = re.compile(
    r"&(?:\#0*[0-9]{1,7};?|\#x0*[0-9a-f]{1,6};?|[a-z][a-z0-9]{1,31};)"
    r"|%[c-f][0-9a-f](?:%[89ab][0-9a-f])+|%[0-9a-f]{2}"
    r"|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|\\u[0-9a-f]{4}|\\[bfnrt\"'/\\]",
    re.IGNORECASE,
)
"""One character each: an entity of HTML, a character of UTF-8 in percent signs, an escape of JSON."""

_ESCAPES_BEGIN = "&%\\"

NEIGHBOUR_CHARS = 64
"""How much of a text is looked at on either side of a find: the next few signs, each escaped in all layers."""

_FULL_WIDTH_AT = "\uff20"


@dataclass(frozen=True, slots=True)
class Find:
    """What was found: where it stands in the text, and how it reads, folded."""

    begin: int
    end: int
    read: str


def folded(text: str) -> str:
    """Return a text as addresses are compared: case-folded, with a plain at sign."""
    return text.casefold().replace(_FULL_WIDTH_AT, "@")


def forms(text: str) -> Iterator[str]:
    """Yield a text as it stands, and with one layer of escapes after another taken away."""
    for _ in range(LAYERS_MAX):
        yield text
        if not any(map(text.__contains__, _ESCAPES_BEGIN)):  # nearly always, and much quicker
            return
        plain = _ESCAPE.sub(_unescaped, text)
        if plain == text:
            return
        text = plain


def has_at_sign(text: str) -> bool:
    """Look quickly for what every address has, in all layers: in nearly all texts there is none."""
    return any("@" in form or _FULL_WIDTH_AT in form for form in forms(text))


def finds(text: str, wanted: re.Pattern[str]) -> list[Find]:
    """Return where a pattern is found in a text that is folded, in any layer, in order; none overlap.

    Where several do, it is the one of the deepest layer, in which escapes belong to no word.

    Args:
        text: as it stands.
        wanted: of what `folded` returns; its first group, if it has any, is what is meant.
    """
    found: list[Find] = []
    for layer in reversed(list(_layers(text))):
        found += [each for each in layer.finds(wanted) if not any(_overlap(each, other) for other in found)]
    return sorted(found, key=lambda each: each.begin)


def is_whole(text: str, find: Find, wanted: re.Pattern[str]) -> bool:
    """Tell whether a pattern still holds where all around the find is read without any escapes.

    What bounds an address in one layer, such as the semicolon of an entity, may be a letter of it in the next.

    Args:
        text: in which something was found.
        find: where.
        wanted: which it is to be, likewise of folded texts.
    """
    before = _plainest(text[max(0, find.begin - NEIGHBOUR_CHARS) : find.begin])
    behind = _plainest(text[find.end : find.end + NEIGHBOUR_CHARS])
    return wanted.match(f"{before}{find.read}{behind}", len(before)) is not None


def _plainest(text: str) -> str:
    *_, plain = forms(text)
    return folded(plain)


def _overlap(one: Find, other: Find) -> bool:
    return one.begin < other.end and other.begin < one.end


@dataclass(frozen=True, slots=True)
class _Layer:
    """The letters of one layer, and for each of them where in the text what it stands for begins and ends."""

    letters: str
    begins: Sequence[int]
    ends: Sequence[int]

    def finds(self, wanted: re.Pattern[str]) -> Iterator[Find]:
        # A letter may fold to several, such as the German sharp s: places differ from those in the text.
        folds = ((place, place + 1, folded(each)) for place, each in enumerate(self.letters))
        flat = self.with_pieces(fold for fold in folds if fold[2] != self.letters[fold[0]])
        for found in wanted.finditer(flat.letters):
            begin, end = found.span(wanted.groups and 1)
            yield Find(flat.begins[begin], flat.ends[end - 1], flat.letters[begin:end])

    def unescaped(self) -> "_Layer":
        escapes = _ESCAPE.finditer(self.letters)
        return self.with_pieces((found.start(), found.end(), _unescaped(found)) for found in escapes)

    def with_pieces(self, pieces: Iterable[tuple[int, int, str]]) -> "_Layer":
        """Return the layer with other letters from begin to end of each piece, which come in order."""
        letters, begins, ends, at = list[str](), list[int](), list[int](), 0
        for begin, end, said in (*pieces, (len(self.letters), len(self.letters), "")):
            letters += self.letters[at:begin], said
            begins += self.begins[at:begin]
            ends += self.ends[at:begin]
            if said:
                begins += [self.begins[begin]] * len(said)
                ends += [self.ends[end - 1]] * len(said)
            at = end
        return _Layer("".join(letters), begins, ends)


def _layers(text: str) -> Iterator[_Layer]:
    layer = _Layer(text, range(len(text)), range(1, len(text) + 1))
    for _ in forms(text):
        yield layer
        layer = layer.unescaped()


def _unescaped(found: re.Match[str]) -> str:
    escape = found[0]
    match escape[0]:
        case "&":
            return html.unescape(escape)
        case "%":
            return _decoded(bytes.fromhex(escape.replace("%", "")))
        case _ if escape[1] in "uU":
            return bytes.fromhex(escape[2:6] + escape[8:]).decode("utf-16-be", "surrogatepass")
        case _:
            return _SIGNS.get(escape[1], escape[1])


_SIGNS = dict(zip("bfnrt", "\b\f\n\r\t", strict=True))


def _decoded(encoded: bytes) -> str:
    try:
        return encoded.decode()
    except UnicodeDecodeError:
        return encoded.decode("latin-1")  # as older pages encode
