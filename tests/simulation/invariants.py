"""What must be true of a whole night at its end, whatever befell it; messages begin with the promise that is broken."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from simulation.night import DATE, SECRETS, STABLE_EXITS, Night
from simulation.on_disk import opened_ledger
from simulation.proofs import check_proofs
from simulation.truth import Truth, may_be_cut, require, world_of

from harvester.engine.admission import Admission
from harvester.engine.errand import FEWER_SHARE
from harvester.events import CountersMissing, JobDone, JobFailed, LockoutOpened, PageStored
from harvester.model import Action, JobState
from harvester.operations.workshop import LEDGER_FILE, RECIPIENTS, quota_of
from harvester.simulator.options import Counting
from harvester.simulator.world import Campaign, Kind, World
from harvester.store.job_report import JobReport
from harvester.store.splits import Splits

LEVEL_TOLERANCE_CALLS = 1e-3
"""Weighted and leaky levels are sums of fractions."""

END_STATES = {
    Kind.NORMAL: JobState.DONE,
    Kind.AB: JobState.DONE,
    Kind.CHILD: JobState.DONE,
    Kind.TINY_AB: JobState.SKIPPED,
    Kind.FORBIDDEN: JobState.FAILED,
    Kind.CHILD: JobState.DONE,
}
"""How the jobs of each kind of campaign must end; drafts are in no plan."""


def check(night: Night) -> None:
    """Check a night that is over.

    Raises:
        ViolationError: something is not as promised.
    """
    for invariant in (
        _no_window_holds_too_many_calls,
        _no_lockout_is_our_fault,
        _a_lock_is_met_by_few_calls,
        _few_tokens_are_asked_for,
        _few_calls_are_wasted,
        _the_night_ends_in_time,
        _every_job_ended_as_it_must,
        _manifest_and_ledger_agree,
        check_proofs,
        _nothing_lies_about,
        _nothing_is_left_running,
        _nothing_secret_is_told,
    ):
        invariant(night)


def _jobs(night: Night, account: str) -> list[JobReport]:
    with opened_ledger(night) as ledger:
        return list(ledger.jobs(ledger.open_harvest(account, DATE)))


def _our_sheet(night: Night, account: str, endpoint: str) -> dict[str, Any]:
    client_id = night.settings.accounts[account].client_id
    sheet: dict[str, Any] = night.wire.ours.report()["accounts"].get(client_id, {}).get(endpoint, {})
    return sheet


def _every_job_ended_as_it_must(night: Night) -> None:
    """Every campaign that was sent is planned, every job in its one end state."""
    require(night.exit_codes[-1] in STABLE_EXITS, f"P3: the last run ended with {night.exit_codes[-1]}")
    for account in night.scenario.accounts:
        expected = {
            (campaign.key, action): _end_states(night, account, campaign, action)
            for campaign in _with_halves(world_of(night, account))
            if campaign.kind in END_STATES
            for action in night.settings.harvest.actions
        }
        jobs = _jobs(night, account)
        found = {(job.campaign_key, Action(job.action)): job.state for job in jobs}
        require(len(found) == len(jobs), f"P2: {len(jobs) - len(found)} jobs of {account} are there twice")
        wrong = {
            name: found.get(name)
            for name in expected.keys() | found.keys()
            if found.get(name) not in expected.get(name, set())
        }
        require(
            not wrong,
            f"P2: {len(wrong)} jobs of {account} are not where they must be: {sorted(map(str, wrong.items()))[:2]}",
        )


def _with_halves(world: World) -> Iterator[Campaign]:
    for campaign in world.campaigns:
        yield campaign
        yield from map(world.campaign, campaign.child_keys)


def _harvested(night: Night, account: str) -> Iterator[Campaign]:
    """Yield all campaigns of an account, and the test halves of those whose halves were told."""
    world = world_of(night, account)
    with opened_ledger(night) as ledger:
        told = Splits(ledger.database).of(account)
    for campaign in world.campaigns:
        yield campaign
        yield from (world.campaign(key) for key in campaign.child_keys if campaign.key in told)


def _end_states(night: Night, account: str, campaign: Campaign, action: Action) -> set[JobState]:
    """Return how a job may end: a done one is partial instead where rows of its set cannot be read.

    A second reading that finds less than half is given up: so may be one of a set that lost so many.
    """
    state, server = END_STATES[campaign.kind], night.scenario.server
    if state is not JobState.DONE or not (server.quirks.damaged_share or server.shifts.share):
        return {state}
    truth = Truth(night, world_of(night, account), campaign.key, action)
    given_up = {JobState.FAILED} if len(truth.history.throughout) < FEWER_SHARE * len(truth.history.ever) else set()
    if server.quirks.damaged_share and (not truth.is_still or may_be_cut(night)):
        return {JobState.DONE, JobState.PARTIAL} | given_up
    return {JobState.PARTIAL if truth.unreadable_rows else JobState.DONE} | given_up


def _manifest_and_ledger_agree(night: Night) -> None:
    """The manifest says of every job what the ledger says; _SUCCESS stands for a whole harvest."""
    for account in night.scenario.accounts:
        folder = night.settings.output / f"recipients/account={account}/dt={DATE.isoformat()}"
        manifest, jobs = json.loads((folder / "_manifest.json").read_bytes()), _jobs(night, account)
        told = [(entry["campaign_key"], entry["action"], entry["state"], entry["sha256"]) for entry in manifest["jobs"]]
        known = [(job.campaign_key, job.action, job.state.value, job.sha256) for job in jobs]
        require(told == known, f"P2: the manifest of {account} differs from the ledger")
        is_whole = all(job.state in {JobState.DONE, JobState.SKIPPED} for job in jobs)
        require((folder / "_SUCCESS").exists() == is_whole, f"P4: _SUCCESS of {account}, whole: {is_whole}")


def _nothing_lies_about(night: Night) -> None:
    """No part with rows in it outlives a complete harvest, and no draft of a file."""
    drafts = [path.name for path in night.folder.rglob("*draft*")]
    require(not drafts, f"P4: left over: {drafts}")
    ours = (night.settings.output / "_parts").glob(f"{DATE}-*")
    parts = [path.name for path in ours if path.stat().st_size]
    require(not parts or night.exit_codes[-1] != 0, f"P4: parts left over: {parts}")


def _no_window_holds_too_many_calls(night: Night) -> None:
    """Our own calls stay within the tokens, however they are counted."""
    quota = quota_of(night.settings)
    ways = list(Counting) if quota.admission is Admission.ROBUST else [Counting.SLIDING, Counting.FIXED, Counting.LEAKY]
    for account in night.scenario.accounts:
        worst_calls = _our_sheet(night, account, RECIPIENTS).get("worst_calls", {})
        for way in ways:
            level_calls = worst_calls.get(way.value, 0)
            is_kept = level_calls <= quota.tokens + LEVEL_TOLERANCE_CALLS
            require(is_kept, f"P1: {level_calls} of {quota.tokens} calls in a window ({way})")


def _no_lockout_is_our_fault(night: Night) -> None:
    """Where nobody else calls, the server never locks."""
    lockouts = night.wire.zoho.referee.report()["totals"]["lockouts"]
    require(night.scenario.foreign_at_s or not lockouts, f"P1: {lockouts} lockouts, all ours")


def _a_lock_is_met_by_few_calls(night: Night) -> None:
    """A lock costs the calls in flight and a probe; the pause is long enough, so the probe does not meet it again."""
    opened = [event for _, event in night.events if isinstance(event, LockoutOpened)]
    bound = (len(opened) + night.kills) * night.settings.harvest.concurrency + night.wire.answers_lost
    calls = night.wire.ours.report()["totals"]["calls_into_lock"]
    require(calls <= bound, f"lockout: {calls} calls into locks that were met {len(opened)} times")
    if not night.kills:
        level, bursts = max((event.level for event in opened), default=0), len(night.scenario.foreign_at_s)
        require(level <= bursts, f"lockout: level {level} after {bursts} bursts: a pause was too short")


def _few_calls_are_wasted(night: Night) -> None:
    """A page is fetched twice only where its answer was lost or had not been stored when its process died."""
    wasted: Counter[str] = Counter()
    for account in night.scenario.accounts:
        wasted.update(_our_sheet(night, account, RECIPIENTS).get("wasted", {}))
    repeated = wasted["page-repeated"] + wasted["end-repeated"]
    cut_short = sum(code not in {0, 3} for code in night.exit_codes)
    settings = night.settings.harvest
    bound = night.wire.answers_lost + cut_short * (settings.concurrency + settings.pages_ahead)
    bound += _pages_of_jobs_read_again(night) + _pages_of_doubted_jobs(night)
    is_explained = repeated <= bound or night.scenario.server.shifts.share  # nobody knows what is new of a moving set
    require(is_explained, f"waste: {repeated} pages fetched again, {bound} can be explained")
    # An account that lists nothing is asked again: that may have been said by mistake.
    accounts = [world_of(night, account) for account in night.scenario.accounts]
    empty = sum(not any(campaign.kind is not Kind.DRAFT for campaign in world.campaigns) for world in accounts)
    is_repeat_quiet = night.calls_of_a_repeat <= empty or _are_counters_missing(night)
    require(is_repeat_quiet, f"waste: {night.calls_of_a_repeat} calls after all was done")
    if night.scenario.is_quiet:
        surplus = {kind: calls for kind, calls in wasted.items() if kind not in {"error-6601", "error-6607"}}
        require(not surplus, f"waste: {surplus} on a quiet night")


def _pages_of_jobs_read_again(night: Night) -> int:
    """Count the calls for jobs that later runs fetch again from the first page: given up, or with unreadable rows.

    A page with unreadable rows is asked for twice at once, and each harvest of such a job finds the end anew.
    """
    failed = {(event.campaign_key, event.action) for _, event in night.events if isinstance(event, JobFailed)}
    ended = [event for _, event in night.events if isinstance(event, JobDone) and event.unreadable_rows]
    partial = {(event.campaign_key, event.action) for event in ended}
    pages = [(event.campaign_key, event.action) for _, event in night.events if isinstance(event, PageStored)]
    return sum((page in failed) + 2 * (page in partial) for page in pages) + 2 * len(ended)


def _pages_of_doubted_jobs(night: Night) -> int:
    """Count the pages of jobs that fell short of their counters, and two calls for the end: they are fetched twice."""
    jobs = [job for account in night.scenario.accounts for job in _jobs(night, account)]
    return sum(job.pages + 2 for job in jobs if job.is_doubted)


def _are_counters_missing(night: Night) -> bool:
    """Tell whether the run before the last left campaigns uncounted: the last one asks for those."""
    began_s = night.started_at_s[-2]
    return any(isinstance(event, CountersMissing) and at_s >= began_s for at_s, event in night.events)


def _few_tokens_are_asked_for(night: Night) -> None:
    """One token for its life, and one more for each that was refused; never so many that the endpoint refuses."""
    token_life_s = night.scenario.server.tokens.life_s
    steps = len(night.scenario.wall_steps) + len(night.scenario.deaths) + len(night.scenario.suspends)
    for account in night.scenario.accounts:
        sheet = _our_sheet(night, account, "token")
        refused = sum(_our_sheet(night, account, RECIPIENTS).get("kinds", {}).get(kind, 0) for kind in UNAUTHORIZED)
        bound = (
            night.ended_at_s / (0.9 * token_life_s)
            + 1
            + refused
            + steps
            + len(night.exit_codes)
            + night.wire.answers_lost
        )
        kinds = sheet.get("kinds", {})
        require(
            kinds.get("token-issued", 0) <= bound, f"tokens: {kinds} in {night.ended_at_s:.0f} s, bound {bound:.0f}"
        )
        require("token-denied" not in kinds or steps, f"tokens: {kinds}")


UNAUTHORIZED = ("unauthorized", "fault-unauthorized")


def _the_night_ends_in_time(night: Night) -> None:
    """Every night ends; and with nothing in the way the budget is never idle."""
    require(night.is_over, f"P3: after {len(night.exit_codes)} runs and {night.ended_at_s:.0f} s it is not over")
    if not night.scenario.is_quiet:
        return
    quota, network = quota_of(night.settings), night.scenario.server.network
    sheets = [_our_sheet(night, account, RECIPIENTS) for account in night.scenario.accounts]
    calls = max(sheet.get("calls", 0) for sheet in sheets)
    total_calls = sum(sheet.get("calls", 0) for sheet in sheets)
    answer_s = network.latency_s + network.jitter_s + 3 * night.scenario.slowest_disk_s
    bound_s = (calls / quota.tokens + 1) * quota.window_s / 0.97 + answer_s * (10 + total_calls)
    require(night.ended_at_s <= bound_s, f"P6: {calls} calls took {night.ended_at_s:.0f} s, bound {bound_s:.0f} s")


def _nothing_is_left_running(night: Night) -> None:
    """Every task ends with its run, and no error goes unseen."""
    require(not night.leaked_tasks, f"leak: tasks outlived their run: {night.leaked_tasks}")
    require(not night.loop_errors or night.kills, f"leak: nobody caught: {night.loop_errors}")


def _nothing_secret_is_told(night: Night) -> None:
    """No event and no ledger holds a secret, a token or an address."""
    told = "\n".join(repr(event) for _, event in night.events).encode()
    files = [path.read_bytes() for path in night.settings.state.glob(f"{LEDGER_FILE}*")]
    for canary in (*SECRETS, *night.wire.secrets, "@recipients.example"):
        require(not any(canary.encode() in text for text in (told, *files)), "P5: a secret or an address was told")
