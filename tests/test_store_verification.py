"""Every way in which files, manifest and ledger can disagree is found, told and, where calls help, sent back."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from factories import rows
from harvested import KEYS, PAGE_ROWS, RULES, Harvested, harvested, record_lines

from harvester.errors import HarvestError
from harvester.flaws import FlawKind
from harvester.model import JobState
from harvester.store.database import Database
from harvester.store.entries import Entries
from harvester.store.partitions import Compression
from harvester.store.verification import Step, Suspect, Verification, requeue


@pytest.fixture
def done(tmp_path: Path) -> Iterator[Harvested]:
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        yield harvested(tmp_path, database)


def steps(done: Harvested, *, is_beside_a_run: bool = False) -> list[Step]:
    entries = Entries(done.database)
    verification = Verification(entries, done.output, RULES, lambda _: is_beside_a_run, has_all_dates=True)
    return list(verification.steps(done.ledger.open_harvest("acme", done.harvest.date)))


def flaws(done: Harvested) -> list[tuple[FlawKind, str]]:
    return [(step.flaw.kind, Path(step.flaw.path).name) for step in steps(done) if step.flaw]


def words(done: Harvested) -> str:
    return " ".join(step.flaw.what for step in steps(done) if step.flaw)


@pytest.mark.parametrize("compression", Compression)
def test_what_a_run_left_is_sound(tmp_path: Path, compression: Compression) -> None:
    """Nothing is wrong with a finished harvest, whatever its compression, and all of it was looked at."""
    with closing(Database(tmp_path / "state" / "ledger.sqlite")) as database:
        done = harvested(tmp_path, database, compression)

        found = steps(done)

    assert [step.flaw for step in found if step.flaw] == []
    assert sum(step.partitions for step in found) == len(KEYS)
    assert sum(step.rows for step in found) == 3 * len(KEYS)


def test_nothing_is_changed_by_looking(done: Harvested) -> None:
    """Every file is the same before and after, also where something is wrong."""
    done.partition("k1").unlink()
    before = {
        path: path.read_bytes() for path in done.folder.rglob("*") if path.is_file() and path.suffix != ".sqlite-shm"
    }

    steps(done)

    assert {path: path.read_bytes() for path in before} == before


# --- partitions -------------------------------------------------------------------------------------------------------


def append_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def flip_bit(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def link_away(path: Path) -> None:
    path.rename(path.parent.parent.parent.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent.parent.parent.parent / "elsewhere")


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (Path.unlink, FlawKind.MISSING),
        (append_byte, FlawKind.CHANGED),
        (flip_bit, FlawKind.CHANGED),
        (link_away, FlawKind.CHANGED),
        (make_folder, FlawKind.CHANGED),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_D_09_D_10_L_09_a_file_that_is_not_what_was_published(
    done: Harvested, change: Callable[[Path], None], kind: FlawKind
) -> None:
    """Missing, longer, other bytes of the same size, a link or a folder: one flaw, and the job is a suspect."""
    change(done.partition("k2"))

    found = steps(done)

    assert [step.flaw.kind for step in found if step.flaw] == [kind]
    assert [suspect.job.campaign.key for step in found for suspect in step.suspects] == ["k2"]


def other_lines(
    done: Harvested, positions: list[int], contacts: tuple[int, ...] = (1, 2, 3), owner: str = "k1"
) -> bytes:
    chosen = [rows(contact, 1)[0] for contact in contacts]
    return record_lines(done.jobs[owner], chosen, positions)


@pytest.mark.parametrize(
    ("positions", "contacts", "owner", "words_told"),
    [
        ([1, 2, 3], (1, 2, 3), "k2", "line 1: a record of another job"),
        ([2, 1, 3], (1, 2, 3), "k1", "line 2: position 1 is out of order"),
        ([1, 1, 3], (1, 2, 3), "k1", "line 2: position 1 is out of order"),
        ([1, 2, 9], (1, 2, 3), "k1", "line 3: position 9 is out of order"),
        ([1, 2, 3], (1, 2, 1), "k1", "line 3: a contact that stands there already"),
        ([1, 2], (1, 2), "k1", "2 rows instead of 3"),
        ([1, 2, 3, 4], (1, 2, 3, 4), "k1", "line 4: more rows than the pages had"),
    ],
)
def test_rows_are_held_against_job_pages_and_each_other(
    done: Harvested, positions: list[int], contacts: tuple[int, ...], owner: str, words_told: str
) -> None:
    """A partition whose hash is right can still hold rows that its job cannot have."""
    done.replace("k1", Compression.GZIP.frame(other_lines(done, positions, contacts, owner)))

    assert flaws(done) == [(FlawKind.DAMAGED, "k1.jsonl.gz")]
    assert words_told in words(done)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"not json\n", "no record: invalid JSON at byte 0 of 8"),
        (b"{}\n", "no record: "),
        (b"[]\n", "no record: the document is no object"),
    ],
)
def test_a_line_that_is_no_record_is_told_without_its_words(done: Harvested, line: bytes, told: str) -> None:
    """The number of the line and what it lacks are told; what stands in it is not."""
    done.replace("k1", Compression.GZIP.frame(other_lines(done, [1, 2], (1, 2)) + line))

    assert f"line 3: {told}" in words(done)


def test_a_cut_frame_is_damage(done: Harvested) -> None:
    """A last member without its end is found, though size and hash are those that the ledger knows."""
    done.replace("k1", done.partition("k1").read_bytes()[:-1])

    assert flaws(done) == [(FlawKind.DAMAGED, "k1.jsonl.gz")]


def test_no_address_is_told(done: Harvested) -> None:
    """What is wrong is said by place and number."""
    contacts = [{"contactid": "1", "contactemailaddress": "canary@example.com"}] * 3
    done.replace("k1", Compression.GZIP.frame(record_lines(done.jobs["k1"], contacts, [1, 2, 3])))

    assert "canary" not in repr(steps(done))


# --- the date as a whole ----------------------------------------------------------------------------------------------


def test_a_missing_manifest_is_a_flaw(done: Harvested) -> None:
    """Whoever loads the date looks there first."""
    (done.date_folder / "_manifest.json").unlink()

    assert flaws(done) == [(FlawKind.MANIFEST, "_manifest.json")]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"rows":3,', b'"rows":4,'),
        (b'"state":"done"', b'"state":"failed"'),
        (b'"state":"complete"', b'"state":"partial"'),
        (b'"sha256":"', b'"sha256":"0'),
        (b'"campaign_key":"k1"', b'"campaign_key":"k9"'),
        (b"]}\n", b""),
        (b'"jobs": [\n', b'"jobs": [ \n'),
        (b'"action"', b"action"),
    ],
)
def test_S_22_a_tampered_manifest_is_a_flaw(done: Harvested, old: bytes, new: bytes) -> None:
    """Each word that it shares with the ledger is compared; what cannot be read is told as such."""
    path = done.date_folder / "_manifest.json"
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))

    assert flaws(done) == [(FlawKind.MANIFEST, "_manifest.json")]
    path.unlink()


def test_a_manifest_with_a_job_too_many_or_too_few_is_a_flaw(done: Harvested) -> None:
    """Jobs of manifest and ledger are the same, in the same order."""
    path = done.date_folder / "_manifest.json"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))

    assert flaws(done) == [(FlawKind.MANIFEST, "_manifest.json")]


def test_success_stands_only_where_all_is_done(done: Harvested) -> None:
    """The sign is a flaw where it is missing and where it lies."""
    (done.date_folder / "_SUCCESS").unlink()
    assert flaws(done) == [(FlawKind.SUCCESS, "_SUCCESS")]

    requeue(done.database, [suspect_of(done, "k1")])
    assert flaws(done) == []
    (done.date_folder / "_SUCCESS").touch()
    assert flaws(done) == [(FlawKind.SUCCESS, "_SUCCESS")]


def test_L_05_files_that_no_job_accounts_for_are_told(done: Harvested) -> None:
    """A file in the date's folders, a link, a reply in quarantine: each is a stranger, and none is followed."""
    (done.date_folder / "action=sentcontacts" / "k9.jsonl.gz").touch()
    (done.date_folder / "elsewhere").symlink_to("/")
    reply = done.output / "_quarantine" / "account=acme" / done.date_folder.name / "k1.from-1.reply"
    reply.parent.mkdir(parents=True)
    reply.touch()

    assert flaws(done) == [
        (FlawKind.STRANGER, "elsewhere"),
        (FlawKind.STRANGER, "k9.jsonl.gz"),
        (FlawKind.STRANGER, "k1.from-1.reply"),
    ]


