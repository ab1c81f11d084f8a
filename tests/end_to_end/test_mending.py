"""What somebody changed between two runs is noticed by the next one, and never told as complete."""

from end_to_end.rehearsal import Rehearsal, Rehearse, assert_is_truth, assert_is_whole

from harvester.simulator.options import NetworkOptions, Options, QuotaOptions, WorldOptions


def quick(latency_s: float = 0.0) -> Options:
    return Options(
        time_scale=50.0,
        world=WorldOptions(campaigns=4, recipients=30),
        quota=QuotaOptions(),
        network=NetworkOptions(latency_s=latency_s),
    )


def partitions(rehearsal: Rehearsal) -> list[str]:
    return sorted(path.name for path in rehearsal.date_folder.glob("action=*/*"))


async def test_D_09_partitions_that_vanished_are_harvested_again(rehearse: Rehearse) -> None:
    """A deleted or cut file is fetched again by the same command, and only that one."""
    rehearsal = await rehearse(quick())
    await rehearsal.run()
    gone, cut = sorted(rehearsal.date_folder.glob("action=openedcontacts/*"))[:2]
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:-1])
    calls = rehearsal.sheet()["calls"]

    ended = await rehearsal.run()

    assert ended.code == 0, ended.stderr
    assert [event["jobs"] for event in ended.events if event["event"] == "partitions.missing"] == [2]
    assert rehearsal.sheet()["calls"] - calls == 2
    assert_is_truth(rehearsal)
    assert_is_whole(rehearsal)


async def test_D_09_another_output_folder_is_filled_not_believed(rehearse: Rehearse) -> None:
    """Nothing is called complete that does not lie where the configuration says."""
    rehearsal = await rehearse(quick())
    await rehearsal.run()
    rehearsal.output.rename(rehearsal.folder / "elsewhere")

    ended = await rehearsal.run()

    assert ended.code == 0, ended.stderr
    assert_is_truth(rehearsal)


async def test_P4_another_compression_replaces_the_old_files(rehearse: Rehearse) -> None:
    """After a change of compression and a refresh there is one file a job, not two."""
    rehearsal = await rehearse(quick())
    await rehearsal.run()
    rehearsal.configure(harvest={"compression": "none"})

    ended = await rehearsal.run("--refresh")

    assert ended.code == 0, ended.stderr
    assert len(partitions(rehearsal)) == 4 * 9
    assert all(name.endswith(".jsonl") for name in partitions(rehearsal))


async def test_P2_success_is_taken_back_while_a_date_is_worked_on(rehearse: Rehearse) -> None:
    """From the first moment of a refresh until its end nobody is told that the date is complete, killed or not."""
    rehearsal = await rehearse(quick(latency_s=0.2))
    await rehearsal.run()
    assert (rehearsal.date_folder / "_SUCCESS").exists()

    program = await rehearsal.start_run("--refresh")
    await program.event("job.done")
    await program.kill()

    assert not (rehearsal.date_folder / "_SUCCESS").exists()
    assert rehearsal.manifest()["state"] == "running"


async def test_P3_a_killed_run_is_told_of_by_the_next_one_for_another_date(rehearse: Rehearse) -> None:
    """The date that nobody goes on with says partial, not running for ever; its own command still completes it."""
    rehearsal = await rehearse(quick(latency_s=0.05))
    program = await rehearsal.start_run()
    await program.event("job.done")
    await program.kill()
    assert rehearsal.manifest()["state"] == "running"

    ended = await (await rehearsal.start("run", "--as-of", "2026-01-16")).ended()

    assert ended.code == 0, ended.stderr
    assert (rehearsal.manifest()["state"], rehearsal.manifest()["finished_at"]) == ("partial", None)
    assert (await rehearsal.run()).code == 0
    assert rehearsal.manifest()["state"] == "complete"


async def test_P_10_closed_standard_streams_do_not_end_a_harvest(rehearse: Rehearse) -> None:
    """Started without standard output and error, as some schedulers do, a run completes all the same."""
    rehearsal = await rehearse(quick())

    def close() -> None:
        import os  # noqa: PLC0415  runs in the child

        os.close(1)
        os.close(2)

    ended = await rehearsal.run("--json", before=close)

    assert ended.code == 0
    assert_is_truth(rehearsal)
