import asyncio
import errno
import fcntl
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_zoho_loopback import TIMEOUT_S, Scripted, answer, scripted

from harvester.errors import ConfigError, CredentialsError, DiskError
from harvester.model import FailureKind
from harvester.zoho import token_cache
from harvester.zoho.api import Http
from harvester.zoho.auth import (
    REFRESHES_MAX,
    Credentials,
    Tokens,
    TokenSettings,
    TokenThrottledError,
)
from harvester.zoho.token_cache import CacheEntry, TokenCache
from harvester.zoho.wire import TransportError

CREDENTIALS = Credentials("1000.client", "hush-secret", "1000.refresh.hush")


@dataclass
class HandClock:
    """Two clocks that stand until a test moves them."""

    now: float = 1_000.0
    wall: float = 1_700_000_000.0
    boot_id: str = "boot"

    def now_s(self) -> float:
        return self.now

    def asleep_s(self) -> float:
        return 0.0

    def wall_s(self) -> float:
        return self.wall

    def pass_s(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds


def grant(token: str, **changes: object) -> bytes:
    return answer(json.dumps({"access_token": token, "expires_in": 3_600, **changes}).encode())


def refusal(error: str, status: str = "200 OK") -> bytes:
    return answer(json.dumps({"error": error}).encode(), status)


@dataclass
class Bench:
    """A token endpoint and what is needed to talk to it."""

    server: Scripted
    http: Http
    state: Path
    clock: HandClock

    def tokens(self, credentials: Credentials = CREDENTIALS) -> Tokens:
        where = TokenSettings("acme", self.server.url, self.state, call_timeout_s=TIMEOUT_S)
        return Tokens(self.http, credentials, where, self.clock)

    @property
    def file(self) -> Path:
        return self.state / "token-acme.json"


@asynccontextmanager
async def bench(state: Path, *answers: bytes | None) -> AsyncIterator[Bench]:
    async with scripted(*answers) as server, Http() as http:
        yield Bench(server, http, state, HandClock())


async def test_credentials_go_into_the_body_and_nowhere_else(tmp_path: Path) -> None:
    """The URL and the headers of a refresh hold no secret."""
    async with bench(tmp_path, grant("1000.a")) as place:
        assert await place.tokens().token() == "1000.a"

    head, body = place.server.requests[0].split(b"\r\n\r\n")
    assert head.startswith(b"POST /oauth/v2/token HTTP/1.1")
    assert b"hush" not in head
    assert b"grant_type=refresh_token" in body
    assert b"refresh_token=1000.refresh.hush" in body


async def test_U_01_a_token_is_renewed_before_its_end_and_once_for_all(tmp_path: Path) -> None:
    """Sixteen workers at the boundary of an hour cause one refresh."""
    async with bench(tmp_path, grant("a"), grant("b")) as place:
        tokens = place.tokens()
        first = await asyncio.gather(*(tokens.token() for _ in range(16)))
        place.clock.pass_s(3_539)
        kept = await tokens.token()
        place.clock.pass_s(2)
        second = await asyncio.gather(*(tokens.token() for _ in range(16)))

    assert (set(first), kept, set(second)) == ({"a"}, "a", {"b"})
    assert len(place.server.requests) == 2


async def test_U_04_a_short_life_has_a_short_margin(tmp_path: Path) -> None:
    """A tenth of the life is kept back where that is less than a minute."""
    async with bench(tmp_path, grant("a", expires_in=10), grant("b")) as place:
        tokens = place.tokens()
        await tokens.token()
        place.clock.pass_s(8.9)
        assert await tokens.token() == "a"
        place.clock.pass_s(0.2)
        assert await tokens.token() == "b"


async def test_U_08_many_rejections_of_one_token_cause_one_refresh(tmp_path: Path) -> None:
    """A worker that comes late with an old token does not drop the new one."""
    async with bench(tmp_path, grant("a"), grant("b"), grant("c")) as place:
        tokens = place.tokens()
        old = await tokens.token()
        for _ in range(16):
            tokens.reject(old)
        new = await asyncio.gather(*(tokens.token() for _ in range(16)))
        tokens.reject(old)

        assert set(new) == {"b"}
        assert await tokens.token() == "b"
    assert len(place.server.requests) == 2


async def test_U_12_tokens_refused_in_a_row_need_a_person(tmp_path: Path) -> None:
    """After one refresh the scope is named, and no further token is asked for."""
    async with bench(tmp_path, grant("a"), grant("b"), grant("c")) as place:
        tokens = place.tokens()
        for _ in range(2):
            tokens.reject(await tokens.token())
        for _ in range(3):
            with pytest.raises(CredentialsError, match=r"ZohoCampaigns\.campaign\.READ"):
                await tokens.token()

    assert len(place.server.requests) == 2


async def test_U_01_rejections_with_acceptance_between_are_a_matter_of_age(tmp_path: Path) -> None:
    """A token that worked may die; the next one is given its chance."""
    async with bench(tmp_path, *(grant(name) for name in "abcd")) as place:
        tokens = place.tokens()
        for _ in range(3):
            token = await tokens.token()
            tokens.accept(token)
            tokens.reject(token)

        assert await tokens.token() == "d"


async def test_U_09_processes_share_one_token(tmp_path: Path) -> None:
    """Whoever waits for the lock reads the token of the one who held it."""
    async with bench(tmp_path, grant("a"), grant("b")) as place:
        found = await asyncio.gather(*(place.tokens().token() for _ in range(8)))

    assert set(found) == {"a"}
    assert len(place.server.requests) == 1


async def test_U_09_another_processs_newer_token_is_adopted(tmp_path: Path) -> None:
    """A rejected token is not replaced twice where somebody else has replaced it already."""
    async with bench(tmp_path, grant("a"), grant("b"), grant("c")) as place:
        one, other = place.tokens(), place.tokens()
        await one.token()
        await other.token()
        one.reject("a")
        assert await one.token() == "b"
        other.reject("a")
        assert await other.token() == "b"

    assert len(place.server.requests) == 2


async def test_U_09_a_lock_held_for_too_long_is_an_error_and_no_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait for another process is bounded."""
    monkeypatch.setattr(token_cache, "LOCK_WAIT_S_MAX", 0.01)
    async with bench(tmp_path, grant("a")) as place, TokenCache(tmp_path, "acme", "x").locked():
        with pytest.raises(TransportError, match="locked"):
            await place.tokens().token()

    assert place.server.requests == []


@pytest.mark.parametrize("error", ["invalid_code", "invalid_grant", "invalid_client", "invalid_client_secret"])
async def test_U_02_U_13_refused_credentials_are_asked_once(tmp_path: Path, error: str) -> None:
    """A person must act; the refusal is remembered and tells no secret."""
    async with bench(tmp_path, refusal(error)) as place:
        tokens = place.tokens()
        for _ in range(3):
            with pytest.raises(CredentialsError) as caught:
                await tokens.token()

    assert len(place.server.requests) == 1
    assert ("data_center" in str(caught.value)) is ("client" in error)
    assert "hush" not in f"{caught.value!r} {caught.value}"


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request"])
async def test_U_03_access_denied_is_a_throttle_that_survives_a_restart(tmp_path: Path, status: str) -> None:
    """For ten minutes nobody asks again, a new process neither."""
    async with bench(tmp_path, refusal("Access Denied", status), grant("a")) as place:
        with pytest.raises(TokenThrottledError) as caught:
            await place.tokens().token()
        place.clock.pass_s(590)
        with pytest.raises(TokenThrottledError) as again:
            await place.tokens().token()
        assert len(place.server.requests) == 1
        place.clock.pass_s(11)

        assert await place.tokens().token() == "a"
    assert caught.value.wait_s == 600
    assert again.value.wait_s == pytest.approx(10)


async def test_U_03_no_tenth_token_is_asked_for_in_ten_minutes(tmp_path: Path) -> None:
    """Failed requests count too, and the wait is until the oldest one leaves the window."""
    async with bench(tmp_path, refusal("general_error")) as place:
        for _ in range(REFRESHES_MAX):
            with pytest.raises(TransportError):
                await place.tokens().token()
            place.clock.pass_s(10)
        with pytest.raises(TokenThrottledError) as caught:
            await place.tokens().token()

    assert len(place.server.requests) == REFRESHES_MAX
    assert caught.value.wait_s == pytest.approx(600 - 10 * REFRESHES_MAX)


async def test_U_05_api_domain_is_ignored(tmp_path: Path) -> None:
    """No answer sends the token elsewhere: the endpoint stays the configured one."""
    async with bench(tmp_path, grant("a", api_domain="https://evil.example"), grant("b")) as place:
        tokens = place.tokens()
        tokens.reject(await tokens.token())

        assert await tokens.token() == "b"
    assert "evil" not in place.file.read_text()


async def test_U_07_a_clock_set_back_lends_no_longer_life(tmp_path: Path) -> None:
    """Whatever the wall clock says, a token from the file lives an hour at most."""
    async with bench(tmp_path, grant("a"), grant("b")) as place:
        await place.tokens().token()
        place.clock.wall -= 86_400
        later = place.tokens()
        assert await later.token() == "a"
        place.clock.now += 3_600
        place.clock.wall += 86_400 + 3_600

        assert await later.token() == "b"


async def test_U_10_other_credentials_do_not_see_the_token(tmp_path: Path) -> None:
    """Changed credentials make the file void."""
    async with bench(tmp_path, grant("a"), grant("b")) as place:
        await place.tokens().token()

        assert await place.tokens(Credentials("1000.client", "hush", "1000.other")).token() == "b"
    assert "refresh" not in place.file.read_text().replace("refreshes_at_s", "")


@given(content=st.binary(max_size=200) | st.sampled_from([b'{"version":1}', b"[]", b"[" * 9_999, b'{"version": 2}']))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_U_10_any_content_of_the_file_is_an_empty_entry(tmp_path: Path, content: bytes) -> None:
    """Half a file, garbage and another version are ignored."""
    file = tmp_path / "token-acme.json"
    file.write_bytes(content)
    file.chmod(0o600)

    assert TokenCache(tmp_path, "acme", "x").read() == CacheEntry()


async def test_U_10_S_06_the_file_is_whole_and_for_its_owner_only(tmp_path: Path) -> None:
    """Mode 0600 whatever the umask, a made state directory 0700, and nothing left beside it."""
    before = os.umask(0)
    try:
        async with bench(tmp_path / "state", grant("a")) as place:
            await place.tokens().token()
    finally:
        os.umask(before)

    modes = {entry.name: entry.stat().st_mode & 0o777 for entry in (tmp_path / "state").iterdir()}
    assert modes == {"token-acme.json": 0o600, "token-acme.lock": 0o600}
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
async def test_U_11_a_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    """The message holds the command that mends it."""
    async with bench(tmp_path, grant("a")) as place:
        await place.tokens().token()
        place.file.chmod(mode)
        with pytest.raises(ConfigError, match="chmod 600"):
            await place.tokens().token()


async def test_U_11_a_file_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another user wrote is no token of ours."""
    async with bench(tmp_path, grant("a")) as place:
        await place.tokens().token()
        monkeypatch.setattr(os, "geteuid", lambda: 4_242)
        with pytest.raises(ConfigError, match="not a regular file of the user"):
            TokenCache(tmp_path, "acme", "x").read()


@pytest.mark.parametrize("planted", ["symlink", "fifo", "hard link", "directory", "socket"])
def test_S_07_S_08_what_is_planted_for_the_file_is_refused(tmp_path: Path, planted: str) -> None:
    """Links, pipes and directories are neither read nor followed."""
    target, file = tmp_path / "target", tmp_path / "token-acme.json"
    target.write_text("{}")
    target.chmod(0o600)
    if planted == "symlink":
        file.symlink_to(target)
    elif planted == "hard link":
        file.hardlink_to(target)
    elif planted == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.relpath(file))  # as an absolute path it may be too long
    elif planted == "fifo":
        os.mkfifo(file, 0o600)
    else:
        file.mkdir(mode=0o700)

    with pytest.raises(ConfigError):
        TokenCache(tmp_path, "acme", "x").read()
    assert target.read_text() == "{}"


