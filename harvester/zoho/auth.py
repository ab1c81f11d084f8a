"""Access tokens: one cached, refreshed by one, shared by processes.

Zoho gives at most 10 access tokens per refresh token in 10 minutes and then refuses them all with "Access Denied"; a
16th active token kills the oldest. So all workers and all processes of a machine share one token.

Source: the OAuth pages of the developer help ("access token expiry").
"""

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path

from harvester.clock import Clock
from harvester.errors import CredentialsError
from harvester.model import FailureKind
from harvester.zoho.replies import LIFE_S_MAX, Grant, RefusalReason, TokenRefusal, read_token
from harvester.zoho.token_cache import CacheEntry, TokenCache, fingerprint
from harvester.zoho.wire import Transport, TransportError

REFRESHES_MAX = 9
"""Tokens asked for in one throttle period: one less than allowed, as nobody knows how the server counts."""

REJECTIONS_MAX = 2
"""So many tokens refused in a row, none taken in between, are no matter of age: a person must act."""

MARGIN_S_MAX = 60.0
MARGIN_SHARE = 0.1
"""A token is renewed this long before its end: a call on its way must not outlive it, nor a short life be wasted."""

TOKEN_PATH = "/oauth/v2/token"  # noqa: S105  a path
SCOPE = "ZohoCampaigns.campaign.READ"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the operator got from Zoho's API console; `repr` tells none of it."""

    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """Where and how tokens are asked for.

    Attributes:
        account: the account's name, for messages and the cache's file name.
        accounts_url: the accounts host, without a path.
        state: the state directory.
        call_timeout_s: bound of one request for a token, in seconds.
        token_throttle_s: the documented 10 minutes; shorter only where time is scaled.
    """

    account: str
    accounts_url: str
    state: Path
    call_timeout_s: float = 30.0
    token_throttle_s: float = 600.0


def cache_of(credentials: Credentials, settings: TokenSettings) -> TokenCache:
    """Return the cache of an account's access token; with another refresh token it counts as empty."""
    name = fingerprint(credentials.client_id, credentials.refresh_token, settings.accounts_url)
    return TokenCache(settings.state, settings.account, name)


async def keep(grant: Grant, asked_at_s: float, cache: TokenCache) -> None:
    """Put the access token that came with a new refresh token into the cache, so that no run asks for one at once.

    Args:
        grant: the token, asked for at `asked_at_s`, in wall seconds since the epoch.
        asked_at_s: likewise; this request counts among the 10 in 10 minutes.
        cache: of the new refresh token.

    Raises:
        ConfigError, DiskError, TransportError: as `TokenCache.locked` and `TokenCache.write` do.
    """
    async with cache.locked():
        cache.write(CacheEntry(grant.access_token, asked_at_s, asked_at_s + grant.life_s, (asked_at_s,)))


