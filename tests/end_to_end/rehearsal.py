"""A practised Zoho on loopback, a folder with a configuration that points to it, and the program as a real process."""

import asyncio
import gzip
import hashlib
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from harvester.simulator.endpoints import RECIPIENTS
from harvester.simulator.options import Options, QuotaOptions
from harvester.simulator.referee import Arrival, Referee
from harvester.simulator.server import Server
from harvester.simulator.wire import TOKEN_PATH, Request
from harvester.simulator.world import ACTIONS, Campaign, Kind, World

CLIENT_ID = "1000.PRACTICE"
DATE = "2026-01-15"
TIMEOUT_S = 300.0
"""Far beyond what any of these runs takes, on a busy machine too; a hang becomes a failing test."""

CALL_TIMEOUT_S = 30.0
"""On a busy machine an answer may come late, but not so late: a call given up is asked again, and counts as wasted."""

SHORT_CALL_TIMEOUT_S = 4.0
"""Where answers are spoiled: those that never come must not cost much, and good ones still come in time."""

CONCURRENCY = 8

BAD_KEY = "3z" + "0" * 64
"""Of the right form, and of no campaign."""

Partitions = dict[tuple[str, str], list[dict[str, Any]]]
"""By campaign key and action: the records of the partition."""


class WatchedReferee(Referee):
    """A referee that also says when so many calls to the recipients endpoint have come."""

    def __init__(self, quota: QuotaOptions) -> None:
        super().__init__(quota)
        self._calls = 0
        self._awaited: list[tuple[int, asyncio.Event]] = []

    def record(self, arrival: Arrival) -> None:
        super().record(arrival)
        self._calls += arrival.endpoint == RECIPIENTS
        for calls, event in self._awaited:
            if self._calls >= calls:
                event.set()

    async def more_calls(self, calls: int) -> None:
        """Wait until `calls` more have come."""
        event = asyncio.Event()
        self._awaited.append((self._calls + calls, event))
        async with asyncio.timeout(TIMEOUT_S):
            await event.wait()


@dataclass(frozen=True)
class Ended:
    """What a process left: its exit code and its words."""

    code: int
    stdout: str
    stderr: str

    @property
    def last_line(self) -> str:
        return self.stderr.rstrip().rpartition("\n")[2]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stderr.splitlines() if line.startswith("{")]


class Program:
    """A running harvester."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._heard: list[bytes] = []

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def command_line(self) -> bytes:
        """What every user of the machine can see of it."""
        return Path(f"/proc/{self.pid}/cmdline").read_bytes()

    async def event(self, name: str) -> dict[str, Any]:
        """Wait for the next event of this name on standard error."""
        assert self._process.stderr is not None
        async with asyncio.timeout(TIMEOUT_S):
            async for line in self._process.stderr:
                self._heard.append(line)
                if line.startswith(b"{") and (event := json.loads(line))["event"] == name:
                    return dict(event)
        raise AssertionError(f"the run ended without {name}: {b''.join(self._heard).decode()}")

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def stop(self) -> None:
        """Hold the process still, and return when all of it stands."""
        self.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    async def ended(self) -> Ended:
        async with asyncio.timeout(TIMEOUT_S):
            stdout, stderr = await self._process.communicate()
        assert self._process.returncode is not None
        return Ended(self._process.returncode, stdout.decode(), (b"".join(self._heard) + stderr).decode())

    def close_stderr(self) -> None:
        """Go away as a listener: whatever the program still writes there meets a broken pipe."""
        assert self._process._transport is not None  # type: ignore[attr-defined]
        self._process._transport.get_pipe_transport(2).close()  # type: ignore[attr-defined]

    async def kill(self) -> None:
        """End the process as `kill -9` does; no harm if it has ended."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()


