"""`verify`, `explain` and `schema` on what real runs left, and beside a run at work."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from end_to_end.rehearsal import BAD_KEY, DATE, Ended, Rehearsal, Rehearse, assert_is_truth, assert_is_whole
from jsonschema import Draft202012Validator

from harvester.simulator.options import NetworkOptions, Options, WorldOptions
from harvester.simulator.set_options import QuirkOptions

ORDINARY = QuirkOptions()


def small(latency_s: float = 0.0, recipients: int = 30, quirks: QuirkOptions = ORDINARY) -> Options:
    return Options(
        time_scale=50.0,
        quirks=quirks,
        world=WorldOptions(campaigns=3, recipients=recipients),
        network=NetworkOptions(latency_s=latency_s),
    )


async def asked(rehearsal: Rehearsal, *arguments: str) -> Ended:
    return await (await rehearsal.start(*arguments)).ended()


def lasting_bytes(rehearsal: Rehearsal) -> dict[str, bytes]:
    """Return every file but the ledger's shared memory, which readers use too."""
    return {name: content for name, content in rehearsal.all_bytes().items() if not name.endswith("-shm")}


def first_partition(rehearsal: Rehearsal, action: str) -> Path:
    return min(rehearsal.date_folder.glob(f"action={action}/*"))


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
async def test_what_a_run_left_is_verified(rehearse: Rehearse, compression: str) -> None:
    """All rows are read again, nothing is wrong, nothing is changed and no call is made."""
    rehearsal = await rehearse(small(), harvest={"compression": compression})
    await rehearsal.run()
    before, calls = lasting_bytes(rehearsal), rehearsal.total("calls")

    ended = await asked(rehearsal, "verify", "--json")

    verified = json.loads(ended.stdout)
    assert (ended.code, verified["flaws"]) == (0, []), ended.stdout
    assert verified["rows"] == rehearsal.manifest()["rows"]
    assert "nothing is wrong" in ended.last_line
    assert (lasting_bytes(rehearsal), rehearsal.total("calls")) == (before, calls)


async def test_L_09_D_10_repair_and_the_command_that_it_names_mend_all(rehearse: Rehearse) -> None:
    """Missing and changed partitions are told, sent back, and harvested by the command that is printed."""
    rehearsal = await rehearse(small())
    await rehearsal.run()
    first_partition(rehearsal, "sentcontacts").unlink()
    changed = first_partition(rehearsal, "openedcontacts")
    content = changed.read_bytes()
    changed.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    looked = await asked(rehearsal, "verify")
    repaired = await asked(rehearsal, "verify", "--repair")

    assert (looked.code, repaired.code) == (6, 6)
    assert [line.split(": ")[1].partition(".")[0] for line in sorted(looked.stdout.splitlines())] == [
        "it has other bytes than were published",
        "it is not there",
    ]
    assert not (rehearsal.date_folder / "_SUCCESS").exists()
    command = repaired.last_line.rpartition("harvester ")[2].split()
    calls = rehearsal.sheet()["calls"]
    assert (await asked(rehearsal, *command)).code == 0
    assert rehearsal.sheet()["calls"] - calls <= 4, "no more than was sent back, and two more of the same campaign"
    assert (await asked(rehearsal, "verify")).code == 0
    assert_is_truth(rehearsal)
    assert_is_whole(rehearsal)


async def test_A_25_replies_in_quarantine_are_verified_too(rehearse: Rehearse) -> None:
    """A partial harvest is sound as long as the replies with its unreadable rows lie in quarantine."""
    rehearsal = await rehearse(small(quirks=QuirkOptions(damaged_share=0.2)))
    assert (await rehearsal.run()).code == 3

    sound = await asked(rehearsal, "verify")
    replies = sorted((rehearsal.output / "_quarantine").rglob("*.reply"))
    replies[0].unlink()
    lacking = await asked(rehearsal, "verify")

    assert sound.code == 0, sound.stdout
    assert lacking.code == 6
    assert f"{replies[0].relative_to(rehearsal.output)}: the answer" in lacking.stdout


async def test_verify_beside_a_run_disturbs_nothing(rehearse: Rehearse) -> None:
    """Open jobs are passed over, finished ones are read; repair leaves the field to the run."""
    rehearsal = await rehearse(small(latency_s=0.2), harvest={"call_timeout_s": 30.0})
    program = await rehearsal.start_run()
    await program.event("job.done")
    program.stop()
    before = lasting_bytes(rehearsal)

    looked = await asked(rehearsal, "verify", "--json")
    repaired = await asked(rehearsal, "verify", "--repair")
    after = lasting_bytes(rehearsal)
    program.signal(signal.SIGCONT)

    verified = json.loads(looked.stdout)
    assert (looked.code, verified["flaws"], repaired.code) == (0, [], 5)
    assert verified["partitions"] >= 1
    assert verified["passed_over"] >= 1
    assert after == before
    assert (await program.ended()).code == 0
    assert_is_truth(rehearsal)


