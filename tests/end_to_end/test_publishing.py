"""Runs and `harvester publish` as real processes against a server that speaks S3: kills, faults, mistakes."""

import asyncio
import hashlib
import json
import random
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from end_to_end.rehearsal import DATE, Ended, Rehearsal, Rehearse
from object_store import BUCKET, CREDENTIALS, Asked, ObjectStore, Spoiling, object_store, proxied

from harvester.simulator.options import Options, WorldOptions

FOLDERS = ("recipients", "changes", "campaigns")
QUICK = {"region": "us-east-1", "patience_s": 1.0, "timeout_s": 5.0}


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    with object_store() as store:
        yield store


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """A prefix of its own for each test: they share the server."""
    return f"s3://{BUCKET}/{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]}"


def small() -> Options:
    return Options(time_scale=50.0, world=WorldOptions(campaigns=3, recipients_max=60))


def objects(server: ObjectStore, url: str) -> dict[str, bytes]:
    prefix = url.removeprefix(f"s3://{BUCKET}/") + "/"
    return {key.removeprefix(prefix): content for key, content in server.objects(prefix).items()}


def files(rehearsal: Rehearsal) -> dict[str, bytes]:
    """What lies in the folders that readers know."""
    paths = [path for folder in FOLDERS for path in (rehearsal.output / folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(rehearsal.output)): path.read_bytes() for path in paths}


async def publish(rehearsal: Rehearsal, *flags: str, environment: Mapping[str, str] = CREDENTIALS) -> Ended:
    return await (await rehearsal.start("publish", *flags, environment=environment)).ended()


async def harvested(rehearse: Rehearse, publish: Mapping[str, object]) -> Rehearsal:
    """Harvest without publishing, then let the configuration name the bucket."""
    rehearsal = await rehearse(small())
    assert (await rehearsal.run()).code == 0
    rehearsal.configure(publish={**QUICK, **publish})
    return rehearsal


async def test_a_run_publishes_what_it_has_harvested(rehearse: Rehearse, server: ObjectStore, url: str) -> None:
    """`output` may be the URL: files go to the default folder, and the bucket holds the very same, row for row."""
    changes: dict[str, Mapping[str, object]] = {"": {"output": url}, "publish": {**QUICK, "endpoint": server.url}}
    rehearsal = await rehearse(small(), **changes)

    ended = await rehearsal.run("--json", environment=CREDENTIALS)
    again = await rehearsal.run("--json", environment=CREDENTIALS)
    status = await (await rehearsal.start("status", "--json")).ended()

    assert ended.code == again.code == 0, ended.stderr
    assert objects(server, url) == files(rehearsal)
    assert [each["event"] for each in ended.events][-2:] == ["publish.started", "publish.finished"]
    assert [each for each in again.events if each["event"].startswith("publish.")] == []
    assert json.loads(ended.stdout)["accounts"][0]["published"] is True
    assert json.loads(status.stdout)["harvests"][0]["published"] is True


async def test_what_was_harvested_before_is_brought_by_a_command_of_its_own(
    rehearse: Rehearse, server: ObjectStore, url: str
) -> None:
    """`harvester publish` tells what it did, and nothing the second time; no call is made to Zoho."""
    rehearsal = await harvested(rehearse, {"url": url, "endpoint": server.url})
    calls = rehearsal.total("calls")

    first, second = await publish(rehearsal, "--json"), await publish(rehearsal)

    (date,) = json.loads(first.stdout)["dates"]
    assert (first.code, date["state"], date["files"]) == (0, "complete", len(files(rehearsal)) - 2)
    assert (second.code, second.last_line) == (0, f"nothing was to be published to {url}")
    assert objects(server, url) == files(rehearsal)
    assert rehearsal.total("calls") == calls


