"""Parts and partitions: cut, grown, published, adopted; always the rows that the ledger speaks of."""

import gzip
import hashlib
import stat
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from factories import DATE, job, no_umask, stored_page
from hypothesis import example, given
from hypothesis import strategies as st

from harvester.errors import DiskError, VerificationError
from harvester.model import Action, Contents, Job, Published, StoredPage
from harvester.store.partitions import Compression, Partitions, file_stem

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

JOB = job()
READERS: dict[Compression, Callable[[bytes], bytes]] = {
    Compression.NONE: bytes,
    Compression.GZIP: gzip.decompress,
    Compression.ZSTD: zstd.decompress,
}
NAME_MAX_BYTES = 255

keys = st.one_of(
    st.text(min_size=1, max_size=300),
    st.text("aA0._-/~\\ ", min_size=1, max_size=8),
    st.from_regex(r"[a-z0-9]{1,102}", fullmatch=True),
)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Partitions]:
    opened = Partitions(tmp_path, Compression.NONE)
    yield opened
    opened.close_all()


def part_path(output: Path) -> Path:
    (path,) = (output / "_parts").iterdir()
    return path


def publish(parts: Partitions, of: Job, rows: int) -> Published:
    (published,) = parts.publish([Contents(of, rows)])
    return published


def committed(parts: Partitions, of: Job, content: bytes) -> StoredPage:
    """Write a page that is on disk as the ledger would know it, and let go of the part."""
    parts.cut(of, 0, b"")
    parts.append(of, content)
    parts.sync([of])
    parts.close(of)
    return stored_page(content=content)


def cut_to(parts: Partitions, page: StoredPage) -> bool:
    return parts.cut(JOB, page.end_bytes, page.sha256)


# --- names --------------------------------------------------------------------------------------------------------


@given(keys)
@example("..")
@example("../../etc/passwd")
@example("/etc/passwd")
@example("-rf")
@example("a\0b")
@example("_hidden")
@example("con." * 4_000)
def test_IN_06_stem_is_a_harmless_file_name(key: str) -> None:
    """No key makes a name with a separator, a dot or upper case, nor one that is too long or that readers pass over."""
    stem = file_stem(key)

    assert set(stem) <= set("abcdefghijklmnopqrstuvwxyz0123456789_~")
    assert not stem.startswith(("_", "."))
    assert 0 < len(stem) <= 100


@given(keys, keys)
@example("K", "k")
@example("\u00e9", "e\u0301")
@example("a/b", "a_b")
@example("a", "a ")
def test_D_18_two_keys_never_share_a_stem(one: str, two: str) -> None:
    """Keys that differ in case, in Unicode form or in characters unfit for a file name have files of their own."""
    stems = [unicodedata.normalize("NFKC", file_stem(key)).casefold() for key in (one, two)]

    assert (stems[0] == stems[1]) == (one == two)


@given(keys)
def test_D_18_no_key_can_imitate_the_name_of_another(key: str) -> None:
    """A key that spells out the made name of another key gets a different one."""
    assert key == file_stem(key) or file_stem(file_stem(key)) != file_stem(key)


def test_live_key_is_its_own_name() -> None:
    """A key of the live form is found under itself."""
    assert file_stem("3z" + "0f" * 32) == "3z" + "0f" * 32


@given(keys)
def test_IN_06_partition_stays_below_its_folder(key: str) -> None:
    """Whatever the key, the path is six plain names: no key leads out of the output folder."""
    path = Partitions(Path("out"), Compression.ZSTD).relative_path(job(key=key))

    assert path.parts[:-1] == ("recipients", "account=acme", "dt=2026-03-14", "action=sentcontacts")
    assert path.name == f"{file_stem(key)}.jsonl.zst"
    assert len(path.name) <= NAME_MAX_BYTES


# --- frames -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", Compression)
@given(pages=st.lists(st.binary(max_size=200), max_size=5))
def test_frames_read_as_one_file(compression: Compression, pages: list[bytes]) -> None:
    """Each frame stands for itself, and their concatenation is an ordinary file to the standard reader."""
    read, frames = READERS[compression], [compression.frame(page) for page in pages]

    assert [read(frame) for frame in frames] == pages
    if frames:
        assert read(b"".join(frames)) == b"".join(pages)


