"""What can go wrong for a user: one clear sentence, what to do, the right exit code, and nothing lost."""

import gzip
import resource
import signal
import socket

import pytest
from end_to_end.rehearsal import BAD_KEY, Rehearse, assert_is_truth, assert_is_whole

from harvester.simulator.endpoints import RECIPIENTS
from harvester.simulator.options import Options, WorldOptions
from harvester.simulator.world import ACTIONS, Kind

FILE_BYTES_MAX = 5_500_000
"""More than the ledger of nine jobs and its journal need, less than the largest partition."""


def small(**world: object) -> Options:
    return Options(time_scale=50.0, world=WorldOptions(**({"campaigns": 4, "recipients": 30} | world)))  # type: ignore[arg-type]


def limit_file_size() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


async def test_6002_one_bad_key_costs_one_call_and_only_its_own_jobs(rehearse: Rehearse) -> None:
    """Its first answer speaks for all nine actions; the good campaigns are complete; exit 3 names key and remedy."""
    rehearsal = await rehearse(small())
    good = [campaign.key for campaign in rehearsal.world.campaigns]
    rehearsal.configure(harvest={"campaigns": [*good[:2], BAD_KEY, *good[2:]]})

    ended = await rehearsal.run()

    assert ended.code == 3, ended.stderr
    assert_is_truth(rehearsal)
    assert rehearsal.sheet()["kinds"]["error-6002"] == 1
    failed = [job for job in rehearsal.manifest()["jobs"] if job["state"] == "failed"]
    assert {(job["campaign_key"], job["code"]) for job in failed} == {(BAD_KEY, "6002")}
    assert len(failed) == len(ACTIONS)
    assert "9 jobs: 6002 Invalid campaign key" in ended.stderr
    assert "Check the campaign key; a draft becomes valid once it is sent." in ended.stderr
    assert "36 of 45 jobs" in ended.last_line
    assert not (rehearsal.date_folder / "_SUCCESS").exists()


async def test_6303_an_action_without_rows_is_an_empty_partition(rehearse: Rehearse) -> None:
    """Nobody bounced is an answer too: a valid gzip file of no rows, and the job is done."""
    rehearsal = await rehearse(small(campaigns=1, recipients=1))

    ended = await rehearsal.run()

    assert ended.code == 0, ended.stderr
    assert_is_truth(rehearsal)
    assert_is_whole(rehearsal)
    empty = [job for job in rehearsal.manifest()["jobs"] if job["rows"] == 0]
    assert empty
    assert all(gzip.decompress((rehearsal.output / job["path"]).read_bytes()) == b"" for job in empty)


async def test_6601_a_tiny_ab_campaign_is_skipped_and_no_error(rehearse: Rehearse) -> None:
    """There is nothing to ask for: no partition, one call, exit 0, and the date is complete."""
    rehearsal = await rehearse(small(campaigns=6, tiny_ab_share=0.5))
    tiny = rehearsal.campaigns(Kind.TINY_AB)
    assert tiny

    ended = await rehearsal.run()

    assert ended.code == 0, ended.stderr
    assert_is_truth(rehearsal)
    assert_is_whole(rehearsal)
    assert rehearsal.sheet()["kinds"]["error-6601"] == len(tiny)
    assert rehearsal.manifest()["jobs_by_state"]["skipped"] == len(ACTIONS) * len(tiny)


async def test_6607_a_forbidden_campaign_fails_and_says_whom_to_ask(rehearse: Rehearse) -> None:
    """One call for each, the rest complete, exit 3, and the remedy is a sentence."""
    rehearsal = await rehearse(small(campaigns=6, forbidden_share=0.5))
    forbidden, readable = rehearsal.campaigns(Kind.FORBIDDEN), rehearsal.campaigns(Kind.NORMAL)
    assert forbidden
    assert readable

    ended = await rehearsal.run()

    assert ended.code == 3, ended.stderr
    assert_is_truth(rehearsal)
    assert rehearsal.sheet()["kinds"]["error-6607"] == len(forbidden)
    assert "6607 Insufficient privileges" in ended.stderr
    assert "Ask the organisation's administrator" in ended.stderr


async def test_6607_everywhere_means_that_the_account_lacks_the_right(rehearse: Rehearse) -> None:
    """If nothing at all can be read, it is no matter of a campaign: a person must act, exit 4."""
    rehearsal = await rehearse(small(forbidden_share=1.0))

    ended = await rehearsal.run()

    assert ended.code == 4, ended.stderr
    assert "a person must act" in ended.last_line


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ({"client_id": "bad-client"}, "Check client_id and client_secret, and data_center"),
        ({"client_secret": "bad-secret"}, "Check client_id and client_secret"),
        ({"refresh_token": "bad-token"}, "Make a new refresh token with the scope ZohoCampaigns.campaign.READ"),
    ],
    ids=["client", "secret", "token"],
)
async def test_U_02_wrong_credentials_cost_one_call_and_name_the_remedy(
    rehearse: Rehearse, wrong: dict[str, str], remedy: str
) -> None:
    """Exit 4 after a single request to the token endpoint, and none to any other."""
    rehearsal = await rehearse(small(), **{"accounts.acme": wrong})

    ended = await rehearsal.run()

    assert ended.code == 4, ended.stderr
    assert rehearsal.total("calls") == 1
    assert "no access token" in ended.last_line
    assert remedy in ended.stderr


async def test_U_13_a_wrong_data_centre_is_named_as_the_likely_cause(rehearse: Rehearse) -> None:
    """An API host that takes no token of this accounts host ends the run with the data-centre hint, exit 4."""
    rehearsal = await rehearse(small())
    other = await rehearse(small(), **{"accounts.acme": {"base_url": rehearsal.url}})

    ended = await other.run()

    assert ended.code == 4, ended.stderr
    assert "data_center" in ended.stderr or "data centre" in ended.stderr


