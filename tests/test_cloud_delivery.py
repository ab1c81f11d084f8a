"""Files on their way to a real server that speaks S3, through faults of the network and of the server."""

import asyncio
import base64
import hashlib
import io
import itertools
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from factories import seeded
from object_store import BUCKET, CREDENTIALS, Asked, ObjectStore, Spoiling, object_store, proxied

from harvester.cloud.bucket import PART_BYTES, Access, Bucket
from harvester.cloud.delivery import Courier
from harvester.errors import ConfigError, CredentialsError, DiskError, StoppedError
from harvester.publication import Deliverable

KEY = "recipients/account=acme/dt=2026-01-15/action=sentcontacts/k~1.jsonl.gz"


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    with object_store() as store:
        yield store


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """A prefix of its own for each test: they share the server."""
    return hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]


def courier_to(
    endpoint: str, prefix: str, *, patience_s: float = 20.0, timeout_s: float = 10.0, bucket: str = BUCKET
) -> Courier:
    options = {name.lower(): value for name, value in CREDENTIALS.items()}
    options |= {"aws_endpoint": endpoint, "aws_region": "us-east-1"}
    access = Access(
        f"s3://{bucket}/{prefix}",
        options,
        has_credentials=True,
        is_plain_http=True,
        timeout_s=timeout_s,
        patience_s=patience_s,
    )
    return Courier(Bucket(access), time.monotonic, asyncio.sleep, seeded())


def deliverable(content: bytes, key: str = KEY) -> Deliverable:
    return Deliverable(key, len(content), hashlib.sha256(content).hexdigest())


async def test_a_file_is_put_where_there_is_none_and_looked_at(server: ObjectStore, prefix: str) -> None:
    """One conditional put, one look: the object has the bytes, and the hash beside it."""
    async with proxied(server) as proxy:
        await courier_to(proxy.url, prefix).deliver(deliverable(b"rows"), b"rows", is_known=False)

    assert [asked.method for asked in proxy.asked] == ["PUT", "HEAD"]
    assert proxy.asked[0].has("if-none-match")
    assert server.read(f"{prefix}/{KEY}") == b"rows"
    assert server.remark(f"{prefix}/{KEY}") == deliverable(b"rows").sha256


@pytest.mark.parametrize("is_known", [True, False])
async def test_the_same_bytes_are_taken_for_what_they_are(server: ObjectStore, prefix: str, *, is_known: bool) -> None:
    """What a killed process has uploaded is found, and stays as it is."""
    await courier_to(server.url, prefix).deliver(deliverable(b"rows"), b"rows", is_known=False)

    async with proxied(server) as proxy:
        await courier_to(proxy.url, prefix).deliver(deliverable(b"rows"), b"rows", is_known=is_known)

    assert [asked.method for asked in proxy.asked] == (["HEAD"] if is_known else ["PUT", "HEAD"])


@pytest.mark.parametrize("is_known", [True, False])
async def test_other_bytes_are_exchanged_for_the_object_that_was_seen(
    server: ObjectStore, prefix: str, *, is_known: bool
) -> None:
    """A replaced file replaces its object, on the condition that nobody else does meanwhile."""
    await courier_to(server.url, prefix).deliver(deliverable(b"old"), b"old", is_known=False)

    async with proxied(server) as proxy:
        await courier_to(proxy.url, prefix).deliver(deliverable(b"new"), b"new", is_known=is_known)

    assert server.read(f"{prefix}/{KEY}") == b"new"
    assert any(asked.has("if-match") for asked in proxy.asked if asked.method == "PUT")


async def test_an_object_that_a_stranger_put_there_is_read_before_it_is_judged(
    server: ObjectStore, prefix: str
) -> None:
    """Without the hash beside it only the bytes tell whether it is the file."""
    server.put(f"{prefix}/{KEY}", b"rows")

    async with proxied(server) as proxy:
        await courier_to(proxy.url, prefix).deliver(deliverable(b"rows"), b"rows", is_known=False)

    assert [asked.method for asked in proxy.asked] == ["PUT", "HEAD", "GET"]
    assert server.read(f"{prefix}/{KEY}") == b"rows"


async def test_a_stranger_of_the_same_size_is_replaced(server: ObjectStore, prefix: str) -> None:
    """Size alone proves nothing."""
    server.put(f"{prefix}/{KEY}", b"swor")

    await courier_to(server.url, prefix).deliver(deliverable(b"rows"), b"rows", is_known=False)

    assert server.read(f"{prefix}/{KEY}") == b"rows"


async def test_another_writer_between_look_and_exchange_is_noticed(server: ObjectStore, prefix: str) -> None:
    """A refused condition (412) ends in another look, and in our bytes."""
    server.put(f"{prefix}/{KEY}", b"first")
    late = iter([b"second"])

    def overtake(asked: Asked) -> Spoiling:
        if asked.method == "PUT" and (content := next(late, None)):
            server.put(f"{prefix}/{KEY}", content)
        return Spoiling.PASS

    async with proxied(server, overtake) as proxy:
        await courier_to(proxy.url, prefix).deliver(deliverable(b"ours"), b"ours", is_known=True)

    assert server.read(f"{prefix}/{KEY}") == b"ours"
    assert [asked.method for asked in proxy.asked].count("PUT") == 2