@pytest.mark.parametrize("compression", Compression)
def test_frame_depends_on_its_bytes_alone(compression: Compression) -> None:
    """The same rows make the same bytes at any time, so that hashes can be compared over runs."""
    assert compression.frame(b"row\n") == compression.frame(b"row\n")


@pytest.mark.parametrize("compression", Compression)
def test_cut_at_any_committed_offset_is_readable(tmp_path: Path, compression: Compression) -> None:
    """P3: A part cut back to the end of any of its pages holds exactly the rows up to there."""
    parts, pages = Partitions(tmp_path, compression), [b"one\n", b"two\n" * 50, b"three\n"]
    parts.cut(JOB, 0, b"")
    ends = [parts.append(JOB, parts.frame(page)) for page in pages]
    parts.close(JOB)

    for count in (3, 2, 1):
        assert parts.cut(JOB, *ends[count - 1])
        parts.close(JOB)
        assert READERS[compression](part_path(tmp_path).read_bytes()) == b"".join(pages[:count])


@pytest.mark.parametrize("compression", Compression)
def test_empty_partition_is_a_valid_file(tmp_path: Path, compression: Compression) -> None:
    """A set without rows is published as a file that every reader opens and finds empty."""
    parts = Partitions(tmp_path, compression)
    parts.cut(JOB, 0, b"")

    published = publish(parts, JOB, 0)

    content = (tmp_path / published.path).read_bytes()
    assert READERS[compression](content) == b""
    assert (published.rows, published.bytes) == (0, len(content))
    assert published.sha256 == hashlib.sha256(content).hexdigest()


# --- cutting back -------------------------------------------------------------------------------------------------


def test_P_03_bytes_behind_the_last_commit_are_cut_off(tmp_path: Path, parts: Partitions) -> None:
    """What a killed run appended and never committed is gone, and the next page follows the committed one."""
    page = committed(parts, JOB, b"one\n")
    with part_path(tmp_path).open("ab") as file:
        file.write(b'{"half a row')

    assert cut_to(parts, page)
    size_bytes, sha256 = parts.append(JOB, b"two\n")

    assert part_path(tmp_path).read_bytes() == b"one\ntwo\n"
    assert (size_bytes, sha256) == (8, hashlib.sha256(b"one\ntwo\n").digest())


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(None, id="vanished"),
        pytest.param(b"", id="emptied"),
        pytest.param(b"one", id="shorter"),
        pytest.param(b"onE\n", id="changed"),
        pytest.param(b"onE\nmore", id="changed and longer"),
    ],
)
def test_D_09_D_10_part_that_is_not_the_committed_one_starts_over(
    tmp_path: Path, parts: Partitions, found: bytes | None
) -> None:
    """A part that vanished, shrank or changed is told and emptied: no row of it is taken on trust."""
    page = committed(parts, JOB, b"one\n")
    path = part_path(tmp_path)
    path.unlink()
    if found is not None:
        path.write_bytes(found)

    assert not cut_to(parts, page)
    assert path.read_bytes() == b""
    assert parts.append(JOB, b"new\n") == (4, hashlib.sha256(b"new\n").digest())


def test_part_without_a_committed_page_is_emptied(tmp_path: Path, parts: Partitions) -> None:
    """Before its first commit nothing of a part counts, and that is no loss."""
    committed(parts, JOB, b"never committed\n")

    assert parts.cut(JOB, 0, b"")
    assert part_path(tmp_path).read_bytes() == b""


