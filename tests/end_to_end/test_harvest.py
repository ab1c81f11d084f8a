"""A whole night over real HTTP: every row, no lockout, and nothing to do the second time."""

from end_to_end.rehearsal import Rehearse, assert_is_truth, assert_is_whole

from harvester.simulator.options import Counting, NetworkOptions, Options, QuotaOptions, WorldOptions

CHANGING_KEYS = {"run_id", "written_at"}
"""What a manifest says of the run that wrote it."""


def night(campaigns: int = 60, **quota: object) -> Options:
    return Options(
        time_scale=50.0,
        world=WorldOptions(campaigns=campaigns, recipients_max=1_500),
        quota=QuotaOptions(period_s=100.0, **quota),  # type: ignore[arg-type]
        network=NetworkOptions(latency_s=0.01, jitter_s=0.02),
    )


async def test_R_01_a_night_of_540_jobs_is_the_truth_without_a_lockout(rehearse: Rehearse) -> None:
    """Rows on disk are the server's, row for row, and no window of its clock holds more calls than allowed."""
    rehearsal = await rehearse(night())

    ended = await rehearsal.run("--json")

    assert ended.code == 0, ended.stderr
    assert_is_truth(rehearsal)
    assert_is_whole(rehearsal)
    assert (rehearsal.total("lockouts"), rehearsal.total("calls_wasted")) == (0, 0)
    assert rehearsal.sheet()["calls"] > 500
    assert rehearsal.worst_window_calls() <= 499
    assert rehearsal.manifest()["calls"] == rehearsal.sheet()["calls"]


async def test_R_01_a_server_that_counts_with_weights_locks_nobody_either(rehearse: Rehearse) -> None:
    """The budget holds where the harvest spans several windows and the server weighs the one before."""
    rehearsal = await rehearse(night(campaigns=30, calls=150, counting=Counting.WEIGHTED, phase_s=37.0))

    ended = await rehearsal.run()

    assert ended.code == 0, ended.stderr
    assert_is_truth(rehearsal)
    assert rehearsal.total("lockouts") == 0
    assert rehearsal.sheet()["worst_calls"]["weighted"] <= 150


async def test_a_repeated_command_asks_nothing_and_changes_nothing(rehearse: Rehearse) -> None:
    """What is done is done: not one call of any kind, not one byte of a partition."""
    rehearsal = await rehearse(Options(time_scale=50.0, world=WorldOptions(campaigns=5, recipients=40)))
    await rehearsal.run()
    calls, partitions, manifest = rehearsal.total("calls"), _partitions(rehearsal.all_bytes()), rehearsal.manifest()

    again = await rehearsal.run()

    assert again.code == 0
    assert rehearsal.total("calls") == calls
    assert _partitions(rehearsal.all_bytes()) == partitions
    assert _lasting(rehearsal.manifest()) == _lasting(manifest)


async def test_refresh_harvests_again_and_replaces(rehearse: Rehearse) -> None:
    """--refresh asks for everything once more and leaves one partition a job, never rows twice."""
    rehearsal = await rehearse(Options(time_scale=50.0, world=WorldOptions(campaigns=3, recipients=40)))
    await rehearsal.run()
    calls = rehearsal.sheet()["calls"]

    again = await rehearsal.run("--refresh")

    assert again.code == 0
    assert rehearsal.sheet()["calls"] == 2 * calls
    assert_is_truth(rehearsal)
    assert_is_whole(rehearsal)


async def test_xml_brings_the_same_people_as_json(rehearse: Rehearse) -> None:
    """The format of the answers is a matter of the wire: the same recipients in the same order."""
    options = Options(time_scale=50.0, world=WorldOptions(campaigns=2, recipients=120))
    rehearsal = await rehearse(options, harvest={"response_format": "xml", "page_size": 50})

    ended = await rehearsal.run()

    assert ended.code == 0, ended.stderr
    assert_is_whole(rehearsal)
    for (key, action), records in rehearsal.harvested().items():
        people = rehearsal.world.recipients(rehearsal.world.campaign(key), action)
        assert [record["email"] for record in records] == [contact.email for contact in people]


async def test_R_13_a_night_and_a_backfill_share_one_budget(rehearse: Rehearse) -> None:
    """Two runs at once on one state folder: both complete, and together they stay within the limit."""
    rehearsal = await rehearse(night(campaigns=60, calls=60))
    night_run = await rehearsal.start_run("--action", "sentcontacts")
    await night_run.event("job.done")
    backfill = await rehearsal.start("run", "--as-of", "2026-01-14", "--action", "openedcontacts")

    ends = await night_run.ended(), await backfill.ended()

    assert [ended.code for ended in ends] == [0, 0], ends
    assert_is_truth(rehearsal, actions=("sentcontacts",))
    assert (rehearsal.date_folder.parent / "dt=2026-01-14" / "_SUCCESS").exists()
    assert rehearsal.total("lockouts") == 0
    assert rehearsal.worst_window_calls() <= 59


async def test_another_action_of_the_same_date_is_harvested_too(rehearse: Rehearse) -> None:
    """That a date is complete for one action says nothing of the next one asked for; its listing is not read again."""
    rehearsal = await rehearse(Options(time_scale=50.0, world=WorldOptions(campaigns=3, recipients=40)))
    await rehearsal.run("--action", "sentcontacts")
    listing_calls = rehearsal.sheet("recentcampaigns")["calls"]

    ended = await rehearsal.run("--action", "openedcontacts")

    assert ended.code == 0, ended.stderr
    assert_is_truth(rehearsal, actions=("sentcontacts", "openedcontacts"))
    assert_is_whole(rehearsal)
    assert rehearsal.sheet("recentcampaigns")["calls"] == listing_calls


def _partitions(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if "/action=" in name}


def _lasting(manifest: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in manifest.items() if key not in CHANGING_KEYS}
