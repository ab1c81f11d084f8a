"""P5: with rules on personal data no byte of an address reaches the disk, and no row is lost or doubled for it."""

import gzip
import json
from collections.abc import Mapping

import pytest
from end_to_end.rehearsal import Ended, Rehearsal, Rehearse

from harvester.simulator.options import NetworkOptions, Options, WorldOptions
from harvester.simulator.set_options import Damage, QuirkOptions

EXIT_PARTIAL = 3
HMAC = {"email": "hmac"}
RULES: Mapping[str, Mapping[str, object]] = {
    "hmac": HMAC,
    "drop": {"email": "drop"},
    "hmac, raw = false": {**HMAC, "raw": False},
    "hmac, fields": {**HMAC, "deny_fields": ["phone", "raw.companyname"]},
}
OPTIONS = Options(
    time_scale=50.0, world=WorldOptions(campaigns=4, recipients_max=600), network=NetworkOptions(latency_s=0.01)
)
ADDRESS_SIGN = b"@"
DOMAINS = (b"recipients.example", b"sender.example")


def leaks(rehearsal: Rehearsal) -> list[str]:
    """Return the files below output and state, decompressed, that have an address in them."""
    found = []
    for path, content in rehearsal.all_bytes().items():
        body = gzip.decompress(content) if path.endswith(".gz") and "_parts" not in path else content
        if path.startswith(("data/", "state/")) and any(b"@" + domain in body for domain in DOMAINS):
            found.append(path)
    return found


async def verified(rehearsal: Rehearsal) -> Ended:
    return await (await rehearsal.start("verify", "--json")).ended()


@pytest.mark.parametrize("response_format", ["json", "xml"])
@pytest.mark.parametrize("privacy", RULES.values(), ids=RULES)
async def test_P5_P_03_nothing_leaks_over_kills(
    rehearse: Rehearse, privacy: Mapping[str, object], response_format: str
) -> None:
    """Killed twice while sets are read, the run completes with every row once; verify finds nothing wrong."""
    harvest = {"page_size": 60, "response_format": response_format}
    rehearsal = await rehearse(OPTIONS, harvest=harvest, privacy=privacy, changes={"enabled": True})
    for calls in (15, 20):
        program = await rehearsal.start_run()
        await rehearsal.referee.more_calls(calls)
        await program.kill()
        assert leaks(rehearsal) == []

    ended = await rehearsal.run()

    assert ended.code == 0, ended.stderr
    for (key, action), records in rehearsal.harvested().items():
        truth = list(rehearsal.world.rows(key, action))
        assert [record["position"] for record in records] == list(range(1, len(truth) + 1))
        if response_format == "json":
            assert [record["contact_id"] for record in records] == [row["contactid"] for row in truth]
    assert leaks(rehearsal) == []
    flaws = json.loads((await verified(rehearsal)).stdout)["flaws"]
    assert flaws == []
    assert rehearsal.manifest()["privacy"][0]["email"] == privacy["email"]


async def test_P5_A_25_no_unreadable_reply_is_kept(rehearse: Rehearse) -> None:
    """Its rows are lost from quarantine: notes stand in its place, the jobs are partial, and verify knows them."""
    quirks = QuirkOptions(damaged_share=0.05, damages=(Damage.NOT_OBJECT,))
    world = WorldOptions(campaigns=2, recipients=400)
    rehearsal = await rehearse(Options(seed=7, world=world, quirks=quirks), privacy=HMAC)

    ended = await rehearsal.run()

    replies = list(rehearsal.output.rglob("*.reply"))
    assert ended.code == EXIT_PARTIAL
    assert replies
    assert {tuple(json.loads(path.read_bytes())) for path in replies} == {("not_kept", "bytes")}
    assert leaks(rehearsal) == []
    assert (await verified(rehearsal)).code == 0


async def test_stricter_rules_begin_half_read_sets_again_and_are_told(rehearse: Rehearse) -> None:
    """What was published stays as it is and the manifest says that both kinds are there; parts are read anew."""
    rehearsal = await rehearse(OPTIONS, harvest={"page_size": 60}, changes={"enabled": True})
    program = await rehearsal.start_run()
    await rehearsal.referee.more_calls(30)
    await program.kill()
    rehearsal.configure(harvest={"page_size": 60}, privacy=HMAC, changes={"enabled": True})

    ended = await rehearsal.run()

    emails = [
        {"@" in (record["email"] or "") for record in records} for records in rehearsal.harvested().values() if records
    ]
    assert ended.code == 0, ended.stderr
    assert all(len(kinds) == 1 for kinds in emails), "no partition is of two kinds"
    assert [rules["email"] for rules in rehearsal.manifest()["privacy"]] == ["keep", "hmac"]
    assert (await verified(rehearsal)).code == 0