@given(
    pages=st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=6),
    kept=st.integers(0, 6),
    garbage=st.binary(max_size=30),
)
def test_P_03_part_grows_on_from_any_commit(
    tmp_path_factory: pytest.TempPathFactory, pages: list[bytes], kept: int, garbage: bytes
) -> None:
    """Killed after any commit, with any bytes behind it, a part ends as if nothing had happened."""
    output, kept = tmp_path_factory.mktemp("output"), min(kept, len(pages))
    first = Partitions(output, Compression.NONE)
    first.cut(JOB, 0, b"")
    ends = [(0, b""), *(first.append(JOB, page) for page in pages[:kept])]
    if garbage:
        first.append(JOB, garbage)
    first.close_all()

    second = Partitions(output, Compression.NONE)
    assert second.cut(JOB, *ends[-1])
    for page in pages[kept:]:
        second.append(JOB, page)
    published = publish(second, JOB, len(pages))

    assert (output / published.path).read_bytes() == b"".join(pages)
    assert published.sha256 == hashlib.sha256(b"".join(pages)).hexdigest()


# --- publishing ---------------------------------------------------------------------------------------------------


def test_P4_publishing_moves_the_whole_part(tmp_path: Path, parts: Partitions) -> None:
    """The partition stands in its place with the size and hash told, and no part is left."""
    assert cut_to(parts, committed(parts, JOB, b"one\n"))

    published = publish(parts, JOB, 1)

    assert published == Published(str(parts.relative_path(JOB)), 1, 4, hashlib.sha256(b"one\n").hexdigest())
    assert (tmp_path / published.path).read_bytes() == b"one\n"
    assert list((tmp_path / "_parts").iterdir()) == []


def test_P4_repeated_harvest_replaces_its_partition(tmp_path: Path, parts: Partitions) -> None:
    """A second harvest of the same job leaves its own rows, not those of both."""
    for content in (b"old\nold\n", b"new\n"):
        parts.cut(JOB, 0, b"")
        parts.append(JOB, content)
        published = publish(parts, JOB, 1)

    assert (tmp_path / published.path).read_bytes() == b"new\n"


def test_jobs_have_parts_and_partitions_of_their_own(tmp_path: Path, parts: Partitions) -> None:
    """Jobs that differ in account, action or key never meet in a file."""
    jobs = [
        job(1, "k"),
        job(2, "K"),
        job(3, "k", action=Action.OPENED),
        job(4, "k", account="acme-sentcontacts"),
        job(5, "k", account="other"),
    ]
    for each in jobs:
        parts.cut(each, 0, b"")
        parts.append(each, b"job %d\n" % each.id)

    published = parts.publish([Contents(each, 1) for each in jobs])

    assert [(tmp_path / each.path).read_bytes() for each in published] == [b"job %d\n" % each.id for each in jobs]


def test_D_11_partition_is_adopted_after_the_rename(tmp_path: Path, parts: Partitions) -> None:
    """Killed between the rename and the ledger, the next run takes the partition as it stands."""
    page = committed(parts, JOB, b"one\n")
    cut_to(parts, page)
    published = publish(parts, JOB, 1)

    assert Partitions(tmp_path, Compression.NONE).adopt(Contents(JOB, 1), page) == published


def test_D_11_nothing_is_adopted_before_the_rename(parts: Partitions) -> None:
    """While the part is there its publishing is still to be done."""
    page = committed(parts, JOB, b"one\n")

    assert parts.adopt(Contents(JOB, 1), page) is None


def test_D_11_old_partition_is_not_adopted_while_the_new_part_is_there(parts: Partitions) -> None:
    """A refreshed job is not closed with the partition of the harvest before."""
    cut_to(parts, committed(parts, JOB, b"old\n"))
    publish(parts, JOB, 1)
    page = committed(parts, JOB, b"new\n")

    assert parts.adopt(Contents(JOB, 1), page) is None


@pytest.mark.parametrize(
    "found", [b"", b"one", b"onE\n", b"one\nmore"], ids=["emptied", "shorter", "changed", "longer"]
)
def test_D_10_changed_partition_is_not_adopted(tmp_path: Path, parts: Partitions, found: bytes) -> None:
    """A finished file that is not byte for byte the committed one is not taken for ours, nor touched by the look."""
    page = committed(parts, JOB, b"one\n")
    cut_to(parts, page)
    path = tmp_path / publish(parts, JOB, 1).path
    path.write_bytes(found)

    assert parts.adopt(Contents(JOB, 1), page) is None
    assert path.read_bytes() == found