@dataclass
class Rehearsal:
    """One practised Zoho and one folder; the processes started here share the folder's state."""

    server: Server
    options: Options
    folder: Path
    url: str
    referee: WatchedReferee
    programs: list[Program] = field(default_factory=list)

    # --- the program ------------------------------------------------------------------------------------------------

    @property
    def output(self) -> Path:
        return self.folder / "data"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def date_folder(self) -> Path:
        return self.output / "recipients" / "account=acme" / f"dt={DATE}"

    def configure(self, **changes: Mapping[str, object]) -> None:
        """Write config.toml: the practised account and its limits in real seconds, changed section by section."""
        quota, scale = self.options.quota, self.options.time_scale
        account = {"client_id": CLIENT_ID, "client_secret": "practice", "refresh_token": "practice"}
        document: dict[str, Mapping[str, object]] = {
            "": {},
            "accounts.acme": account | {"base_url": self.url, "accounts_url": self.url},
            "budget": {
                "calls": quota.calls,
                "period_s": quota.period_s / scale,
                "lock_s": quota.lock_s / scale,
                "burst_per_s": 1000,
            },
            "harvest": {"concurrency": CONCURRENCY, "call_timeout_s": CALL_TIMEOUT_S, "late_grace_s": 0.2},
        }
        sections = {name: {**document.get(name, {}), **changes.get(name, {})} for name in document | changes}
        (self.folder / "config.toml").write_text(_toml(sections), encoding="utf-8")

    async def start(
        self, *arguments: str, environment: Mapping[str, str] | None = None, before: Callable[[], None] | None = None
    ) -> Program:
        """Start `harvester ARGUMENTS` in the folder; `before` is called in the child, ahead of the program."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HARVESTER_")}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "harvester", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.folder,
            env={**inherited, "PYTHONWARNINGS": "error", **(environment or {})},
            preexec_fn=before,
        )
        self.programs.append(Program(process))
        return self.programs[-1]

    async def start_run(self, *flags: str, **how: Any) -> Program:
        return await self.start("run", "--as-of", DATE, *flags, **how)

    async def run(self, *flags: str, **how: Any) -> Ended:
        """Harvest the date and return what the process left."""
        return await (await self.start_run(*flags, **how)).ended()

    def hold_still(self, program: Program) -> None:
        """Stop a run outside of every transaction: stopped inside one, it would shut all others out of the ledger."""
        with closing(sqlite3.connect(self.state / "ledger.sqlite", TIMEOUT_S, isolation_level=None)) as ledger:
            ledger.execute("BEGIN IMMEDIATE")
            program.stop()
            ledger.execute("ROLLBACK")

    # --- what the server knows --------------------------------------------------------------------------------------

    @property
    def world(self) -> World:
        return self.server.zoho.world(CLIENT_ID)

    def campaigns(self, *kinds: Kind) -> list[Campaign]:
        return [campaign for campaign in self.world.campaigns if campaign.kind in kinds]

    def foreign_token(self) -> str:
        """Make an access token as another tool with the same credentials."""
        words = {"client_secret": "practice", "refresh_token": "practice", "grant_type": "refresh_token"}
        request = Request(TOKEN_PATH, {"client_id": CLIENT_ID, **words})
        return str(json.loads(self.server.zoho.answer(request, self.server.now_s()).body)["access_token"])

    def total(self, name: str) -> int:
        """Return one of the referee's totals: "calls", "lockouts", ..."""
        return int(self.referee.report()["totals"][name])

    def sheet(self, endpoint: str = RECIPIENTS) -> dict[str, Any]:
        """Return what the referee has of an endpoint, nothing if it was never called."""
        accounts = self.referee.report()["accounts"]
        return dict(accounts.get(CLIENT_ID, {}).get(endpoint, {}))

    def worst_window_calls(self) -> int:
        return int(self.sheet()["worst_calls"]["sliding"])

    # --- what is on disk --------------------------------------------------------------------------------------------

    def harvested(self) -> Partitions:
        """Return every published record by campaign key and action."""
        return {
            (path.name.partition(".")[0], path.parent.name.removeprefix("action=")): list(_records(path))
            for path in self.date_folder.glob("action=*/*")
        }

    def manifest(self) -> dict[str, Any]:
        return dict(json.loads((self.date_folder / "_manifest.json").read_bytes()))

    def all_bytes(self) -> dict[str, bytes]:
        """Return every file below the folder, by its path."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()
        }


@asynccontextmanager
async def rehearsing(folder: Path, options: Options, /, **changes: Mapping[str, object]) -> AsyncIterator[Rehearsal]:
    """Give a practised Zoho and a configuration for it in the folder; server and processes end with the context."""
    server, referee = Server(options), WatchedReferee(options.quota)
    server.zoho.referee = referee
    async with server.running() as url:
        rehearsal = Rehearsal(server, options, folder, url, referee)
        rehearsal.configure(**changes)
        try:
            yield rehearsal
        finally:
            for program in rehearsal.programs:
                await program.kill()


class Rehearse(Protocol):
    """Starts a practised Zoho and writes a configuration for it."""

    async def __call__(self, options: Options, /, **changes: Mapping[str, object]) -> Rehearsal: ...


def assert_is_truth(
    rehearsal: Rehearsal, campaigns: list[Campaign] | None = None, actions: tuple[str, ...] = ACTIONS
) -> None:
    """Check that the partitions hold the server's rows: all of them, each once, in order, verbatim."""
    world = rehearsal.world
    sent = rehearsal.campaigns(Kind.NORMAL, Kind.AB) if campaigns is None else campaigns
    harvested = rehearsal.harvested()
    assert set(harvested) == {(campaign.key, action) for campaign in sent for action in actions}
    for (key, action), records in harvested.items():
        assert [record["contact_id"] for record in records] == list(world.truth(key, action))
        assert [record["position"] for record in records] == list(range(1, len(records) + 1))
        assert [record["raw"] for record in records] == list(world.rows(key, action))