def test_a_file_of_a_job_that_has_no_partition_any_more_is_a_stranger(done: Harvested) -> None:
    """Where a later harvest of the job failed, the old file is nobody's: a reader would load it."""
    done.sql(
        "UPDATE jobs SET state = 'failed', path = NULL, rows = NULL, bytes = NULL, sha256 = NULL WHERE id = ?",
        done.jobs["k1"].id,
    )
    done.manifest()

    assert flaws(done) == [(FlawKind.STRANGER, "k1.jsonl.gz")]


def test_parts_of_an_ended_harvest_are_leftovers(done: Harvested) -> None:
    """While a job is open its part is its own; after the last one nobody's; other accounts' parts are not looked at."""
    parts = done.output / "_parts"
    (parts / f"{done.harvest.date}-acme-sentcontacts-k1.jsonl.gz").touch()
    (parts / f"{done.harvest.date}-acme-2-sentcontacts-k1.jsonl.gz").touch()

    assert flaws(done) == [(FlawKind.LEFTOVER, f"{done.harvest.date}-acme-sentcontacts-k1.jsonl.gz")]
    done.sql("UPDATE jobs SET state = 'running' WHERE id = ?", done.jobs["k1"].id)
    (done.date_folder / "_SUCCESS").unlink()
    assert flaws(done) == []


