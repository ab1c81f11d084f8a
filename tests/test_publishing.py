"""Dates on their way to a real server that speaks S3: what a reader of the bucket sees at every moment."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from factories import DATE, rows
from object_store import Asked, ObjectStore, Spoiling, object_store, proxied
from shore import CONCURRENCY, NOW, Shore, ashore, cut_off, flaws_in, watched

from harvester.engine.stop import Stop
from harvester.errors import BusyError, StoppedError, VerificationError
from harvester.events import PublishFinished, PublishLeftOut, PublishStarted, PublishStored
from harvester.model import Action, Campaign, Harvest
from harvester.operations.date_publication import PublishDesk
from harvester.operations.publishing import UNFINISHED, publish
from harvester.report.publishing import DateLine
from harvester.store.lock import exclusive
from harvester.store.manifest import mark_running
from harvester.store.partitions import Compression
from harvester.store.purging import Purge


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    with object_store() as store:
        yield store


@pytest.fixture
def shore(tmp_path: Path, server: ObjectStore, request: pytest.FixtureRequest) -> Iterator[Shore]:
    with ashore(tmp_path, server, request.node.nodeid) as shore:
        yield shore


async def test_all_that_a_reader_needs_is_there_and_nothing_else(shore: Shore) -> None:
    """The bucket holds the very files: data first, then the manifest, `_SUCCESS` last; no part, no quarantine."""
    shore.nights.harvested(0, rows(1, 5))
    shore.nights.harvested(0, rows(1, 3), action=Action.OPENED)
    shore.told(0)
    for hidden in ("_parts/x.jsonl", "_quarantine/x.reply", "recipients/account=acme/stranger"):
        (shore.nights.output / hidden).parent.mkdir(exist_ok=True)
        (shore.nights.output / hidden).write_bytes(b"secret")

    async with proxied(shore.server) as proxy:
        lines = await shore.published(0, endpoint=proxy.url)

    (shore.nights.output / "recipients/account=acme/stranger").unlink()
    assert shore.objects() == shore.files()
    uploads = [asked.name for asked in proxy.asked if asked.method == "PUT"]
    assert uploads == ["k1.jsonl.gz", "k1.jsonl.gz", "_manifest.json", "_SUCCESS"]
    assert [asked.name for asked in proxy.asked if asked.method == "DELETE"] == ["_SUCCESS", "_manifest.json"]
    assert lines == [DateLine("acme", DATE.isoformat(), "complete", 2, lines[0].bytes)]
    kinds = [type(event) for event in shore.nights.events]
    assert kinds == [PublishStarted, PublishStored, PublishStored, PublishFinished]
    assert shore.is_published(0)


async def test_change_files_and_the_listing_go_with_their_date(shore: Shore) -> None:
    """Whatever the manifest names is published."""
    shore.nights.harvested(0, rows(1, 3))
    shore.nights.harvested(1, rows(2, 3))
    await shore.nights.compared(0)
    await shore.nights.compared(1)
    shore.told(0, 1)

    await shore.published(0, 1)

    assert shore.objects() == shore.files()
    assert any(key.startswith("changes/") for key in shore.objects())


async def test_what_is_there_costs_no_request(shore: Shore) -> None:
    """The ledger knows what was published: the same command again asks nothing of the store."""
    shore.nights.harvested(0, rows(1, 3))
    shore.told(0)
    await shore.published(0)

    async with proxied(shore.server) as proxy:
        assert await shore.published(0, endpoint=proxy.url) == []

    assert proxy.asked == []


async def test_a_carried_partition_is_uploaded_once(shore: Shore) -> None:
    """A date that refers to the file of an earlier one brings its own manifest alone, and its object is there."""
    shore.nights.harvested(0, rows(1, 3))
    shore.nights.carried(1)
    shore.told(0, 1)
    await shore.published(0)

    async with proxied(shore.server) as proxy:
        await shore.published(1, endpoint=proxy.url)

    assert [asked.name for asked in proxy.asked if asked.method == "PUT"] == ["_manifest.json", "_SUCCESS"]
    assert flaws_in(shore.objects()) == []


async def test_a_carried_partition_of_a_date_never_published_is_uploaded(shore: Shore) -> None:
    """Everything that the manifest names is there, wherever it lies."""
    shore.nights.harvested(0, rows(1, 3))
    shore.nights.carried(1)
    shore.told(0, 1)

    await shore.published(1)

    assert flaws_in(shore.objects()) == []
    assert not shore.is_published(0)
    assert shore.is_published(1)


async def test_at_no_moment_does_a_reader_see_a_manifest_with_other_files(shore: Shore) -> None:
    """A date harvested again is taken back with the dates that carry it, before its first object is replaced."""
    shore.nights.harvested(0, rows(1, 3))
    shore.nights.harvested(0, rows(1, 3), key="k2")
    shore.nights.carried(1)
    shore.nights.carried(2, key="k2")
    shore.told(0, 1, 2)
    await shore.published(0, 1, 2)
    shore.nights.sent_back(0)
    shore.nights.harvested(0, rows(4, 9))
    shore.nights.harvested(0, rows(7, 9), key="k2")
    shore.told(0, 1, 2)
    lines = await watched(shore, 0)

    assert shore.objects() == shore.files()
    assert [line.date[-2:] for line in lines] == ["14", "15", "16"]


async def test_a_file_under_another_name_is_removed_before_the_manifest_comes(shore: Shore) -> None:
    """A run with another compression leaves one object for each set, as it leaves one file."""
    shore.nights.harvested(0, rows(1, 3))
    shore.told(0)
    await shore.published(0)
    shore.nights.compression = Compression.ZSTD
    shore.nights.sent_back(0)
    shore.nights.harvested(0, rows(1, 4))
    shore.told(0)

    async with proxied(shore.server) as proxy:
        (line,) = await shore.published(0, endpoint=proxy.url)

    assert line.removed == 1
    assert shore.objects() == shore.files()
    assert proxy.told.index("DELETE k1.jsonl.gz") < proxy.told.index("PUT _manifest.json")


async def test_a_partial_date_has_a_manifest_and_no_success(shore: Shore) -> None:
    """What is there can be loaded as far as it goes; the word comes when the date is complete."""
    shore.nights.harvested(0, rows(1, 3))
    shore.nights.ledger.plan(shore.nights.of(0), [Campaign("k2")], [Action.SENT])
    shore.told(0)
    await shore.published(0)
    assert sorted(key.rpartition("/")[2] for key in shore.objects()) == ["_manifest.json", "k1.jsonl.gz"]
    assert shore.is_published(0)

    shore.nights.harvested(0, rows(1, 2), key="k2")
    shore.told(0)
    assert not shore.is_published(0)
    await shore.published(0)

    assert shore.objects() == shore.files()
    assert any(key.endswith("_SUCCESS") for key in shore.objects())


async def test_a_date_that_a_run_is_at_work_on_is_left_out(shore: Shore) -> None:
    """Its files may move: readers keep what was published before, and the rest comes when the run has ended."""
    shore.nights.harvested(0, rows(1, 3))
    shore.told(0)
    await shore.published(0)
    before = shore.objects()
    mark_running(shore.nights.output, shore.nights.ledger, shore.nights.of(0), NOW)

    (line,) = await shore.published(0)

    assert line.left_out == UNFINISHED
    assert isinstance(shore.nights.events[-1], PublishLeftOut)
    assert shore.objects() == before
    shore.told(0)
    await shore.published(0)
    assert shore.objects() == shore.files()


async def test_a_file_that_is_not_the_one_named_is_not_published(shore: Shore) -> None:
    """Damage on the local disk never reaches the bucket as a date that looks whole."""
    job = shore.nights.harvested(0, rows(1, 3))
    shore.told(0)
    path = next((shore.nights.output / "recipients").rglob("*.jsonl.gz"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")

    with pytest.raises(VerificationError, match="SHA-256 differs") as caught:
        await shore.published(0)

    assert job.campaign.key in str(caught.value)
    assert shore.objects() == {}


async def test_a_carried_partition_counts_for_the_first_of_two_new_dates_alone(shore: Shore) -> None:
    """Table, events and progress tell what is uploaded, however many dates name it."""
    shore.nights.harvested(0, rows(1, 3))
    shore.nights.carried(1)
    shore.nights.harvested(1, rows(1, 2), key="k2")
    shore.told(0, 1)

    lines = await shore.published(0, 1)

    sizes = {path.parent.parent.name[-2:]: path.stat().st_size for path in shore.nights.output.rglob("*.jsonl.gz")}
    wanted = [("14", 1, sizes["14"]), ("15", 1, sizes["15"])]
    assert [(line.date[-2:], line.files, line.bytes) for line in lines] == wanted
    told = [each for each in shore.nights.events if isinstance(each, PublishStarted | PublishFinished)]
    assert [(each.date[-2:], each.files, each.bytes) for each in told] == [wanted[0], wanted[0], wanted[1], wanted[1]]


async def test_a_damaged_file_keeps_no_date_from_the_store_but_those_that_name_it(shore: Shore) -> None:
    """Tonight's date comes whole; the damage is told at the end, and after a repair the rest comes."""
    shore.nights.harvested(0, rows(1, 3))
    shore.nights.carried(1)
    shore.nights.harvested(2, rows(1, 2), key="k2")
    shore.told(0, 1, 2)
    path = next((shore.nights.output / "recipients").rglob("k1.jsonl.gz"))
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"x")

    with pytest.raises(VerificationError, match="SHA-256 differs"):
        await shore.published(0, 1, 2)

    assert [shore.is_published(night) for night in (0, 1, 2)] == [False, False, True]
    assert flaws_in(shore.objects()) == []
    path.write_bytes(content)
    assert [line.date[-2:] for line in await shore.published(0, 1, 2)] == ["14", "15"]
    assert shore.objects() == shore.files()


