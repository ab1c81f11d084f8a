"""The folder of an exported date, piece by piece; the commands' own tests kill them at every step."""

import resource
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from harvester.errors import ConfigError, DiskError
from harvester.store.exports import (
    Export,
    ExportedAction,
    ExportedDate,
    concatenate,
    described,
    discard,
    sources_sha256,
    sweep,
)

LINES = Export("jsonl", "1", "acme", "2026-03-14")


def exported(home: Path, action: str = "sentcontacts", content: str = "rows") -> ExportedDate:
    date = ExportedDate(home, LINES)
    draft = date.draft(action, 0)
    draft.write_text(content)
    file = described(draft, date.path_of(action, 0, ".jsonl"), 1)
    date.place(action, ExportedAction(1, content, (file,)), [draft])
    return date


def test_a_file_that_is_not_there_as_it_was_written_is_not_named(tmp_path: Path) -> None:
    """A removed one, one of another size and a link all ask for a new export."""
    for change in (Path.unlink, lambda path: path.write_text("other"), lambda path: path.rename(f"{path}.x")):
        exported(tmp_path).finish(["sentcontacts"], "complete")
        change(next(tmp_path.rglob("part-0000.jsonl")))

        again = ExportedDate(tmp_path, LINES)
        assert again.actions == {}


def test_a_manifest_that_cannot_be_read_names_nothing(tmp_path: Path) -> None:
    """Then all is made anew."""
    exported(tmp_path)
    next(tmp_path.rglob("_export.json")).write_text('{"actions": 1}')

    assert ExportedDate(tmp_path, LINES).actions == {}


def test_finishing_twice_is_no_news(tmp_path: Path) -> None:
    """The manifest is written once for each state of its date."""
    assert exported(tmp_path).finish(["sentcontacts"], "partial")
    assert not ExportedDate(tmp_path, LINES).finish(["sentcontacts"], "partial")
    assert ExportedDate(tmp_path, LINES).finish(["sentcontacts"], "complete")


def test_another_shape_asks_for_new_files(tmp_path: Path) -> None:
    """What was made in another way is named no more once the first new file is begun."""
    exported(tmp_path).finish(["sentcontacts"], "complete")

    again = ExportedDate(tmp_path, replace(LINES, shape="2"))
    assert again.actions == {}
    again.draft("openedcontacts", 0)
    assert orjson.loads(next(tmp_path.rglob("_export.json")).read_bytes())["actions"] == {}


def test_a_hash_of_sources_changes_with_each_of_them() -> None:
    """Another source, another content, another order, one less."""
    one, other = ("a.jsonl", "s"), ("b.jsonl", "s")
    told = [sources_sha256(each) for each in ([one, other], [other, one], [one], [one, ("b.jsonl", "t")])]

    assert len(set(told)) == len(told)
    assert sources_sha256([one, other]) == told[0]


def test_files_of_others_stay(tmp_path: Path) -> None:
    """In a folder that somebody else uses as well, only our own names are cleared."""
    exported(tmp_path)
    other = tmp_path / "recipients/account=acme/dt=2026-03-14/action=sentcontacts/README"
    other.write_text("mine")

    exported(tmp_path).finish([], "complete")

    assert [path.name for path in other.parent.iterdir()] == ["README"]


def test_another_form_is_refused(tmp_path: Path) -> None:
    """Each would clear the other's files."""
    exported(tmp_path)

    with pytest.raises(ConfigError, match="another form"):
        ExportedDate(tmp_path, replace(LINES, form="parquet"))


def test_discarding_leaves_nothing_of_a_date(tmp_path: Path) -> None:
    """Nor is it an error where there is nothing."""
    exported(tmp_path).draft("sentcontacts", 1).write_text("half")

    for _ in range(2):
        discard(tmp_path, "acme", "2026-03-14")

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_discarding_leaves_what_is_not_ours(tmp_path: Path) -> None:
    """Somebody may use the same folder."""
    exported(tmp_path)
    other = tmp_path / "recipients/account=acme/dt=2026-03-14/action=sentcontacts/README"
    other.write_text("mine")

    discard(tmp_path, "acme", "2026-03-14")

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [other]


def test_sweeping_removes_drafts(tmp_path: Path) -> None:
    """They may hold addresses, and nobody goes on with them; what somebody else keeps in the same home stays."""
    ExportedDate(tmp_path, LINES).draft("sentcontacts", 0).write_text("half")
    strange = tmp_path / "_parts" / "precious.txt"
    strange.parent.mkdir()
    strange.write_text("mine")

    sweep(tmp_path)

    assert list((tmp_path / "_export_parts").iterdir()) == []
    assert strange.read_text() == "mine"


def test_concatenating_tells_what_was_read(tmp_path: Path) -> None:
    """One hash for each source, and the bytes one behind the other."""
    for name in "ab":
        (tmp_path / name).write_text(name)

    digests = concatenate([tmp_path / "a", tmp_path / "b"], tmp_path / "ab")

    assert (tmp_path / "ab").read_text() == "ab"
    assert len(set(digests)) == 2


def test_a_disk_that_is_full_is_told_of_the_target(tmp_path: Path) -> None:
    """Not of the source, which can be read."""
    (tmp_path / "a").write_bytes(bytes(100))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(DiskError, match="target: file too large"):
            concatenate([tmp_path / "a"], tmp_path / "target")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_manifest_is_there_before_the_first_row(tmp_path: Path) -> None:
    """Whoever erases somebody finds exports by their manifests, one that was killed at its start as well."""
    ExportedDate(tmp_path, LINES).draft("sentcontacts", 0)

    assert len(list(tmp_path.rglob("_export.json"))) == 1
