"""The folder of an exported date, piece by piece; the commands' own tests kill them at every step."""

from pathlib import Path

import pytest

from harvester.errors import ConfigError
from harvester.store.exports import ExportedAction, ExportedDate, concatenate, described, discard, sweep


def exported(home: Path, action: str = "sentcontacts", content: str = "rows") -> ExportedDate:
    date = ExportedDate(home, "jsonl", "acme", "2026-03-14")
    draft = date.draft(action, 0)
    draft.write_text(content)
    file = described(draft, date.path_of(action, 0, ".jsonl"), 1)
    date.publish(action, ExportedAction(1, content, (file,)), [draft])
    return date


def test_a_file_that_is_not_there_as_it_was_written_is_not_named(tmp_path: Path) -> None:
    """A removed one, one of another size and a link all ask for a new export."""
    for change in (Path.unlink, lambda path: path.write_text("other"), lambda path: path.rename(f"{path}.x")):
        exported(tmp_path).finish(["sentcontacts"])
        change(next(tmp_path.rglob("part-0000.jsonl")))

        again = ExportedDate(tmp_path, "jsonl", "acme", "2026-03-14")
        assert again.actions == {}


def test_a_manifest_that_cannot_be_read_names_nothing(tmp_path: Path) -> None:
    """Then all is made anew."""
    exported(tmp_path)
    next(tmp_path.rglob("_export.json")).write_text('{"actions": 1}')

    assert ExportedDate(tmp_path, "jsonl", "acme", "2026-03-14").actions == {}


def test_finishing_twice_is_no_news(tmp_path: Path) -> None:
    """The manifest is written once."""
    assert exported(tmp_path).finish(["sentcontacts"])
    assert not ExportedDate(tmp_path, "jsonl", "acme", "2026-03-14").finish(["sentcontacts"])


def test_files_of_others_stay(tmp_path: Path) -> None:
    """In a folder that somebody else uses as well, only our own names are cleared."""
    exported(tmp_path)
    other = tmp_path / "recipients/account=acme/dt=2026-03-14/action=sentcontacts/README"
    other.write_text("mine")

    exported(tmp_path).finish([])

    assert [path.name for path in other.parent.iterdir()] == ["README"]


def test_another_form_is_refused(tmp_path: Path) -> None:
    """Each would clear the other's files."""
    exported(tmp_path)

    with pytest.raises(ConfigError, match="another form"):
        ExportedDate(tmp_path, "parquet", "acme", "2026-03-14")


def test_discarding_leaves_nothing_of_a_date(tmp_path: Path) -> None:
    """Nor is it an error where there is nothing."""
    exported(tmp_path).draft("sentcontacts", 1).write_text("half")

    for _ in range(2):
        discard(tmp_path, "acme", "2026-03-14")

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_sweeping_removes_drafts(tmp_path: Path) -> None:
    """They may hold addresses, and nobody goes on with them."""
    ExportedDate(tmp_path, "jsonl", "acme", "2026-03-14").draft("sentcontacts", 0).write_text("half")

    sweep(tmp_path)

    assert list((tmp_path / "_parts").iterdir()) == []


def test_concatenating_tells_what_was_read(tmp_path: Path) -> None:
    """One hash for each source, and the bytes one behind the other."""
    for name in "ab":
        (tmp_path / name).write_text(name)

    digests = concatenate([tmp_path / "a", tmp_path / "b"], tmp_path / "ab")

    assert (tmp_path / "ab").read_text() == "ab"
    assert len(set(digests)) == 2


def test_a_manifest_is_there_before_the_first_row(tmp_path: Path) -> None:
    """Whoever erases somebody finds exports by their manifests, one that was killed at its start as well."""
    ExportedDate(tmp_path, "jsonl", "acme", "2026-03-14").draft("sentcontacts", 0)

    assert len(list(tmp_path.rglob("_export.json"))) == 1