class TokenThrottledError(Exception):
    """No token may be asked for during the next `wait_s` seconds."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"too many access tokens were asked for; the next is due in {wait_s:.0f} s")
        self.wait_s = wait_s


class Tokens:
    """The access token of one account.

    Args:
        http: how the accounts host is reached.
        credentials: for the refresh; sent in the form body, never in a URL.
        settings: where and how.
        clock: boot time decides in this process, wall time between processes.
    """

    def __init__(self, http: Transport, credentials: Credentials, settings: TokenSettings, clock: Clock) -> None:
        self._http = http
        self._credentials = credentials
        self._settings = settings
        self._clock = clock
        self._cache = cache_of(credentials, settings)
        self._current = ""
        self._renew_at_s = 0.0  # on the boot clock
        self._rejected = ""
        self._rejections = 0
        self._renewal: asyncio.Task[str] | None = None
        self._refusal: CredentialsError | None = None

    async def token(self) -> str:
        """Return the access token, renewed if need be; all who wait share one renewal and its outcome.

        The renewal is a task of its own: a waiter that is cancelled must not cut it, for the token it asked for
        counts, and a failure must reach all waiters instead of being repeated by each.

        Raises:
            CredentialsError: a person must act. Remembered: it is raised again without a call.
            TokenThrottledError: too many tokens were asked for.
            TransportError: the accounts host gave no usable answer.
            ConfigError: the cache file is open to others or not ours.
            DiskError: the cache cannot be written.
        """
        if self._refusal is not None:
            raise CredentialsError(self._refusal.message, self._refusal.remedy)
        if self._current and self._clock.now_s() < self._renew_at_s:
            return self._current
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._renew(), name="token-renewal")
            self._renewal.add_done_callback(self._renewed)
        return await asyncio.shield(self._renewal)

    def reject(self, token: str) -> None:
        """Note that the API did not take `token`; news of an older one than the current changes nothing."""
        if token != self._current:
            return
        self._current, self._rejected = "", token
        self._rejections += 1
        if self._rejections >= REJECTIONS_MAX:
            self._refusal = CredentialsError(
                f"Account {self._settings.account}: the API takes no access token, not even a new one.",
                f"Check that the refresh token has the scope {SCOPE} and that data_center is the account's own.",
            )

    def accept(self, token: str) -> None:
        """Note that the API took `token`: the next rejection will be one of age."""
        if token == self._current:
            self._rejections = 0

    def _renewed(self, renewal: asyncio.Task[str]) -> None:
        self._renewal = None
        if not renewal.cancelled():
            renewal.exception()  # seen, even where every waiter is gone

    async def _renew(self) -> str:
        async with self._cache.locked():
            # Disk access in the event loop, on purpose: it is one small file an hour, and a step in a thread could
            # be cancelled between the answer and its record.
            entry = self._cache.read()
            if not self._is_usable(entry):
                entry = await self._refreshed(entry)
            self._adopt(entry)
            return self._current

    def _is_usable(self, entry: CacheEntry) -> bool:
        return bool(entry.access_token) and entry.access_token != self._rejected and self._left_s(entry) > 0

    def _left_s(self, entry: CacheEntry) -> float:
        """Return for how many seconds the token may still be used, its margin taken off."""
        life_s = min(entry.expires_at_s - entry.obtained_at_s, LIFE_S_MAX)
        # A wall clock set back must not lend a token a longer life than it was given.
        left_s = min(entry.expires_at_s - self._clock.wall_s(), life_s)
        return left_s - min(MARGIN_S_MAX, MARGIN_SHARE * life_s)

    def _adopt(self, entry: CacheEntry) -> None:
        self._current = entry.access_token
        self._renew_at_s = self._clock.now_s() + self._left_s(entry)

    async def _refreshed(self, entry: CacheEntry) -> CacheEntry:
        """Ask for a token. That we ask is on disk before the request leaves: a crash forgets no request."""
        asked_at_s = self._clock.wall_s()
        entry = self._admitted(entry, asked_at_s)
        self._cache.write(entry)
        reply = await self._http.post(
            f"{self._settings.accounts_url}{TOKEN_PATH}",
            params={},
            headers={},
            timeout_s=self._settings.call_timeout_s,
            form={
                "grant_type": "refresh_token",
                "client_id": self._credentials.client_id,
                "client_secret": self._credentials.client_secret,
                "refresh_token": self._credentials.refresh_token,
            },
        )
        answer = read_token(reply)
        if isinstance(answer, Grant):
            entry = replace(
                entry,
                access_token=answer.access_token,
                obtained_at_s=asked_at_s,
                expires_at_s=asked_at_s + answer.life_s,
            )
            self._cache.write(entry)
            return entry
        if answer.reason is RefusalReason.THROTTLED:
            throttle_s = self._settings.token_throttle_s
            self._cache.write(replace(entry, throttled_until_s=self._clock.wall_s() + throttle_s))
            raise TokenThrottledError(throttle_s)
        raise self._refused(answer)

    def _admitted(self, entry: CacheEntry, now_s: float) -> CacheEntry:
        """Return the entry with this request noted, if one more is allowed now."""
        throttle_s = self._settings.token_throttle_s
        # Moments in the future come from a clock that was set back; none counts for longer than the period.
        recent_s = tuple(sorted(min(at_s, now_s) for at_s in entry.refreshes_at_s if at_s > now_s - throttle_s))
        wait_s = min(entry.throttled_until_s - now_s, throttle_s)
        if len(recent_s) >= REFRESHES_MAX:
            wait_s = max(wait_s, recent_s[-REFRESHES_MAX] + throttle_s - now_s)
        if wait_s > 0:
            raise TokenThrottledError(wait_s)
        return replace(entry, refreshes_at_s=(*recent_s, now_s))

    def _refused(self, refusal: TokenRefusal) -> CredentialsError | TransportError:
        where = f"Account {self._settings.account}: no access token ({refusal.message})."
        if refusal.reason is RefusalReason.UNCLEAR:
            return TransportError(FailureKind.TRANSIENT, where, is_sent=True)
        remedies = {
            RefusalReason.REFRESH_TOKEN: f"Make a new refresh token with the scope {SCOPE}, by harvester login: "
            "this one is wrong or was revoked.",
            RefusalReason.CLIENT: "Check client_id and client_secret, and data_center: a client of one data centre is "
            "unknown in the others.",
            RefusalReason.HOST: "Check accounts_url and data_center: this is not the accounts host.",
        }
        self._refusal = CredentialsError(where, remedies[refusal.reason])
        return self._refusal