def assert_is_whole(rehearsal: Rehearsal) -> None:
    """Check that the manifest is true to the byte, `_SUCCESS` stands, and nothing unfinished is left."""
    manifest, folder = rehearsal.manifest(), rehearsal.date_folder
    done = [job for job in manifest["jobs"] if job["state"] == "done"]
    for job in done:
        content = (rehearsal.output / job["path"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (job["bytes"], job["sha256"])
        assert len(_lines(rehearsal.output / job["path"])) == job["rows"]
    assert manifest["rows"] == sum(job["rows"] for job in done)
    assert manifest["bytes"] == sum(job["bytes"] for job in done)
    assert manifest["state"] == "complete"
    names = {str(path.relative_to(rehearsal.output)) for path in folder.rglob("*") if path.is_file()}
    own = {str((folder / name).relative_to(rehearsal.output)) for name in ("_manifest.json", "_SUCCESS")}
    assert names == {job["path"] for job in done} | own
    assert list((rehearsal.output / "_parts").iterdir()) == []


def _records(path: Path) -> Iterator[dict[str, Any]]:
    return map(json.loads, _lines(path))


def _lines(path: Path) -> list[bytes]:
    content = path.read_bytes()
    *lines, rest = (gzip.decompress(content) if path.suffix == ".gz" else content).split(b"\n")
    assert rest == b""
    return lines


def _toml(sections: Mapping[str, Mapping[str, object]]) -> str:
    """Return the sections as TOML; strings, numbers, booleans and lists are written there nearly as in JSON."""
    lines = []
    for name, values in sections.items():
        lines += [f"[{name}]"] if name else []
        lines += [f"{key} = {_toml_value(value)}" for key, value in values.items() if value is not None]
    return "\n".join(lines) + "\n"


def _toml_value(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_toml_value(each)}' for key, each in value.items())} }}"
    return f"[{', '.join(map(_toml_value, value))}]" if isinstance(value, list) else json.dumps(value)
