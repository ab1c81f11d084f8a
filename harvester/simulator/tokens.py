"""The token endpoint: access tokens made from refresh tokens and codes, within Zoho's limits. Pure: time is brought.

Any client id, secret, refresh token and code are taken, but for the markers below.
"""

import hashlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import orjson

from harvester.simulator.options import Options
from harvester.simulator.wire import Answer

BAD_CLIENT_ID = "bad-client"
BAD_CLIENT_SECRET = "bad-secret"  # noqa: S105  a marker, no password
BAD_REFRESH_TOKEN = "bad-token"  # noqa: S105  a marker, no password
BAD_CODE = "bad-code"
ONLINE_CODE = "online-code"
"""A code made without access_type=offline: it gives an access token and no refresh token."""

EXCHANGE = "authorization_code"
REFRESH = "refresh_token"

HEADER_PREFIX = "Zoho-oauthtoken "
UNKNOWN_ACCOUNT = "unknown"


@dataclass(frozen=True, slots=True)
class Grant:
    """An access token that was made: for which account, and until when it is good on the server's clock."""

    account: str
    client_id: str
    good_until_s: float


@dataclass(frozen=True, slots=True)
class TokenReply:
    """The endpoint's answer, for whom, and what it was: "issued", "denied" (too many) or "refused" (bad words)."""

    answer: Answer
    account: str
    kind: str


@dataclass(slots=True)
class _Account:
    name: str
    client_id: str
    tokens_made: int = 0
    window_start_s: float = float("-inf")
    window_tokens: int = 0
    alive: deque[str] = field(default_factory=deque, repr=False)


class TokenDesk:
    """Makes access tokens and knows whose they are.

    An account is a client id with a refresh token. It is named by its client id; a second refresh token of the
    same client makes another account, named "<client id>#2", that sees the same world and has its own limits.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._accounts: dict[tuple[str, str], _Account] = {}
        self._grants: dict[str, Grant] = {}
        self._used_codes: set[tuple[str, str]] = set()

    def issue(self, params: Mapping[str, str], now_s: float) -> TokenReply:
        """Answer one request for an access token; bad words get HTTP 200 with an `error`, as the real one does.

        A code, which is good once, brings a refresh token along.
        """
        error = self._refusal(params)
        if error is not None:
            name = params.get("client_id", "") if error == "invalid_code" else ""
            return TokenReply(_answer(200, {"error": error}), name or UNKNOWN_ACCOUNT, "refused")
        is_exchange = params["grant_type"] == EXCHANGE
        refresh_token = _refresh_token_of(params["code"]) if is_exchange else params[REFRESH]
        account = self._account(params["client_id"], refresh_token)
        if not self._may_make(account, now_s):
            return TokenReply(self._denied(), account.name, "denied")
        if is_exchange:
            self._used_codes.add((params["client_id"], params["code"]))
        has_refresh_token = is_exchange and params["code"] != ONLINE_CODE
        body: dict[str, str | int] = {
            "access_token": self._make(account, now_s),
            **({REFRESH: refresh_token} if has_refresh_token else {}),
            "api_domain": "https://www.zohoapis.example",
            "token_type": "Bearer",
            # In real seconds: the client does not know that this clock is a fast one.
            "expires_in": max(1, int(self._options.tokens.life_s / self._options.time_scale)),
        }
        return TokenReply(_answer(200, body), account.name, "issued")

    def _refusal(self, params: Mapping[str, str]) -> str | None:
        grant_type, client_id, code = (params.get(name, "") for name in ("grant_type", "client_id", "code"))
        if grant_type not in (EXCHANGE, REFRESH):
            return "unsupported_grant_type"
        if client_id in ("", BAD_CLIENT_ID):
            return "invalid_client"
        if params.get("client_secret", "") in ("", BAD_CLIENT_SECRET):
            return "invalid_client_secret"
        is_bad = (
            code in ("", BAD_CODE) or (client_id, code) in self._used_codes
            if grant_type == EXCHANGE
            else params.get(REFRESH, "") in ("", BAD_REFRESH_TOKEN)
        )
        return "invalid_code" if is_bad else None

    def holder(self, authorization: str) -> Grant | None:
        """Return the grant that this header names, expired or not; None for a token that was never made."""
        if not authorization.startswith(HEADER_PREFIX):
            return None
        return self._grants.get(authorization.removeprefix(HEADER_PREFIX))

    def _account(self, client_id: str, refresh_token: str) -> _Account:
        account = self._accounts.get((client_id, refresh_token))
        if account is None:
            number = 1 + sum(known_id == client_id for known_id, _ in self._accounts)
            account = _Account(client_id if number == 1 else f"{client_id}#{number}", client_id)
            self._accounts[client_id, refresh_token] = account
        return account

    def _may_make(self, account: _Account, now_s: float) -> bool:
        limits = self._options.tokens
        if now_s >= account.window_start_s + limits.creations_window_s:
            account.window_start_s, account.window_tokens = now_s, 0
        account.window_tokens += 1
        return account.window_tokens <= limits.creations

    def _make(self, account: _Account, now_s: float) -> str:
        account.tokens_made += 1
        name = f"{self._options.seed}/{account.name}/{account.tokens_made}"
        token = f"1000.{hashlib.blake2b(name.encode(), digest_size=16).hexdigest()}"
        self._grants[token] = Grant(account.name, account.client_id, now_s + self._options.tokens.life_s)
        account.alive.append(token)
        if len(account.alive) > self._options.tokens.alive:
            oldest = account.alive.popleft()
            self._grants[oldest] = replace(self._grants[oldest], good_until_s=now_s)
        return token

    def _denied(self) -> Answer:
        text = "You have made too many requests continuously. Please try again after some time."
        return _answer(self._options.tokens.refusal_status, {"error_description": text, "error": "Access Denied"})


def _refresh_token_of(code: str) -> str:
    return f"1000.{hashlib.blake2b(code.encode(), digest_size=24).hexdigest()}"


def _answer(status: int, body: Mapping[str, str | int]) -> Answer:
    return Answer(status, orjson.dumps(body))
