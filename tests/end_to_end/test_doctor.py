"""`harvester doctor` against a practised Zoho: each trouble is provoked for real, and the server counts the calls."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from end_to_end.rehearsal import CLIENT_ID, Rehearsal, Rehearse

from harvester.simulator.endpoints import RECIPIENTS
from harvester.simulator.options import AnswerOptions, Options, TokenOptions, WorldOptions
from harvester.simulator.server import Server
from harvester.simulator.wire import API_PREFIX, Answer, Request
from harvester.store.lock import at_work

CAMPAIGNS, REPORTS, TOKEN = "recentcampaigns", "campaignreports", "token"
SECRET = "canary-secret-5e6c"
REFRESH_TOKEN = "1000.canary-7f1a"
SECRETS = {"client_secret": SECRET, "refresh_token": REFRESH_TOKEN}
LARGE = Options(world=WorldOptions(campaigns=3, recipients=1200))

Judge = Callable[[Request], Answer | None]


@dataclass(frozen=True)
class Examined:
    """What `harvester doctor --json` said and did."""

    code: int
    findings: dict[str, dict[str, Any]]
    calls: int
    last_line: str

    def verdict(self, check: str) -> str:
        return str(self.findings[check]["verdict"])

    def words(self, check: str) -> str:
        return f"{self.findings[check]['seen']} {self.findings[check]['cure']}"


async def examine(rehearsal: Rehearsal, *flags: str) -> Examined:
    """Run the doctor, and check what holds always: no secret is told, and as many calls came as it says, 5 at most."""
    before = rehearsal.total("calls")
    ended = await (await rehearsal.start("doctor", "--json", *flags)).ended()
    report = json.loads(ended.stdout)
    calls = rehearsal.total("calls") - before

    said = ended.stdout + ended.stderr
    marks = (SECRET, REFRESH_TOKEN, "@", "%40", CLIENT_ID, *rehearsal.server.zoho._tokens._grants)
    assert [mark for mark in marks if mark in said] == []
    assert calls <= 5
    assert ended.code == report["exit_code"]
    findings = {finding["check"]: finding for finding in report["findings"]}
    return Examined(ended.code, findings, calls, ended.last_line)


def intercept(rehearsal: Rehearsal, judge: Judge) -> None:
    """Let the server answer as `judge` says; None leaves the answer to the service."""
    real = rehearsal.server.zoho.answer

    def answer(request: Request, now_s: float) -> Answer:
        told = real(request, now_s)  # counted in any case
        return judge(request) or told

    rehearsal.server.zoho.answer = answer  # type: ignore[method-assign]


def refusing(endpoint: str, code: str, message: str, campaign_key: str | None = None) -> Judge:
    def judge(request: Request) -> Answer | None:
        is_meant = campaign_key in {None, request.params.get("campaignkey")}
        if request.path != f"{API_PREFIX}{endpoint}" or not is_meant:
            return None
        return Answer(200, json.dumps({"status": "error", "code": code, "message": message}).encode())

    return judge


async def test_a_sound_account_takes_four_calls_and_then_three(rehearse: Rehearse) -> None:
    """Token, listing, report and one whole page: all is well; with the token from the cache it is one call less."""
    rehearsal = await rehearse(LARGE, **{"accounts.acme": SECRETS})

    first, second = await examine(rehearsal), await examine(rehearsal)

    assert (first.code, second.code) == (0, 0)
    assert {finding["verdict"] for finding in first.findings.values()} == {"ok"}
    assert (first.calls, second.calls) == (4, 3)
    assert first.last_line == "nothing is wrong; 4 calls made"
    assert rehearsal.total("lockouts") == 0


async def test_it_prints_a_line_for_each_finding(rehearse: Rehearse) -> None:
    """Without --json there is a marked line for each check on standard output."""
    rehearsal = await rehearse(LARGE, **{"accounts.acme": SECRETS})

    ended = await (await rehearsal.start("doctor", "--account", "acme")).ended()

    assert ended.code == 0
    assert "ok   acme: recipients: a call brought 500 rows\n" in ended.stdout
    assert all(line.startswith("ok ") for line in ended.stdout.splitlines())


@pytest.mark.parametrize(
    ("account", "words"),
    [
        ({"client_id": "bad-client"}, ("invalid_client", "data_center")),
        ({"client_secret": "bad-secret"}, ("invalid_client_secret", "client_secret")),
        ({"refresh_token": "bad-token"}, ("invalid_code", "harvester login")),
    ],
)
async def test_U_02_refused_credentials_take_one_call_and_a_person(
    rehearse: Rehearse, account: dict[str, str], words: tuple[str, str]
) -> None:
    """A wrong data centre, secret or refresh token is told apart by the accounts host, and no other call is made."""
    rehearsal = await rehearse(LARGE, **{"accounts.acme": SECRETS | account})

    examined = await examine(rehearsal)

    assert (examined.code, examined.calls) == (4, 1)
    assert examined.verdict("access token") == "problem"
    assert [word for word in words if word not in examined.words("access token")] == []
    assert examined.verdict("campaigns") == "unknown"


async def test_U_03_throttled_tokens_are_no_fault_of_the_credentials(rehearse: Rehearse) -> None:
    """Access Denied means to come back later; the second examination does not even ask."""
    rehearsal = await rehearse(replace(LARGE, tokens=TokenOptions(creations=0)), **{"accounts.acme": SECRETS})

    first, second = await examine(rehearsal), await examine(rehearsal)

    assert (first.code, first.calls) == (75, 1)
    assert (second.code, second.calls) == (75, 0)
    assert "too many access tokens" in first.words("access token")


async def test_U_01_a_new_token_that_the_api_refuses_is_about_data_centre_or_scope(rehearse: Rehearse) -> None:
    """1007 with a token made just now: the hosts are of two data centres, or the scope is missing."""
    rehearsal = await rehearse(LARGE, **{"accounts.acme": SECRETS})
    async with Server(LARGE).running() as elsewhere:
        rehearsal.configure(**{"accounts.acme": SECRETS | {"base_url": elsewhere}})

        examined = await examine(rehearsal)

    assert (examined.code, examined.calls) == (4, 1)
    assert examined.verdict("campaigns") == "problem"
    assert "1007" in examined.words("campaigns")
    assert "same data centre" in examined.words("campaigns")
    assert "scope" in examined.words("campaigns")


async def test_U_01_a_cached_token_that_died_is_replaced_within_five_calls(rehearse: Rehearse) -> None:
    """A cached token that the API does not know any more is renewed once, and then all is well."""
    rehearsal = await rehearse(LARGE, **{"accounts.acme": SECRETS})
    await examine(rehearsal)
    rehearsal.server.zoho._tokens._grants.clear()

    examined = await examine(rehearsal)

    assert (examined.code, examined.calls) == (0, 5)
    assert "gave one" in examined.words("access token")


async def test_U_01_tokens_that_keep_dying_take_five_calls_at_most(rehearse: Rehearse) -> None:
    """Where a second new token would cost the sixth call, it is not made, and nobody blames the network."""
    rehearsal = await rehearse(LARGE, **{"accounts.acme": SECRETS})
    await examine(rehearsal)
    rehearsal.server.zoho._tokens._grants.clear()
    unauthorized = {"status": "error", "Code": "1007", "message": "Unauthorized request."}
    dead = Answer(401, json.dumps(unauthorized).encode())
    intercept(rehearsal, lambda request: dead if request.path.endswith(REPORTS) else None)

    examined = await examine(rehearsal)

    assert (examined.code, examined.calls) == (4, 5)
    assert examined.verdict("reports") == "problem"
    assert examined.verdict("recipients") == "unknown"


async def test_a_ledger_that_is_none_is_told(rehearse: Rehearse) -> None:
    """What stands in the ledger's place is named, no call is made, and the other checks are shown."""
    rehearsal = await rehearse(LARGE, **{"accounts.acme": SECRETS})
    rehearsal.state.mkdir(mode=0o700)
    (rehearsal.state / "ledger.sqlite").write_bytes(b"no ledger at all" * 100)
    (rehearsal.state / "ledger.sqlite").chmod(0o600)

    examined = await examine(rehearsal)

    assert examined.code != 0
    assert (examined.calls, examined.verdict("ledger"), examined.verdict("clock")) == (0, "problem", "unknown")