async def test_verify_after_a_kill_finds_nothing_wrong(rehearse: Rehearse) -> None:
    """What a killed run left is unfinished, not damaged; after the same command it is whole."""
    rehearsal = await rehearse(small(latency_s=0.1))
    program = await rehearsal.start_run()
    await program.event("job.done")
    await program.kill()

    assert (await asked(rehearsal, "verify")).code == 0
    assert (await rehearsal.run()).code == 0
    assert (await asked(rehearsal, "verify")).code == 0


async def test_L_01_a_damaged_ledger_is_one_clear_sentence(rehearse: Rehearse) -> None:
    """Garbage in the ledger: exit 6, what to do, and the file as it was."""
    rehearsal = await rehearse(small())
    await rehearsal.run()
    ledger = rehearsal.state / "ledger.sqlite"
    content = ledger.read_bytes()
    middle = len(content) // 2
    ledger.write_bytes(content[:middle] + b"\xff" * 4096 + content[middle + 4096 :])

    ended = await asked(rehearsal, "verify")

    assert ended.code == 6, ended.stderr
    assert "Restore the ledger from a backup" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_L_05_a_date_without_a_ledger_is_a_stranger(rehearse: Rehearse) -> None:
    """Files of a date that the ledger does not know are told, unless another account or date is asked for."""
    rehearsal = await rehearse(small())
    await rehearsal.run()
    strange = rehearsal.date_folder.with_name("dt=2020-01-01") / "action=sentcontacts"
    strange.mkdir(parents=True)
    (strange / "k.jsonl").touch()

    everything = await asked(rehearsal, "verify")
    one_date = await asked(rehearsal, "verify", "--account", "acme", "--as-of", DATE)

    assert (everything.code, one_date.code) == (6, 0)
    assert "dt=2020-01-01: the ledger knows no harvest" in everything.stdout


@pytest.mark.parametrize("flags", [("--account", "nobody"), ("--as-of", "2020-01-01")])
async def test_verify_names_what_there_is_where_nothing_fits(rehearse: Rehearse, flags: tuple[str, str]) -> None:
    """An account or date without a harvest is a mistake of the command line, not a sound verification."""
    rehearsal = await rehearse(small())
    await rehearsal.run()

    ended = await asked(rehearsal, "verify", *flags)

    assert ended.code == 2
    assert "The ledger knows no harvest" in ended.stderr


async def test_explain_tells_why_without_a_row(rehearse: Rehearse) -> None:
    """Calls, pages, answers and end of a done job; code, reason and remedy of a failed one; never an address."""
    rehearsal = await rehearse(small(recipients=1_200))
    good = rehearsal.world.campaigns[0].key
    rehearsal.configure(harvest={"campaigns": [good, BAD_KEY]})
    await rehearsal.run()

    done = await asked(rehearsal, "explain", f"{good[:12]}…", "sentcontacts", "--json")
    failed = await asked(rehearsal, "explain", BAD_KEY)

    [job] = json.loads(done.stdout)["jobs"]
    assert (job["campaign_key"], job["state"], job["rows"]) == (good, "done", 1_200)
    assert job["calls"] == sum(answer["times"] for answer in job["answers"])
    assert sum(page["rows"] for page in job["pages"]) == 1_200
    assert failed.stdout.count("state\tfailed: ") == 9
    assert "harvester run tries it again." in failed.stdout
    assert "@" not in done.stdout + failed.stdout


async def test_explain_of_an_unknown_key_names_the_nearest(rehearse: Rehearse) -> None:
    """Exit 2 with the keys that the ledger knows; a beginning that several share is told with them."""
    rehearsal = await rehearse(small())
    await rehearsal.run()
    keys = [campaign.key for campaign in rehearsal.world.campaigns]

    unknown = await asked(rehearsal, "explain", keys[0][:-1] + "x")
    shared = await asked(rehearsal, "explain", "3z")
    no_text = await asked(rehearsal, "explain", "\udcff\udcfe", "--account", "\udcff")

    assert (unknown.code, shared.code, no_text.code) == (2, 2, 2)
    assert "Traceback" not in no_text.stderr
    assert keys[0] in unknown.stderr
    assert all(key in shared.stderr for key in keys)


def records(rehearsal: Rehearsal) -> list[dict[str, Any]]:
    return [record for partition in rehearsal.harvested().values() for record in partition]


@pytest.mark.parametrize("response_format", ["json", "xml"])
async def test_every_record_of_a_harvest_fits_the_printed_schema(rehearse: Rehearse, response_format: str) -> None:
    """What `harvester schema` prints holds for every record, of JSON and XML, odd values among them."""
    rehearsal = await rehearse(small(quirks=QuirkOptions(odd_share=0.5)), harvest={"response_format": response_format})
    await rehearsal.run()
    printed = await asked(rehearsal, "schema")

    validator = Draft202012Validator(json.loads(printed.stdout))

    assert printed.code == 0
    assert len(found := records(rehearsal)) == rehearsal.manifest()["rows"] > 0
    assert [error.message for record in found for error in validator.iter_errors(record)] == []