@pytest.mark.parametrize("seed", range(6))
async def test_killed_again_and_again_the_same_command_completes(
    rehearse: Rehearse, server: ObjectStore, url: str, seed: int
) -> None:
    """SIGKILL at requests drawn at random, before or after the store has done them: one whole date in the end."""
    rng = random.Random(seed)  # noqa: S311  any numbers will do
    rehearsal = await harvested(rehearse, {"url": url})
    for _ in range(3):
        moment, is_done, reached = rng.randint(1, 45), rng.random() < 0.5, asyncio.Event()

        def hold(asked: Asked, moment: int = moment, reached: asyncio.Event = reached) -> Spoiling:
            if asked.number < moment:
                return Spoiling.PASS
            reached.set()
            return Spoiling.HOLD if is_done else Spoiling.NEVER  # noqa: B023  it is called within this round

        async with proxied(server, hold) as proxy:
            rehearsal.configure(publish={**QUICK, "url": url, "endpoint": proxy.url})
            program = await rehearsal.start("publish", environment=CREDENTIALS)
            ending, waiting = asyncio.create_task(program.ended()), asyncio.create_task(reached.wait())
            await asyncio.wait([ending, waiting], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if not ending.done():
                program._process.kill()
            await ending
        assert_no_reader_is_misled(objects(server, url))
    rehearsal.configure(publish={**QUICK, "url": url, "endpoint": server.url})

    ended = await publish(rehearsal)

    assert ended.code == 0, ended.stderr
    assert objects(server, url) == files(rehearsal)


def assert_no_reader_is_misled(found: Mapping[str, bytes]) -> None:
    """Check that a manifest stands only beside all of its files, and `_SUCCESS` beside its manifest."""
    for key, content in found.items():
        if key.endswith("_SUCCESS"):
            assert key.replace("_SUCCESS", "_manifest.json") in found
        if key.endswith("_manifest.json"):
            for job in json.loads(content)["jobs"]:
                assert hashlib.sha256(found[job["path"]]).hexdigest() == job["sha256"]


async def test_two_processes_at_once_take_turns(rehearse: Rehearse, server: ObjectStore, url: str) -> None:
    """The second waits for the first, and finds nothing left to do."""
    rehearsal = await harvested(rehearse, {"url": url, "endpoint": server.url})

    ended = await asyncio.gather(publish(rehearsal), publish(rehearsal))

    assert [each.code for each in ended] == [0, 0], [each.stderr for each in ended]
    assert objects(server, url) == files(rehearsal)


async def test_a_store_that_fails_stops_the_run_resumable(rehearse: Rehearse, server: ObjectStore, url: str) -> None:
    """Exit code 75: the harvest is safe on disk, and the same command brings it to the bucket without another call."""
    rehearsal = await rehearse(small())
    async with proxied(server, lambda _: Spoiling.FAIL) as proxy:
        rehearsal.configure(publish={**QUICK, "url": url, "endpoint": proxy.url})
        stopped = await rehearsal.run(environment=CREDENTIALS)
    calls = rehearsal.total("calls")
    rehearsal.configure(publish={**QUICK, "url": url, "endpoint": server.url})

    ended = await rehearsal.run(environment=CREDENTIALS)

    assert stopped.code == 75
    assert f"go on with: harvester run --as-of {DATE}" in stopped.last_line
    assert "not published" in stopped.stderr
    assert ended.code == 0, ended.stderr
    assert objects(server, url) == files(rehearsal)
    assert rehearsal.total("calls") == calls


async def test_a_signal_lets_the_files_under_way_finish(rehearse: Rehearse, server: ObjectStore, url: str) -> None:
    """SIGTERM ends with 143 and a word how to go on; the next command brings the rest."""
    rehearsal = await harvested(rehearse, {"url": url, "concurrency": 1})
    asked_for: list[int] = []

    def spoil(asked: Asked) -> Spoiling:
        if asked.method == "PUT" and not asked_for:
            asked_for.append(asked.number)
            rehearsal.programs[-1]._process.terminate()
        return Spoiling.PASS

    async with proxied(server, spoil) as proxy:
        rehearsal.configure(publish={**QUICK, "url": url, "endpoint": proxy.url, "concurrency": 1})
        stopped = await publish(rehearsal)
        ended = await publish(rehearsal)

    assert stopped.code == 143, stopped.stderr
    assert "publishing was stopped (SIGTERM)" in stopped.last_line
    assert ended.code == 0, ended.stderr
    assert objects(server, url) == files(rehearsal)


@pytest.mark.parametrize("times", [1, 2])
async def test_a_signal_to_a_run_that_publishes_is_told(
    rehearse: Rehearse, server: ObjectStore, url: str, times: int
) -> None:
    """All jobs are done and the date is not published: the run is not complete, and the same command goes on."""
    rehearsal = await rehearse(small())
    reached = asyncio.Event()

    def spoil(_: Asked) -> Spoiling:
        reached.set()
        return Spoiling.NEVER

    async with proxied(server, spoil) as proxy:
        rehearsal.configure(publish={**QUICK, "url": url, "endpoint": proxy.url})
        program = await rehearsal.start_run(environment=CREDENTIALS)
        await reached.wait()
        program.signal(signal.SIGTERM)
        if times > 1:
            await program.event("drain.started")
            program.signal(signal.SIGTERM)
        stopped = await program.ended()
    rehearsal.configure(publish={**QUICK, "url": url, "endpoint": server.url})
    ended = await rehearsal.run(environment=CREDENTIALS)

    assert stopped.code == 143, stopped.stderr
    assert "not published" in stopped.stderr
    assert f"go on with: harvester run --as-of {DATE}" in stopped.last_line
    assert ended.code == 0, ended.stderr
    assert objects(server, url) == files(rehearsal)


async def test_mistakes_are_told_before_the_first_call(rehearse: Rehearse, tmp_path: Path, url: str) -> None:
    """A run that could not publish makes no call: the library is missing, or the credentials file is open to others."""
    rehearsal = await rehearse(small(), publish={"url": url})
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "obstore.py").write_text("raise ModuleNotFoundError('none here', name='obstore')")

    missing = await rehearsal.run(environment={**CREDENTIALS, "PYTHONPATH": str(broken)})
    (rehearsal.folder / "bucket").write_text("AWS_ACCESS_KEY_ID=x")
    (rehearsal.folder / "bucket").chmod(0o644)
    rehearsal.configure(publish={"url": url, "credentials_file": "bucket"})
    exposed = await rehearsal.run()
    (rehearsal.folder / "bucket").chmod(0o600)
    (rehearsal.folder / "bucket").write_text("AWS_ENDPOINT=http://203.0.113.1")
    stray = await rehearsal.run()

    assert (missing.code, exposed.code, stray.code) == (2, 2, 2)
    assert "pip install 'harvester[cloud]'" in missing.stderr
    assert "chmod 600" in exposed.stderr
    assert "203.0.113.1" not in stray.stderr
    assert rehearsal.total("calls") == 0


