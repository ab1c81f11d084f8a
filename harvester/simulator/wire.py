"""What goes into the model and what comes out: a request, an answer, and how the network treats both."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, auto

API_PREFIX = "/api/v1.1/"
TOKEN_PATH = "/oauth/v2/token"  # noqa: S105  a path, no password


@dataclass(frozen=True, slots=True)
class Request:
    """One call as the server reads it.

    Attributes:
        path: without query.
        params: from the query and the form alike.
        headers: names in lower case.
        method: in upper case.
    """

    path: str
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    method: str = "POST"


class Mishap(StrEnum):
    """How the answer is maltreated on its way."""

    NONE = auto()
    CUT = auto()  #: the full length is announced, half of it is sent, the connection closes
    RESET = auto()  #: nothing is sent, the connection is torn down
    HANG = auto()  #: nothing is sent, the connection stays open
    TWO_LENGTHS = auto()  #: two headers tell two lengths, the second one byte more than is sent
    DRIP = auto()  #: everything is sent, spread over `NetworkOptions.drip_s`


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as the server means it; `mishap` says what becomes of it on the way."""

    status: int
    body: bytes = field(repr=False)
    content_type: str = "application/json;charset=UTF-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    mishap: Mishap = Mishap.NONE


@dataclass(frozen=True, slots=True)
class Delay:
    """How long one call travels, in real seconds: to the counter, and from there back to the client."""

    before_count_s: float
    after_count_s: float