def test_replies_in_quarantine_must_be_there(done: Harvested) -> None:
    """A job with unreadable rows names its replies; a missing one is a flaw that harvesting again mends."""
    done.sql("UPDATE pages SET unreadable_rows = 1 WHERE job_id = ? AND number = 2", done.jobs["k1"].id)
    done.sql("UPDATE jobs SET state = 'partial' WHERE id = ?", done.jobs["k1"].id)
    done.manifest()
    reply = done.output / "_quarantine" / done.partition("k1").parent.relative_to(done.output / "recipients")
    reply = reply / f"k1.from-{PAGE_ROWS}.reply"

    assert flaws(done) == [(FlawKind.QUARANTINE, reply.name)]
    reply.parent.mkdir(parents=True)
    reply.touch()
    assert flaws(done) == []


@pytest.mark.parametrize("state", ["pending", "failed", "skipped"])
def test_A_25_replies_of_a_job_without_a_new_partition_are_no_strangers(done: Harvested, state: str) -> None:
    """They hold rows of the old partition, or of pages on their way: nobody is told to remove them."""
    folder = done.output / "_quarantine" / done.partition("k1").parent.relative_to(done.output / "recipients")
    folder.mkdir(parents=True)
    for name in ("k1.from-1.reply", "k1.from-501.reply", "k2.from-1.reply"):
        (folder / name).touch()
    done.sql("UPDATE jobs SET state = ? WHERE id = ?", state, done.jobs["k1"].id)
    done.manifest()

    assert [name for kind, name in flaws(done) if kind is FlawKind.STRANGER] == ["k2.from-1.reply"]


# --- beside a run -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["pending", "running"])
def test_open_jobs_are_passed_over(done: Harvested, state: str) -> None:
    """A job that is not finished is no flaw, nor is the file that an earlier harvest left for it."""
    done.sql("UPDATE jobs SET state = ?, path = NULL WHERE id = ?", state, done.jobs["k1"].id)
    (done.date_folder / "_SUCCESS").unlink()

    found = steps(done)

    assert [step.flaw for step in found if step.flaw] == []
    assert sum(step.passed_over for step in found) == 1


def test_a_job_that_a_run_takes_up_meanwhile_is_passed_over(done: Harvested) -> None:
    """What was read of a file that is being replaced is not told."""
    done.partition("k1").unlink()
    verification = Verification(Entries(done.database), done.output, RULES, lambda _: False, has_all_dates=True)
    original = verification._flaw_of

    def slow(*arguments: object) -> object:
        flaw = original(*arguments)  # type: ignore[arg-type]
        if flaw is not None:
            done.sql("UPDATE jobs SET state = 'pending', path = NULL WHERE id = ?", done.jobs["k1"].id)
            (done.date_folder / "_SUCCESS").unlink()
        return flaw

    verification._flaw_of = slow  # type: ignore[method-assign, assignment]
    found = list(verification.steps(done.harvest))

    assert [step.flaw for step in found if step.flaw] == []
    assert sum(step.passed_over for step in found) == 1


def test_a_date_that_a_run_is_at_work_on_is_not_judged_as_a_whole(done: Harvested) -> None:
    """Between its last job and its manifest a run is in order; its partitions are verified all the same."""
    (done.date_folder / "_manifest.json").unlink()
    done.partition("k2").unlink()

    found = steps(done, is_beside_a_run=True)

    assert [step.flaw.kind for step in found if step.flaw] == [FlawKind.MISSING]
    assert found[-1] == Step(passed_over=1)


