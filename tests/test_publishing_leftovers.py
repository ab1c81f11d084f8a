"""What leaves the store again: whatever no published date names, also after a kill, a purge or an erasure."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from factories import rows
from nights import Nights
from object_store import Asked, ObjectStore, Spoiling, object_store, proxied
from published import PUBLISHED, assert_kills_do_no_harm
from shore import NOW, Shore, ashore, cut_off, flaws_in, watched
from traced import typed

from harvester.errors import StoppedError, VerificationError
from harvester.model import Action, Campaign, JobState
from harvester.operations.publishing import FORGETTING, PURGED, UNFINISHED, UNPUBLISHED
from harvester.snapshot import Carry
from harvester.store.database import Database
from harvester.store.manifest import mark_running, write_manifest
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


def purged(shore: Shore, before: int) -> None:
    purge = Purge(shore.nights.database, shore.nights.output, shore.nights.date(before))
    purge.carry_out(purge.dates())


async def two_nights(shore: Shore) -> None:
    """Publish the later of two dates alone; it carries the set that the earlier one has read."""
    shore.nights.harvested(0, rows(1, 3))
    shore.nights.carried(1)
    shore.told(0, 1)
    await shore.published(1)


# --- what no date names -----------------------------------------------------------------------------------------------


async def test_what_no_published_date_carries_any_more_is_removed(shore: Shore) -> None:
    """An object of a date that was never published goes with the last date that named it."""
    await two_nights(shore)
    shore.nights.ledger.requeue(shore.nights.of(1), [JobState.CARRIED])
    shore.nights.harvested(1, rows(1, 4))
    shore.told(0, 1)

    mine, theirs = await shore.published(1)

    assert (mine.state, theirs.state, theirs.removed) == ("complete", UNPUBLISHED, 1)
    own = f"dt={shore.nights.date(1)}"
    assert shore.objects() == {path: content for path, content in shore.files().items() if own in path}
    assert await shore.published(1) == []


@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize("number", range(1, 13))
async def test_cut_off_at_any_request_nothing_is_left_over(shore: Shore, number: int, *, is_done: bool) -> None:
    """Whatever request is the last, the same command removes what no published date carries."""
    await two_nights(shore)
    shore.nights.ledger.requeue(shore.nights.of(1), [JobState.CARRIED])
    shore.nights.harvested(1, rows(1, 4))
    shore.told(0, 1)

    await cut_off(shore, 1, number, is_done=is_done)
    assert flaws_in(shore.objects()) == []
    await shore.published(1)

    own = f"dt={shore.nights.date(1)}"
    assert shore.objects() == {path: content for path, content in shore.files().items() if own in path}


async def test_an_object_that_came_before_a_kill_is_known(shore: Shore) -> None:
    """A kill between upload and note, then another compression: the first object is found and removed."""
    shore.nights.harvested(0, rows(1, 3))
    shore.told(0)
    await cut_off(shore, 0, 3, is_done=True)
    assert [path.rpartition("/")[2] for path in shore.objects()] == ["k1.jsonl.gz"]
    shore.nights.compression = Compression.ZSTD
    shore.nights.sent_back(0)
    shore.nights.harvested(0, rows(1, 3))
    shore.told(0)

    await shore.published(0)

    assert shore.objects() == shore.files()


async def test_an_account_without_dates_leaves_the_store(shore: Shore) -> None:
    """After a purge of all of its dates nothing of an account stays behind."""
    shore.nights.harvested(0, rows(1, 3))
    shore.told(0)
    await shore.published(0)
    purged(shore, 1)

    (line,) = await shore.published()

    assert (line.state, line.removed) == (PURGED, 3)
    assert shore.objects() == {}
    assert shore.book.accounts() == []


@pytest.mark.parametrize("carry", [Carry.HARDLINK, Carry.COPY])
async def test_a_purged_date_leaves_nothing_that_later_dates_have_as_their_own(shore: Shore, carry: Carry) -> None:
    """Whoever carries by hard link or copy names no file of the earlier date, which only the next carrying may need."""
    shore.nights.carry = carry
    shore.nights.harvested(0, rows(1, 3))
    shore.nights.carried(1)
    shore.told(0, 1)
    await shore.published(0, 1)
    purged(shore, 1)

    (line,) = await shore.published(1)

    assert (line.state, line.removed) == (PURGED, 3)
    own = f"dt={shore.nights.date(1)}"
    assert shore.objects() == {path: content for path, content in shore.files().items() if own in path}


async def test_new_dates_come_before_old_ones_go(shore: Shore) -> None:
    """However much is to be removed of purged dates, tonight's date is there first."""
    shore.nights.harvested(0, rows(1, 3))
    shore.told(0)
    await shore.published(0)
    purged(shore, 1)
    shore.nights.harvested(1, rows(1, 3))
    shore.told(1)

    async with proxied(shore.server) as proxy:
        await shore.published(1, endpoint=proxy.url)

    told = [name for name in proxy.told if name in {"PUT _SUCCESS", "DELETE k1.jsonl.gz"}]
    assert told == ["PUT _SUCCESS", "DELETE k1.jsonl.gz"]
    assert shore.objects() == shore.files()


# --- when a date is taken back ----------------------------------------------------------------------------------------


async def test_a_date_to_which_files_are_added_is_never_taken_back(shore: Shore) -> None:
    """What its old manifest names stays: readers have that date until the new manifest takes its place."""
    shore.nights.harvested(0, rows(1, 3))
    shore.nights.ledger.plan(shore.nights.of(0), [Campaign("k2")], [Action.SENT])
    shore.told(0)
    await shore.published(0)
    shore.nights.harvested(0, rows(1, 2), key="k2")
    shore.told(0)

    async with proxied(shore.server) as proxy:
        await shore.published(0, endpoint=proxy.url)

    assert not any(asked.method == "DELETE" for asked in proxy.asked)
    assert proxy.told.count("PUT _manifest.json") == 1
    assert shore.objects() == shore.files()