# --- read back, quarantined ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", Compression)
def test_P_03_lines_of_a_part_are_those_that_were_committed(tmp_path: Path, compression: Compression) -> None:
    """The memory of a job is read back from its part, up to the last commit, however it is compressed."""
    parts = Partitions(tmp_path, compression)
    parts.cut(JOB, 0, b"")
    ends = [parts.append(JOB, parts.frame(page)) for page in (b"one\ntwo\n", b"three\n", b"never committed\n")]
    parts.close(JOB)

    assert parts.cut(JOB, *ends[1])

    assert list(parts.lines(JOB)) == [b"one\n", b"two\n", b"three\n"]
    parts.close_all()


def test_part_that_is_empty_has_no_lines(parts: Partitions) -> None:
    """Before the first page nobody was seen."""
    parts.cut(JOB, 0, b"")

    assert list(parts.lines(JOB)) == []


def test_D_10_part_that_is_no_frame_is_told(tmp_path: Path) -> None:
    """Committed bytes that cannot be taken apart, though their hash is right, end the run with what to do."""
    parts = Partitions(tmp_path, Compression.GZIP)
    page = committed(parts, JOB, b"no gzip at all")
    assert cut_to(parts, page)

    with pytest.raises(VerificationError, match="Remove the file") as told:
        list(parts.lines(JOB))

    assert "damaged" in told.value.message
    parts.close_all()


def test_A_25_reply_of_unreadable_rows_is_kept_for_its_owner_alone(tmp_path: Path, parts: Partitions) -> None:
    """A quarantined reply is named after its job and its first row, in a folder that no reader's pattern matches."""
    with no_umask():
        parts.quarantine(JOB, 501, b"first look")
        parts.quarantine(JOB, 501, b"second look")

    path = tmp_path / parts.quarantine_path(JOB, 501)
    assert path.relative_to(tmp_path).parts[0] == "_quarantine"
    assert path.name == f"{file_stem(JOB.campaign.key)}.from-501.reply"
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"second look", 0o600)
    folders = [each for each in path.parents if each.is_relative_to(tmp_path / "_quarantine")]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}


def test_A_25_quarantine_stays_until_a_new_partition_stands(tmp_path: Path, parts: Partitions) -> None:
    """A reply is the only copy of its rows: it goes when the job is published without it, and no sooner."""
    other = job(2, "other")
    for each, from_index in ((JOB, 1), (JOB, 501), (other, 1)):
        parts.quarantine(each, from_index, b"as it came")
    parts.cut(JOB, 0, b"")
    assert (tmp_path / parts.quarantine_path(JOB, 1)).exists()

    parts.publish([Contents(JOB, 0, unreadable_rows=1, unreadable_from=(501,))])

    assert not (tmp_path / parts.quarantine_path(JOB, 1)).exists()
    assert (tmp_path / parts.quarantine_path(JOB, 501)).exists()
    assert (tmp_path / parts.quarantine_path(other, 1)).exists()


def test_A_25_D_11_adoption_clears_quarantine_as_publishing_does(tmp_path: Path, parts: Partitions) -> None:
    """Killed between the rename and the clearing away, the next run does it."""
    page = committed(parts, JOB, b"one\n")
    cut_to(parts, page)
    publish(parts, JOB, 1)
    parts.quarantine(JOB, 1, b"as it came")

    assert parts.adopt(Contents(JOB, 1), page) is not None

    assert not (tmp_path / parts.quarantine_path(JOB, 1)).exists()


@pytest.mark.parametrize("content", [b"one\n", b""], ids=["beside written rows", "no row of it was readable"])
def test_A_25_quarantine_of_committed_pages_stays(tmp_path: Path, parts: Partitions, content: bytes) -> None:
    """A job that is taken up again keeps what its committed pages left, also where they left no byte in the part."""
    page = committed(parts, JOB, content)
    parts.quarantine(JOB, 1, b"as it came")

    assert cut_to(parts, page)

    assert (tmp_path / parts.quarantine_path(JOB, 1)).exists()


