"""The token endpoint's limits and refusals."""

from typing import Any

import orjson
import pytest

from harvester.simulator.options import Options, TokenOptions
from harvester.simulator.tokens import TokenDesk

CREDENTIALS = {
    "grant_type": "refresh_token",
    "client_id": "acme-client",
    "client_secret": "made-up",
    "refresh_token": "made-up",
}


def _make(desk: TokenDesk, now_s: float = 0.0, **changes: str) -> tuple[int, dict[str, Any]]:
    answer = desk.issue(CREDENTIALS | changes, now_s).answer
    return answer.status, orjson.loads(answer.body)


@pytest.mark.parametrize("status", [400, 200])
def test_U_03_the_eleventh_token_in_ten_minutes_is_denied(status: int) -> None:
    """Ten tokens per refresh token and ten minutes, then Access Denied for the rest of them."""
    desk = TokenDesk(Options(tokens=TokenOptions(refusal_status=status)))
    made = [_make(desk) for _ in range(10)]

    denied_status, denied = _make(desk, 599.9)

    assert all("access_token" in answer for _, answer in made)
    assert (denied_status, denied["error"]) == (status, "Access Denied")
    assert "access_token" in _make(desk, 599.9, refresh_token="another")[1]
    assert "access_token" in _make(desk, 600.0)[1]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"refresh_token": "bad-token"}, "invalid_code"),
        ({"client_id": "bad-client"}, "invalid_client"),
        ({"client_secret": "bad-secret"}, "invalid_client_secret"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_U_02_bad_credentials_are_refused_in_http_200(changes: dict[str, str], error: str) -> None:
    """Bad words get HTTP 200 with the error that the accounts server uses."""
    assert _make(TokenDesk(Options()), 0.0, **changes) == (200, {"error": error})


def test_the_answer_is_the_documented_one() -> None:
    """A token comes with its life in seconds and its type, and no new refresh token."""
    status, answer = _make(TokenDesk(Options()))

    assert status == 200
    assert list(answer) == ["access_token", "api_domain", "token_type", "expires_in"]
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3600)


def test_the_sixteenth_token_kills_the_first() -> None:
    """Fifteen access tokens of one refresh token are good at once; one more and the oldest is not."""
    desk = TokenDesk(Options(tokens=TokenOptions(creations=100)))
    tokens = [_make(desk, float(n))[1]["access_token"] for n in range(16)]

    ends_s = [grant.good_until_s for token in tokens if (grant := desk.holder(f"Zoho-oauthtoken {token}"))]

    assert ends_s == [15.0, *(3600.0 + n for n in range(1, 16))]


@pytest.mark.parametrize("header", ["", "Bearer {}", "Zoho-oauthtoken", "Zoho-oauthtoken x{}"])
def test_only_the_exact_header_names_an_account(header: str) -> None:
    """Another scheme or another token is nobody's."""
    desk = TokenDesk(Options())
    token = _make(desk)[1]["access_token"]

    assert desk.holder(header.format(token)) is None


EXCHANGE = {"grant_type": "authorization_code", "refresh_token": "", "code": "a-code"}


def test_a_code_gives_a_refresh_token_once() -> None:
    """A code is exchanged for an access token and a refresh token that works, and is worthless from then on."""
    desk = TokenDesk(Options())

    status, answer = _make(desk, 0.0, **EXCHANGE)

    assert (status, list(answer)[:2]) == (200, ["access_token", "refresh_token"])
    assert desk.holder(f"Zoho-oauthtoken {answer['access_token']}")
    assert "access_token" in _make(desk, 1.0, refresh_token=answer["refresh_token"])[1]
    assert _make(desk, 2.0, **EXCHANGE) == (200, {"error": "invalid_code"})


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code": "bad-code"}, "invalid_code"),
        ({"code": ""}, "invalid_code"),
        ({"client_id": "bad-client"}, "invalid_client"),
        ({"client_secret": "bad-secret"}, "invalid_client_secret"),
    ],
)
def test_a_bad_exchange_is_refused_in_http_200(changes: dict[str, str], error: str) -> None:
    """An exchange is refused in the words of a refresh."""
    assert _make(TokenDesk(Options()), 0.0, **EXCHANGE | changes) == (200, {"error": error})


def test_a_code_that_is_denied_stays_good() -> None:
    """Too many requests deny the exchange, and the code is not used up by it."""
    desk = TokenDesk(Options(tokens=TokenOptions(creations=0)))

    assert _make(desk, 0.0, **EXCHANGE)[1]["error"] == "Access Denied"
    assert _make(desk, 1.0, **EXCHANGE)[1]["error"] == "Access Denied"


def test_an_online_code_brings_no_refresh_token() -> None:
    """A code made without offline access gives an access token alone."""
    assert "refresh_token" not in _make(TokenDesk(Options()), 0.0, **EXCHANGE | {"code": "online-code"})[1]