async def test_a_missing_scope_is_named(rehearse: Rehearse) -> None:
    """A token without the scope leads to harvester login, and no call follows."""
    rehearsal = await rehearse(LARGE, **{"accounts.acme": SECRETS})
    intercept(rehearsal, refusing(CAMPAIGNS, "INVALID_SCOPE", "Invalid OAuth scope."))

    examined = await examine(rehearsal)

    assert (examined.code, examined.calls) == (4, 2)
    assert "scope" in examined.words("campaigns")
    assert examined.verdict("recipients") == "unknown"


async def test_A_02_missing_privileges_are_confirmed_by_a_second_campaign(rehearse: Rehearse) -> None:
    """6607 for two campaigns is the account's; the fifth call asked for the second one."""
    options = Options(world=WorldOptions(campaigns=3, recipients=50, forbidden_share=1.0))
    rehearsal = await rehearse(options, **{"accounts.acme": SECRETS})

    examined = await examine(rehearsal)

    assert (examined.code, examined.calls) == (4, 5)
    assert (examined.verdict("reports"), examined.verdict("recipients")) == ("problem", "problem")
    assert "6607" in examined.words("recipients")
    assert "administrator" in examined.words("recipients")


async def test_A_02_one_campaign_without_privilege_is_a_warning(rehearse: Rehearse) -> None:
    """6607 for one campaign while another can be read may mean that it has no content."""
    rehearsal = await rehearse(LARGE, **{"accounts.acme": SECRETS})
    newest = rehearsal.world.campaigns[-1].key
    intercept(rehearsal, refusing(RECIPIENTS, "6607", "Insufficient privileges.", newest))

    examined = await examine(rehearsal)

    assert (examined.code, examined.calls) == (0, 5)
    assert examined.verdict("recipients") == "warning"
    assert "another campaign can be read" in examined.words("recipients")
    assert examined.verdict("range") == "ok"