async def test_a_writer_that_never_rests_is_told_of(server: ObjectStore, prefix: str) -> None:
    """Two writers of one object are a mistake of the set-up: bounded tries, then a word with a remedy."""

    def overtake(asked: Asked) -> Spoiling:
        if asked.method == "PUT":
            server.put(f"{prefix}/{KEY}", b"theirs %d" % asked.number)
        return Spoiling.PASS

    async with proxied(server, overtake) as proxy:
        with pytest.raises(StoppedError, match="still another one"):
            await courier_to(proxy.url, prefix).deliver(deliverable(b"ours"), b"ours", is_known=True)


@pytest.mark.parametrize("spoiling", [Spoiling.FAIL, Spoiling.RESET, Spoiling.LOSE])
async def test_H_01_H_18_faults_are_outlived(server: ObjectStore, prefix: str, spoiling: Spoiling) -> None:
    """Each request fails twice, also after the server has done it: one object with the right bytes."""
    async with proxied(server, lambda asked: spoiling if asked.number % 3 else Spoiling.PASS) as proxy:
        await courier_to(proxy.url, prefix).deliver(deliverable(b"rows"), b"rows", is_known=False)

    assert server.read(f"{prefix}/{KEY}") == b"rows"
    assert sum(key.startswith(prefix) for key in server.objects()) == 1


async def test_H_03_an_answer_that_never_comes_is_given_up(server: ObjectStore, prefix: str) -> None:
    """A request has its time, and the next one finds what it did."""
    async with proxied(server, lambda asked: Spoiling.HOLD if asked.number == 1 else Spoiling.PASS) as proxy:
        courier = courier_to(proxy.url, prefix, timeout_s=0.5)
        await courier.deliver(deliverable(b"rows"), b"rows", is_known=False)

    assert server.read(f"{prefix}/{KEY}") == b"rows"


async def test_H_02_patience_ends(server: ObjectStore, prefix: str) -> None:
    """A store that fails for longer than `patience_s` stops the publishing, resumable."""
    async with proxied(server, lambda _: Spoiling.FAIL) as proxy:
        with pytest.raises(StoppedError, match=r"does not answer as it should \(500 InternalError\)"):
            await courier_to(proxy.url, prefix, patience_s=0.5).deliver(deliverable(b"rows"), b"rows", is_known=False)


async def test_refused_credentials_are_not_tried_again(server: ObjectStore, prefix: str) -> None:
    """A person must act; neither key nor answer is repeated in the words."""
    async with proxied(server, lambda _: Spoiling.DENY) as proxy:
        with pytest.raises(CredentialsError, match=r"403 InvalidAccessKeyId") as caught:
            await courier_to(proxy.url, prefix).deliver(deliverable(b"rows"), b"rows", is_known=False)

    assert len(proxy.asked) == 1
    assert not any(secret in str(caught.value) for secret in CREDENTIALS.values())


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_missing_bucket_is_a_mistake_of_the_configuration(
    server: ObjectStore, prefix: str, *, is_known: bool
) -> None:
    """No such bucket: told at once, by what to do."""
    with pytest.raises(ConfigError, match="no such bucket"):
        await courier_to(server.url, prefix, bucket="nobody").deliver(deliverable(b"x"), b"x", is_known=is_known)


async def test_what_is_to_be_gone_is_gone(server: ObjectStore, prefix: str) -> None:
    """To remove what is not there is no error, and a lost answer neither."""
    server.put(f"{prefix}/{KEY}", b"old")

    async with proxied(server, lambda asked: Spoiling.LOSE if asked.number == 1 else Spoiling.PASS) as proxy:
        await courier_to(proxy.url, prefix).remove(KEY)
        await courier_to(proxy.url, prefix).remove(KEY)

    assert f"{prefix}/{KEY}" not in server.objects()