async def test_credentials_and_bucket_have_exit_codes_of_their_own(
    rehearse: Rehearse, server: ObjectStore, url: str
) -> None:
    """Wrong credentials: 4, a person must act. No such bucket: 2."""
    async with proxied(server, lambda _: Spoiling.DENY) as proxy:
        rehearsal = await harvested(rehearse, {"url": url, "endpoint": proxy.url})
        denied = await publish(rehearsal)
    rehearsal.configure(publish={**QUICK, "url": "s3://nobody/here", "endpoint": server.url})
    missing = await publish(rehearsal)

    assert (denied.code, missing.code) == (4, 2)
    assert "does not let us in" in denied.stderr
    assert "no such bucket" in missing.stderr


async def test_S_01_no_credential_is_left_anywhere(rehearse: Rehearse, server: ObjectStore, url: str) -> None:
    """Neither output, ledger, logs nor messages have a byte of the key, or name a contact, whatever goes wrong."""
    key = "canary-8d1f0c"
    rehearsal = await harvested(rehearse, {})
    secret = rehearsal.folder / "bucket"
    secret.write_text(f"AWS_ACCESS_KEY_ID=AKIA{key}\nAWS_SECRET_ACCESS_KEY={key}\n")
    secret.chmod(0o600)
    words = []
    for spoiling in (Spoiling.DENY, Spoiling.FAIL, Spoiling.PASS):
        async with proxied(server, lambda _, spoiling=spoiling: spoiling) as proxy:  # type: ignore[misc]
            publishing = {**QUICK, "url": url, "endpoint": proxy.url, "credentials_file": "bucket"}
            rehearsal.configure(publish=publishing)
            ended = await publish(rehearsal, environment={})
            words.append(ended.stdout + ended.stderr)

    assert all(key not in said and "@recipients" not in said for said in words)
    secret.unlink()
    assert [name for name, content in rehearsal.all_bytes().items() if key.encode() in content] == []
    assert objects(server, url) == files(rehearsal)


async def test_a_folder_is_published_to_for_its_owner_alone(rehearse: Rehearse, tmp_path: Path) -> None:
    """`file://` needs no server; what lies there is as private as the output folder."""
    lake = tmp_path / "lake"
    rehearsal = await harvested(rehearse, {"url": f"file://{lake}"})

    assert (await publish(rehearsal)).code == 0

    found = {str(path.relative_to(lake)): path for path in lake.rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in found.items()} == files(rehearsal)
    assert {path.stat().st_mode & 0o777 for path in found.values()} == {0o600}


LAST_REQUEST = """
import asyncio, sys, obstore
from obstore.store import from_url
from harvester.cli.main import _end_without_its_threads

async def put():
    options = {"endpoint": sys.argv[1], "region": "us-east-1", "access_key_id": "x", "secret_access_key": "y"}
    store = from_url("s3://lake/threads", config=options, client_options={"allow_http": True})
    await asyncio.gather(*(obstore.put_async(store, f"{number}", b"x") for number in range(16)))

asyncio.run(put())
_end_without_its_threads(3)
"""


async def test_threads_of_the_library_do_not_cost_the_exit_code(server: ObjectStore) -> None:
    """A process whose last request has just ended ends with its own code: an interpreter taken down often aborts."""

    async def code() -> int:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", LAST_REQUEST, server.url)
        return await process.wait()

    assert [await code() for _ in range(5)] == [3] * 5