async def test_asked_to_stop_it_stops_between_two_files_and_goes_on(shore: Shore) -> None:
    """What is uploaded is known: the next command brings the rest."""
    for key in ("k1", "k2", "k3"):
        shore.nights.harvested(0, rows(1, 3), key=key)
    shore.told(0)

    def ask(asked: Asked) -> Spoiling:
        if asked.method == "PUT":
            shore.stop.ask("SIGTERM")
        return Spoiling.PASS

    async with proxied(shore.server, ask) as proxy:
        with pytest.raises(StoppedError, match=r"stopped \(SIGTERM\)"):
            await shore.published(0, endpoint=proxy.url)
    assert flaws_in(shore.objects()) == []

    shore.stop = Stop()
    await shore.published(0)
    assert shore.objects() == shore.files()


@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize("number", range(1, 17))
async def test_cut_off_at_any_request_the_same_command_completes(shore: Shore, number: int, *, is_done: bool) -> None:
    """Before or after the store has done it: no reader is misled, and the next command ends in one whole date."""
    shore.nights.harvested(0, rows(1, 3))
    shore.nights.carried(1)
    shore.told(0, 1)
    await shore.published(0, 1)
    shore.nights.sent_back(0)
    shore.nights.harvested(0, rows(5, 4))
    shore.told(0, 1)

    await cut_off(shore, 0, number, is_done=is_done)
    assert flaws_in(shore.objects()) == []
    await shore.published(0)

    assert shore.objects() == shore.files()
    assert shore.is_published(0)
    assert shore.is_published(1)