async def test_a_large_file_goes_up_in_parts(server: ObjectStore, prefix: str) -> None:
    """It is whole when it shows up, also where a part was lost, and the same file is not sent again."""
    content = bytes(range(256)) * (PART_BYTES // 256 * 2 + 3)
    lost = iter([Spoiling.LOSE])

    def spoil(asked: Asked) -> Spoiling:
        return next(lost, Spoiling.PASS) if asked.method == "PUT" else Spoiling.PASS

    async with proxied(server, spoil) as proxy:
        courier = courier_to(proxy.url, prefix)
        await courier.deliver(deliverable(content), io.BufferedReader(io.BytesIO(content)), is_known=False)
        sent = len(proxy.asked)
        await courier.deliver(deliverable(content), io.BufferedReader(io.BytesIO(content)), is_known=False)

    assert server.read(f"{prefix}/{KEY}") == content
    assert len(proxy.asked) == sent + 1


async def test_the_server_is_told_what_must_arrive(server: ObjectStore, prefix: str) -> None:
    """Each request has the SHA-256 of its body: S3 stores none that has another, of a large file no such part."""
    large = b"x" * (PART_BYTES + 1)
    async with proxied(server) as proxy:
        courier = courier_to(proxy.url, prefix)
        await courier.deliver(deliverable(b"rows"), b"rows", is_known=False)
        await courier.deliver(deliverable(large), io.BufferedReader(io.BytesIO(large)), is_known=False)

    told = {found[1] for asked in proxy.asked if (found := re.search(r"x-amz-checksum-sha256: (\S+)", asked.headers))}
    bodies = (b"rows", large[:PART_BYTES], large[PART_BYTES:])
    assert told == {base64.b64encode(hashlib.sha256(body).digest()).decode() for body in bodies}


async def test_who_may_not_list_is_not_taken_for_a_stranger(server: ObjectStore, prefix: str) -> None:
    """S3 refuses a look at what is absent to those who may not list: a large file goes up all the same."""
    content = b"x" * (PART_BYTES + 1)
    async with proxied(server, lambda asked: Spoiling.DENY if asked.number == 1 else Spoiling.PASS) as proxy:
        file = io.BufferedReader(io.BytesIO(content))
        await courier_to(proxy.url, prefix).deliver(deliverable(content), file, is_known=False)

    assert proxy.asked[0].method == "HEAD"
    assert server.read(f"{prefix}/{KEY}") == content


async def test_patience_begins_with_the_first_failure(server: ObjectStore, prefix: str) -> None:
    """An upload that fails after a longer time than `patience_s` is tried again."""
    now_s = itertools.count(0, 1000)
    async with proxied(server, lambda asked: Spoiling.LOSE if asked.number == 1 else Spoiling.PASS) as proxy:
        patient = courier_to(proxy.url, prefix)
        courier = Courier(patient.bucket, lambda: float(next(now_s)), asyncio.sleep, seeded())
        await courier.deliver(deliverable(b"rows"), b"rows", is_known=False)

    assert server.read(f"{prefix}/{KEY}") == b"rows"


async def test_asked_to_stop_it_does_not_try_again(server: ObjectStore, prefix: str) -> None:
    """Between two tries it is heard that the run is to end."""

    async def pause(_: float) -> None:
        raise StoppedError("SIGTERM")

    async with proxied(server, lambda _: Spoiling.RESET) as proxy:
        courier = Courier(courier_to(proxy.url, prefix).bucket, time.monotonic, pause, seeded())
        with pytest.raises(StoppedError, match="SIGTERM"):
            await courier.deliver(deliverable(b"rows"), b"rows", is_known=False)

    assert len(proxy.asked) == 1


async def test_credentials_that_are_given_stand_alone(
    server: ObjectStore, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the environment has of others is not mixed in, and stays there for others."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "stale")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    async with proxied(server) as proxy:
        await courier_to(proxy.url, prefix).deliver(deliverable(b"rows"), b"rows", is_known=False)

    assert all(asked.has("authorization") and not asked.has("x-amz-security-token") for asked in proxy.asked)
    assert os.environ["AWS_SESSION_TOKEN"] == "stale"


def test_half_of_the_credentials_is_told_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person must act: no network was asked, so waiting is of no use."""
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)

    with pytest.raises(CredentialsError, match="no credentials were found"):
        Bucket(Access("s3://lake", {"aws_access_key_id": "AKIAPRACTICE"}))


def test_a_folder_that_refuses_is_trouble_of_the_disk(tmp_path: Path) -> None:
    """It cannot be made, or what a killed process left in it cannot be removed: who owns the disk acts."""
    with pytest.raises(DiskError):
        Bucket(Access("file:///proc/none"))
    (tmp_path / "k#1").mkdir()

    with pytest.raises(DiskError):
        Bucket(Access(f"file://{tmp_path}")).clear_leftovers(["k"])


async def test_a_folder_is_a_store_too(tmp_path: Path) -> None:
    """`file://` knows no metadata and no exchange: the object is read again, and replaced as a whole."""
    courier = Courier(Bucket(Access(f"file://{tmp_path}/a%20lake")), time.monotonic, asyncio.sleep, seeded())

    await courier.deliver(deliverable(b"old"), b"old", is_known=False)
    await courier.deliver(deliverable(b"old"), b"old", is_known=False)
    for number in (1, 2):
        (tmp_path / "a lake" / f"{KEY}#{number}").write_bytes(b"what killed processes left")
    courier.bucket.clear_leftovers([KEY, "recipients/none", f"{KEY}/below/a/file"])
    await courier.deliver(deliverable(b"new"), b"new", is_known=True)
    await courier.remove("nothing")

    assert [path.name for path in (tmp_path / "a lake").rglob("*") if path.is_file()] == ["k~1.jsonl.gz"]
    assert (tmp_path / "a lake" / KEY).read_bytes() == b"new"