async def test_a_date_that_is_complete_no_more_loses_its_success_first(shore: Shore) -> None:
    """`_SUCCESS` never stands beside a manifest that says something else."""
    shore.nights.harvested(0, rows(1, 3))
    shore.told(0)
    await shore.published(0)
    shore.nights.ledger.plan(shore.nights.of(0), [Campaign("k2")], [Action.SENT])
    shore.told(0)

    async with proxied(shore.server) as proxy:
        await shore.published(0, endpoint=proxy.url)

    changes = [name for name in proxy.told if not name.startswith("HEAD")]
    assert changes[0] == "DELETE _SUCCESS"
    assert shore.objects() == shore.files()
    assert await shore.published(0) == []


async def test_a_date_at_work_is_taken_back_before_an_object_changes(shore: Shore) -> None:
    """Its published manifest may name what is replaced."""
    shore.nights.harvested(0, rows(1, 3))
    shore.nights.carried(1)
    shore.told(0, 1)
    await shore.published(0, 1)
    shore.nights.sent_back(0)
    shore.nights.harvested(0, rows(5, 4))
    shore.told(0)
    mark_running(shore.nights.output, shore.nights.ledger, shore.nights.of(1), NOW)
    lines = await watched(shore, 0)

    assert [line.left_out for line in lines] == [None, UNFINISHED]
    assert flaws_in(shore.objects()) == []
    shore.told(1)
    await shore.published(0)
    assert shore.objects() == shore.files()


async def test_a_purged_date_is_taken_back_before_an_object_changes(shore: Shore) -> None:
    """Of a purged date there is no file left that could tell what its published manifest names."""
    shore.nights.harvested(0, rows(1, 3))
    shore.nights.carried(1)
    shore.told(0, 1)
    await shore.published(0, 1)
    shore.nights.sent_back(0)
    shore.nights.harvested(0, rows(5, 4))
    purged(shore, 1)
    shore.told(1)
    await watched(shore, 1)

    assert shore.objects() == shore.files()


async def test_a_date_whose_manifest_is_yet_to_be_written_is_taken_back_too(shore: Shore) -> None:
    """Between the manifests of two dates that name one file, only the ledger knows that the second has changed."""
    shore.nights.harvested(0, rows(1, 3))
    shore.nights.carried(1)
    shore.told(0, 1)
    await shore.published(0, 1)
    shore.nights.sent_back(0)
    shore.nights.harvested(0, rows(5, 4))
    shore.told(0)

    lines = await shore.published(0)

    assert [line.left_out for line in lines] == [None, UNFINISHED]
    assert flaws_in(shore.objects()) == []


async def test_a_manifest_that_comes_meanwhile_ends_it(shore: Shore) -> None:
    """No file is uploaded of a manifest that was not there when it was settled what to take back."""
    shore.nights.harvested(0, rows(1, 3))
    shore.told(0)

    def write(asked: Asked) -> Spoiling:
        if asked.number == 1:
            mark_running(shore.nights.output, shore.nights.ledger, shore.nights.of(0), "2026-03-21T02:00:00+00:00")
        return Spoiling.PASS

    async with proxied(shore.server, write) as proxy:
        with pytest.raises(StoppedError, match="taken the date up meanwhile"):
            await shore.published(0, endpoint=proxy.url)

    assert shore.objects() == {}


async def test_a_date_that_waits_for_an_erasure_says_so(shore: Shore) -> None:
    """What has to be given again is `forget`, not a run."""
    shore.nights.harvested(0, rows(1, 3))
    shore.told(0)
    with shore.nights.database.writing(shore.nights.database.durable) as connection:
        connection.execute("INSERT INTO erasures (id, subject, began_at) VALUES (0, 0, 0)")
        connection.execute("UPDATE harvests SET is_mistold = 1")

    (line,) = await shore.published(0)

    assert line.left_out == FORGETTING
    assert shore.objects() == {}


async def test_nothing_is_published_while_an_erasure_is_half_done(shore: Shore) -> None:
    """Files and ledger may disagree: the store gets nothing of that."""
    shore.nights.harvested(0, rows(1, 3))
    shore.told(0)
    with shore.nights.database.writing(shore.nights.database.durable) as connection:
        connection.execute("INSERT INTO erasures (id, subject, began_at, step) VALUES (0, 0, 0, 0)")

    with pytest.raises(VerificationError, match="forget"):
        await shore.published(0)

    assert shore.objects() == {}


def test_P_03_killed_at_some_steps_the_same_command_completes(tmp_path: Path) -> None:
    """No reader is misled meanwhile; `make faults` kills before every step."""
    assert_kills_do_no_harm(tmp_path, stride=9)


def test_the_command_clears_an_account_that_has_no_dates_any_more(tmp_path: Path) -> None:
    """Named or not, an account of which only objects are known is no mistake."""
    (tmp_path / "config.toml").write_text(PUBLISHED)
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        nights = Nights(tmp_path, database)
        nights.harvested(0, rows(1, 3))
        write_manifest(nights.output, nights.ledger, nights.of(0), NOW)
        assert typed(tmp_path, "publish").code == 0
        purge = Purge(database, nights.output, nights.date(1))
        purge.carry_out(purge.dates())

    first, second = typed(tmp_path, "publish", "--account", "acme"), typed(tmp_path, "publish")

    assert (first.code, "purged" in first.out) == (0, True)
    assert (second.code, second.out) == (0, "")
    assert [path for path in (tmp_path / "lake").rglob("*") if path.is_file()] == []