def test_empty_part_leaves_no_file_when_it_is_let_go(tmp_path: Path, parts: Partitions) -> None:
    """A job that was put off before its first row leaves nothing in the folder of parts."""
    parts.cut(JOB, 0, b"")

    parts.close(JOB)

    assert list((tmp_path / "_parts").iterdir()) == []


# --- the folder ---------------------------------------------------------------------------------------------------


def test_D_07_unusable_output_is_refused_before_any_call(tmp_path: Path) -> None:
    """A file in the place of the output folder is told by `prepare`."""
    (tmp_path / "output").touch()

    with pytest.raises(DiskError):
        Partitions(tmp_path / "output", Compression.NONE).prepare()


def test_prepare_leaves_no_trace(tmp_path: Path, parts: Partitions) -> None:
    """The probe is taken away again, also one that a kill left."""
    (tmp_path / "_parts").mkdir()
    (tmp_path / "_parts" / ".probe").touch()

    parts.prepare()

    assert list((tmp_path / "_parts").iterdir()) == []


def test_S_06_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Parts and partitions have mode 0600 and every folder 0700 under a umask that forbids nothing."""
    parts, waiting = Partitions(tmp_path / "output", Compression.GZIP), job(2, "waiting")
    with no_umask():
        parts.prepare()
        for each in (JOB, waiting):
            parts.cut(each, 0, b"")
            parts.append(each, b"row\n")
        publish(parts, JOB, 1)
    parts.close_all()

    modes = {path.is_dir(): set[int]() for path in tmp_path.rglob("*")}
    for path in tmp_path.rglob("*"):
        modes[path.is_dir()].add(stat.S_IMODE(path.stat().st_mode))
    assert modes == {True: {0o700}, False: {0o600}}


def test_S_07_symbolic_link_at_the_part_is_refused(tmp_path: Path, parts: Partitions) -> None:
    """A link planted where a part belongs is told; what it points to is neither written nor cut."""
    page = committed(parts, JOB, b"one\n")
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    path = part_path(tmp_path)
    path.unlink()
    path.symlink_to(target)

    with pytest.raises(DiskError, match="symbolic link"):
        cut_to(parts, page)

    assert target.read_bytes() == b"precious"


def test_S_07_symbolic_link_at_the_partition_is_replaced_not_followed(tmp_path: Path, parts: Partitions) -> None:
    """A link planted at the target is not adopted, and publishing puts the file in its place."""
    target = tmp_path / "target"
    target.write_bytes(b"one\n")
    place = tmp_path / parts.relative_path(JOB)
    place.parent.mkdir(parents=True)
    place.symlink_to(target)

    with pytest.raises(DiskError, match="symbolic link"):
        parts.adopt(Contents(JOB, 1), stored_page(content=b"one\n"))
    cut_to(parts, committed(parts, JOB, b"new\n"))
    publish(parts, JOB, 1)

    assert target.read_bytes() == b"one\n"
    assert not place.is_symlink()


def test_closing_twice_is_harmless(parts: Partitions) -> None:
    """Letting go of a part that is not open does nothing: what it holds stays as it is."""
    page = committed(parts, JOB, b"one\n")

    parts.close(JOB)
    parts.close(JOB)
    parts.close_all()

    assert cut_to(parts, page)


def test_P_03_leftovers_of_an_ended_harvest_are_swept_and_no_others(tmp_path: Path) -> None:
    """Parts of an account and date go when all its jobs have ended; those of other accounts and dates stay."""
    partitions = Partitions(tmp_path, Compression.NONE)
    mine, twin = job(1), job(2, account="acme-2")
    for each in (mine, twin):
        partitions.cut(each, 0, b"")
        partitions.append(each, b"row\n")
    partitions.close_all()

    partitions.sweep("acme", DATE)

    assert [path.name.split("-sent")[0] for path in (tmp_path / "_parts").iterdir()] == [f"{DATE.isoformat()}-acme-2"]