async def test_A_02_missing_privileges_to_list_end_the_examination(rehearse: Rehearse) -> None:
    """6601 at the listing is about rights, and nothing else can be asked."""
    rehearsal = await rehearse(LARGE, **{"accounts.acme": SECRETS})
    intercept(rehearsal, refusing(CAMPAIGNS, "6601", "Insufficient privileges."))

    examined = await examine(rehearsal)

    assert (examined.code, examined.calls) == (4, 2)
    assert "administrator" in examined.words("campaigns")


@pytest.mark.parametrize(
    ("date", "side"), [("Thu, 01 Jan 2015 00:00:00 GMT", "ahead"), ("Fri, 01 Jan 2100 00:00:00 GMT", "behind")]
)
async def test_a_clock_that_is_off_is_told(rehearse: Rehearse, date: str, side: str) -> None:
    """The servers' Date is held against the wall clock; a difference is a warning and stops nothing."""
    rehearsal = await rehearse(LARGE, **{"accounts.acme": SECRETS})
    real = rehearsal.server.zoho.answer
    rehearsal.server.zoho.answer = lambda request, now_s: replace(  # type: ignore[method-assign]
        real(request, now_s), headers={"Date": date}
    )

    examined = await examine(rehearsal)

    assert examined.code == 0
    assert examined.verdict("clock") == "warning"
    assert side in examined.words("clock")
    assert "harvest dates" in examined.words("clock")


@pytest.mark.parametrize("name", ["output", "state"])
async def test_a_folder_that_cannot_be_written_costs_no_call(rehearse: Rehearse, name: str) -> None:
    """Without a place for ledger and parts no call is made, and the other checks are shown all the same."""
    rehearsal = await rehearse(LARGE, **{"": {name: "blocked/folder"}, "accounts.acme": SECRETS})
    (rehearsal.folder / "blocked").touch()

    examined = await examine(rehearsal)

    assert (examined.code, examined.calls) == (7, 0)
    assert examined.verdict(f"{name} folder") == "problem"
    assert "choose another folder" in examined.words(f"{name} folder")
    assert examined.verdict("campaigns") == "unknown"


async def test_S_09_a_folder_that_others_can_change_costs_no_call(rehearse: Rehearse) -> None:
    """Whoever can write into the state folder can exchange ledger and tokens."""
    rehearsal = await rehearse(LARGE, **{"accounts.acme": SECRETS})
    rehearsal.state.mkdir()
    rehearsal.state.chmod(0o777)

    examined = await examine(rehearsal)

    assert (examined.code, examined.calls) == (7, 0)
    assert "chmod go-rwx state" in examined.words("state folder")


async def test_S_06_a_token_cache_that_others_can_read_is_told_before_any_call(rehearse: Rehearse) -> None:
    """The file is named with the command that closes it."""
    rehearsal = await rehearse(LARGE, **{"accounts.acme": SECRETS})
    await examine(rehearsal)
    (rehearsal.state / "token-acme.json").chmod(0o644)

    examined = await examine(rehearsal)

    assert (examined.code, examined.calls) == (2, 0)
    assert "chmod 600" in examined.words("token cache")


