"""Change files as real runs write them, and `harvester changes` beside them."""

import gzip
import json
from collections import Counter
from pathlib import Path

from end_to_end.rehearsal import DATE, Rehearsal, Rehearse
from nights import apply, substances

from harvester.simulator.options import Options, WorldOptions

NEXT_DATE = "2026-01-16"
ENABLED = {"HARVESTER_CHANGES__ENABLED": "true"}
OPTIONS = Options(time_scale=50.0, world=WorldOptions(campaigns=3, recipients=40))


def change_files(rehearsal: Rehearsal, date: str) -> list[Path]:
    return sorted((rehearsal.output / "changes/account=acme" / f"dt={date}").glob("action=*/*.jsonl.gz"))


def lines_in(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines(keepends=True)


async def test_a_run_writes_what_changed_and_the_command_finds_nothing_left(rehearse: Rehearse) -> None:
    """The first date adds every row; the second, on which nothing moved, is compared and has no file."""
    rehearsal = await rehearse(OPTIONS)
    first = await rehearsal.run(environment=ENABLED)
    second = await (await rehearsal.start("run", "--as-of", NEXT_DATE, environment=ENABLED)).ended()
    asked = await (await rehearsal.start("changes", "--all", "--json")).ended()

    assert (first.code, second.code, asked.code) == (0, 0, 0), asked.stderr
    for path in change_files(rehearsal, DATE):
        partition = rehearsal.date_folder / path.parent.name / path.name
        assert apply(lines_in(path), Counter()) == substances(iter(lines_in(partition)))
    assert len(change_files(rehearsal, DATE)) == sum(bool(rows) for rows in rehearsal.harvested().values())
    assert change_files(rehearsal, NEXT_DATE) == []
    (told,) = [event for event in second.events if event["event"] == "changes.written"]
    assert (told["jobs"], told["added"], told["removed"], told["changed"]) == (len(rehearsal.harvested()), 0, 0, 0)
    assert json.loads(asked.stdout)["written"] == 0


async def test_the_command_writes_what_runs_did_not_and_tells_it_in_the_manifest(rehearse: Rehearse) -> None:
    """Without the setting a run compares nothing; afterwards it is as if it had been set. No call is made for it."""
    rehearsal = await rehearse(OPTIONS)
    await rehearsal.run()
    assert change_files(rehearsal, DATE) == []
    calls = rehearsal.total("calls")

    ended = await (await rehearsal.start("changes")).ended()

    listed = {job["changes"]["path"] for job in rehearsal.manifest()["jobs"] if job["changes"]["path"]}
    assert ended.code == 0, ended.stderr
    assert listed == {str(path.relative_to(rehearsal.output)) for path in change_files(rehearsal, DATE)}
    assert rehearsal.manifest()["state"] == "complete"
    assert rehearsal.total("calls") == calls
