"""The exchange of a code, against a server on loopback that answers with scripted bytes."""

import json
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_zoho_loopback import answer, scripted

from harvester.errors import CredentialsError, HarvestError, StoppedError
from harvester.zoho.api import Http
from harvester.zoho.grant import Exchange, Login, exchange
from harvester.zoho.wire import HttpReply

SECRETS = {"client_id": "1000.canary-id", "client_secret": "canary-secret", "code": "1000.canary-code"}
GIVEN = {"access_token": "1000.canary-access", "refresh_token": "1000.canary-refresh", "expires_in": 3600}


def asked(url: str) -> Exchange:
    return Exchange("acme", url, SECRETS["client_id"], SECRETS["client_secret"], SECRETS["code"])


async def exchanged(reply: bytes) -> tuple[Login | HarvestError, list[bytes]]:
    """Exchange once with a server that says `reply`; return what came of it, and the requests."""
    async with scripted(reply) as server, Http() as http:
        try:
            return await exchange(http, asked(server.url)), server.requests
        except HarvestError as error:
            return error, server.requests


async def test_S_03_every_secret_travels_in_the_body() -> None:
    """One POST to the token endpoint; nothing of it stands in the URL, which proxies log."""
    login, (request,) = await exchanged(answer(json.dumps(GIVEN).encode()))

    head, _, body = request.partition(b"\r\n\r\n")
    form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    assert isinstance(login, Login)
    assert (login.refresh_token, login.grant.access_token) == ("1000.canary-refresh", "1000.canary-access")
    assert head.startswith(b"POST /oauth/v2/token HTTP/1.1")
    assert b"canary" not in head
    assert form == {"grant_type": "authorization_code", **SECRETS}


@pytest.mark.parametrize(
    ("body", "status", "kind", "word"),
    [
        ({"error": "invalid_code"}, "200 OK", CredentialsError, "new code"),
        ({"error": "invalid_client"}, "200 OK", CredentialsError, "data_center"),
        ({"error": "invalid_client_secret"}, "200 OK", CredentialsError, "client_secret"),
        ({"error": "Access Denied", "error_description": "x"}, "400 Bad Request", StoppedError, "10 minutes"),
        ({"error": "what"}, "200 OK", StoppedError, "what"),
        ({}, "500 Internal Server Error", StoppedError, "HTTP 500"),
        ({}, "404 Not Found", CredentialsError, "accounts_url"),
        ({"access_token": "1000.canary-access"}, "200 OK", CredentialsError, "offline"),
        ({"access_token": "1000.canary-access", "refresh_token": ""}, "200 OK", CredentialsError, "offline"),
        ({"access_token": "1000.canary-access", "refresh_token": 7}, "200 OK", CredentialsError, "offline"),
    ],
)
async def test_U_02_each_refusal_has_its_cure(
    body: dict[str, object], status: str, kind: type[HarvestError], word: str
) -> None:
    """A person must act, or it passes; the message says which, without a secret, and nothing is tried again."""
    error, requests = await exchanged(answer(json.dumps(body).encode(), status))

    assert type(error) is kind
    assert word in str(error)
    assert "canary" not in str(error) + repr(error)
    assert len(requests) == 1


async def test_H_17_a_redirect_gets_no_secret() -> None:
    """A 307 would repeat the form at another host: it is not followed."""
    error, _ = await exchanged(answer(b"", "307 Temporary Redirect", "Location: http://elsewhere.example/"))

    assert isinstance(error, CredentialsError)
    assert "elsewhere.example, not followed" in str(error)


async def test_H_02_a_code_that_never_left_is_not_used_up() -> None:
    """Whether the code can be tried again depends on whether a byte of it left."""
    async with Http() as http:
        with pytest.raises(StoppedError, match="not used up") as unsent:
            await exchange(http, asked("http://127.0.0.1:9"))
    cut, _ = await exchanged(answer(b"{}")[:-1])

    assert "canary" not in str(unsent.value)
    assert "may be used up" in str(cut)


def test_S_02_no_repr_tells_a_secret() -> None:
    """A traceback or a log that shows these values shows no secret."""
    assert "canary" not in repr(asked("https://accounts.zoho.com"))


class Saying:
    """A transport that answers with one body."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def post(self, *_: object, **__: object) -> HttpReply:
        return HttpReply(200, "application/json", {}, self._body)


@given(
    body=st.dictionaries(
        st.sampled_from(["access_token", "refresh_token", "error", "expires_in"]),
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.text(max_size=2), max_size=2),
    ).map(lambda document: json.dumps(document).encode())
    | st.binary(max_size=20)
)
async def test_any_answer_is_a_login_or_an_error_of_ours(body: bytes) -> None:
    """Whatever comes, there is a refresh token that a file can hold, or a sentence that says what to do."""
    outcome: Login | HarvestError
    try:
        outcome = await exchange(Saying(body), asked("https://accounts.zoho.com"))
    except HarvestError as error:
        outcome = error

    if isinstance(outcome, HarvestError):
        assert outcome.remedy
    else:
        assert outcome.refresh_token.isascii()
        assert outcome.refresh_token.split() == [outcome.refresh_token]