async def test_a_locked_endpoint_is_left_alone_once_the_ledger_knows(rehearse: Rehearse) -> None:
    """The first examination meets the lock, the second one makes no call into it, and others are still asked."""
    rehearsal = await rehearse(LARGE)
    foreign = {"authorization": f"Zoho-oauthtoken {rehearsal.foreign_token()}"}
    for _ in range(501):
        rehearsal.server.zoho.answer(Request(f"{API_PREFIX}{RECIPIENTS}", {}, foreign), rehearsal.server.now_s())

    first = await examine(rehearsal)
    arrived = rehearsal.sheet()["calls"]
    second = await examine(rehearsal)

    assert (first.code, second.code) == (75, 75)
    assert (first.calls, arrived) == (4, 502)
    assert "locked" in first.words("recipients")
    assert "no call was made" in second.words("recipients")
    assert rehearsal.sheet()["calls"] == arrived
    assert second.verdict("reports") == "ok"


async def test_a_budget_that_is_used_up_is_not_waited_for(rehearse: Rehearse) -> None:
    """With no call free for minutes the endpoint is not asked: nothing is known, and nothing is wrong."""
    rehearsal = await rehearse(LARGE, budget={"calls": 2})
    await examine(rehearsal)

    examined = await examine(rehearsal)

    assert (examined.code, examined.calls, examined.verdict("campaigns")) == (0, 0, "unknown")
    assert "the budget is used up for" in examined.words("campaigns")


async def test_another_run_at_work_is_told(rehearse: Rehearse) -> None:
    """A run shares the budget with the doctor, and is named."""
    rehearsal = await rehearse(LARGE, **{"accounts.acme": SECRETS})

    with at_work(rehearsal.state, "a-run"):
        examined = await examine(rehearsal)

    assert examined.code == 0
    assert examined.verdict("other runs") == "warning"
    assert "a-run" in examined.words("other runs")


async def test_H_02_a_host_that_cannot_be_reached_is_told_with_what_to_check(rehearse: Rehearse) -> None:
    """Nobody listens at the accounts host: one call, and network, firewall and proxy are named."""
    rehearsal = await rehearse(LARGE, **{"accounts.acme": SECRETS | {"accounts_url": "http://127.0.0.1:9"}})

    examined = await examine(rehearsal)

    assert (examined.code, examined.calls) == (75, 0)
    assert "cannot connect" in examined.words("access token")
    assert "proxy" in examined.words("access token")


async def test_H_25_a_host_without_tls_is_told(rehearse: Rehearse) -> None:
    """A port that speaks plain HTTP where https is expected: the URL is to be checked."""
    rehearsal = await rehearse(LARGE, **{"accounts.acme": SECRETS})
    secure_url = rehearsal.url.replace("http://", "https://")
    rehearsal.configure(**{"accounts.acme": SECRETS | {"accounts_url": secure_url}})

    examined = await examine(rehearsal)

    assert (examined.code, examined.calls) == (75, 0)
    assert "no TLS connection" in examined.words("access token")


async def test_A_14_a_clamp_that_the_server_tells_is_a_warning(rehearse: Rehearse) -> None:
    """The echo shows a shorter range than was asked for: no further call is needed."""
    options = replace(LARGE, answers=AnswerOptions(clamp_rows=100))
    rehearsal = await rehearse(options, **{"accounts.acme": SECRETS})

    examined = await examine(rehearsal)

    assert (examined.code, examined.calls, examined.verdict("range")) == (0, 4, "warning")
    assert "the server says that it gives 100" in examined.words("range")


async def test_A_14_a_silent_clamp_is_shown_by_the_rows_after_the_page(rehearse: Rehearse) -> None:
    """The echo repeats what was asked, and the fifth call finds rows after the short page."""
    options = replace(LARGE, answers=AnswerOptions(clamp_rows=100, is_clamp_echoed=False))
    rehearsal = await rehearse(options, **{"accounts.acme": SECRETS})

    examined = await examine(rehearsal)

    assert (examined.code, examined.calls, examined.verdict("range")) == (0, 5, "warning")
    assert "500 rows were asked for, and 100 came; more rows follow" in examined.words("range")


async def test_a_range_that_is_refused_is_a_warning(rehearse: Rehearse) -> None:
    """6502 names the setting to lower."""
    options = replace(LARGE, answers=AnswerOptions(refuse_range_over_rows=200))
    rehearsal = await rehearse(options, **{"accounts.acme": SECRETS})

    examined = await examine(rehearsal)

    assert (examined.code, examined.verdict("range")) == (0, "warning")
    assert "page_size" in examined.words("range")