async def test_no_more_files_are_under_way_than_asked_for(shore: Shore) -> None:
    """`publish.concurrency` bounds the requests at once."""
    for number in range(12):
        shore.nights.harvested(0, rows(1, 3), key=f"k{number}")
    shore.told(0)

    async with proxied(shore.server) as proxy:
        await shore.published(0, endpoint=proxy.url)

    assert 1 < proxy.at_once_max <= CONCURRENCY


async def test_a_ledger_that_forgot_finds_its_objects_again(shore: Shore) -> None:
    """After the loss of what is known the same files are taken for what they are, and none is sent twice."""
    shore.nights.harvested(0, rows(1, 3))
    shore.told(0)
    await shore.published(0)
    shore.nights.database.brief.execute("DELETE FROM publications")

    await shore.published(0)

    assert shore.objects() == shore.files()


async def test_a_purged_date_leaves_the_store_but_for_files_that_later_dates_have(shore: Shore) -> None:
    """What the ledger and the disk know no more is removed with the next date; what is referred to stays."""
    shore.nights.harvested(0, rows(1, 3))
    shore.nights.harvested(0, rows(1, 3), key="k2")
    shore.nights.carried(1)
    shore.told(0, 1)
    await shore.published(0, 1)
    Purge(shore.nights.database, shore.nights.output, shore.nights.date(1)).carry_out(
        Purge(shore.nights.database, shore.nights.output, shore.nights.date(1)).dates()
    )

    gone, *_ = await shore.published(1)

    assert (gone.state, gone.date, gone.removed) == ("purged", DATE.isoformat(), 3)
    assert shore.objects() == shore.files()
    assert flaws_in(shore.objects()) == []
    assert sorted(path.rpartition("/")[2] for path in shore.objects()) == ["_SUCCESS", "_manifest.json", "k1.jsonl.gz"]
    assert await shore.published(1) == []


async def test_another_url_is_another_place(shore: Shore) -> None:
    """What was published elsewhere does not count."""
    shore.nights.harvested(0, rows(1, 3))
    shore.told(0)
    await shore.published(0)

    shore.prefix += "-moved"
    await shore.published(0)

    assert shore.objects() == shore.files()


async def test_two_that_publish_at_once_end_in_one_object_each(shore: Shore) -> None:
    """Where a second machine publishes the same files to the same prefix, conditions keep the objects whole."""
    for key in ("k1", "k2", "k3"):
        shore.nights.harvested(0, rows(1, 3), key=key)
    shore.told(0)
    other = Shore(shore.nights, shore.server, shore.prefix)
    desks = [shore.desk(), other.desk()]
    harvests: Sequence[Harvest] = [shore.nights.of(0)]
    unlocked = [_elsewhere(desk, name) for desk, name in zip(desks, "ab", strict=True)]

    await asyncio.gather(*(publish(desk, harvests) for desk in unlocked))

    assert shore.objects() == shore.files()


def _elsewhere(desk: PublishDesk, name: str) -> PublishDesk:
    """A desk with a lock of its own, as that of another machine."""
    return replace(desk, lock=desk.lock / name)


async def test_one_waits_while_another_publishes(shore: Shore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes of one state folder take turns; one that waits too long says who goes on."""
    monkeypatch.setattr("harvester.operations.publishing.LOCK_LOOK_S", 0.01)
    shore.nights.harvested(0, rows(1, 3))
    shore.told(0)

    with exclusive(shore.desk().lock):
        publishing = asyncio.create_task(shore.published(0))
        await asyncio.wait([publishing], timeout=0.05)
        assert not publishing.done()
    await publishing
    assert shore.objects() == shore.files()

    monkeypatch.setattr("harvester.operations.publishing.LOCK_WAIT_S", 0.02)
    with exclusive(shore.desk().lock), pytest.raises(BusyError, match="publishes acme, or changes"):
        await shore.published(0)