# --- the ledger -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE jobs SET path = '../../../etc/passwd' WHERE id = 1",
        "UPDATE jobs SET path = NULL WHERE id = 1",
        "UPDATE jobs SET rows = 4 WHERE id = 1",
        "DELETE FROM pages WHERE job_id = 1 AND number = 2",
    ],
)
def test_L_02_an_entry_that_contradicts_itself_is_told(done: Harvested, change: str) -> None:
    """Nothing outside the job's own place is opened on the ledger's word, and no repair is built on it."""
    done.sql(change)
    done.manifest()

    found = steps(done)

    assert FlawKind.LEDGER in {step.flaw.kind for step in found if step.flaw}
    assert [suspect for step in found for suspect in step.suspects] == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE jobs SET state = 'dane' WHERE id = 1",
        "UPDATE jobs SET action = 'sentkontacts' WHERE id = 1",
        "UPDATE harvests SET date = '2026-13-14'",
        "UPDATE jobs SET rows = 'many' WHERE id = 1",
        "UPDATE campaigns SET key = CAST(x'ff' AS TEXT) WHERE id = 1",
    ],
)
def test_L_02_a_value_that_cannot_be_is_a_damaged_ledger(done: Harvested, change: str) -> None:
    """It is said in one sentence, with what to do, and is no bug of ours."""
    done.sql(change)

    with pytest.raises(HarvestError, match="the ledger is damaged") as caught:
        verify_all(done.database, done.output)

    assert caught.value.exit_code == 6
    assert "backup" in caught.value.remedy


def verify_all(database: Database, output: Path) -> None:
    entries = Entries(database)
    entries.check()
    verification = Verification(entries, output, RULES, lambda _: False, has_all_dates=True)
    for harvest in entries.harvests():
        list(verification.steps(harvest))


@pytest.mark.parametrize("seed", range(8))
def test_L_01_L_02_no_flipped_bit_of_the_ledger_ends_in_a_bug(tmp_path: Path, seed: int) -> None:
    """Whatever bit of the file flips: sound, a flaw or one clear sentence, never a traceback."""
    path = tmp_path / "state" / "ledger.sqlite"
    with closing(Database(path)) as database:
        done = harvested(tmp_path, database)
    content, codes = path.read_bytes(), set()
    for number in range(25):
        offset = (seed * 25 + number) * 7919 % len(content)
        spoiled = bytearray(content)
        spoiled[offset] ^= 1 << number % 8
        path.write_bytes(spoiled)
        for side in ("-wal", "-shm"):
            path.with_name(path.name + side).unlink(missing_ok=True)

        try:
            with closing(Database(path)) as database, database.refusals():
                verify_all(database, done.output)
        except HarvestError as error:
            codes.add(error.exit_code)
    assert codes <= {2, 6, 7}


# --- repair -----------------------------------------------------------------------------------------------------------


def suspect_of(done: Harvested, key: str) -> Suspect:
    entry = Entries(done.database).entry(done.jobs[key].id)
    assert entry is not None
    assert entry.published is not None
    return Suspect(entry.job, entry.published.sha256)


def test_L_09_a_suspect_is_sent_back_to_its_first_row(done: Harvested) -> None:
    """Its pages are forgotten, it is pending again, and nobody else is touched; no file is removed."""
    done.sql("UPDATE jobs SET is_doubted = 1, verdict = 'proven' WHERE id = ?", done.jobs["k2"].id)

    moved = requeue(done.database, [suspect_of(done, "k2")])

    jobs = {job.campaign_key: job for job in done.ledger.jobs(done.harvest)}
    assert moved == 1
    assert [jobs[key].state for key in KEYS] == [JobState.DONE, JobState.PENDING, JobState.DONE]
    assert (jobs["k2"].path, jobs["k2"].pages, jobs["k2"].ending) == (None, 0, None)
    assert (jobs["k2"].verdict, jobs["k2"].is_doubted) == (None, False)
    assert done.partition("k2").exists()


def test_a_suspect_that_was_harvested_again_meanwhile_is_left_alone(done: Harvested) -> None:
    """It has another partition by now, about which nothing was found."""
    suspect = suspect_of(done, "k2")
    done.sql("UPDATE jobs SET sha256 = 'another' WHERE id = ?", done.jobs["k2"].id)

    assert requeue(done.database, [suspect]) == 0
    assert {job.state for job in done.ledger.jobs(done.harvest)} == {JobState.DONE}


def test_a_manifest_that_is_a_link_is_not_followed(done: Harvested) -> None:
    """What it leads to is not what a run wrote."""
    path = done.date_folder / "_manifest.json"
    path.rename(done.folder / "elsewhere")
    path.symlink_to(done.folder / "elsewhere")

    assert flaws(done) == [(FlawKind.MANIFEST, "_manifest.json")]
    assert json.loads((done.folder / "elsewhere").read_bytes())["state"] == "complete"