async def test_a_small_campaign_cannot_show_a_clamp(rehearse: Rehearse) -> None:
    """Where the counters say that the short page is all of the set, nothing is known of longer ones."""
    options = Options(world=WorldOptions(campaigns=2, recipients=30))
    rehearsal = await rehearse(options, **{"accounts.acme": SECRETS})

    examined = await examine(rehearsal)

    assert (examined.code, examined.calls, examined.verdict("range")) == (0, 4, "unknown")


async def test_the_largest_campaign_that_the_ledger_knows_is_asked(rehearse: Rehearse) -> None:
    """The newest campaign is too small to show a clamp; after a harvest a larger one is known, and it shows none."""
    options = Options(world=WorldOptions(campaigns=6, recipients_max=3000))
    rehearsal = await rehearse(options, harvest={"page_size": 100}, **{"accounts.acme": SECRETS})

    before = await examine(rehearsal)
    harvested = await rehearsal.run("--action", "sentcontacts")
    after = await examine(rehearsal)

    assert (before.verdict("range"), harvested.code, after.verdict("range")) == ("unknown", 0, "ok")
    assert (before.calls, after.calls) == (4, 3)


async def test_an_account_without_campaigns_is_a_warning(rehearse: Rehearse) -> None:
    """Nothing was sent: there is nothing to ask for, and nothing is wrong."""
    options = Options(world=WorldOptions(campaigns=2, drafts_share=1.0))
    rehearsal = await rehearse(options, **{"accounts.acme": SECRETS})

    examined = await examine(rehearsal)

    assert (examined.code, examined.calls, examined.verdict("campaigns")) == (0, 2, "warning")


async def test_H_14_xml_where_json_was_asked_for_is_told(rehearse: Rehearse) -> None:
    """A proxy that drops resfmt has the service answer in XML."""
    rehearsal = await rehearse(LARGE, **{"accounts.acme": SECRETS})
    real = rehearsal.server.zoho.answer

    def answer(request: Request, now_s: float) -> Answer:
        is_api = request.path == f"{API_PREFIX}{RECIPIENTS}"
        params = {name: value for name, value in request.params.items() if name != "resfmt" or not is_api}
        return real(replace(request, params=params), now_s)

    rehearsal.server.zoho.answer = answer  # type: ignore[method-assign]

    examined = await examine(rehearsal)

    assert (examined.code, examined.verdict("format")) == (0, "warning")
    assert RECIPIENTS in examined.words("format")


async def test_H_18_a_failing_server_is_asked_once(rehearse: Rehearse) -> None:
    """HTTP 503 is told and not tried again."""
    rehearsal = await rehearse(LARGE, **{"accounts.acme": SECRETS})
    intercept(rehearsal, lambda request: Answer(503, b"") if request.path.endswith(CAMPAIGNS) else None)

    examined = await examine(rehearsal)

    assert (examined.code, examined.calls) == (75, 2)
    assert "503" in examined.words("campaigns")


async def test_accounts_are_examined_apart(rehearse: Rehearse) -> None:
    """One account with refused credentials does not keep the other from being examined."""
    rehearsal = await rehearse(LARGE, **{"accounts.acme": SECRETS})
    other = {"base_url": rehearsal.url, "accounts_url": rehearsal.url, "client_id": "bad-client", **SECRETS}
    config = rehearsal.folder / "config.toml"
    lines = "\n".join(f'{name} = "{value}"' for name, value in other.items())
    config.write_text(f"{config.read_text()}\n[accounts.other]\n{lines}\n")

    ended = await (await rehearsal.start("doctor", "--json")).ended()

    report = json.loads(ended.stdout)
    verdicts = {(each["account"], each["check"]): each["verdict"] for each in report["findings"]}
    assert ended.code == 4
    assert report["calls"] == {"acme": 4, "other": 1}
    assert verdicts["acme", "recipients"] == "ok"
    assert verdicts["other", "access token"] == "problem"


async def test_a_configuration_without_a_refresh_token_names_the_login(rehearse: Rehearse) -> None:
    """Usage errors end with 2 and no call."""
    rehearsal = await rehearse(LARGE, **{"accounts.acme": {"refresh_token": None}})

    ended = await (await rehearsal.start("doctor")).ended()

    assert ended.code == 2
    assert "harvester login" in ended.stderr
    assert rehearsal.total("calls") == 0