@pytest.mark.parametrize("urls", [("base_url",), ("base_url", "accounts_url")], ids=["api", "both"])
async def test_no_network_is_told_soon_and_can_go_on(rehearse: Rehearse, urls: tuple[str, ...]) -> None:
    """A closed port: exit 75 while the run is young, with the command that goes on; it completes once it answers."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}"
    rehearsal = await rehearse(small(), **{"accounts.acme": dict.fromkeys(urls, nowhere)})

    stopped = await rehearsal.run()

    assert stopped.code == 75, stopped.stderr
    assert "found no working server" in stopped.last_line
    assert "go on with: harvester run" in stopped.last_line
    rehearsal.configure()
    assert (await rehearsal.run()).code == 0
    assert_is_truth(rehearsal)


async def test_D_01_a_disk_that_takes_no_more_ends_the_run_and_keeps_what_it_has(rehearse: Rehearse) -> None:
    """Exit 7 names the file; with room again the same command completes, and no row is wrong."""
    rehearsal = await rehearse(small(campaigns=1, recipients=9_000), harvest={"compression": "none"})

    full = await rehearsal.run(before=limit_file_size)

    assert full.code == 7, full.stderr
    assert "file too large" in full.stderr.lower()
    assert "go on with: harvester run" in full.last_line
    again = await rehearsal.run()
    assert again.code == 0, again.stderr
    assert_is_truth(rehearsal)
    assert_is_whole(rehearsal)


async def test_D_07_an_output_that_cannot_be_made_is_told_before_any_call(rehearse: Rehearse) -> None:
    """A folder below a regular file can be written by nobody: exit 7 with the remedy, and no call."""
    rehearsal = await rehearse(small())
    (rehearsal.folder / "file").write_text("in the way")
    rehearsal.configure(**{"": {"output": "file/data"}})

    ended = await rehearsal.run()

    assert ended.code == 7, ended.stderr
    assert "A file stands where a folder is to be" in ended.stderr
    assert rehearsal.total("calls") == 0


USAGE = {
    "an empty key list": (["--campaigns-file", "empty.txt"], "no campaign key in the list"),
    "a missing key list": (["--campaigns-file", "absent.txt"], "absent.txt"),
    "a path for a key": (["--campaign", "../etc/passwd"], "is no campaign key"),
    "an unknown action": (["--action", "readcontacts"], "'sentcontacts'"),
    "an unknown flag": (["--actoin", "sentcontacts"], "--action"),
    "an unknown account": (["--account", "acne"], "Configured: acme"),
    "an unknown date": (["--as-of", "yesterday"], "yesterday"),
    "an absent configuration": (["--config", "absent.toml"], "absent.toml"),
}


@pytest.mark.parametrize("case", USAGE)
async def test_IN_a_wrong_command_is_refused_before_any_call(rehearse: Rehearse, case: str) -> None:
    """Exit 2, what is wrong and what would be right, and not a single call."""
    flags, told = USAGE[case]
    rehearsal = await rehearse(small())
    (rehearsal.folder / "empty.txt").write_text("# nothing yet\n\n")

    ended = await rehearsal.run(*flags)

    assert ended.code == 2, ended.stderr
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr
    assert rehearsal.total("calls") == 0


CONFIGURATION: dict[str, tuple[str, dict[str, object], str]] = {
    "a misspelt key": ("budget", {"cals": 400}, "budget.cals: unknown key; did you mean calls?"),
    "a misspelt key of an account": ("accounts.acme", {"base_ulr": "x"}, "did you mean base_url?"),
    "more calls than documented": ("budget", {"calls": 501}, "would lock the endpoint"),
    "an empty list of campaigns": ("harvest", {"campaigns": []}, "harvest.campaigns"),
    "an unknown action": ("harvest", {"actions": ["sent"]}, "sentcontacts"),
    "an output that is a file": ("", {"output": "config.toml"}, "is a file or the root folder"),
    "no secret": ("accounts.acme", {"client_secret": ""}, "HARVESTER_ACCOUNTS__ACME__CLIENT_SECRET"),
}


@pytest.mark.parametrize("case", CONFIGURATION)
async def test_IN_a_wrong_configuration_is_refused_before_any_call(rehearse: Rehearse, case: str) -> None:
    """Exit 2 with the place, the nearest right word where there is one, and not a single call."""
    section, values, told = CONFIGURATION[case]
    rehearsal = await rehearse(small(), **{section: values})

    ended = await rehearsal.run()

    assert ended.code == 2, ended.stderr
    assert told in ended.stderr
    assert rehearsal.total("calls") == 0


async def test_several_accounts_do_not_hold_each_other_up(rehearse: Rehearse) -> None:
    """One account's bad credentials are told with exit 4; the other account is harvested all the same."""
    rehearsal = await rehearse(small())
    config = rehearsal.folder / "config.toml"
    url = f'base_url = "{rehearsal.url}"\naccounts_url = "{rehearsal.url}"\n'
    bad = f'\n[accounts.bad]\nclient_id = "bad-client"\nclient_secret = "x"\nrefresh_token = "y"\n{url}'
    config.write_text(config.read_text() + bad)

    ended = await rehearsal.run()

    assert ended.code == 4, ended.stderr
    assert_is_truth(rehearsal)
    assert_is_whole(rehearsal)
    assert rehearsal.sheet(RECIPIENTS)["calls"] >= len(ACTIONS)