REFUSALS = pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ENOSPC, errno.EROFS])


def refusing(call: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system refuse this call from now on."""

    def refuse(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl if call == "flock" else os, call, refuse)


@REFUSALS
@pytest.mark.parametrize("call", ["open", "read"])
def test_D_01_D_04_a_token_file_that_the_disk_refuses_is_a_matter_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    """What the system said is told, and nothing is said of whose file it is."""
    (tmp_path / "token-acme.json").touch(mode=0o600)
    refusing(call, number, monkeypatch)

    with pytest.raises(DiskError, match=os.strerror(number)):
        TokenCache(tmp_path, "acme", "x").read()


@REFUSALS
@pytest.mark.parametrize("call", ["open", "flock"])
async def test_D_01_D_04_a_lock_that_the_disk_refuses_is_a_matter_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    """The lock is a file like the other."""
    refusing(call, number, monkeypatch)

    with pytest.raises(DiskError, match=os.strerror(number)):
        async with TokenCache(tmp_path, "acme", "x").locked():
            pass


async def test_S_07_a_symlink_in_place_of_the_lock_is_refused(tmp_path: Path) -> None:
    """The lock is opened as it is or not at all."""
    (tmp_path / "token-acme.lock").symlink_to(tmp_path / "target")

    with pytest.raises(ConfigError, match="not a regular file"):
        async with TokenCache(tmp_path, "acme", "x").locked():
            pass
    assert not (tmp_path / "target").exists()


def test_an_account_name_is_no_path(tmp_path: Path) -> None:
    """A name cannot lead out of the state directory."""
    for name in ("../x", "a/b", "", ".hidden"):
        with pytest.raises(ConfigError):
            TokenCache(tmp_path, name, "x")


async def test_H_17_a_redirect_of_the_token_endpoint_shows_no_secret(tmp_path: Path) -> None:
    """The other host gets nothing, and the message names it without what stood in the address."""
    async with scripted(grant("a")) as other:
        moved = answer(b"", "307 Moved", f"Location: {other.url}/?client_secret=hush")
        async with bench(tmp_path, moved) as place:
            with pytest.raises(CredentialsError, match=r"127\.0\.0\.1") as caught:
                await place.tokens().token()

    assert other.requests == []
    assert "hush" not in str(caught.value)


async def test_H_18_a_broken_token_endpoint_is_no_matter_of_credentials(tmp_path: Path) -> None:
    """A 503 may pass; it is said as trouble on the way, and a later call succeeds."""
    async with bench(tmp_path, answer(b"", "503 Busy"), grant("a")) as place:
        tokens = place.tokens()
        with pytest.raises(TransportError) as caught:
            await tokens.token()

        assert caught.value.kind is FailureKind.TRANSIENT
        assert await tokens.token() == "a"


async def test_U_08_a_cancelled_waiter_does_not_cut_the_renewal(tmp_path: Path) -> None:
    """The token that one worker asked for is there for the others."""
    async with bench(tmp_path, grant("a")) as place:
        tokens = place.tokens()
        asked = asyncio.Event()
        place.server.on_request = asked.set
        first = asyncio.create_task(tokens.token())
        await asked.wait()
        first.cancel()

        assert await tokens.token() == "a"
    assert len(place.server.requests) == 1
    assert first.cancelled()


def test_S_02_credentials_and_entries_hide_what_they_hold() -> None:
    """No repr tells a secret."""
    assert "hush" not in repr(CREDENTIALS)
    assert "1000" not in repr(CREDENTIALS)
    assert "hush" not in repr(CacheEntry("hush"))
